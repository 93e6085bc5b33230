// Owns row c: a long prompt joins a running stream, and a short one comes 100 ms after it. What the reader of the running stream
// notices, and how long the two newcomers wait.
import { setTimeout as sleep } from "node:timers/promises";
import { longestGap, ttft } from "../lib/reply.mjs";

const long = 3000;
const short = 30;
const shortAfterMs = 100;
/** The planner's own aim, and what a step may be off it. */
const latencyTargetMs = 150;

export const row = {
  name: "c",
  title: `a prompt of ${long} tokens joins a running stream, one of ${short} tokens ${shortAfterMs} ms after it`,
  // The demo model was trained for 2,048 tokens, and llama-server gives a slot no more than that.
  models: ["qwen2-0.5b"],
  repetitions: (reps) => Math.ceil(reps / 2),
  engine: () => ({ contextSize: 4096, maxStreams: 4 }),
  measure: joins,
  figures: [
    { label: "longest gap of the running stream", unit: "ms", measure: "gapMs", goals: [{ atMost: Math.round(latencyTargetMs * 1.1) }] },
    { label: `first token, ${long} tokens`, unit: "ms", measure: "longTtftMs", goals: [{ of: "llama-server", atMost: 0.6 }] },
    { label: `first token, ${short} tokens`, unit: "ms", measure: "shortTtftMs", goals: [{ atMost: 200 }] },
  ],
};

/** The three times of this row, in ms. */
export async function joins(engine, { prompts }) {
  await engine.generate(await prompts.cold(64), { maxTokens: 8 });
  const texts = { running: await prompts.cold(64), long: await prompts.cold(long), short: await prompts.cold(short) };

  const leave = new AbortController();
  let begun;
  const isRunning = new Promise((resolve) => {
    begun = resolve;
  });
  const running = engine.generate(texts.running, {
    maxTokens: 3900,
    signal: leave.signal,
    onText: ({ arrivals }) => {
      if (arrivals.length === 32) begun();
    },
  });
  await isRunning;
  const from = performance.now();
  const longReply = engine.generate(texts.long, { maxTokens: 4 });
  await sleep(shortAfterMs);
  const shortReply = engine.generate(texts.short, { maxTokens: 4 });
  const [longTtftMs, shortTtftMs] = (await Promise.all([longReply, shortReply])).map(ttft);
  const to = performance.now();
  await sleep(100); // the gap that the newcomers' last step made ends with a token after it
  leave.abort();
  return { gapMs: longestGap(await running, from, to), longTtftMs, shortTtftMs };
}
