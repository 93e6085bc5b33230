// Owns how the command line tells of errors. Main thread. Imports nothing native.

import { cutMessage } from "../base/quote.js";
import { ZSEError } from "../errors.js";

/** Wrong usage that the command finds itself. */
export class UsageError extends Error {}

/** Prints one sentence on stderr (with ZSE_DEBUG, the stack too) and returns the exit code that goes with it. */
export function reportError(error: unknown): number {
  const wrongUsage = error instanceof UsageError || (error instanceof ZSEError && error.code === "BAD_OPTION");
  let message = error instanceof Error ? error.message : String(error);
  if (error instanceof ZSEError) message = namingFlags(message, error.option);
  process.stderr.write(`zse: ${cutMessage(message)}\n`);
  if (process.env.ZSE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  return wrongUsage ? 2 : 1;
}

/** The flags whose names in the library no sentence has by chance. */
const UNMISTAKABLE = /"(?:[^"\\]|\\.)*"|\b(?:contextSize|gpuLayers|promptCache|max(?:Streams|Queue|Tokens)|top[PK]|minP)\b(?:\.dir)?/g;

/** The library names an option as its callers write it (`stop[0]`, `promptCache.dir`); here they wrote a flag. What is quoted stays. */
function namingFlags(message: string, option: string | undefined): string {
  const atHead = option !== undefined && message.startsWith(option) ? `${flag(option)}${message.slice(option.length)}` : message;
  return atHead.replace(UNMISTAKABLE, (found) => (found.startsWith('"') ? found : flag(found)));
}

/** `promptCache.dir` → `--prompt-cache`. */
function flag(option: string): string {
  return `--${option.replace(/\W.*/, "").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
