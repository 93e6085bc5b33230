// Owns the one table of options: what each may be, its default, its places on the wire and on the command line. The readers of
// requests, bodies and flags come from it; types, docs and the addon's reader are checked against it by test/unit/options-table.test.ts.
// Pure; any thread.

import { readAdapter, readAdapters } from "./adapters.js";
import { readGpuLayers, readIsolate, readLogitBias, readPromptCache, readSignal, readStop } from "./custom.js";
import { named } from "./named.js";
import { INT32_MAX, type Rule } from "./rules.js";
import { DEFAULT_BREAKERS, DEFAULT_SAMPLERS, readBreakers, readSamplers } from "./samplers.js";
import { readModelSpeculate, readPrediction, readSpeculate } from "./speculate.js";

/** One option. */
export type Option = Rule & {
  /** Where an OpenAI body has it, in snake_case; left out where a body has it in no place, or in one that is read apart (seed, max_tokens). */
  wire?: "body" | "stream_options";
  /** A number outside the range by which clients of other servers turn it off in a body, as 0 does. */
  off?: number;
  /** How the command line spells it; left out where it has no flag. */
  flag?: string;
  /** What --help says of the flag. */
  help?: string;
  /** A model file may recommend a value, which counts where a call says nothing. */
  recommended?: true;
};

export type OptionTable = Record<string, Option>;

/** Options of a reply. */
export const REPLY_OPTIONS = {
  maxTokens: {
    kind: "integer",
    min: 0,
    max: INT32_MAX,
    default: 0,
    hint: "0 means up to the end of the context",
    flag: "-n, --max-tokens <n>",
    help: "tokens to generate at most",
  },
  minTokens: {
    kind: "integer",
    min: 0,
    max: INT32_MAX,
    default: 0,
    wire: "body",
    flag: "--min-tokens <n>",
    help: "tokens before which the reply does not end",
  },
  temperature: {
    kind: "number",
    min: 0,
    max: 5,
    default: 0.8,
    wire: "body",
    recommended: true,
    flag: "-t, --temperature <t>",
    help: "0 always takes the likeliest token",
  },
  topP: {
    kind: "number",
    min: 0,
    max: 1,
    default: 0.95,
    wire: "body",
    recommended: true,
    flag: "--top-p <p>",
    help: "keep the likeliest tokens that together reach p",
  },
  topK: {
    kind: "integer",
    min: 0,
    max: INT32_MAX,
    default: 40,
    hint: "0 turns it off",
    wire: "body",
    recommended: true,
    off: -1,
    flag: "--top-k <k>",
    help: "keep the k likeliest tokens",
  },
  minP: {
    kind: "number",
    min: 0,
    max: 1,
    default: 0.05,
    wire: "body",
    recommended: true,
    flag: "--min-p <p>",
    help: "drop tokens less likely than p times the likeliest",
  },
  typicalP: {
    kind: "number",
    min: 0,
    max: 1,
    default: 1,
    hint: "1 turns it off",
    wire: "body",
    flag: "--typical-p <p>",
    help: "keep tokens about as likely as the distribution would have it",
  },
  topNSigma: {
    kind: "number",
    min: 0,
    max: 100,
    default: 0,
    hint: "0 turns it off",
    wire: "body",
    off: -1,
    flag: "--top-n-sigma <n>",
    help: "drop tokens whose logit is more than n standard deviations below the greatest",
  },
  xtcProbability: {
    kind: "number",
    min: 0,
    max: 1,
    default: 0,
    hint: "0 turns it off",
    wire: "body",
    recommended: true,
    flag: "--xtc-probability <p>",
    help: "chance that the likeliest tokens are left out",
  },
  xtcThreshold: {
    kind: "number",
    min: 0,
    max: 1,
    default: 0.1,
    hint: "more than 0.5 turns XTC off",
    wire: "body",
    recommended: true,
    flag: "--xtc-threshold <p>",
    help: "of those that are as likely as this, XTC leaves only the least likely",
  },
  dryMultiplier: {
    kind: "number",
    min: 0,
    max: 100,
    default: 0,
    hint: "0 turns it off",
    wire: "body",
    flag: "--dry-multiplier <x>",
    help: "how hard DRY punishes a token that goes on with a repetition",
  },
  dryBase: {
    kind: "number",
    min: 1,
    max: 10,
    default: 1.75,
    wire: "body",
    flag: "--dry-base <x>",
    help: "how much harder with each token that the repetition is longer",
  },
  dryAllowedLength: {
    kind: "integer",
    min: 0,
    max: INT32_MAX,
    default: 2,
    wire: "body",
    flag: "--dry-allowed-length <n>",
    help: "tokens of a repetition that DRY lets pass",
  },
  dryPenaltyLastN: {
    kind: "integer",
    min: -1,
    max: INT32_MAX,
    default: 64,
    hint: "-1 is the whole context, 0 turns DRY off",
    wire: "body",
    flag: "--dry-penalty-last-n <n>",
    help: "tokens in which DRY looks for repetitions",
  },
  drySequenceBreakers: {
    kind: "custom",
    read: readBreakers,
    default: DEFAULT_BREAKERS,
    wire: "body",
    flag: "--dry-sequence-breakers <text>",
    help: "a repetition ends at this text; may be given several times",
  },
  dynatempRange: {
    kind: "number",
    min: 0,
    max: 5,
    default: 0,
    hint: "0 turns it off",
    wire: "body",
    flag: "--dynatemp-range <t>",
    help: "the temperature is up to this much lower where the model is certain, higher where it is not",
  },
  dynatempExponent: {
    kind: "number",
    min: 0,
    max: 10,
    default: 1,
    wire: "body",
    flag: "--dynatemp-exponent <x>",
    help: "how certainty is turned into temperature",
  },
  mirostat: {
    kind: "integer",
    min: 0,
    max: 2,
    default: 0,
    hint: "0 turns it off",
    wire: "body",
    recommended: true,
    flag: "--mirostat <version>",
    help: "keeps the text as surprising as mirostat-tau, in place of the samplers that leave tokens out",
  },
  mirostatTau: {
    kind: "number",
    min: 0,
    max: 100,
    default: 5,
    wire: "body",
    recommended: true,
    flag: "--mirostat-tau <bits>",
    help: "the surprise that mirostat aims at",
  },
  mirostatEta: {
    kind: "number",
    min: 0,
    max: 1,
    default: 0.1,
    wire: "body",
    recommended: true,
    flag: "--mirostat-eta <rate>",
    help: "how fast mirostat learns",
  },
  adaptiveTarget: {
    kind: "number",
    min: -1,
    max: 1,
    default: -1,
    hint: "less than 0 turns it off",
    wire: "body",
    flag: "--adaptive-target <p>",
    help: "prefer tokens of about this probability",
  },
  adaptiveDecay: {
    kind: "number",
    min: 0,
    max: 0.99,
    default: 0.9,
    wire: "body",
    flag: "--adaptive-decay <x>",
    help: "how long adaptive-target remembers what was chosen",
  },
  minKeep: {
    kind: "integer",
    min: 0,
    max: INT32_MAX,
    default: 0,
    wire: "body",
    flag: "--min-keep <n>",
    help: "tokens that each of top-p, min-p, typical-p and XTC must leave",
  },
  samplers: {
    kind: "custom",
    read: readSamplers,
    default: DEFAULT_SAMPLERS,
    wire: "body",
    recommended: true,
    flag: "--samplers <names>",
    help: "which samplers act, in this order; names with commas between them",
  },
  seed: {
    kind: "integer",
    min: 0,
    max: 2 ** 32 - 2,
    hint: "leave it out to have one drawn",
    flag: "-s, --seed <n>",
    help: "the same seed gives the same text",
  },
  stop: {
    kind: "custom",
    read: readStop,
    default: [],
    wire: "body",
    flag: "--stop <text>",
    help: "end the reply before this text; may be given several times",
  },
  presencePenalty: {
    kind: "number",
    min: -2,
    max: 2,
    default: 0,
    wire: "body",
    flag: "--presence-penalty <x>",
    help: "make tokens of the reply less likely",
  },
  frequencyPenalty: {
    kind: "number",
    min: -2,
    max: 2,
    default: 0,
    wire: "body",
    flag: "--frequency-penalty <x>",
    help: "the same, by how often they occurred",
  },
  repeatPenalty: {
    kind: "number",
    min: 0.1,
    max: 10,
    default: 1,
    hint: "1 turns it off",
    wire: "body",
    recommended: true,
    flag: "--repeat-penalty <x>",
    help: "make recent tokens less likely",
  },
  repeatLastN: {
    kind: "integer",
    min: -1,
    max: INT32_MAX,
    default: 64,
    hint: "-1 is the whole context, 0 turns repeat-penalty off",
    wire: "body",
    recommended: true,
    flag: "--repeat-last-n <n>",
    help: "tokens that repeat-penalty looks back on",
  },
  logitBias: { kind: "custom", read: readLogitBias, default: [], wire: "body" },
  logprobs: { kind: "boolean", default: false, wire: "body" },
  topLogprobs: { kind: "integer", min: 0, max: 20, default: 0, hint: "wants logprobs: true", wire: "body" },
  ignoreEos: {
    kind: "boolean",
    default: false,
    wire: "body",
    flag: "--ignore-eos",
    help: "go on past the model's end of text, for measuring",
  },
  signal: { kind: "custom", read: readSignal },
  chunkSize: { kind: "integer", min: 1, max: 65_536, default: 1, wire: "stream_options" },
  chunkBy: { kind: "enum", values: ["token", "word", "sentence"], default: "token", wire: "stream_options" },
  chunkMaxDelayMs: { kind: "integer", min: 0, max: INT32_MAX, default: 0, hint: "0 means no limit", wire: "stream_options" },
  includeUsage: { kind: "boolean" },
  streamCallback: { kind: "function" },
  highWaterMark: { kind: "integer", min: 1, max: 65_536, default: 64 },
  stallTimeoutMs: { kind: "integer", min: 0, max: INT32_MAX, default: 0, hint: "0 means never" },
  tools: { kind: "custom", read: named, wire: "body" },
  toolChoice: { kind: "custom", read: named, wire: "body" },
  parallelToolCalls: { kind: "boolean", default: true, wire: "body" },
  responseFormat: { kind: "custom", read: named, wire: "body" },
  reasoning: { kind: "custom", read: named },
  adapter: { kind: "custom", read: readAdapter },
  templateArguments: { kind: "custom", read: named },
  continueFinalMessage: { kind: "boolean", default: false, wire: "body" },
  speculate: { kind: "custom", read: readSpeculate, default: readSpeculate("speculate", "auto"), wire: "body" },
  prediction: { kind: "custom", read: readPrediction, wire: "body" },
  maxSteps: { kind: "integer", min: 1, max: 1000, default: 5 },
  toolErrors: { kind: "enum", values: ["model", "throw"], default: "model" },
  onStep: { kind: "function" },
} as const satisfies OptionTable;

/** Names of the options that a model file may recommend a value for. */
export const RECOMMENDABLE = Object.entries(REPLY_OPTIONS as OptionTable)
  .filter(([, option]) => option.recommended === true)
  .map(([name]) => name);

/** Options of a model. */
export const ENGINE_OPTIONS = {
  contextSize: {
    kind: "integer",
    min: 0,
    max: 2 ** 24,
    default: 0,
    hint: "0 means the trained context, at most 4096",
    flag: "--context-size <tokens>",
    help: "tokens of context",
  },
  maxStreams: { kind: "integer", min: 1, max: 256, default: 4 },
  maxQueue: { kind: "integer", min: 0, max: 65_536, default: 64 },
  threads: {
    kind: "integer",
    min: 0,
    max: 512,
    default: 0,
    hint: "0 means the physical cores",
    flag: "--threads <n>",
    help: "compute threads",
  },
  gpuLayers: { kind: "custom", read: readGpuLayers, default: -1, flag: "--gpu-layers <n>", help: 'layers on the GPU, or "auto"' },
  device: {
    kind: "enum",
    values: ["auto", "cpu", "cuda", "metal", "vulkan"],
    default: "auto",
    flag: "--device <kind>",
    help: "auto, cpu, cuda, metal or vulkan",
  },
  kvType: {
    kind: "enum",
    values: ["f16", "q8_0", "q4_0"],
    default: "f16",
    flag: "--kv-type <type>",
    help: "of keys and values: f16; q8_0 takes half the memory of f16, q4_0 a quarter",
  },
  latencyTargetMs: { kind: "number", min: 1, max: 10_000, default: 150 },
  deterministic: {
    kind: "boolean",
    default: false,
    flag: "--deterministic",
    help: "other streams cannot change the rounding; prompts go one by one",
  },
  speculate: {
    kind: "custom",
    read: readModelSpeculate,
    default: readModelSpeculate("speculate", "auto"),
    flag: "--speculate <tokens>",
    help: "guessed tokens that a step checks at most; 0 guesses nothing",
  },
  isolate: { kind: "custom", read: readIsolate },
  adapters: { kind: "custom", read: readAdapters },
  onProgress: { kind: "function" },
  promptCache: { kind: "custom", read: readPromptCache, default: readPromptCache("promptCache", true) },
} as const satisfies OptionTable;

/** Options that only a completion has, beside its suffix. */
export const COMPLETION_OPTIONS = { promptLogprobs: { kind: "boolean", default: false } } as const satisfies OptionTable;

/** Options of tokenize(). */
export const TOKENIZE_OPTIONS = {
  special: { kind: "boolean", default: false },
  addSpecial: { kind: "boolean", default: false },
} as const satisfies OptionTable;

/** Options of detokenize(). */
export const DETOKENIZE_OPTIONS = { special: { kind: "boolean", default: true } } as const satisfies OptionTable;

/** top_p for topP: the spelling of bodies, and of the library's aliases. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The options that a part of a body has, by their spelling there. */
export function wireOptions(place: "body" | "stream_options"): Map<string, Option> {
  const named = Object.entries(REPLY_OPTIONS as OptionTable).filter(([, option]) => option.wire === place);
  return new Map(named.map(([name, option]) => [snakeCase(name), option]));
}
