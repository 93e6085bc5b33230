// Owns how errors look on the wire: OpenAI's body, the HTTP status that goes with it, and when to try again. Pure; any thread.

import { cutMessage, cutName, cutPath } from "../../base/quote.js";
import { ZSEError } from "../../errors.js";
import { inOtherNames } from "../../options/sentences.js";
import { REPLY_OPTIONS, snakeCase } from "../../options/table.js";

/** How far a prompt is beyond the context. */
export interface Overflow {
  tokens: number;
  contextSize: number;
  /** Otherwise the prompt has so many at least: counting ended there. */
  isCounted: boolean;
}

interface WireErrorDetails {
  type?: string;
  param?: string | undefined;
  code?: string;
  retryAfterMs?: number;
  allow?: string;
  overflow?: Overflow | undefined;
  cause?: unknown;
}

/** An error with its place in HTTP. */
export class WireError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
  /** For 429 and 503: when it may work, in ms from now. */
  readonly retryAfterMs: number | undefined;
  /** For 405: the methods that are answered there. */
  readonly allow: string | undefined;
  /** For a prompt that does not fit, where the numbers are known. */
  readonly overflow: Overflow | undefined;

  constructor(status: number, message: string, details: WireErrorDetails = {}) {
    super(cutMessage(message), details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "WireError";
    this.status = status;
    this.type = details.type ?? (status >= 500 ? "server_error" : "invalid_request_error");
    // What is wrong with the whole body is no field's.
    this.param = (details.param ?? "") === "" ? null : cutPath(details.param!);
    this.code = details.code ?? null;
    this.retryAfterMs = details.retryAfterMs ?? (status === 503 ? 1000 : undefined);
    this.allow = details.allow;
    this.overflow = details.overflow;
  }

  /** A method that is not answered where others are, such as `GET, HEAD`. */
  static badMethod(method: string | undefined, allow: string): WireError {
    const message = `${cutName(method ?? "The method")} is not answered here; ${allow.replace(/, (?=\w+$)/, " and ")} ${allow.includes(",") ? "are" : "is"}.`;
    return new WireError(405, message, { code: "method_not_allowed", allow });
  }

  /** A path that there is not. */
  static noPath(method: string | undefined, path: string): WireError {
    return new WireError(404, `There is no ${cutName(method ?? "method")} ${cutPath(path)} here.`, { code: "not_found" });
  }

  /** The same, where the body that was read has another name for the field. */
  named(fieldOf: (param: string) => string): WireError {
    const param = this.param === null ? null : fieldOf(this.param);
    if (param === this.param || param === null) return this;
    const { status, type, code, retryAfterMs, allow, cause } = this;
    const [list] = this.param!.split(/[.[]/, 1) as [string];
    const message = this.message.replaceAll(this.param!, param).replaceAll(list, list.includes("_") ? fieldOf(list) : list);
    return new WireError(status, message, {
      type,
      param,
      ...(code === null ? {} : { code }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(allow === undefined ? {} : { allow }),
      cause,
    });
  }

  /** The JSON body, and equally the data of an error inside a stream. */
  get body(): { error: { message: string; type: string; param: string | null; code: string | null } } {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }

  get headers(): Record<string, string> {
    const headers: Record<string, string> = { "content-type": "application/json; charset=utf-8" };
    if (this.retryAfterMs !== undefined) {
      headers["retry-after"] = String(Math.max(1, Math.ceil(this.retryAfterMs / 1000))); // whole seconds by its grammar
      headers["retry-after-ms"] = String(Math.max(1, Math.ceil(this.retryAfterMs))); // what OpenAI's clients read first
    }
    if (this.allow !== undefined) headers.allow = this.allow;
    if (this.status === 500) headers["x-should-retry"] = "false"; // OpenAI's clients try every other one again
    return headers;
  }
}

/**
 * Any error as one for the wire. `retryAfterMs` is asked only where it is of use. What is not ours is not told to clients.
 * @param subject the field that held what was asked: what only the model could find wrong is wrong with it
 * @param fieldOf what the body calls a field
 */
export function toWireError(
  error: unknown,
  retryAfterMs: () => number = () => 1000,
  subject?: string,
  fieldOf?: (param: string) => string,
): WireError {
  const wire = asWireError(error, retryAfterMs, subject, fieldOf);
  return fieldOf === undefined || error instanceof WireError ? wire : wire.named(fieldOf);
}

function asWireError(
  error: unknown,
  retryAfterMs: () => number,
  subject: string | undefined,
  fieldOf: ((param: string) => string) | undefined,
): WireError {
  if (error instanceof WireError) return error;
  const { code, message, option } = isZSEError(error) ? error : {};
  const cause = error;
  switch (code) {
    case "BAD_OPTION":
    case "UNSUPPORTED": {
      const kind = code === "BAD_OPTION" ? "invalid_value" : "unsupported_parameter";
      const { said, param } = inItsNames(message!, option);
      return new WireError(400, said, { param: param ?? subject, code: kind, cause });
    }
    case "CONTEXT_OVERFLOW":
      return overflow(message!, subject ?? "messages", option === undefined ? undefined : (fieldOf?.(option) ?? option), cause);
    case "OVERLOADED":
      return new WireError(429, message!, { type: "rate_limit_error", code: "rate_limit_exceeded", retryAfterMs: retryAfterMs(), cause });
    case "CLOSED": // its message names the model's file
      return new WireError(503, "The model was closed.", { code: "closed", cause });
    case "ABORTED":
    case "STALLED":
      return new WireError(503, message!, { code: code.toLowerCase(), cause });
    case "MODEL_NOT_FOUND":
    case "DOWNLOAD_FAILED":
    case "BAD_MODEL":
    case "ENGINE_FAILED":
      // The message may name files of the server; its operator reads it in the log.
      return new WireError(503, "The model cannot answer: its engine failed or could not be loaded.", { code: code.toLowerCase(), cause });
    default:
      return new WireError(503, "The server failed to answer this request.", { code: "internal_error", cause });
  }
}

/**
 * An error in the names that the client knows. The library's own name of an option is seen here only where the engine found what is wrong with it,
 * and may stand anywhere in its sentence then.
 */
function inItsNames(message: string, option: string | undefined): { said: string; param?: string } {
  const known = (name: string) => (Object.hasOwn(REPLY_OPTIONS, name) ? snakeCase(name) : name);
  const first = option ?? /^[a-z]+(?:[A-Z][a-z]*)+(?= )/.exec(message)?.[0] ?? "";
  const isOurs = known(first) !== first;
  const param = option === undefined && !isOurs ? undefined : known(first);
  const said = option === undefined || isOurs ? inOtherNames(message, (name, field) => known(name) + field) : message;
  return param === undefined ? { said } : { said, param };
}

/**
 * In the words that agents look for to know that they must shorten the conversation. What the engine advises is for its owner.
 * @param longest the message that has most of it, where one has
 */
function overflow(message: string, param: string, longest: string | undefined, cause: unknown): WireError {
  const [, tokens, context] = /has ((?:at least )?\d+) tokens, and the context of a stream holds (\d+)/.exec(message) ?? [];
  const known = `This model's maximum context length is ${context} tokens, of which the reply needs at least 1.`;
  const said =
    context === undefined
      ? `This model's maximum context length is exceeded by your ${param}.`
      : `${known} However, your ${param} resulted in ${tokens} tokens.`;
  const overflow =
    context === undefined || tokens === undefined
      ? undefined
      : { tokens: Number(/\d+/.exec(tokens)), contextSize: Number(context), isCounted: /^\d/.test(tokens) };
  const details = { param, code: "context_length_exceeded", overflow, cause };
  const most = longest === undefined ? "" : ` Most of it is ${longest}.`;
  return new WireError(400, `${said} Please reduce the length of the ${param}.${most}`, details);
}

/** Whether clients are told all that the error says and no log is needed to understand it. A 500 is the program's mistake: its owner's. */
export function isToldInFull(error: unknown): boolean {
  if (error instanceof WireError) return error.status !== 500;
  const hidden = ["MODEL_NOT_FOUND", "DOWNLOAD_FAILED", "BAD_MODEL", "ENGINE_FAILED"];
  return isZSEError(error) && !hidden.includes(error.code);
}

/** By its shape, too: two copies of the package may meet in one program. */
function isZSEError(error: unknown): error is ZSEError {
  return error instanceof ZSEError || (error instanceof Error && error.name === "ZSEError" && typeof (error as ZSEError).code === "string");
}
