// Owns which files a model of text can read, and how their text is got out of what frameworks send. Pure.

import { quote } from "../base/quote.js";
import { bad, ZSEError } from "../errors.js";

/** @throws ZSEError UNSUPPORTED where a file of this type is no text */
export function checkTextual(mediaType: unknown, at: string): void {
  if (typeof mediaType === "string" && /^(text(\/|$)|application\/(json|xml|yaml|[a-z0-9.+-]+\+(json|xml))\b)/i.test(mediaType)) return;
  throw new ZSEError(
    "UNSUPPORTED",
    `${at} is a file of type ${quote(mediaType)}: this engine reads text alone (text/*, application/json).`,
  );
}

/**
 * @param data bytes, or their base64
 * @throws ZSEError BAD_OPTION
 */
export function textOfBytes(data: unknown, at: string): string {
  if (data instanceof Uint8Array) return new TextDecoder().decode(data);
  if (typeof data === "string") return Buffer.from(data, "base64").toString("utf8");
  throw bad(at, `${at} must be bytes or their base64; given ${quote(data)}.`);
}
