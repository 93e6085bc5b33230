// Owns the measurement behind "Seeds, and what other streams can change" in docs/ARCHITECTURE.md: the same prompts and seeds run alone,
// alone again, all at once, and joining one after the other; how many texts differ from the first time.
// Usage: node bench/determinism.mjs [model.gguf] [--threads N] [--tokens N] [--streams N] [--deterministic]
import { parseArgs } from "node:util";
import { ZSE } from "../dist/index.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: "0" },
    tokens: { type: "string", default: "300" },
    streams: { type: "string", default: "16" },
    deterministic: { type: "boolean", default: false },
  },
});
const count = Number(values.streams);
const model = new ZSE(...positionals.slice(0, 1), {
  maxStreams: count,
  threads: Number(values.threads),
  deterministic: values.deterministic,
});
const info = await model.ready;

const subjects = ["a fox", "a boat", "the rain", "Paris", "a kind baker", "seven stones", "the moon", "a lost key"];
const prompts = Array.from(
  { length: count },
  (_, i) => `Tell me ${"a very ".repeat(i % 5)}short story about ${subjects[i % subjects.length]} ${i}`,
);

/** Past the end of text too: what a model says there is full of near-ties, which is where rounding would show. */
function ask(i, temperature) {
  const options = { temperature, seed: i, maxTokens: Number(values.tokens), ignoreEos: true, highWaterMark: 65536 };
  return model.chat([{ role: "user", content: prompts[i] }], options).then((reply) => reply.text);
}

async function oneByOne(temperature) {
  const texts = [];
  for (let i = 0; i < count; i++) texts.push(await ask(i, temperature));
  return texts;
}

async function staggered(temperature) {
  const texts = [];
  for (let i = 0; i < count; i++) {
    texts.push(ask(i, temperature));
    await new Promise((resolve) => setTimeout(resolve, 5 + 3 * i));
  }
  return Promise.all(texts);
}

console.log(
  `${info.name} (${info.description}), ${info.threads} threads, ${count} streams, ${values.tokens} tokens, deterministic: ${info.deterministic}`,
);
for (const temperature of [0, 0.8]) {
  const first = await oneByOne(temperature);
  const different = (texts) => texts.filter((text, i) => text !== first[i]).length;
  const again = different(await oneByOne(temperature));
  const together = different(await Promise.all(prompts.map((_, i) => ask(i, temperature))));
  const joining = different(await staggered(temperature));
  console.log(
    `temperature ${temperature}: of ${count} texts differ: alone again ${again}, all at once ${together}, joining one by one ${joining}`,
  );
}
await model.close();
