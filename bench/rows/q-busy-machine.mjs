// Owns row q: the machine that is not idle. What one stream keeps of its pace while other programs use processor time without end.
import { spawn } from "node:child_process";
import { homedir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { untuned } from "../contenders/index.mjs";
import * as raw from "../contenders/raw.mjs";
import { pace } from "../lib/reply.mjs";

/** How many other programs are busy. */
const programs = [0, 1, 2];
const newTokens = 400;
/** Whoever is slower than so is left after this time: its pace is that of the tokens that came. */
const longestMs = 6_000;

const measureOf = (busy) => `tokensPerSecond${busy}`;

export const row = {
  name: "q",
  title: `one stream of ${newTokens} tokens, or of ${longestMs / 1000} seconds, beside ${programs.join(", ")} programs that never sleep`,
  contenders: [...untuned, "raw"],
  engine: () => ({ contextSize: 512, maxStreams: 4 }), // one that was left may hold its slot for a token

  async raw(job) {
    const measures = {};
    for (const busy of programs) measures[measureOf(busy)] = await beside(busy, () => raw.briefly({ ...job, newTokens: 16 }));
    return measures;
  },

  async measure(engine, { prompts }) {
    await engine.generate(await prompts.cold(64), { maxTokens: 8 });
    const measures = {};
    for (const busy of programs) {
      const prompt = await prompts.cold(16);
      measures[measureOf(busy)] = await beside(busy, async () => paceOf(await engine.generate(prompt, limits())));
    }
    return measures;
  },

  derived: (measures) =>
    Object.fromEntries(programs.slice(1).map((busy) => [`kept${busy}`, measures[measureOf(busy)] / measures[measureOf(0)]])),

  figures: [
    ...programs.map((busy) => ({
      label: busy === 0 ? "alone" : `beside ${busy}`,
      unit: "tok/s",
      measure: measureOf(busy),
      goals: [{ of: "raw", atLeast: busy === 0 ? 0.99 : 1 }],
      note: "raw: llama-bench -n 16",
    })),
    ...programs.slice(1).map((busy) => ({ label: `beside ${busy}, of what it is alone`, unit: "parts of 1", measure: `kept${busy}` })),
  ],
};

const limits = () => ({ maxTokens: newTokens, signal: AbortSignal.timeout(longestMs) });

/** One that was left has fewer tokens than it was asked for. */
function paceOf(reply) {
  if (reply.arrivals.length < 2) return 1000 / longestMs;
  return pace({ ...reply, tokens: reply.arrivals.length });
}

/** Does something while so many other programs use all the processor time that they get. */
async function beside(busy, work) {
  const others = Array.from({ length: busy }, () => spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore", cwd: homedir() }));
  try {
    await sleep(500); // they have started
    return await work();
  } finally {
    for (const other of others) other.kill("SIGKILL");
  }
}
