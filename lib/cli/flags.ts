// Owns the flags that several commands share, and their way into the library's options. Ranges are not checked here but by
// the library, whose sentences report.ts turns to name the flag. Main thread.

import { type Command, InvalidArgumentError } from "commander";

import { ENGINE_OPTIONS, type Option, type OptionTable, REPLY_OPTIONS } from "../options/table.js";
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
  return addFlags(command, ENGINE_OPTIONS)
    .option("--prompt-cache <dir>", "keep computed prompts in this folder too, for after a restart")
    .option("--no-prompt-cache", "compute every prompt from its first token");
}

export function addReplyFlags(command: Command): Command {
  return addFlags(command, REPLY_OPTIONS);
}

/** A flag for each option of a table that has one. */
function addFlags(command: Command, table: OptionTable): Command {
  for (const [name, option] of Object.entries(table)) {
    if (option.flag === undefined) continue;
    const help = `${option.help}${hint(option)}`;
    const read = READERS[name];
    if (read !== undefined) command.option(option.flag, help, read);
    else if (option.kind === "number" || option.kind === "integer") command.option(option.flag, help, number);
    else command.option(option.flag, help);
  }
  return command;
}

/** What happens without the flag, where that is a number: " (1 turns it off; default: 1)". */
function hint(option: Option): string {
  if (option.kind !== "number" && option.kind !== "integer") return "";
  const said = [option.hint, option.default === undefined ? undefined : `default: ${option.default}`].filter((part) => part !== undefined);
  return said.length === 0 ? "" : ` (${said.join("; ")})`;
}

/** Flags that are more than a number, a word, or there. */
const READERS: Record<string, (text: string, before: unknown) => unknown> = {
  gpuLayers: layers,
  stop: (text, before) => [...((before as string[] | undefined) ?? []), text],
};

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
