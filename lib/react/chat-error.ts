// Owns the error that a chat in a page shows. Any thread.

/** Why a reply failed. `code` is a ZSEError's, one of the server's (docs/SERVER.md), or "network". */
export class ChatError extends Error {
  readonly code: string;
  /** The HTTP status, where a server refused the request. */
  declare readonly status?: number;
  /** When to try again (ms), where a server that is full says it. */
  declare readonly retryAfterMs?: number;

  constructor(code: string, message: string, details: { status?: number; retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "ChatError";
    this.code = code;
    if (details.status !== undefined) this.status = details.status;
    if (details.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs;
  }
}

/** The reason of a signal whose reply is only left: it may be found again. */
export const LEFT = new ChatError("ABORTED", "The page has left the reply.");

/** Any error as one that can be shown by its code. */
export function asChatError(error: unknown): ChatError {
  if (error instanceof ChatError) return error;
  const { code, message } = (typeof error === "object" && error !== null ? error : {}) as { code?: unknown; message?: unknown };
  return new ChatError(typeof code === "string" ? code : "unknown", typeof message === "string" ? message : String(error), {
    cause: error,
  });
}
