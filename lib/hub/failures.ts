// Owns what goes wrong with the hub, as people and programs are told: which failures may pass by themselves, and the sentence for each answer
// that is a refusal. Pure.

import { cut, quote, quoteError } from "../base/quote.js";
import { ZSEError } from "../errors.js";

/** What may go well when it is tried again. */
export class Passing extends Error {
  /** Time (ms) that the server asks for; undefined where it says nothing. */
  readonly waitMs: number | undefined;

  constructor(message: string, waitMs?: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.waitMs = waitMs;
  }
}

export function failed(message: string, cause?: unknown): ZSEError {
  return new ZSEError("DOWNLOAD_FAILED", message, { cause });
}

/** What the disk refuses; a sentence for what people meet most. */
export function diskFailure(error: unknown, path: string): unknown {
  const { code, syscall } = (error ?? {}) as { code?: unknown; syscall?: unknown };
  if (typeof code !== "string" || typeof syscall !== "string") return error; // nothing of the system's
  const elsewhere = "HF_HUB_CACHE names another folder.";
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG") {
    return failed(`The disk is full (${quote(path)}). What is there already is kept: the next try goes on with it. ${elsewhere}`, error);
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS")
    return failed(`${quote(path)} may not be written (${code}). ${elsewhere}`, error);
  return failed(`${quote(path)} could not be written: ${quoteError(error)}. ${elsewhere}`, error);
}

/** What was asked for, for sentences. */
export interface Asked {
  repo: string;
  /** "The list of files", or a file. */
  what: string;
  /** Whether a token went with it. */
  withToken: boolean;
}

/** An answer that is no 2xx, as an error: a Passing one, or a ZSEError. */
export function refusal(status: number, headers: NodeJS.Dict<string | string[]>, { repo, what, withToken }: Asked): Error {
  const said = single(headers["x-error-code"]);
  const words = readable(single(headers["x-error-message"]));
  const where = `hf:${repo}`;
  if (status === 429 || status === 503) {
    const waitMs = retryAfter(single(headers["retry-after"])) ?? rateLimit(single(headers.ratelimit));
    return new Passing(`${what} of ${where}: the hub asks to come again later (${status})`, waitMs);
  }
  if (status === 408 || status >= 500) return new Passing(`${what} of ${where}: the hub failed (${status})`);
  if (said === "GatedRepo" || (status === 403 && said !== "RepoNotFound")) return notFound(gated(repo, withToken, words));
  if (said === "RevisionNotFound") return notFound(`${where} has no such revision. Look at its branches and tags.`);
  if (said === "EntryNotFound") return notFound(`${where} has no such file (${what}).`);
  if (status === 401 && said !== "RepoNotFound") {
    const help = withToken
      ? "The token was refused: it may have expired"
      : "It wants a token: set HF_TOKEN, or log in with `hf auth login`";
    return notFound(`${where} may not be read (401). ${help}.`);
  }
  if (status === 404 || said === "RepoNotFound" || status === 410) {
    const help = withToken
      ? "look at its name, and at what your token may read"
      : "look at its name; a private one wants a token in HF_TOKEN";
    return notFound(`There is no ${where} on the hub (${status}): ${help}.`);
  }
  return failed(`${what} of ${where} could not be had: the hub answered ${status}${words === "" ? "" : ` and said ${words}`}.`);
}

function gated(repo: string, withToken: boolean, words: string): string {
  const steps = withToken
    ? "ask for access on its page, with the account of your token"
    : "ask for access on its page, and set HF_TOKEN to a token of that account";
  return `hf:${repo} is gated: ${steps} (https://huggingface.co/${repo})${words === "" ? "" : `. The hub said ${words}`}.`;
}

export function notFound(message: string): ZSEError {
  return new ZSEError("MODEL_NOT_FOUND", message);
}

/** Seconds, or a date. */
function retryAfter(text: string): number | undefined {
  if (/^\d+$/.test(text.trim())) return Math.min(Number(text) * 1000, Number.MAX_SAFE_INTEGER);
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

/** What is left of a window, as Hugging Face tells it: `"api";r=0;t=55`, in seconds. */
function rateLimit(text: string): number | undefined {
  const [, seconds] = /;\s*t=(\d{1,9})\b/.exec(text) ?? [];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}

function single(header: string | string[] | undefined): string {
  return (Array.isArray(header) ? header[0] : header) ?? "";
}

/** What a server says, as it may be shown on a terminal. */
function readable(text: string): string {
  const plain = text.replace(/[^\x20-\x7e]+/g, " ").trim();
  return plain === "" ? "" : quote(cut(plain, 200));
}
