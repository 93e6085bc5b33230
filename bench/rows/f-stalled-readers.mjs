// Owns row f: eight readers that stop reading after their first piece of text, beside four that read on. What is made for those who do
// not read, what it costs in memory, and what the others lose. What a prompt cache keeps of the conversations that make place for them
// is the same whether anybody stalls, and has a limit of its own: where a contender says how much that is, it has a line of its own.
import { setTimeout as sleep } from "node:timers/promises";
import { untuned } from "../contenders/index.mjs";

const stalled = 8;
const reading = 4;
const promptTokens = 32;
/** So many tokens are read that it takes about a second, within these bounds: a pace of less time is noise. */
const leastTokens = 64;
const mostTokens = 640;
/** What a stalled reader asked for: more than it can get before the others are done. */
const wantedTokens = 1600;
/** Default of zStream: how many tokens it makes ahead of a reader. */
const highWaterMark = 64;

export const row = {
  name: "f",
  title: `${stalled} readers that stop reading, beside ${reading} that do not`,
  engine: () => ({ contextSize: 2048, maxStreams: stalled + reading }),
  contenders: untuned,
  repetitions: (reps) => Math.ceil(reps / 2),

  async measure(engine, { prompts }) {
    const texts = async (count) => {
      const list = [];
      while (list.length < count) list.push(await prompts.cold(promptTokens));
      return list;
    };
    const paceOfReaders = async (readTokens) => {
      await sleep(1000); // beside the stalled it begins on an engine that has rested, too
      const list = await texts(reading);
      const started = performance.now();
      const replies = await Promise.all(list.map((text) => engine.generate(text, { maxTokens: readTokens })));
      return (replies.reduce((sum, reply) => sum + reply.tokens, 0) / (performance.now() - started)) * 1000;
    };
    // All slots once, as far as a stalled reader's: what memory they ever need is taken before it is measured.
    await Promise.all((await texts(stalled + reading)).map((text) => engine.generate(text, { maxTokens: highWaterMark })));
    const perSecond = (await paceOfReaders(leastTokens)) / reading;
    const readTokens = Math.min(mostTokens, Math.max(leastTokens, Math.round(perSecond)));
    const alone = await paceOfReaders(readTokens);

    const list = await texts(stalled);
    const before = await memoryNow(engine);
    const readers = await engine.stall(list, { maxTokens: wantedTokens });
    await untilSteady(readers);
    const beside = await paceOfReaders(readTokens);
    const generated = (await readers.generated(reading * readTokens)) / stalled;
    const after = await memoryNow(engine);
    await readers.end();
    const cached = after.cached - before.cached;
    return {
      generated,
      megabytes: (after.resident - before.resident - cached) / stalled / 1e6,
      cachedMegabytes: cached / stalled / 1e6,
      pace: beside / alone,
    };
  },

  figures: [
    { label: "tokens made for each stalled reader", unit: "tokens", measure: "generated", goals: [{ atMost: highWaterMark + 1 }] },
    { label: "memory for each stalled reader", unit: "MB", measure: "megabytes", goals: [{ atMost: 1 }] },
    { label: "kept by the prompt cache meanwhile, for each", unit: "MB", measure: "cachedMegabytes", only: ["zstream"] },
    { label: "pace of the others, over theirs alone", unit: "×", measure: "pace", goals: [{ atLeast: 0.95 }] },
  ],
};

/** Until nothing is made for the stalled any more, or it is plain that it goes on. */
async function untilSteady(readers) {
  let last = -1;
  for (let tries = 0; tries < 10; tries++) {
    await sleep(1000);
    const generated = await readers.generated(0);
    if (generated === last) return;
    last = generated;
  }
}

async function memoryNow(engine) {
  if (engine.inProcess) globalThis.gc();
  return { resident: await engine.memory(), cached: engine.cachedBytes?.() ?? 0 };
}
