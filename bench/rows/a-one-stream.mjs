// Owns row a: one stream. How fast it decodes, and how soon its first token comes after a cold prompt.
import { median } from "simple-statistics";
import * as raw from "../contenders/raw.mjs";
import { partsOfLimits } from "../lib/limits.mjs";
import { beginsPlainly, pace, ttft } from "../lib/reply.mjs";

const decode = { promptTokens: 64, newTokens: 128 };
/** Length of a cold prompt → how often it is measured in one repetition; each takes a different text. */
const samples = { 64: 3, 512: 1 };
const prompts = Object.keys(samples).map(Number);

export const row = {
  name: "a",
  title: `one stream: decoding ${decode.newTokens} tokens, and the first token after a cold prompt`,
  engine: () => ({ contextSize: 768, maxStreams: 1 }),
  raw: (job) => raw.oneStream({ ...job, ...decode, prompts, samples: 3 }),

  async measure(engine, job) {
    await engine.generate(await job.prompts.cold(decode.promptTokens), { maxTokens: 8 });
    const measures = { tokensPerSecond: pace(await plainReply(engine, job, decode.promptTokens, decode.newTokens)) };
    for (const tokens of prompts) {
      const times = [];
      for (let i = 0; i < samples[tokens]; i++) times.push(ttft(await plainReply(engine, job, tokens, 2)));
      measures[`ttftMs${tokens}`] = median(times);
    }
    return measures;
  },

  derived: partsOfLimits,

  figures: [
    {
      label: "decoding",
      unit: "tok/s",
      measure: "tokensPerSecond",
      goals: [{ of: "raw", atLeast: 1 }],
      note: "raw: llama-bench -n 128 -d 64, which samples nothing",
    },
    ...prompts.map((tokens) => ({
      label: `first token, ${tokens} tokens cold`,
      unit: "ms",
      measure: `ttftMs${tokens}`,
      goals: [
        { of: "raw", atMost: 1.03 },
        { of: "raw", atMost: 0.6, but: ["demo"] },
      ],
      note: "raw: llama-bench's prefill, which computes the first token's logits",
    })),
    { label: "decoding, of what reading memory allows", unit: "parts of 1", measure: "readPart", optional: true },
    ...prompts.map((tokens) => ({
      label: `first token, ${tokens} tokens, of what multiplying allows`,
      unit: "parts of 1",
      measure: `multiplyPart${tokens}`,
      goals: [{ atLeast: 0.6, but: ["demo"] }],
      optional: true,
    })),
    { label: "reading memory allowed right before or after", unit: "GB/s", measure: "readLimit", optional: true },
    { label: "multiplying allowed right before or after", unit: "G/s", measure: "multiplyLimit", optional: true },
  ],
};

/** A reply to a cold prompt whose first token can be seen when it is made. */
async function plainReply(engine, { prompts }, promptTokens, maxTokens) {
  for (let tries = 0; tries < 20; tries++) {
    const reply = await engine.generate(await prompts.cold(promptTokens), { maxTokens });
    checkCold(reply, promptTokens, maxTokens);
    if (beginsPlainly(reply)) return reply;
  }
  throw new Error("the model's first tokens are never whole characters");
}

/** A reply that is as long as asked, to a prompt of which nothing was known. */
export function checkCold(reply, promptTokens, newTokens) {
  if (reply.tokens !== newTokens) throw new Error(`a reply has ${reply.tokens} tokens instead of ${newTokens}`);
  if (reply.promptTokens !== promptTokens) throw new Error(`a prompt has ${reply.promptTokens} tokens instead of ${promptTokens}`);
  if (reply.cachedTokens !== 0) throw new Error(`${reply.cachedTokens} tokens of a cold prompt came from a cache`);
}
