// Owns the adapter for node:http and what is built on it: Express, Fastify, Koa. JS thread of the model. It needs nothing of
// node:http but the shape of its two objects.

import type { IncomingMessage, ServerResponse } from "node:http";
import { type BodyHeaders, checkHeaders, checkType, jsonOf, readJson, usedUp } from "./body.js";
import { inTurn } from "./connection.js";
import { formatAt, formatOfRefusal } from "./format-registry.js";
import type { FrameSource } from "./frame-source.js";
import { type Answer, Responder } from "./responder.js";
import type { HandlerOptions, ServedModel, ServedPool } from "./types.js";
import { answerOther } from "./web.js";

/**
 * What every IncomingMessage has, of node:http and of node:http2. The public types name none of Node's own: without @types/node they would be
 * errors, on other runtimes too.
 */
interface NodeRequest {
  readonly method?: string;
  readonly url?: string;
  readonly httpVersionMajor: number;
  readonly headers: object;
}

/** The same of a ServerResponse. */
interface NodeResponse {
  readonly headersSent: boolean;
  readonly writableEnded: boolean;
  writeHead(status: number): unknown;
  end(): unknown;
}

/** What a parser in front may leave beside a request. */
interface Parsed {
  body?: unknown;
  rawBody?: unknown;
}

/** Fastify's request and reply, as far as they matter. */
interface FastifyLike extends Parsed {
  raw: unknown;
  hijack?: () => unknown;
  getHeaders?: () => Record<string, number | string | string[] | undefined>;
}

/** Koa's ctx.request and ctx.response. */
interface KoaLike extends Parsed {
  req?: unknown;
  res?: unknown;
  ctx?: { respond?: boolean };
}

/**
 * A handler of POST requests in OpenAI's format for node:http, Express, Fastify and Koa, at any path; at one that ends in /v1/messages
 * in Anthropic's. A body that was read before is taken from `body` or `rawBody`: parsed (express.json(), Fastify), as text, or as bytes.
 *
 * ```js
 * http.createServer(nodeHandler(model)).listen(8000);
 * app.post("/v1/chat/completions", nodeHandler(model));
 * koa.use((ctx) => nodeHandler(model)(ctx.request, ctx.response));
 * ```
 */
export function nodeHandler(
  model: ServedModel | ServedPool,
  options: HandlerOptions = {},
): (request: NodeRequest | FastifyLike | KoaLike, response: NodeResponse | FastifyLike | KoaLike) => Promise<void> {
  const responder = new Responder(model, options, "nodeHandler()");
  return async (given, reply) => {
    if ("raw" in reply) reply.hijack?.();
    const request = ("raw" in given ? given.raw : "req" in given ? given.req : given) as IncomingMessage;
    const response = ("raw" in reply ? reply.raw : "res" in reply ? reply.res : reply) as ServerResponse;
    if ("res" in reply && reply.ctx !== undefined) reply.ctx.respond = false; // as Koa leaves a reply to others
    // What hooks and plugins have set (CORS, say), which Fastify leaves to whoever takes the reply over.
    if ("raw" in reply) for (const [name, value] of Object.entries(reply.getHeaders?.() ?? {})) response.setHeader(name, value ?? "");
    const gone = new AbortController();
    const onClose = () => gone.abort();
    response.on("close", onClose);
    response.on("error", () => {}); // a client that has gone is told by "close"
    await new Promise<void>((begin) => inTurn(request, response, begin));
    if (response.destroyed) return; // its connection ended before its turn came
    try {
      await write(response, await answer(responder, request, bodyIn(given) ?? bodyIn(request), gone.signal));
    } finally {
      response.off("close", onClose);
    }
  };
}

/** What a parser in front has left: what it made of the body, or the body as it was. */
function bodyIn(given: object): unknown {
  const { body, rawBody } = given as Parsed;
  return body ?? rawBody;
}

async function answer(responder: Responder, request: IncomingMessage, found: unknown, signal: AbortSignal): Promise<Answer> {
  const url = addressOf(request);
  const { method, headers } = request;
  const refusal = formatOfRefusal(url, headers["anthropic-version"]);
  let body: unknown;
  try {
    const read = () => bodyOf(request, found, responder.maxBodyBytes);
    const lastEventId = (headers["last-event-id"] as string | undefined) ?? null;
    const other = await answerOther(responder, { method, url, lastEventId, refusal, read, signal });
    if (other !== undefined) return other;
    body = await read();
  } catch (error) {
    if (isSmall(request)) await bodyArrived(request);
    return responder.refuse(error, refusal);
  }
  return responder.answer(body, { signal, client: request.socket?.remoteAddress, headers, format: formatAt(url) });
}

/** As the client asked for it: routers of Express leave in `url` what is theirs. */
function addressOf(request: IncomingMessage): string {
  return (request as { originalUrl?: string }).originalUrl ?? request.url ?? "";
}

/** The body of a request: as something in front has read it, or from the connection. */
async function bodyOf(request: IncomingMessage, found: unknown, maxBytes: number): Promise<unknown> {
  // express.json() of Express 4 leaves {} for a body that it did not read.
  const read = isEmpty(found) && request.readableDidRead === false ? undefined : found;
  if (read !== undefined) {
    checkType(request.headers["content-type"]); // and no more: who has read the body has unpacked it, too
    return jsonOf(read, maxBytes);
  }
  const coding = checkHeaders(bodyHeaders(request), maxBytes);
  if (request.readableDidRead) {
    throw usedUp("nodeHandler()", "Hand on what was read as `request.body`, or mount nodeHandler() before what reads it.");
  }
  return readJson(bodyChunks(request), coding, maxBytes);
}

function isEmpty(body: unknown): boolean {
  return body === null || (typeof body === "object" && !(body instanceof Uint8Array) && Object.keys(body).length === 0);
}

/** @internal */
export function bodyHeaders({ headers }: IncomingMessage): BodyHeaders {
  return { type: headers["content-type"], encoding: headers["content-encoding"], length: headers["content-length"] };
}

/** @internal The connection outlives who stops reading. */
export function bodyChunks(request: IncomingMessage): AsyncIterable<Uint8Array> {
  return request.iterator({ destroyOnReturn: false });
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
