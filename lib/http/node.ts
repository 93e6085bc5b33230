// Owns the adapter for node:http and what is built on it: Express, Fastify. JS thread of the model. It needs nothing of
// node:http but the shape of its two objects.

import type { IncomingMessage, ServerResponse } from "node:http";
import { closeWithSocket } from "./connection.js";
import type { FrameSource } from "./frame-source.js";
import { type Answer, Responder } from "./responder.js";
import type { HandlerOptions, ServedModel } from "./types.js";
import { answerOther, BodyDecoder, checkContentType, checkLength, parseJson } from "./web.js";
import { WireError } from "./wire-error.js";

/** Fastify's request and reply, as far as they matter. */
interface FastifyLike {
  raw: unknown;
  hijack?: () => unknown;
  getHeaders?: () => Record<string, number | string | string[] | undefined>;
  body?: unknown;
}

/**
 * A handler of POST requests in OpenAI's format for node:http, Express and Fastify, at any path. A body that was already parsed
 * (express.json(), Fastify) is taken as it is.
 *
 * ```js
 * http.createServer(nodeHandler(model)).listen(8000);
 * app.post("/v1/chat/completions", nodeHandler(model));
 * ```
 */
export function nodeHandler(
  model: ServedModel,
  options: HandlerOptions = {},
): (request: IncomingMessage | FastifyLike, response: ServerResponse | FastifyLike) => Promise<void> {
  const responder = new Responder(model, options, "nodeHandler()");
  return async (given, reply) => {
    if ("raw" in reply) reply.hijack?.();
    const request = ("raw" in given ? given.raw : given) as IncomingMessage;
    const response = ("raw" in reply ? reply.raw : reply) as ServerResponse;
    // What hooks and plugins have set (CORS, say), which Fastify leaves to whoever takes the reply over.
    if ("raw" in reply) for (const [name, value] of Object.entries(reply.getHeaders?.() ?? {})) response.setHeader(name, value ?? "");
    const gone = new AbortController();
    const onClose = () => gone.abort();
    response.on("close", onClose);
    response.on("error", () => {}); // a client that has gone is told by "close"
    closeWithSocket(request, response);
    try {
      await write(response, await answer(responder, request, (given as { body?: unknown }).body, gone.signal));
    } finally {
      response.off("close", onClose);
    }
  };
}

async function answer(responder: Responder, request: IncomingMessage, parsed: unknown, signal: AbortSignal): Promise<Answer> {
  let body = parsed;
  try {
    const other = answerOther(responder, request.method, request.url, (request.headers["last-event-id"] as string | undefined) ?? null);
    if (other !== undefined) return other;
    // A framework that has parsed the body has unpacked it, too.
    checkContentType(request.headers["content-type"], body === undefined ? request.headers["content-encoding"] : undefined);
    if (body === undefined) body = parseJson(await readBody(request, responder.maxBodyBytes));
  } catch (error) {
    if (isSmall(request)) await bodyArrived(request);
    return responder.refuse(error);
  }
  return responder.answer(body, signal, undefined, request.socket?.remoteAddress);
}

/** @internal @throws WireError 413 once the limit is passed (the rest of the body is not read), 400 when the client leaves before its end */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<string> {
  checkLength(Number(request.headers["content-length"] ?? 0), maxBytes);
  const decoder = new BodyDecoder();
  let text = "";
  let bytes = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      checkLength(bytes, maxBytes);
      text += decoder.decode(chunk);
    }
  } catch (error) {
    if (error instanceof WireError) throw error;
    throw new WireError(400, "The body ended before its end.", { code: "incomplete_body", cause: error });
  }
  return text + decoder.end();
}

/** @internal Whether a body can be read without a thought. */
export function isSmall({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) <= 65_536;
}

/** @internal A connection that is closed while a body lies unread in it is reset, and with it the answer may be lost: so it is read, for a while. */
export function bodyArrived(incoming: IncomingMessage): Promise<void> {
  if (incoming.complete || incoming.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const settle = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(settle, 1000);
    incoming.once("end", settle).once("close", settle).resume();
  });
}

async function write(response: ServerResponse, { status, headers, body, frames }: Answer): Promise<void> {
  if (response.destroyed || response.writableEnded) return frames?.cancel();
  // What is still coming of a body that was refused is not worth reading.
  if (status === 413 && response.req.httpVersionMajor === 1) response.setHeader("connection", "close");
  response.writeHead(status, headers);
  if (frames === undefined) response.end(body);
  else await writeFrames(response, frames);
}

/** Pulls a frame only when the socket has taken the last one. */
async function writeFrames(response: ServerResponse, frames: FrameSource): Promise<void> {
  response.flushHeaders();
  const leave = () => frames.cancel();
  response.on("close", leave);
  frames.onStalled(() => cutOff(response));
  try {
    for (let frame = await frames.next(); frame !== undefined; frame = await frames.next()) {
      if (response.destroyed) return;
      if (!response.write(frame)) await drainOrClose(response);
    }
    response.end();
  } finally {
    response.off("close", leave);
  }
}

/**
 * @internal Ends the connection of a client that takes nothing. It is reset: closed as usual, what lies in the system's buffers for
 * the client (up to 4 MB) would lie there for minutes on.
 */
export function cutOff(response: ServerResponse): void {
  try {
    if (response.req.httpVersionMajor === 1) response.socket?.resetAndDestroy();
  } catch {
    // TLS and pipes are not reset
  }
  response.destroy();
}

/** Whichever comes first: after a client has gone there is no drain. */
function drainOrClose(response: ServerResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const settle = () => {
      response.off("drain", settle);
      response.off("close", settle);
      resolve();
    };
    response.on("drain", settle);
    response.on("close", settle);
  });
}
