// Owns the adapter for servers that speak the web's Request and Response: Next, Hono, Bun, Deno. JS thread of the model.

import { checkHeaders, readJson, usedUp } from "./body.js";
import { formatAt, formatFor, formatOfRefusal, isElsewhere, pathOf, sideAt } from "./format-registry.js";
import type { WireFormat } from "./formats/format.js";
import { WireError } from "./formats/wire-error.js";
import { type FrameSource, ReplyFrames } from "./frame-source.js";
import { STREAM_HEADERS } from "./frames.js";
import { checkStream, readResponseOptions } from "./options.js";
import { Reply } from "./reply.js";
import { type Answer, Responder } from "./responder.js";
import type { EventStream, HandlerOptions, ServedModel, ServedPool, ToResponseOptions } from "./types.js";

/**
 * A handler of POST requests in OpenAI's format, chat or completion, streaming or not; told apart by the body, so that it may be
 * mounted at any path but those of zse serve's other routes, such as /v1/embeddings: they are a 404. At a path that ends in
 * /v1/messages it speaks Anthropic's. One model answers to whatever a request calls it, those of a pool to their names.
 *
 * ```js
 * export const POST = createHandler(model);
 * ```
 */
export function createHandler(model: ServedModel | ServedPool, options: HandlerOptions = {}): (request: Request) => Promise<Response> {
  const responder = new Responder(model, options, "createHandler()");
  return async (request) => {
    const { method, url, headers, signal } = request;
    const refusal = formatOfRefusal(url, headers.get("anthropic-version"));
    let body: unknown;
    try {
      const read = () => bodyOf(request, responder.maxBodyBytes);
      const other = await answerOther(responder, { method, url, lastEventId: headers.get("last-event-id"), refusal, read, signal });
      if (other !== undefined) return answerToResponse(other, signal);
      body = await read();
    } catch (error) {
      return answerToResponse(responder.refuse(error, refusal));
    }
    return answerToResponse(await responder.answer(body, { signal, headers, format: formatAt(url) }), signal);
  };
}

/** A TokenStream as the Response of a streaming request. The stream's `includeUsage` decides the form of its usage. */
export function toResponse(stream: EventStream, options: ToResponseOptions = {}): Response {
  checkStream(stream, "toResponse()");
  const { kind, model, heartbeatMs, earlyRole } = readResponseOptions(options, "toResponse()");
  const format = formatFor(kind);
  const writer = format.writer(format.envelope(model), { choices: 1, includeUsage: stream.includeUsage });
  const frames = new ReplyFrames(new Reply([stream]), writer, format.subject, { heartbeatMs, earlyRole });
  return answerToResponse({ status: 200, headers: STREAM_HEADERS, frames });
}

/** @internal `cut` destroys the connection of a client that does not read; without it, the body fails. */
export function answerToResponse(answer: Answer, signal?: AbortSignal, cut?: () => void): Response {
  const { status, headers, body, frames } = answer;
  return new Response(frames === undefined ? (body ?? null) : toBody(frames, signal, cut), { status, headers });
}

/** A frame is pulled when the server asks for one; it asks when its socket takes one. */
function toBody(frames: FrameSource, signal: AbortSignal | undefined, cut?: () => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const leave = () => frames.cancel();
  if (signal?.aborted) leave();
  signal?.addEventListener("abort", leave, { once: true });
  const done = () => signal?.removeEventListener("abort", leave);
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        frames.onStalled(() => {
          done();
          if (cut !== undefined) cut();
          else controller.error(new WireError(503, "The client did not read.", { code: "stalled" }));
        });
      },
      async pull(controller) {
        const frame = await frames.next();
        if (frame !== undefined) return controller.enqueue(encoder.encode(frame));
        done();
        controller.close();
      },
      cancel() {
        done();
        frames.cancel();
      },
    },
    { highWaterMark: 0 },
  );
}

/** The body of a Request. */
async function bodyOf(request: Request, maxBytes: number): Promise<unknown> {
  const { headers, body } = request;
  const [type, encoding, length] = ["content-type", "content-encoding", "content-length"].map((name) => headers.get(name));
  const coding = checkHeaders({ type, encoding, length }, maxBytes);
  if (request.bodyUsed || body?.locked) {
    throw usedUp("createHandler()", "Read a copy instead (request.clone()), or hand on a new Request that has the body again.");
  }
  return readJson(chunksOf(body), coding, maxBytes);
}

async function* chunksOf(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader();
  if (reader === undefined) return;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    reader.cancel().catch(() => {}); // of what is not wanted any more
  }
}

interface OtherRequest {
  method: string | undefined;
  url: string;
  lastEventId: string | null;
  /** The format of an error. */
  refusal: WireFormat | undefined;
  read: () => Promise<unknown>;
  signal: AbortSignal;
}

/** @internal What is not a request for a reply: what else formats answer, and going on with a resumable stream, or ending it, at `…/streams/ID`. */
export async function answerOther(
  responder: Responder,
  { method, url, lastEventId, refusal, read, signal }: OtherRequest,
): Promise<Answer | undefined> {
  const found = sideAt(method ?? "", pathOf(url));
  if (found !== undefined) {
    const { format, side, id } = found;
    const query = new URLSearchParams(/\?([^#]*)/.exec(url)?.[1]);
    return responder.answerSide(format, side, { id, query, body: side.body ? await read() : undefined, signal });
  }
  if (isElsewhere(url)) throw WireError.noPath(method, pathOf(url).replace(/^https?:\/\/[^/]*/, ""));
  if (method === "POST") return undefined;
  const id = /\/streams\/([\w-]+)\/?(?:\?|$)/.exec(url)?.[1];
  if (id !== undefined && method === "GET") return responder.resume(id, lastEventId, { format: refusal });
  if (id !== undefined && method === "DELETE") return responder.remove(id, { format: refusal });
  throw WireError.badMethod(method, id === undefined ? "POST" : "GET, DELETE, POST");
}
