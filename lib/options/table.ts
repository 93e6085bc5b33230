// Owns the one table of options: what each may be, its default, its places on the wire and on the command line. The readers of
// requests, bodies and flags come from it; types, docs and the addon's reader are checked against it by test/unit/options-table.test.ts.
// Pure; any thread.

import { readGpuLayers, readLogitBias, readPromptCache, readSignal, readStop } from "./custom.js";
import { INT32_MAX, type Rule } from "./rules.js";

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
  temperature: {
    kind: "number",
    min: 0,
    max: 5,
    default: 0.8,
    wire: "body",
    flag: "-t, --temperature <t>",
    help: "0 always takes the likeliest token",
  },
  topP: {
    kind: "number",
    min: 0,
    max: 1,
    default: 0.95,
    wire: "body",
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
    flag: "--min-p <p>",
    help: "drop tokens less likely than p times the likeliest",
  },
  typicalP: { kind: "number", min: 0, max: 1, default: 1, wire: "body" },
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
  presencePenalty: { kind: "number", min: -2, max: 2, default: 0, wire: "body" },
  frequencyPenalty: { kind: "number", min: -2, max: 2, default: 0, wire: "body" },
  repeatPenalty: {
    kind: "number",
    min: 0.1,
    max: 10,
    default: 1,
    hint: "1 turns it off",
    wire: "body",
    flag: "--repeat-penalty <x>",
    help: "make recent tokens less likely",
  },
  logitBias: { kind: "custom", read: readLogitBias, default: [], wire: "body" },
  ignoreEos: {
    kind: "boolean",
    default: false,
    wire: "body",
    flag: "--ignore-eos",
    help: "go on past the model's end of text, for measuring",
  },
  continueFinalMessage: { kind: "boolean", default: false, wire: "body" },
  signal: { kind: "custom", read: readSignal },
  chunkSize: { kind: "integer", min: 1, max: 65_536, default: 1, wire: "stream_options" },
  chunkBy: { kind: "enum", values: ["token", "word", "sentence"], default: "token", wire: "stream_options" },
  chunkMaxDelayMs: { kind: "integer", min: 0, max: INT32_MAX, default: 0, hint: "0 means no limit", wire: "stream_options" },
  includeUsage: { kind: "boolean" },
  streamCallback: { kind: "function" },
  highWaterMark: { kind: "integer", min: 1, max: 65_536, default: 64 },
  stallTimeoutMs: { kind: "integer", min: 0, max: INT32_MAX, default: 0, hint: "0 means never" },
  logprobs: { kind: "later" },
  topLogprobs: { kind: "later" },
  responseFormat: { kind: "later" },
  tools: { kind: "later" },
  toolChoice: { kind: "later" },
} as const satisfies OptionTable;

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
  latencyTargetMs: { kind: "number", min: 1, max: 10_000, default: 150 },
  deterministic: { kind: "boolean", default: false, flag: "--deterministic", help: "other streams cannot change the rounding; slower" },
  onProgress: { kind: "function" },
  promptCache: { kind: "custom", read: readPromptCache, default: readPromptCache("promptCache", true) },
} as const satisfies OptionTable;

/** Options of tokenize(). */
export const TOKENIZE_OPTIONS = { special: { kind: "boolean", default: false } } as const satisfies OptionTable;

/** top_p for topP: the spelling of bodies, and of the library's aliases. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The options that a part of a body has, by their spelling there. */
export function wireOptions(place: "body" | "stream_options"): Map<string, Option> {
  const named = Object.entries(REPLY_OPTIONS as OptionTable).filter(([, option]) => option.wire === place);
  return new Map(named.map(([name, option]) => [snakeCase(name), option]));
}
