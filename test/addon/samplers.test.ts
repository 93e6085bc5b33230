// Every sampler's options reach the engine: for each a value that makes a hot reply greedy, or a greedy one another.

import { describe, expect, test } from "vitest";

import type { ReplyOptions } from "../../lib/types.js";
import type { ZSE } from "../../lib/zse.js";
import { ask, openReady, rejection } from "./helpers.js";

const text = async (model: ZSE, options: ReplyOptions) => (await model.chat(ask("Tell me a story"), { maxTokens: 40, ...options })).text;
const GREEDY = { temperature: 0 } as const;
/** Nothing is left out, and anything may come. */
const HOT = { temperature: 5, topK: 0, minP: 0, topP: 1, seed: 7 } as const;
const WARM = { temperature: 1, topK: 0, minP: 0, topP: 1, seed: 7 } as const;

describe("what makes a hot reply greedy does so", () => {
  test.each<[string, ReplyOptions]>([
    ["mirostat 2 that aims at no surprise", { mirostat: 2, mirostatTau: 0, mirostatEta: 0 }],
    ["samplers that keep the likeliest", { samplers: ["topK", "temperature"], topK: 1 }],
    ["topP before minKeep", { topP: 1e-6, minKeep: 1 }],
    ["a small dynamic temperature", { temperature: 0, dynatempRange: 1e-4 }],
  ])("%s", async (_, options) => {
    const model = await openReady();
    expect(await text(model, { ...HOT, ...options })).toBe(await text(model, GREEDY));
  });
});

describe("what changes a reply does so", () => {
  test.each<[string, ReplyOptions, ReplyOptions]>([
    ["xtc", WARM, { xtcProbability: 1, xtcThreshold: 0.01 }],
    ["xtcThreshold", { ...WARM, xtcProbability: 1, xtcThreshold: 0.5 }, { xtcThreshold: 0.01 }],
    ["dryMultiplier", { ...GREEDY, ignoreEos: true, maxTokens: 200 }, { dryMultiplier: 5, dryPenaltyLastN: -1 }],
    ["dryPenaltyLastN", { ...GREEDY, ignoreEos: true, maxTokens: 200, dryMultiplier: 5, dryPenaltyLastN: 0 }, { dryPenaltyLastN: -1 }],
    [
      "drySequenceBreakers",
      { ...GREEDY, ignoreEos: true, maxTokens: 200, dryMultiplier: 5, dryPenaltyLastN: -1 },
      { drySequenceBreakers: [" ", "e", "a", "t"] },
    ],
    ["dryAllowedLength", { ...GREEDY, ignoreEos: true, maxTokens: 200, dryMultiplier: 5, dryPenaltyLastN: -1 }, { dryAllowedLength: 100 }],
    // Whatever is said past the end, it repeats itself sooner or later.
    [
      "dryBase",
      { ...GREEDY, ignoreEos: true, maxTokens: 300, dryMultiplier: 0.1, dryPenaltyLastN: -1, drySequenceBreakers: [], dryBase: 1 },
      { dryBase: 10 },
    ],
    ["dynatempRange", { ...WARM, temperature: 0.1 }, { dynatempRange: 5 }],
    ["dynatempExponent", { ...WARM, dynatempRange: 5, dynatempExponent: 10 }, { dynatempExponent: 0 }],
    ["mirostat", HOT, { mirostat: 1, mirostatTau: 3 }],
    ["mirostatTau", { ...HOT, mirostat: 2, mirostatTau: 1 }, { mirostatTau: 20 }],
    ["mirostatEta", { ...HOT, mirostat: 2, mirostatTau: 1, mirostatEta: 0 }, { mirostatEta: 1 }],
    ["adaptiveTarget", { ...WARM, temperature: 0.7 }, { adaptiveTarget: 0.05 }],
    ["adaptiveDecay", { ...WARM, adaptiveTarget: 0.3, adaptiveDecay: 0 }, { adaptiveDecay: 0.99 }],
    ["minKeep", { ...HOT, topP: 1e-6 }, { minKeep: 100 }],
    ["repeatLastN", { ...GREEDY, repeatPenalty: 5, repeatLastN: 0 }, { repeatLastN: -1 }],
    ["samplers", { ...HOT, topK: 1 }, { samplers: ["temperature"] }],
    ["infill", { ...WARM, topK: 40, maxTokens: 400 }, { samplers: ["topK", "topP", "temperature", "infill"] }],
  ])("%s", async (_, options, change) => {
    const model = await openReady();
    expect(await text(model, { ...options, ...change })).not.toBe(await text(model, options));
  });
});

test("minTokens keeps the model and stop strings from ending a reply before; what it ends with then is as ever", async () => {
  const model = await openReady();
  const short = await model.chat(ask("Hello!"), GREEDY);
  expect(short).toMatchObject({ finishReason: "stop" });
  const minTokens = short.usage.completionTokens + 20;
  const long = await model.chat(ask("Hello!"), { ...GREEDY, minTokens });
  expect(long.usage.completionTokens).toBeGreaterThanOrEqual(minTokens);
  expect(long.text.startsWith(short.text)).toBe(true);
  const stop = short.text.slice(2, 4);
  expect(await model.chat(ask("Hello!"), { ...GREEDY, stop })).toMatchObject({ text: short.text.slice(0, 2), stopString: stop });
  expect((await model.chat(ask("Hello!"), { ...GREEDY, stop, minTokens: 4 })).usage.completionTokens).toBeGreaterThanOrEqual(4);
  expect(await model.chat(ask("Hello!"), { ...GREEDY, minTokens: 5, maxTokens: 5 })).toMatchObject({ finishReason: "length" });
});

test("a request that leaves no token that can be said is refused, and does not hang", async () => {
  const model = await openReady();
  const { vocabularySize } = model.info!;
  const all = Object.fromEntries(Array.from({ length: vocabularySize }, (_, id) => [id, -100]));
  expect(await rejection(model.chat(ask("Hi"), { logitBias: all }))).toMatchObject({ code: "BAD_OPTION", option: "logitBias" });
  // The model may only end the reply, and is not allowed to.
  const [end] = await model.tokenize("<|im_end|>", { special: true });
  const { [end!]: _, ...kept } = all;
  for (const options of [{ ignoreEos: true }, { minTokens: 1 }]) {
    const error = await rejection(model.chat(ask("Hi"), { logitBias: kept, ...options }));
    expect(error).toMatchObject({
      code: "BAD_OPTION",
      option: "logitBias",
      message: expect.stringMatching(/^logitBias bans all that ignoreEos or minTokens leaves/),
    });
  }
  expect(await model.chat(ask("Hi"), { logitBias: kept })).toMatchObject({ text: "", finishReason: "stop" });
});
