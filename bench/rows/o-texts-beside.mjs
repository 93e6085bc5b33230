// Owns row o: texts are embedded on the model that a stream is running on. What the stream's reader notices, and how fast the texts are computed beside
// it and alone.
import { setTimeout as sleep } from "node:timers/promises";
import { longestGap } from "../lib/reply.mjs";

const words = 400;
const texts = 12;
/** The planner's own aim, and what a step may be off it. */
const latencyTargetMs = 150;

export const row = {
  name: "o",
  title: `${texts} texts of ${words} tokens are embedded beside a running stream`,
  models: ["qwen2-0.5b"],
  contenders: ["zstream"],
  repetitions: (reps) => Math.ceil(reps / 2),
  engine: () => ({ contextSize: 4096, maxStreams: 4 }),
  measure,
  figures: [
    { label: "longest gap of the running stream", unit: "ms", measure: "gapMs", goals: [{ atMost: latencyTargetMs * 1.2 }] },
    { label: "tokens of the stream meanwhile", unit: "tokens/s", measure: "streamRate" },
    { label: "tokens of the texts meanwhile", unit: "tokens/s", measure: "besideRate" },
    { label: "tokens of the texts, nobody streams", unit: "tokens/s", measure: "aloneRate" },
  ],
};

async function measure(engine, { prompts }) {
  const { model } = engine;
  const some = async () => Promise.all(Array.from({ length: texts }, () => prompts.cold(words)));
  const rate = async (given) => {
    const from = performance.now();
    const { usage } = await model.embed(given);
    return { from, to: performance.now(), perSecond: (1000 * usage.totalTokens) / (performance.now() - from) };
  };
  await engine.generate(await prompts.cold(64), { maxTokens: 8 });
  await model.embed(await prompts.cold(64)); // its memory is made at the first text
  const alone = await rate(await some());

  const leave = new AbortController();
  let begun;
  const isRunning = new Promise((resolve) => {
    begun = resolve;
  });
  const running = engine.generate(await prompts.cold(64), {
    maxTokens: 3900,
    signal: leave.signal,
    onText: ({ arrivals }) => {
      if (arrivals.length === 32) begun();
    },
  });
  const given = await some();
  await isRunning;
  const beside = await rate(given);
  await sleep(100); // the gap that the last piece made ends with a token after it
  leave.abort();
  const reply = await running;
  const during = reply.arrivals.filter((at) => at >= beside.from && at <= beside.to).length;
  return {
    gapMs: longestGap(reply, beside.from, beside.to),
    streamRate: (1000 * during) / (beside.to - beside.from),
    besideRate: beside.perSecond,
    aloneRate: alone.perSecond,
  };
}
