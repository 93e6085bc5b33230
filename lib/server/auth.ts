// Owns the check of API keys. Pure; any thread.

import { createHash, timingSafeEqual } from "node:crypto";

import { WireError } from "../http/formats/wire-error.js";

/** Headers that may have a key. */
export interface KeyHeaders {
  authorization?: string | undefined;
  /** Where Anthropic's clients have it. */
  "x-api-key"?: string | string[] | undefined;
}

/** The key that a client gives; "" where it gives none. */
export function keyIn({ authorization, "x-api-key": key }: KeyHeaders): string {
  return /^Bearer +(.+)$/i.exec(authorization ?? "")?.[1] ?? (typeof key === "string" ? key : "");
}

/** @returns a check of the headers that throws 401; with no keys, everyone may come in */
export function keyCheck(keys: readonly string[]): (headers: KeyHeaders) => void {
  const known = keys.map(digest);
  return (headers) => {
    if (known.length === 0) return;
    const given = digest(keyIn(headers));
    // Digests are of one length, and every key is compared: neither a key's length nor its place shows in the time it takes.
    let matches = 0;
    for (const one of known) matches += timingSafeEqual(one, given) ? 1 : 0;
    if (matches > 0) return;
    const none = headers.authorization === undefined && headers["x-api-key"] === undefined;
    const message = none ? "An API key is needed: send it as `Authorization: Bearer KEY`." : "The API key is not valid here.";
    throw new WireError(401, message, { type: "authentication_error", code: "invalid_api_key" });
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
