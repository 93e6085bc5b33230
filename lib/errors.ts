// Owns the errors that users see: one class with a stable code, so that programs branch on `code` and people read
// `message`. Runs on whichever thread made the model (main, or a worker_threads thread). Imports only how messages are cut.

import { cutMessage, cutPath, quoteError } from "./base/quote.js";

/**
 * What went wrong, stable across versions:
 * - `MODEL_NOT_FOUND` no such file or repository, or it may not be read
 * - `DOWNLOAD_FAILED` a model could not be fetched: the network, the hub or the disk; what is there is kept for the next try
 * - `BAD_MODEL` the file is not a model this engine can load
 * - `BAD_OPTION` an option is unknown, of the wrong type, or out of range; nothing was queued
 * - `CONTEXT_OVERFLOW` the prompt does not fit in the context
 * - `OVERLOADED` all streams are taken and the queue is full; try again later
 * - `ABORTED` the stream was aborted without a reason of the caller's own
 * - `STALLED` the consumer did not read for longer than `stallTimeoutMs`
 * - `CLOSED` the model was closed
 * - `UNSUPPORTED` this build or this machine cannot do what was asked
 * - `ENGINE_FAILED` the native engine could not be loaded, or failed while computing
 */
export type ZSEErrorCode =
  | "MODEL_NOT_FOUND"
  | "DOWNLOAD_FAILED"
  | "BAD_MODEL"
  | "BAD_OPTION"
  | "CONTEXT_OVERFLOW"
  | "OVERLOADED"
  | "ABORTED"
  | "STALLED"
  | "CLOSED"
  | "UNSUPPORTED"
  | "ENGINE_FAILED";

const CODES: ReadonlySet<string> = new Set<ZSEErrorCode>([
  "MODEL_NOT_FOUND",
  "DOWNLOAD_FAILED",
  "BAD_MODEL",
  "BAD_OPTION",
  "CONTEXT_OVERFLOW",
  "OVERLOADED",
  "ABORTED",
  "STALLED",
  "CLOSED",
  "UNSUPPORTED",
  "ENGINE_FAILED",
]);

/** Every error of this library, apart from a caller's own (an AbortSignal's reason, what a callback throws). */
export class ZSEError extends Error {
  readonly code: ZSEErrorCode;
  /**
   * For BAD_OPTION: the option's name as the caller wrote it, such as `top_p` or `messages[2].content`. For CONTEXT_OVERFLOW the message that has more
   * than half of the conversation's text, where one has; those that the library appended are counted too.
   */
  declare readonly option?: string; // no field: an error without one is printed without one

  constructor(code: ZSEErrorCode, message: string, details?: { option?: string; cause?: unknown }) {
    super(cutMessage(message), details?.cause === undefined ? undefined : { cause: details.cause });
    this.name = "ZSEError";
    this.code = code;
    if (details?.option !== undefined) this.option = cutPath(details.option);
  }
}

/** What is wrong with an option, or a message, that is named as the caller wrote it. */
export function bad(option: string, message: string): ZSEError {
  return new ZSEError("BAD_OPTION", message, { option });
}

/** An error of the addon's (thrown, or the payload of an event) as a ZSEError; a code not known here is ENGINE_FAILED. */
export function fromNative(error: unknown): ZSEError {
  if (error instanceof ZSEError) return error;
  const { code, message } = (typeof error === "object" && error !== null ? error : {}) as {
    code?: unknown;
    message?: unknown;
  };
  const known = typeof code === "string" && CODES.has(code);
  const text = typeof message === "string" && message !== "" ? message : quoteError(error);
  const cause = error instanceof Error ? { cause: error } : {};
  // The engine's sentence about an option begins with its name.
  const option = code === "BAD_OPTION" ? /^[a-z]+(?:[A-Z][a-z]*)+(?= )/.exec(text)?.[0] : undefined;
  return new ZSEError(known ? (code as ZSEErrorCode) : "ENGINE_FAILED", text, { ...cause, ...(option === undefined ? {} : { option }) });
}
