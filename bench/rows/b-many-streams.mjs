// Owns row b: 4, 8 and 16 streams begun at once. What they write together, and how evenly each of them flows.
import * as raw from "../contenders/raw.mjs";
import { gaps } from "../lib/reply.mjs";
import { percentile } from "../lib/statistics.mjs";
import { checkCold } from "./a-one-stream.mjs";

const streams = [4, 8, 16];
const work = { promptTokens: 64, newTokens: 48 };

const ofEight = [
  { of: "raw", atLeast: 1.4, but: ["demo"] },
  { of: "node-llama-cpp", atLeast: 1.8 },
];

export const row = {
  name: "b",
  title: `${streams.join(", ")} streams of ${work.promptTokens} + ${work.newTokens} tokens, begun at once`,
  engine: () => ({ contextSize: 256, maxStreams: Math.max(...streams) }),
  raw: (job) => raw.manyStreams({ ...job, streams, ...work }),

  async measure(engine, { prompts }) {
    await Promise.all(Array.from({ length: 2 }, async () => engine.generate(await prompts.cold(work.promptTokens), { maxTokens: 8 })));
    const measures = {};
    for (const count of streams) {
      const texts = [];
      while (texts.length < count) texts.push(await prompts.cold(work.promptTokens));
      const started = performance.now();
      const replies = await Promise.all(texts.map((text) => engine.generate(text, { maxTokens: work.newTokens })));
      const seconds = (performance.now() - started) / 1000;
      for (const reply of replies) checkCold(reply, work.promptTokens, work.newTokens);
      measures[`tokensPerSecond${count}`] = (count * work.newTokens) / seconds;
      measures[`itlP50Ms${count}`] = percentile(gaps(replies), 0.5);
      measures[`itlP99Ms${count}`] = percentile(gaps(replies), 0.99);
    }
    return measures;
  },

  figures: streams.flatMap((count) => [
    {
      label: `${count} streams, new tokens in all`,
      unit: "tok/s",
      measure: `tokensPerSecond${count}`,
      goals: [{ of: "raw", atLeast: 1 }, { of: "llama-server", atLeast: 1.05 }, ...(count === 8 ? ofEight : [])],
      note: "prefill included; raw: llama-batched-bench, which samples nothing",
    },
    { label: `${count} streams, between tokens, p50`, unit: "ms", measure: `itlP50Ms${count}` },
    { label: `${count} streams, between tokens, p99`, unit: "ms", measure: `itlP99Ms${count}` },
  ]),
};
