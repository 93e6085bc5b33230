// Owns the figures of the types of the KV cache in docs/lab/kv-types.md: memory, speed of prompts and replies at both ends of a context, and how near the
// probabilities of each token stay to those with f16. All types are open in one process, and rounds alternate between them; medians.
// Usage: node bench/kv-types.mjs [model.gguf] [--context 4096] [--rounds 5] [--threads N] [--text file] [--no-speed]
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { median } from "simple-statistics";
import { ZSE } from "../dist/index.js";

const TYPES = ["f16", "q8_0", "q4_0"];
const NEW_TOKENS = 24;
/** Prompts whose tokens' probabilities are compared, of so many tokens. */
const COMPARED = 4;
const COMPARED_TOKENS = 768;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: "string", default: "4096" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: "0" },
    text: { type: "string", default: new URL("../docs/GUIDE.md", import.meta.url).pathname },
    "no-speed": { type: "boolean", default: false },
  },
});
const contextSize = Number(values.context);
const options = { contextSize, maxStreams: 1, threads: Number(values.threads), promptCache: false, speculate: false };
const models = new Map();
for (const kvType of TYPES) models.set(kvType, new ZSE(...positionals.slice(0, 1), { ...options, kvType }));
const text = await models.get("f16").tokenize(readFileSync(values.text, "utf8"));

const cut = (from, count) => Int32Array.from({ length: count }, (_, i) => text[(from + i) % text.length]);

/** Milliseconds to the first token and from there to each of the others, of a reply to so many tokens. */
async function timed(model, tokens, from) {
  const begun = performance.now();
  let first = 0;
  let count = 0;
  for await (const _ of model.completionStream(cut(from, tokens), {
    maxTokens: NEW_TOKENS,
    temperature: 0,
    ignoreEos: true,
    highWaterMark: 4096,
  })) {
    if (count++ === 0) first = performance.now();
  }
  return { prompt: first - begun, reply: (performance.now() - first) / (NEW_TOKENS - 1) };
}

if (!values["no-speed"]) {
  const long = contextSize - NEW_TOKENS - 16;
  for (const tokens of [256, long]) {
    const found = new Map(TYPES.map((type) => [type, []]));
    for (const type of TYPES) await timed(models.get(type), 256, 0); // memory is touched
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const type of TYPES) found.get(type).push(await timed(models.get(type), tokens, round * 1000));
    }
    for (const type of TYPES) {
      const of = (key) => median(found.get(type).map((one) => one[key]));
      console.log(`${type}: ${tokens} tokens of prompt in ${of("prompt").toFixed(0)} ms, then ${(1000 / of("reply")).toFixed(1)} tokens/s`);
    }
  }
}
for (const type of TYPES) console.log(`${type}: ${((await models.get(type).ready).kvCacheBytes / 2 ** 20).toFixed(1)} MiB`);
await Promise.all([...models.values()].map((model) => model.close()));

/** Of each token of a text, the 20 likeliest with their log-probabilities. */
async function likeliest(kvType) {
  const model = new ZSE(...positionals.slice(0, 1), { ...options, kvType, contextSize: COMPARED_TOKENS + 16, maxStreams: 64 });
  const all = [];
  for (let i = 0; i < COMPARED; i++) {
    const reply = await model.completion(cut(i * COMPARED_TOKENS, COMPARED_TOKENS), {
      maxTokens: 1,
      temperature: 0,
      promptLogprobs: true,
      logprobs: true,
      topLogprobs: 20,
    });
    all.push(...reply.promptLogprobs.slice(1));
  }
  await model.close();
  return all;
}
const exact = await likeliest("f16");
for (const type of TYPES.slice(1)) {
  const other = await likeliest(type);
  let same = 0;
  let divergence = 0;
  for (const [i, { top }] of exact.entries()) {
    const there = new Map(other[i].top.map(({ id, logprob }) => [id, logprob]));
    const least = Math.min(...there.values());
    same += top[0].id === other[i].top[0].id;
    for (const { id, logprob } of top) divergence += Math.exp(logprob) * (logprob - (there.get(id) ?? least));
  }
  console.log(
    `${type}: the likeliest token is f16's at ${((100 * same) / exact.length).toFixed(2)} % of ${exact.length} places, divergence ${(divergence / exact.length).toExponential(2)}`,
  );
}
