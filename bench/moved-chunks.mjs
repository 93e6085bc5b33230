// Owns the figures of moved chunks in docs/lab/moved-chunks.md: how much sooner the first token comes where a line before a long text has changed, and how
// often replies are those of the text computed anew. Two models are open in one process, one with `promptCache.moved`; rounds alternate.
// Usage: node bench/moved-chunks.mjs [model.gguf] [--tokens 1000] [--rounds 40] [--reply 24] [--kv-type f16]
import { parseArgs } from "node:util";
import { median } from "simple-statistics";
import { ZSE } from "../dist/index.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: "string", default: "1000" },
    rounds: { type: "string", default: "40" },
    reply: { type: "string", default: "24" },
    "kv-type": { type: "string", default: "f16" },
  },
});
const SENTENCES = [
  "Be kind to everyone, and keep every answer short.",
  "Tell stories about the animals that people name.",
  "When somebody asks for a count, count aloud.",
  "Never say what you do not know.",
  "A tool is called where there is one for the question.",
  "Old castles stand near rivers and green hills.",
];
const QUESTIONS = ["Tell me a story about a fox", "Count to seven", "What is your name?", "Tell me about a bear and a bird", "Hello"];

const options = { contextSize: 2 * Number(values.tokens) + 512, maxStreams: 2, kvType: values["kv-type"], speculate: false };
const open = (moved) => new ZSE(...positionals.slice(0, 1), { ...options, promptCache: { moved } });
const exact = open(false);
const moving = open(true);

let state = 1;
const random = (below) => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return (state >>> 8) % below;
};

let body = "";
while ((await exact.tokenize(body)).length < Number(values.tokens)) body += ` ${SENTENCES[random(SENTENCES.length)]}`;

/** One reply; with the log-probabilities of the likeliest tokens of its first place. */
async function replied(model, messages) {
  const { text, usage, timings, logprobs } = await model.chat(messages, {
    maxTokens: Number(values.reply),
    temperature: 0,
    logprobs: true,
    topLogprobs: 20,
  });
  return { text, cached: usage.cachedTokens, prompt: usage.promptTokens, ms: timings.ttftMs, top: logprobs[0].top };
}

const times = { exact: [], moving: [] };
let sameText = 0;
let sameToken = 0;
let divergence = 0;
let moved = 0;
let prompts = 0;
const rounds = Number(values.rounds);
for (let round = -1; round < rounds; round++) {
  const head = `It is ${random(24)}:${random(60)}:${random(60)}, and ${random(1000)} people are here.`;
  const messages = [
    { role: "system", content: `${head}${body}` },
    { role: "user", content: QUESTIONS[random(QUESTIONS.length)] },
  ];
  const one = await replied(exact, messages);
  const other = await replied(moving, messages);
  if (round < 0) continue; // nothing is known yet
  times.exact.push(one.ms);
  times.moving.push(other.ms);
  moved += other.cached;
  prompts += other.prompt;
  if (one.text === other.text) sameText++;
  if (one.top[0].id === other.top[0].id) sameToken++;
  const there = new Map(other.top.map(({ id, logprob }) => [id, logprob]));
  const least = Math.min(...there.values());
  for (const { id, logprob } of one.top) divergence += Math.exp(logprob) * (logprob - (there.get(id) ?? least));
}
const percent = (count, of) => `${((100 * count) / of).toFixed(1)} %`;
console.log(`${percent(moved, prompts)} of ${prompts} tokens of ${rounds} prompts were taken over`);
console.log(
  `first token: ${median(times.exact).toFixed(1)} ms anew, ${median(times.moving).toFixed(1)} ms moved, ratio ${(median(times.moving) / median(times.exact)).toFixed(3)}`,
);
console.log(`same first token: ${percent(sameToken, rounds)}; divergence there: ${(divergence / rounds).toFixed(4)} nats`);
console.log(`same reply of up to ${values.reply} tokens: ${percent(sameText, rounds)}`);
await exact.close();
await moving.close();
