// Owns how the command line tells of errors. Main thread. Imports nothing native.

import { cutMessage } from "../base/quote.js";
import { ZSEError } from "../errors.js";
import { inOtherNames } from "../options/sentences.js";
import { ENGINE_OPTIONS, type OptionTable, REPLY_OPTIONS } from "../options/table.js";

/** Wrong usage that the command finds itself. */
export class UsageError extends Error {}

/** Flags for options that have no flag of their own name, or another one: `responseFormat` → `--grammar`. */
export type FlagNames = Readonly<Record<string, string>>;

/**
 * Prints one sentence on stderr (with ZSE_DEBUG, the stack too) and returns the exit code that goes with it.
 * @param flags of the command that failed
 */
export function reportError(error: unknown, flags: FlagNames = {}): number {
  const wrongUsage = error instanceof UsageError || (error instanceof ZSEError && error.code === "BAD_OPTION");
  let message = error instanceof Error ? error.message : String(error);
  if (error instanceof ZSEError) message = namingFlags(message, error.option, { ...FLAGS, ...flags });
  process.stderr.write(`zse: ${cutMessage(message)}\n`);
  if (process.env.ZSE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  return wrongUsage ? 2 : 1;
}

/** Options that have a flag in the table, and those whose flags are the commands' own. */
const FLAGS: FlagNames = {
  ...Object.fromEntries(
    Object.entries({ ...REPLY_OPTIONS, ...ENGINE_OPTIONS } as OptionTable)
      .filter(([, { flag }]) => flag !== undefined)
      .map(([name, { flag }]) => [name, /--[a-z-]+/.exec(flag!)![0]]),
  ),
  promptCache: "--prompt-cache",
  "promptCache.moved": "--prompt-cache-moved",
  "speculate.draftModel": "--draft",
  draftModel: "--draft",
  maxStreams: "--max-streams",
  maxQueue: "--max-queue",
};
/** Given without a flag. */
const POSITIONAL = new Set(["messages", "prompt"]);

/** The library names an option as its callers write it (`stop[0]`, `promptCache.dir`); here they wrote a flag. What is quoted stays. */
function namingFlags(message: string, option: string | undefined, flags: FlagNames): string {
  const atHead = option !== undefined && message.startsWith(option);
  const head = atHead ? flagOf(option, flags) : "";
  const rest = atHead ? message.slice(option.length) : message;
  return head + inOtherNames(rest, (name, field) => flags[name + field] ?? flags[name] ?? name + field);
}

/** Of the environment, as HF_ENDPOINT is: the same on the command line. */
const isVariable = (name: string) => /^[A-Z][A-Z0-9_]*$/.test(name);

/** `promptCache.dir` → `--prompt-cache`. What lies within a file of tools is found by its place there. */
function flagOf(option: string, flags: FlagNames): string {
  const [name] = /^\w*/.exec(option)!;
  if (POSITIONAL.has(name) || isVariable(name)) return option;
  const place = name === "tools" ? option.slice(name.length) : "";
  return (flags[option] ?? flags[name] ?? `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`) + place;
}
