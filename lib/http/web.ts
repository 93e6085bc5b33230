// Owns the adapter for servers that speak the web's Request and Response: Next, Hono, Bun, Deno. JS thread of the model.

import { cutName } from "../base/quote.js";
import { newEnvelope } from "./formats/openai-chat/chunks.js";
import { type FrameSource, ReplyFrames } from "./frame-source.js";
import { STREAM_HEADERS } from "./frames.js";
import { checkStream, readResponseOptions } from "./options.js";
import { Reply } from "./reply.js";
import { type Answer, Responder } from "./responder.js";
import type { EventStream, HandlerOptions, ServedModel, ToResponseOptions } from "./types.js";
import { WireError } from "./wire-error.js";

/**
 * A handler of POST requests in OpenAI's format, chat or completion, streaming or not; told apart by the body, so that it may be
 * mounted at any path.
 *
 * ```js
 * export const POST = createHandler(model);
 * ```
 */
export function createHandler(model: ServedModel, options: HandlerOptions = {}): (request: Request) => Promise<Response> {
  const responder = new Responder(model, options, "createHandler()");
  return async (request) => {
    let body: unknown;
    try {
      const other = answerOther(responder, request.method, request.url, request.headers.get("last-event-id"));
      if (other !== undefined) return answerToResponse(other, request.signal);
      body = await readJson(request, responder.maxBodyBytes);
    } catch (error) {
      return answerToResponse(responder.refuse(error));
    }
    return answerToResponse(await responder.answer(body, request.signal), request.signal);
  };
}

/** A TokenStream as the Response of a streaming request. The stream's `includeUsage` decides the form of its usage. */
export function toResponse(stream: EventStream, options: ToResponseOptions = {}): Response {
  checkStream(stream, "toResponse()");
  const { kind, model, heartbeatMs, earlyRole } = readResponseOptions(options, "toResponse()");
  const frames = new ReplyFrames(new Reply([stream]), newEnvelope(kind, model), stream.includeUsage, { heartbeatMs, earlyRole });
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

async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  checkContentType(request.headers.get("content-type"), request.headers.get("content-encoding"));
  checkLength(Number(request.headers.get("content-length") ?? 0), maxBytes);
  const decoder = new BodyDecoder();
  let text = "";
  let bytes = 0;
  const reader = request.body?.getReader();
  while (reader !== undefined) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.byteLength;
    if (bytes > maxBytes) await reader.cancel();
    checkLength(bytes, maxBytes);
    text += decoder.decode(value);
  }
  return parseJson(text + decoder.end());
}

/** @internal A body's bytes as text, in pieces. Throws WireError 400 on what is not UTF-8: to guess would change what was said. */
export class BodyDecoder {
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

/** @internal What is not a POST: going on with a resumable stream, or ending it, at `…/streams/ID`. */
export function answerOther(
  responder: Responder,
  method: string | undefined,
  url: string | undefined,
  lastEventId: string | null,
): Answer | undefined {
  if (method === "POST") return undefined;
  const id = /\/streams\/([\w-]+)(?:\?|$)/.exec(url ?? "")?.[1];
  if (id !== undefined && method === "GET") return responder.resume(id, lastEventId);
  if (id !== undefined && method === "DELETE") return responder.remove(id);
  throw new WireError(405, "Only POST is answered here.", { code: "method_not_allowed" });
}

/** @internal */
export function checkContentType(type: string | null | undefined, encoding: string | null | undefined): void {
  if (encoding && encoding.trim().toLowerCase() !== "identity") {
    const message = `The body must not be compressed; its content-encoding is ${cutName(encoding)}.`;
    throw new WireError(415, message, { code: "unsupported_media_type" });
  }
  if (/^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type ?? "")) return;
  const given = type ? `given ${cutName(type)}` : "there is none";
  throw new WireError(415, `The content-type must be application/json; ${given}.`, { code: "unsupported_media_type" });
}

/** @internal */
export function checkLength(bytes: number, maxBytes: number): void {
  if (!(bytes > maxBytes)) return;
  throw new WireError(413, `The body is larger than the ${maxBytes} bytes that are read here.`, { code: "body_too_large" });
}

/** @internal */
export function parseJson(text: string): unknown {
  if (text.trim() === "") throw new WireError(400, "The body is empty; it must be a JSON object.", { code: "invalid_json" });
  try {
    return JSON.parse(text);
  } catch {
    throw new WireError(400, "The body is not valid JSON.", { code: "invalid_json" });
  }
}
