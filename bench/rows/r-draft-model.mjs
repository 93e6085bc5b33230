// Owns row r: what a draft model gains where its guesses come, and what it costs where they do not. Nothing is looked up here. The model's first layers
// are the draft model, and the others add little (make-model.mjs): so its guesses come, as those of a good one do in easy text. The other draft model is
// of random weights that have nothing to do with it.
import { median } from "simple-statistics";
import { pace } from "../lib/reply.mjs";
import { draftPath, makeModel } from "../make-model.mjs";

const promptTokens = 64;
const newTokens = 128;
const streams = 8;
const pairs = 3;
/** Lookup finds nothing where so many tokens must have stood before. */
const byModel = { tokens: 16, match: 32 };

export const row = {
  name: "r",
  title: `a draft model: ${newTokens} tokens of one stream and of ${streams}, guesses that come and guesses that do not`,
  models: ["qwen2-1.5b-drafted"],
  contenders: ["zstream"],
  phases: ["right", "wrong"],
  engine: async ({ phase }) => ({
    contextSize: 512,
    maxStreams: streams,
    speculate: { draftModel: phase === "wrong" ? await makeModel() : draftPath },
  }),

  async measure(engine, { prompts, phase }) {
    const cold = () => prompts.cold(promptTokens);
    const reply = async (prompt, speculate) => {
      const made = await engine.generate(prompt, { maxTokens: newTokens, speculate });
      if (made.tokens !== newTokens) throw new Error(`a reply has ${made.tokens} tokens instead of ${newTokens}`);
      return made;
    };
    const together = async (speculate) => {
      const all = [];
      for (let i = 0; i < streams; i++) all.push(await cold());
      const began = performance.now();
      await Promise.all(all.map((prompt) => reply(prompt, speculate)));
      return (streams * newTokens * 1000) / (performance.now() - began);
    };
    await reply(await cold(), byModel);
    const seen = { plain: [], guessed: [], eight: [], eightGuessed: [] };
    for (let pair = 0; pair < pairs; pair++) {
      seen.plain.push(pace(await reply(await cold(), false)));
      seen.guessed.push(pace(await reply(await cold(), byModel)));
      seen.eight.push(await together(false));
      seen.eightGuessed.push(await together(byModel));
    }
    const [plain, guessed, eight, eightGuessed] = Object.values(seen).map((runs) => median(runs));
    const [one, many] = [guessed / plain, eightGuessed / eight];
    return phase === "right" ? { guessed, gain: one, gainOfEight: many } : { cost: one, costOfEight: many };
  },

  figures: [
    { label: "one stream, guesses come", unit: "tok/s", measure: "guessed" },
    { label: "the same, of it without guesses", unit: "", measure: "gain" },
    { label: "eight streams, guesses come, of them without", unit: "", measure: "gainOfEight", goals: [{ atLeast: 0.98 }] },
    { label: "one stream, guesses do not come, of it without", unit: "", measure: "cost", goals: [{ atLeast: 0.98 }] },
    { label: "eight streams, guesses do not come, of them without", unit: "", measure: "costOfEight", goals: [{ atLeast: 0.98 }] },
  ],
};
