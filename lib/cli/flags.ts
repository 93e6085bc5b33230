// Owns the flags that several commands share, and their way into the library's options. Ranges are not checked here but by
// the library, whose sentences report.ts turns to name the flag. Main thread.

import { type Command, InvalidArgumentError } from "commander";

import type { EngineOptions, ReplyOptions } from "../types.js";

/** Flags as commander gives them: those that were not given are absent. */
export interface ModelFlags {
  contextSize?: number;
  threads?: number;
  gpuLayers?: number | "auto";
  device?: NonNullable<EngineOptions["device"]>;
  deterministic?: boolean;
  promptCache?: string | false;
}

export interface ReplyFlags {
  maxTokens?: number;
  temperature?: number;
  topP?: number;
  topK?: number;
  minP?: number;
  repeatPenalty?: number;
  seed?: number;
  stop?: string[];
  ignoreEos?: boolean;
}

export function addModelFlags(command: Command): Command {
  return command
    .option("--context-size <tokens>", "tokens of context", number)
    .option("--threads <n>", "compute threads (default: the physical cores)", number)
    .option("--gpu-layers <n>", 'layers on the GPU, or "auto"', layers)
    .option("--device <kind>", "auto, cpu, cuda, metal or vulkan")
    .option("--deterministic", "other streams cannot change the rounding; slower")
    .option("--prompt-cache <dir>", "keep computed prompts in this folder too, for after a restart")
    .option("--no-prompt-cache", "compute every prompt from its first token");
}

export function addReplyFlags(command: Command): Command {
  return command
    .option("-n, --max-tokens <n>", "tokens to generate at most (default: up to the end of the context)", number)
    .option("-t, --temperature <t>", "0 always takes the likeliest token (default: 0.8)", number)
    .option("--top-p <p>", "keep the likeliest tokens that together reach p (default: 0.95)", number)
    .option("--top-k <k>", "keep the k likeliest tokens; 0 keeps all (default: 40)", number)
    .option("--min-p <p>", "drop tokens less likely than p times the likeliest (default: 0.05)", number)
    .option("--repeat-penalty <x>", "make recent tokens less likely; 1 turns it off (default: 1)", number)
    .option("-s, --seed <n>", "the same seed gives the same text", number)
    .option("--stop <text>", "end the reply before this text; may be given several times", (value, all: string[] = []) => [...all, value])
    .option("--ignore-eos", "go on past the model's end of text, for measuring");
}

export function engineOptions(flags: ModelFlags): EngineOptions {
  const { contextSize, threads, gpuLayers, device, deterministic } = flags;
  // Commander gives true where --no-prompt-cache was not given.
  const cache = typeof flags.promptCache === "string" ? { dir: flags.promptCache } : flags.promptCache;
  return given({
    contextSize,
    threads,
    gpuLayers,
    device,
    deterministic,
    promptCache: cache === false || typeof cache === "object" ? cache : undefined,
  });
}

export function replyOptions(flags: ReplyFlags): ReplyOptions {
  const { maxTokens, temperature, topP, topK, minP, repeatPenalty, seed, stop, ignoreEos } = flags;
  return given({ maxTokens, temperature, topP, topK, minP, repeatPenalty, seed, stop, ignoreEos });
}

function given<T extends object>(options: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}

function number(text: string): number {
  return parse(text, "It must be a number.");
}

/** More layers than there are is as good as all of them. */
function layers(text: string): number | "auto" {
  return text === "auto" ? text : parse(text, "It must be a number of layers, or auto for as many as fit; 999 is all of them.");
}

function parse(text: string, wrong: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw new InvalidArgumentError(wrong);
  return value;
}
