// Owns one request to the hub and those that it is sent on to: who is shown the token, how many redirects, how long silence may last. Any thread.

import http from "node:http";
import https from "node:https";
import { cut, quoteError } from "../base/quote.js";
import { failed, Passing, refusal } from "./failures.js";
import type { HubSettings } from "./settings.js";

const MOST_REDIRECTS = 10;
/** How many times the silence that is allowed an answer's head may take in all: it may come byte by byte. */
const HEAD_SILENCES = 4;

/** An answer whose head is here. Whoever has it reads its body to the end, or destroys it. */
export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: http.IncomingMessage;
}

export interface Ask {
  repo: string;
  /** What is asked for, for sentences: "The list of files", "model.gguf". */
  what: string;
  headers?: Record<string, string>;
  signal: AbortSignal;
}

/**
 * Asks for an address of the hub. Sends the token to the hub's own origin alone: files are elsewhere, and nobody there is to have it.
 * @returns an answer of status 200 or 206, or one of `alsoFine`
 * @throws Passing what another try may bring; ZSEError DOWNLOAD_FAILED, MODEL_NOT_FOUND; the signal's reason
 */
export async function get(url: URL, settings: HubSettings, ask: Ask, alsoFine: readonly number[] = []): Promise<Answer> {
  let at = url;
  for (let hops = 0; ; hops++) {
    const isHub = at.origin === settings.endpoint.origin;
    const token = isHub ? settings.token : undefined;
    const answer = await request(at, settings, ask, token === undefined ? {} : { authorization: `Bearer ${token}` });
    const { status, headers, body } = answer;
    if (status === 200 || status === 206 || alsoFine.includes(status)) {
      const coding = headers["content-encoding"];
      if (coding === undefined || coding === "identity") return answer;
      body.destroy();
      throw failed(`${place(at)} answered with a body in ${JSON.stringify(cut(coding, 40))} that was not asked for.`);
    }
    body.destroy();
    if (![301, 302, 303, 307, 308].includes(status)) {
      // Where files are, an address is good for some minutes: the hub gives a new one.
      if (status === 403 && !isHub) throw new Passing(`${place(at)} refused to give ${ask.what} (403)`);
      throw refusal(status, headers, { ...ask, withToken: settings.token !== undefined });
    }
    if (hops === MOST_REDIRECTS)
      throw failed(`${ask.what} of hf:${ask.repo}: the hub sends on in a circle, or more than ${MOST_REDIRECTS} times.`);
    at = next(at, headers.location);
  }
}

/** An address, as it may be told: signatures and names of users stay out. */
function place(url: URL): string {
  return cut(`${url.origin}${url.pathname}`, 200);
}

function next(from: URL, location: string | undefined): URL {
  let to: URL;
  try {
    to = new URL(location ?? "", from);
  } catch {
    throw failed(`${place(from)} sends on to an address that is none.`);
  }
  if (location === undefined || !/^https?:$/.test(to.protocol)) throw failed(`${place(from)} sends on to an address that is none.`);
  if (from.protocol === "https:" && to.protocol === "http:") {
    throw failed(`${place(from)} sends on to ${place(to)}, which is not encrypted.`);
  }
  return to;
}

function request(url: URL, { silenceMs }: HubSettings, ask: Ask, more: Record<string, string>): Promise<Answer> {
  const { signal } = ask;
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const headers = { "user-agent": "zstream", "accept-encoding": "identity", ...ask.headers, ...more };
    const sent = (url.protocol === "https:" ? https : http).get(url, { headers, timeout: silenceMs });
    const broken = (why: string, cause?: unknown) => new Passing(`${place(url)}: ${why}`, undefined, cause);
    let answered: http.IncomingMessage | undefined;
    const silent = () => (answered ?? sent).destroy(broken(`nothing came for ${silenceMs / 1000} s`));
    const deadline = setTimeout(silent, HEAD_SILENCES * silenceMs);
    const abort = () => sent.destroy(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    signal.addEventListener("abort", abort, { once: true });
    const over = () => signal.removeEventListener("abort", abort);
    sent.on("timeout", silent);
    sent.on("close", over);
    sent.on("error", (error) => {
      clearTimeout(deadline);
      if (signal.aborted) reject(signal.reason);
      else reject(error instanceof Passing ? error : broken(quoteError(error), error));
    });
    sent.on("response", (body) => {
      clearTimeout(deadline);
      answered = body;
      body.on("error", () => {}); // whoever reads the body is told as well
      resolve({ status: body.statusCode ?? 0, headers: body.headers, body });
    });
  });
}

/**
 * The whole body, as JSON.
 * @throws Passing where the connection breaks; ZSEError DOWNLOAD_FAILED for more than `mostBytes`, and for what is no JSON
 */
export async function readJson({ body }: Answer, ask: Ask, mostBytes: number, silenceMs: number): Promise<unknown> {
  const deadline = setTimeout(() => body.destroy(new Passing(`${ask.what} of hf:${ask.repo}: it came too slowly`)), 10 * silenceMs);
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > mostBytes) throw failed(`${ask.what} of hf:${ask.repo} is longer than ${mostBytes} bytes.`);
      pieces.push(piece);
    }
  } catch (error) {
    throw passing(error, ask);
  } finally {
    clearTimeout(deadline);
    body.destroy();
  }
  try {
    return JSON.parse(Buffer.concat(pieces).toString("utf8")) as unknown;
  } catch (error) {
    throw failed(`${ask.what} of hf:${ask.repo} is no JSON: is HF_ENDPOINT an address of a hub?`, error);
  }
}

/** What reading a body throws, as what is to be made of it. */
export function passing(error: unknown, { repo, what, signal }: Pick<Ask, "repo" | "what" | "signal">): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof Passing || (error as { name?: unknown } | undefined)?.name === "ZSEError") return error;
  return new Passing(`${what} of hf:${repo}: the connection broke (${quoteError(error)})`, undefined, error);
}
