// Owns how objects become the text of a stream: of Server-Sent Events, or of lines of JSON. Pure; any thread.
//
// The shapes are the ones that the decoders of both OpenAI SDKs, EventSource and line-splitting scripts read alike: one `data:`
// line an event, `id:` only on request, `event:` only in formats that have it, no `retry:`, no comments: readers that split at blank lines lose the event behind one.

import type { Frame } from "./formats/format.js";

/** Line ends to Unicode but not to SSE or JSON: readers that split decoded text (Python's str.splitlines, httpx) would cut a frame there. */
const UNICODE_LINE_ENDS = /[\u0085\u2028\u2029]/;

/** One event as it goes into the socket. `id`: only in resumable streams. */
export function frameText({ event, data, padded }: Frame, id?: number): string {
  let line = typeof data === "string" ? data : JSON.stringify(data);
  if (UNICODE_LINE_ENDS.test(line)) line = escapeLineEnds(line);
  const named = event === undefined ? "" : `event: ${event}\n`;
  const head = id === undefined ? `${named}data: ` : `${named}id: ${id}\ndata: `;
  return padded === true ? pad(`${head}${line}`, "\n\n") : `${head}${line}\n\n`;
}

/** Padded events are multiples of so many bytes long: pieces of usual lengths are then all alike. */
const BLOCK = 64;
const encoder = new TextEncoder();
/** Letters that mean nothing. They are drawn, so that a proxy that compresses cannot take them for nothing. */
const LETTERS = String.fromCharCode(...crypto.getRandomValues(new Uint8Array(4 * BLOCK)).map((byte) => 97 + (byte % 26)));

/** With a field `obfuscation`, as OpenAI has it, at the end of the object. */
function pad(frame: string, ending: string): string {
  const field = ',"obfuscation":""';
  const over = (encoder.encode(frame).length + field.length + ending.length) % BLOCK;
  const from = Math.floor(Math.random() * (LETTERS.length - BLOCK));
  const letters = LETTERS.slice(from, from + ((BLOCK - over) % BLOCK));
  return `${frame.slice(0, -"}".length)},"obfuscation":"${letters}"}${ending}`;
}

/** One line of JSON. */
export function lineText({ data, padded }: Frame): string {
  const line = typeof data === "string" ? data : JSON.stringify(data);
  return padded === true ? pad(line, "\n") : `${line}\n`;
}

function escapeLineEnds(json: string): string {
  return json.replace(/[\u0085\u2028\u2029]/g, (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Headers of a stream, for HTTP/1.1 and HTTP/2 alike (so no `connection`, no `transfer-encoding`). */
export const STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache, no-transform", // compression middleware honours no-transform
  "x-accel-buffering": "no", // nginx
} as const;

/** The same for lines of JSON. */
export const LINE_HEADERS = { ...STREAM_HEADERS, "content-type": "application/x-ndjson" } as const;
