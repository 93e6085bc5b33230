// Owns row i: what guessing ahead gains and costs. A model of random weights repeats nothing by itself, so text that repeats is a reply whose every token
// was predicted (the tokens of the model's own earlier one): what an edited file is but for its edit. Text that does not is a reply that nothing is known of.
import { median } from "simple-statistics";
import * as raw from "../contenders/raw.mjs";
import { pace } from "../lib/reply.mjs";

const promptTokens = 64;
const newTokens = 128;
const streams = 8;
const pairs = 3;

export const row = {
  name: "i",
  title: `guessing ahead: ${newTokens} tokens that were predicted, and ones that nothing is known of`,
  contenders: ["zstream"],
  engine: () => ({ contextSize: 512, maxStreams: streams, speculate: "auto" }),
  async raw(job) {
    const { tokensPerSecond } = await raw.oneStream({ ...job, promptTokens, newTokens, prompts: [promptTokens], samples: 1 });
    return { predicted: tokensPerSecond, unknown: tokensPerSecond };
  },

  async measure(engine, { prompts }) {
    const cold = () => prompts.cold(promptTokens);
    const reply = async (prompt, options) => {
      const made = await engine.generate(prompt, { maxTokens: newTokens, speculate: false, ...options });
      if (made.tokens !== newTokens) throw new Error(`a reply has ${made.tokens} tokens instead of ${newTokens}`);
      return made;
    };
    const together = async (all, options) => {
      const began = performance.now();
      await Promise.all(all.map((prompt) => reply(prompt, options)));
      return (streams * newTokens * 1000) / (performance.now() - began);
    };
    await reply(await cold(), {});
    const seen = { plain: [], unknown: [], predicted: [], eight: [], eightUnknown: [] };
    for (let pair = 0; pair < pairs; pair++) {
      const prompt = await cold();
      const plain = await reply(prompt, {});
      seen.plain.push(pace(plain));
      const prediction = await engine.drawn(prompt, { maxTokens: newTokens });
      seen.predicted.push(pace(await reply(prompt, { speculate: "auto", prediction })));
      seen.unknown.push(pace(await reply(await cold(), { speculate: "auto" })));
      const all = [];
      for (let i = 0; i < 2 * streams; i++) all.push(await cold());
      seen.eight.push(await together(all.slice(streams), {}));
      seen.eightUnknown.push(await together(all.slice(0, streams), { speculate: "auto" }));
    }
    const [plain, unknown, predicted, eight, eightUnknown] = Object.values(seen).map((runs) => median(runs));
    return { predicted, unknown, gain: predicted / plain, cost: unknown / plain, costOfEight: eightUnknown / eight };
  },

  figures: [
    {
      label: "predicted text",
      unit: "tok/s",
      measure: "predicted",
      goals: [{ of: "raw", atLeast: 1.8 }],
      note: "raw: llama-bench -n 128 -d 64",
    },
    { label: "text that nothing is known of", unit: "tok/s", measure: "unknown", goals: [{ of: "raw", atLeast: 0.98 }] },
    { label: "predicted text, of the same without guesses", unit: "", measure: "gain", only: ["zstream"] },
    {
      label: "text that nothing is known of, of the same without guesses",
      unit: "",
      measure: "cost",
      only: ["zstream"],
      goals: [{ atLeast: 0.98 }],
    },
    { label: "the same of eight streams", unit: "", measure: "costOfEight", only: ["zstream"], goals: [{ atLeast: 0.98 }] },
  ],
};
