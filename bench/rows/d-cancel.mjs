// Owns row d: a reader leaves in the middle of a long prompt. How long the next request waits, over what it waits on an idle engine.
import { setTimeout as sleep } from "node:timers/promises";
import { median } from "simple-statistics";
import { untuned } from "../contenders/index.mjs";
import { ttft } from "../lib/reply.mjs";

const long = 3000;
const next = 30;
const percents = [10, 50, 90];

export const row = {
  name: "d",
  title: `cancel a prefill of ${long} tokens at ${percents.join(", ")} %, then ask at once with ${next} tokens`,
  models: ["qwen2-0.5b"],
  contenders: untuned,
  repetitions: (reps) => Math.ceil(reps / 2),
  engine: () => ({ contextSize: 4096, maxStreams: 4 }),

  async measure(engine, { prompts }) {
    await engine.generate(await prompts.cold(64), { maxTokens: 8 });
    const ask = async () => ttft(await engine.generate(await prompts.cold(next), { maxTokens: 2 }));
    const idle = median([await ask(), await ask(), await ask()]);
    let wholeMs = ttft(await engine.generate(await prompts.cold(long), { maxTokens: 1 }));

    /** Undefined where the prefill was over before its reader left: then the machine has become quicker than it was. */
    const askAfterCancel = async (percent) => {
      const texts = [await prompts.cold(long), await prompts.cold(next)];
      const leave = new AbortController();
      const left = engine.generate(texts[0], { maxTokens: 1, signal: leave.signal });
      await sleep((wholeMs * percent) / 100);
      leave.abort();
      const reply = await engine.generate(texts[1], { maxTokens: 2 });
      const ended = await left;
      // The next measurement begins on an idle engine, whether or not this one could be cancelled.
      await settle(engine, prompts, idle);
      if (ended.arrivals.length === 0) return ttft(reply);
      wholeMs = ttft(ended);
      return undefined;
    };

    const measures = { prefillMs: wholeMs };
    for (const percent of percents) {
      let waited;
      for (let tries = 0; waited === undefined && tries < 5; tries++) waited = await askAfterCancel(percent);
      if (waited === undefined) throw new Error(`a prefill was over before ${percent} % of its time had passed, again and again`);
      measures[`afterCancel${percent}`] = waited / idle;
    }
    return measures;
  },

  figures: [
    { label: `first token, ${long} tokens on an idle engine`, unit: "ms", measure: "prefillMs" },
    ...percents.map((percent) => ({
      label: `first token of the next, cancelled at ${percent} %`,
      unit: "× idle",
      measure: `afterCancel${percent}`,
      goals: [{ atMost: 1.2 }],
    })),
  ],
};

/** Waits until a request is answered as quickly as on an idle engine. */
async function settle(engine, prompts, idle) {
  for (let tries = 0; tries < 60; tries++) {
    if (ttft(await engine.generate(await prompts.cold(next), { maxTokens: 2 })) < 1.5 * idle) return;
    await sleep(500);
  }
  throw new Error("the engine did not become idle within a minute after a cancel");
}
