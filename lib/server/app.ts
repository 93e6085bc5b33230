// Owns the routes of `zse serve`: who may ask, and which part answers. Main thread. The replies
// themselves are lib/http's; the sockets are http-server.ts's.

import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { getPath } from "hono/utils/url";
import { AtOnce } from "../http/at-once.js";
import { checkHeaders, readJson } from "../http/body.js";
import { formatOfRefusal, SERVED } from "../http/format-registry.js";
import type { SideRoute, WireFormat } from "../http/formats/format.js";
import { chatCompletions } from "../http/formats/openai-chat/index.js";
import { WireError } from "../http/formats/wire-error.js";
import { STREAM_HEADERS } from "../http/frames.js";
import { bodyArrived, bodyChunks, bodyHeaders, cutOff, isSmall } from "../http/node.js";
import { type RefusedStream, Responder } from "../http/responder.js";
import type { KeptReplyOptions, ResumableOptions } from "../http/types.js";
import { answerToResponse } from "../http/web.js";
import { type AppModel, type AppPool, isTextModel, servedAlone, servedOf } from "./app-models.js";
import { type KeyHeaders, keyCheck, keyIn } from "./auth.js";
import { forbiddenHost, hostCheck, isLoopback } from "./hosts.js";
import { LoadShedder } from "./load-shedding.js";
import type { Logger } from "./log.js";
import { Metrics } from "./metrics.js";
import { ollamaRunning, ollamaShow, ollamaTags, ollamaVersion } from "./ollama.js";
import { originCheck } from "./origins.js";
import type { Page } from "./page.js";
import { canonicalPath } from "./paths.js";
import { RequestRecord } from "./record.js";
import { bodyCheck } from "./schema.js";
import { ServedModels } from "./served-models.js";
import { APPLY_TEMPLATE, PREPARE, type TextModel, Texts } from "./texts.js";
import { readModelName, type VectorModel, Vectors } from "./vectors.js";

export interface AppOptions {
  /** Of one model, its name on the wire; a request that names none of its names is a 404. Default: the one in its file. Those of a pool have theirs. */
  name?: string;
  /** More names that one model answers to. */
  aliases?: readonly string[];
  apiKeys?: readonly string[];
  /** Names beside the machine's own that a server on loopback without keys answers to, see hosts.ts. */
  allowedHosts?: readonly string[];
  /** Patterns of origins that browsers may call from, see origins.ts; none unless given. "*" is any. */
  corsOrigins?: readonly string[];
  maxBodyBytes?: number;
  maxMessages?: number;
  maxChoices?: number;
  /** Requests that may wait; beyond it they are refused before their body is read. */
  maxQueue?: number;
  heartbeatMs?: number;
  stallTimeoutMs?: number;
  /** Role chunks go out before the first token. */
  earlyRole?: boolean;
  resumable?: ResumableOptions;
  keptReplies?: KeptReplyOptions | undefined;
  /** What a browser gets at `/`; without it there is nothing. */
  page?: Page | undefined;
  log: Logger;
  logPrompts?: boolean;
}

type Env = { Bindings: HttpBindings; Variables: { record: RequestRecord; requestId: string } };

export class App {
  readonly hono = new Hono<Env>({ getPath: (request) => canonicalPath(getPath(request)) });
  readonly #models: AppModel | AppPool;
  readonly #options: AppOptions;
  readonly #metrics: Metrics;
  readonly #responder: Responder;
  readonly #shedder: LoadShedder;
  readonly #served: ServedModels;
  /** Texts that are being tokenized. */
  readonly #questions = new AtOnce();
  readonly #checkKey: (headers: KeyHeaders) => void;
  #knowsHost: (host: string | undefined) => boolean = () => true;
  /** Whether others than this machine reach it. */
  #isOpen = false;
  #draining = false;

  constructor(models: AppModel | AppPool, options: AppOptions) {
    this.#models = models;
    this.#options = options;
    this.#served = new ServedModels("list" in models ? servedOf(models) : [servedAlone(models, options)]);
    this.#metrics = new Metrics(this.#served.all.map(({ names, stats, status }) => ({ name: names[0]!, stats, status })));
    this.#checkKey = keyCheck(options.apiKeys ?? []);
    this.#responder = this.#makeResponder();
    this.#shedder = new LoadShedder(() => this.#hasRoom(), this.#responder);
    this.#routes();
  }

  /** Told the address that the server is bound to, before the first request. */
  onListening(address: string): void {
    const { apiKeys = [], allowedHosts = [] } = this.#options;
    this.#isOpen = !isLoopback(address);
    if (apiKeys.length === 0 && isLoopback(address)) this.#knowsHost = hostCheck(allowedHosts);
  }

  /** Refuses a request for a reply at once where the server is full, counted and logged. False where the routes are to answer. */
  shed(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
    if (this.#draining || !this.#shedder.sheds(incoming) || !this.#mayAsk(incoming.headers)) return false;
    const id = newRequestId();
    this.#metrics.onRequest("rejected", 0);
    const path = canonicalPath(incoming.url!);
    this.#options.log.debug({ id, method: "POST", path, status: 429, ms: 0 }, "refused");
    this.#shedder.refuse(incoming, outgoing, id);
    return true;
  }

  /** Time (ms) for which a client may take nothing of what is there for it; 0 is for ever. */
  get stallTimeoutMs(): number {
    return this.#options.stallTimeoutMs ?? 0;
  }

  /** From now on new requests are refused. */
  startDraining(): void {
    this.#draining = true;
  }

  /** Replies that are under way. */
  get active(): number {
    return this.#responder.active;
  }

  /** Ends every reply with an error event. */
  abortAll(error: unknown): void {
    this.#responder.abortAll(error);
  }

  /** Of any model: which one is wanted is not known before a body is read. */
  #hasRoom(): boolean {
    const { maxQueue = Number.POSITIVE_INFINITY } = this.#options;
    return this.#served.all.some(({ stats }) => {
      const { queued, freeSlots } = stats();
      return freeSlots > 0 || queued < maxQueue;
    });
  }

  #makeResponder(): Responder {
    const {
      resumable,
      maxBodyBytes,
      maxMessages = 1024,
      maxChoices = 8,
      heartbeatMs,
      stallTimeoutMs,
      earlyRole,
      keptReplies,
    } = this.#options;
    const check = bodyCheck({ maxMessages, maxChoices });
    const onError = () => {}; // records log what they are told
    const limits = { maxBodyBytes, maxChoices, heartbeatMs, stallTimeoutMs };
    const options = { model: this.#served.usualName, ...limits, earlyRole, resumable, keptReplies, onError };
    return new Responder(this.#models, options, "zse serve", {
      obfuscates: () => this.#isOpen,
      validate: (body, format) => {
        check(body, format);
        this.#served.check((body as { model?: string | null }).model);
      },
    });
  }

  #routes(): void {
    const { hono } = this;
    const { corsOrigins = [] } = this.#options;

    hono.use(async (c, next) => {
      const id = newRequestId();
      const { log, logPrompts = false } = this.#options;
      c.set("requestId", id);
      c.set("record", new RequestRecord({ log, metrics: this.#metrics, logPrompts, models: this.#served }, id, c.req.method, c.req.path));
      await next();
      if (!c.get("record").ongoing) c.get("record").end(c.res.status);
      c.res.headers.set("x-request-id", id);
      c.res.headers.set("request-id", id); // Anthropic's name for it
    });
    hono.use(async ({ env }, next) => {
      const { host } = env.incoming.headers;
      if (!this.#knowsHost(host)) throw forbiddenHost(host);
      await next();
    });
    if (corsOrigins.length > 0) {
      const allows = originCheck(corsOrigins);
      const origin = corsOrigins.includes("*") ? "*" : (origin: string) => (allows(origin) ? origin : null);
      hono.use(
        cors({
          origin,
          // The headers that a page asks for: the SDKs send a dozen of their own (x-stainless-…).
          exposeHeaders: ["x-request-id", "request-id", "retry-after", "retry-after-ms"],
        }),
      );
    }
    const needsKey: MiddlewareHandler<Env> = async (c, next) => {
      this.#checkKey(c.env.incoming.headers);
      await next();
    };
    hono.use("/v1/*", needsKey);
    hono.use("/api/*", needsKey);
    for (const path of ["/tokenize", "/detokenize", APPLY_TEMPLATE.path]) hono.use(path, needsKey);

    for (const format of SERVED) {
      for (const route of format.routes) hono.post(route, (c) => this.#answer(c, format));
      for (const side of format.sides ?? []) hono.on(side.method, side.path, (c) => this.#answerSide(c, format, side));
    }
    hono.get("/v1/streams/:id", (c) => {
      const id = c.req.param("id");
      if (c.req.method === "HEAD") {
        this.#responder.checkStream(id); // and no more: a reader would take the stream from the one that it has
        return c.body(null, 200, STREAM_HEADERS);
      }
      const answer = this.#responder.resume(id, c.req.header("last-event-id"), this.#refusalOf(c));
      return answerToResponse(answer, undefined, () => cutOff(c.env.outgoing as ServerResponse));
    });
    hono.delete("/v1/streams/:id", (c) => answerToResponse(this.#responder.remove(c.req.param("id"), this.#refusalOf(c))));
    hono.get("/v1/models", (c) => this.#json(c, this.#served.list()));
    hono.get("/v1/models/:model{.+}", (c) => this.#json(c, this.#served.one(c.req.param("model"))));
    if ("list" in this.#models) this.#poolRoutes(this.#models);
    this.#ollamaRoutes();
    this.#textRoutes();
    this.#pageRoutes();
    this.#vectorRoutes();
    hono.get("/health", (c) => this.#health(c));
    hono.get("/metrics", async (c) => c.body(await this.#metrics.text(), 200, { "content-type": this.#metrics.contentType }));

    hono.notFound((c) => {
      const { method, path } = c.req;
      const allow = this.#methodsAt(path);
      if (allow !== "") return this.#refuse(c, WireError.badMethod(method, allow));
      return this.#refuse(c, WireError.noPath(method, path));
    });
    hono.onError((error, c) => this.#refuse(c, error));
  }

  /** As llama-server's router has them: a model is opened in the background, and its state says how that went. */
  #poolRoutes(pool: AppPool): void {
    const { hono } = this;
    hono.post("/v1/models/load", async (c) => {
      const name = await this.#modelIn(c);
      pool.acquire(name).then(
        (lease) => lease.release(),
        () => {},
      );
      return this.#json(c, { success: true });
    });
    hono.post("/v1/models/unload", async (c) => {
      const name = await this.#modelIn(c);
      if (await pool.unload(name)) return this.#json(c, { success: true });
      throw new WireError(409, "The model is used, and stays until it is not.", { param: "model", code: "model_in_use" });
    });
  }

  /** The name in a body that has no other field. @throws WireError 400, 404 */
  async #modelIn(c: Context<Env>): Promise<string> {
    const body = (await this.#bodyOf(c)) as { model?: unknown; name?: unknown } | null;
    const name = body?.model ?? body?.name;
    if (typeof name === "string") return this.#served.find(name).name;
    throw new WireError(400, "model must be the name of a model.", { param: "model", code: "invalid_value" });
  }

  #ollamaRoutes(): void {
    const { hono } = this;
    hono.get("/api/version", (c) => this.#json(c, ollamaVersion()));
    hono.get("/api/tags", (c) => this.#json(c, ollamaTags(this.#served)));
    hono.get("/api/ps", (c) => this.#json(c, ollamaRunning(this.#served)));
    hono.post("/api/show", async (c) => {
      const name = await this.#modelIn(c);
      return this.#json(c, ollamaShow(this.#served.find(name).model.info(), this.#served.since));
    });
  }

  #textRoutes(): void {
    const { hono } = this;
    const one = this.#anyModel();
    if (isTextModel(one)) {
      const texts = (c: Context<Env>) => new Texts((name, run) => this.#onTextModel(name, c.req.raw.signal, run), this.#questions);
      hono.post("/tokenize", async (c) => this.#json(c, await texts(c).tokenize(await this.#bodyOf(c))));
      hono.post("/detokenize", async (c) => this.#json(c, await texts(c).detokenize(await this.#bodyOf(c))));
    }
    if (one.prepare !== undefined) hono.post(PREPARE.path, (c) => this.#answerSide(c, chatCompletions, PREPARE));
    if (one.applyTemplate !== undefined) {
      hono.post(APPLY_TEMPLATE.path, (c) => this.#answerSide(c, chatCompletions, APPLY_TEMPLATE));
    }
  }

  /** Where there is one model, these routes take no notice of its name. */
  async #onTextModel<Value>(name: unknown, signal: AbortSignal, run: (model: TextModel) => Promise<Value>): Promise<Value> {
    const models = this.#models;
    if (!("list" in models)) return await run(models as TextModel);
    if (name !== undefined && typeof name !== "string")
      throw new WireError(400, "model must be the name of a model.", { param: "model", code: "invalid_value" });
    return await this.#onModel(this.#served.find(name).model.names[0]!, signal, (model) => run(model as TextModel));
  }

  /** It needs no key: the page itself asks for one. */
  #pageRoutes(): void {
    const { page } = this.#options;
    if (page === undefined) return;
    for (const path of page.paths) {
      this.hono.get(path, ({ req }) =>
        page.answer(path, { acceptEncoding: req.header("accept-encoding"), ifNoneMatch: req.header("if-none-match") }),
      );
    }
  }

  #vectorRoutes(): void {
    const { embed, rerank } = this.#anyModel();
    if (embed === undefined || rerank === undefined) return;
    for (const { paths, answer } of new Vectors(this.#responder.retryAfterMs).routes) {
      this.hono.on("POST", [...paths], async (c) => {
        if (this.#draining) throw new WireError(503, "The server is shutting down.", { code: "shutting_down" });
        const body = await this.#bodyOf(c);
        const { name, model: served } = this.#served.find(readModelName(body));
        const { signal } = c.req.raw;
        const call = { body, signal, name, headers: c.env.incoming.headers };
        const text = await this.#onModel(served.names[0]!, signal, (model) => answer({ ...call, model: model as VectorModel }));
        return c.body(text, 200, { "content-type": "application/json" });
      });
    }
  }

  /** Of several, the first: they can all be asked the same. */
  #anyModel(): AppModel {
    const models = this.#models;
    return "list" in models ? models.model(models.names[0]!) : models;
  }

  /** Runs it on the model of that name, which opens for it where there are several. */
  async #onModel<Value>(name: string, signal: AbortSignal, run: (model: AppModel) => Promise<Value>): Promise<Value> {
    const models = this.#models;
    if (!("list" in models)) return await run(models);
    const { model, release } = await models.acquire(name, { signal });
    try {
      return await run(model);
    } finally {
      release();
    }
  }

  async #bodyOf({ env: { incoming } }: Context<Env>): Promise<unknown> {
    const { maxBodyBytes } = this.#responder;
    const coding = checkHeaders(bodyHeaders(incoming), maxBodyBytes);
    return await readJson(bodyChunks(incoming), coding, maxBodyBytes);
  }

  /** The methods that a path has routes for, such as "GET, HEAD". */
  #methodsAt(path: string): string {
    const { router } = this.hono;
    const routed = ["GET", "POST", "DELETE"].filter((method) =>
      router.match(method, path)[0].some(([[, route]]) => route.method === method),
    );
    return routed.join(", ").replace("GET", "GET, HEAD");
  }

  async #answer(c: Context<Env>, format: WireFormat): Promise<Response> {
    const record = c.get("record");
    if (this.#draining) throw new WireError(503, "The server is shutting down.", { code: "shutting_down" });
    const { incoming } = c.env;
    const { maxBodyBytes } = this.#responder;
    const coding = checkHeaders(bodyHeaders(incoming), maxBodyBytes);
    if (!isSmall(incoming)) this.#shedder.checkRoom();
    const body = await readJson(bodyChunks(incoming), coding, maxBodyBytes);
    this.#shedder.checkRoom();
    const answer = await this.#responder.answer(body, {
      signal: c.req.raw.signal,
      watcher: record,
      client: this.#clientOf(c),
      headers: incoming.headers,
      format,
      requestId: c.get("requestId"),
    });
    if (answer.frames === undefined) record.end(answer.status, answer.error);
    return answerToResponse(answer, undefined, () => cutOff(c.env.outgoing as ServerResponse));
  }

  async #answerSide(c: Context<Env>, format: WireFormat, side: SideRoute): Promise<Response> {
    // What is kept can be looked at to the end.
    if (this.#draining && side.body) throw new WireError(503, "The server is shutting down.", { code: "shutting_down" });
    const { incoming } = c.env;
    const { maxBodyBytes } = this.#responder;
    const read = () => readJson(bodyChunks(incoming), checkHeaders(bodyHeaders(incoming), maxBodyBytes), maxBodyBytes);
    const body = side.body ? await read() : undefined;
    const query = new URL(c.req.url).searchParams;
    const call = { id: c.req.param("id") ?? "", query, body, signal: c.req.raw.signal, requestId: c.get("requestId") };
    const answer = await this.#responder.answerSide(format, side, call, { head: c.req.method === "HEAD" });
    if (answer.error !== undefined) c.get("record").end(answer.status, answer.error);
    return answerToResponse(answer, undefined, () => cutOff(c.env.outgoing as ServerResponse));
  }

  /** By its key where there are keys, by its address otherwise: without keys the header may be anything. */
  #clientOf(c: Context<Env>): string | undefined {
    const { apiKeys = [] } = this.#options;
    return apiKeys.length > 0 ? keyIn(c.env.incoming.headers) : c.env.incoming.socket.remoteAddress;
  }

  /** Whether the routes would let it in: what they say to others is not that the server is full. */
  #mayAsk(headers: IncomingMessage["headers"]): boolean {
    if (!this.#knowsHost(headers.host)) return false;
    try {
      this.#checkKey(headers);
      return true;
    } catch {
      return false;
    }
  }

  /** With several models, the numbers are of all of them. */
  #health(c: Context<Env>): Response {
    const sum = { queued: 0, running: 0, parked: 0, freeSlots: 0 };
    for (const { stats } of this.#served.all) {
      const { queued, prefilling, decoding, parked, freeSlots } = stats();
      sum.queued += queued;
      sum.running += prefilling + decoding;
      sum.parked += parked;
      sum.freeSlots += freeSlots;
    }
    const open = this.#served.all.filter((model) => model.status?.().value === "loaded").map(({ names }) => names[0]!);
    const status = this.#draining ? "draining" : "ok";
    const told = "list" in this.#models ? { open } : { model: this.#served.usualName };
    return this.#json(c, { status, ...told, ...sum }, this.#draining ? 503 : 200);
  }

  #json(c: Context<Env>, value: object, status: 200 | 503 = 200): Response {
    return c.json(value, status);
  }

  #refusalOf(c: Context<Env>): RefusedStream {
    return { format: formatOfRefusal(c.req.path, c.req.header("anthropic-version"), SERVED), requestId: c.get("requestId") };
  }

  async #refuse(c: Context<Env>, error: unknown): Promise<Response> {
    const { format, requestId } = this.#refusalOf(c);
    const { status, headers, body } = this.#responder.refuse(error, format, { requestId });
    c.get("record")?.end(status, error);
    const { incoming } = c.env;
    let more: Record<string, string> = {};
    if (isSmall(incoming)) await bodyArrived(incoming);
    // What is still coming of a large body is not worth reading, and must not be taken for the next request.
    else if (!incoming.complete && incoming.httpVersionMajor === 1) more = { connection: "close" };
    return new Response(body, { status, headers: { ...headers, ...more } });
  }
}

function newRequestId(): string {
  return `req_${randomUUID().replaceAll("-", "")}`;
}
