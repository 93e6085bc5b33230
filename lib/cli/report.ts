// Owns how the command line tells of errors. Main thread. Imports nothing native.

import { ZSEError } from "../errors.js";

/** Wrong usage that the command finds itself. */
export class UsageError extends Error {}

/** Prints one sentence on stderr (with ZSE_DEBUG, the stack too) and returns the exit code that goes with it. */
export function reportError(error: unknown): number {
  const wrongUsage = error instanceof UsageError || (error instanceof ZSEError && error.code === "BAD_OPTION");
  let message = error instanceof Error ? error.message : String(error);
  // The library names an option as its callers write it; here they wrote a flag.
  if (error instanceof ZSEError && error.option !== undefined && /^[a-zA-Z]+$/.test(error.option)) {
    message = message.replace(error.option, `--${kebab(error.option)}`);
  }
  process.stderr.write(`zse: ${message}\n`);
  if (process.env.ZSE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  return wrongUsage ? 2 : 1;
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
