// Owns how objects become lines of a Server-Sent Events stream. Pure; any thread.
//
// The shapes are the ones that the decoders of both OpenAI SDKs, EventSource and line-splitting scripts read alike: one `data:`
// line an event, `id:` only on request, no `event:`, no `retry:`, no comments: readers that split at blank lines lose the event behind one.

/** The data of the event that ends an OpenAI stream. */
export const DONE = "[DONE]";

/** Line ends to Unicode but not to SSE or JSON: readers that split decoded text (Python's str.splitlines, httpx) would cut a frame there. */
const UNICODE_LINE_ENDS = /[\u0085\u2028\u2029]/;

/** One event: an object, or DONE; always one line. `id`: only in resumable streams. */
export function dataFrame(value: object | typeof DONE, id?: number): string {
  let data = value === DONE ? DONE : JSON.stringify(value);
  if (UNICODE_LINE_ENDS.test(data)) data = escapeLineEnds(data);
  return id === undefined ? `data: ${data}\n\n` : `id: ${id}\ndata: ${data}\n\n`;
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
