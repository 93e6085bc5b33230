// Owns a request's body, whichever server it came through: what its headers may say, its bytes within their bound, and its JSON. JS
// thread of the model. It needs nothing of Node's. Unpacking is unpack.ts's; what the JSON means is a format's. What comes out is plain
// data within the bounds of lib/options/foreign.ts, whoever has parsed it.

import { cutName } from "../base/quote.js";
import { ZSEError } from "../errors.js";
import { parseForeign, plainJson } from "../options/foreign.js";
import { WireError } from "./formats/wire-error.js";
import { Bytes, type Coding, codingOf, unpack } from "./unpack.js";

/** What a request's headers say of its body. */
export interface BodyHeaders {
  type: string | null | undefined;
  encoding: string | null | undefined;
  length: string | null | undefined;
}

/**
 * @returns how the body is packed
 * @throws WireError 415 for what is no JSON or packed in another way than is read here, 413 for what says itself that it is too large
 */
export function checkHeaders({ type, encoding, length }: BodyHeaders, maxBytes: number): Coding | undefined {
  const coding = encoding ? codingOf(encoding) : undefined;
  checkType(type);
  checkLength(Number(length ?? 0), maxBytes);
  return coding;
}

/** @throws WireError 415 */
export function checkType(type: string | null | undefined): void {
  if (/^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type ?? "")) return;
  const given = type ? `given ${cutName(type)}` : "there is none";
  throw new WireError(415, `The content-type must be application/json; ${given}.`, { code: "unsupported_media_type" });
}

/**
 * @param maxBytes of the body as it comes, and again once it is unpacked
 * @throws WireError 413 once the bound is passed (what follows is neither read nor unpacked), 400 for what is no JSON or ends before its end
 * @throws ZSEError BAD_OPTION naming the field that is too deep or too wide
 */
export async function readJson(chunks: AsyncIterable<Uint8Array>, coding: Coding | undefined, maxBytes: number): Promise<unknown> {
  const decoder = new BodyDecoder();
  const packed = coding === undefined ? undefined : new Bytes();
  let text = "";
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      bytes += chunk.byteLength;
      checkLength(bytes, maxBytes);
      if (packed === undefined) text += decoder.decode(chunk);
      else packed.add(chunk);
    }
  } catch (error) {
    if (error instanceof WireError) throw error;
    throw new WireError(400, "The body ended before its end.", { code: "incomplete_body", cause: error });
  }
  if (coding !== undefined && packed !== undefined && packed.length > 0) {
    const whole = await unpack(packed.value, coding, maxBytes);
    checkLength(whole?.byteLength ?? Number.POSITIVE_INFINITY, maxBytes);
    text = decoder.decode(whole!);
  }
  return parseJson(text + decoder.end());
}

/**
 * A body that something in front has read: JSON as text or bytes, or what it was parsed to.
 * @throws WireError as readJson
 */
export function jsonOf(body: unknown, maxBytes: number): unknown {
  if (typeof body === "string") {
    checkLength(body.length, maxBytes);
    return parseJson(body);
  }
  if (!(body instanceof Uint8Array)) return plainJson(body, "");
  checkLength(body.byteLength, maxBytes);
  const decoder = new BodyDecoder();
  return parseJson(decoder.decode(body) + decoder.end());
}

/** The program's mistake, and not one that goes away: so neither a 400 nor a 503, which clients try again. */
export function usedUp(of: string, remedy: string): WireError {
  return new WireError(500, `The body of this request was read before ${of} had it. ${remedy}`, { code: "body_used" });
}

/** A body's bytes as text, in pieces. Throws WireError 400 on what is not UTF-8: to guess would change what was said. */
class BodyDecoder {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });

  decode(bytes: Uint8Array): string {
    return this.#decode(bytes, true);
  }

  end(): string {
    return this.#decode(undefined, false);
  }

  #decode(bytes: Uint8Array | undefined, stream: boolean): string {
    try {
      return this.#decoder.decode(bytes, { stream });
    } catch (cause) {
      throw new WireError(400, "The body is not valid UTF-8.", { code: "invalid_json", cause });
    }
  }
}

function checkLength(bytes: number, maxBytes: number): void {
  if (!(bytes > maxBytes)) return;
  throw new WireError(413, `The body is larger than the ${maxBytes} bytes that are read here.`, { code: "body_too_large" });
}

function parseJson(text: string): unknown {
  if (text.trim() === "") throw new WireError(400, "The body is empty; it must be a JSON object.", { code: "invalid_json" });
  try {
    return parseForeign(text);
  } catch (error) {
    if (error instanceof ZSEError) throw error;
    throw new WireError(400, "The body is not valid JSON.", { code: "invalid_json" });
  }
}
