// Owns the answer to one request, whichever HTTP server it came through: checks, opening the streams, and either one JSON body or
// frames to be pulled. JS thread of the model. handler.ts and node.ts put an answer onto their kind of response.

import { DONE_FRAME, dataFrame, PING_FRAME, STREAM_HEADERS } from "./frames.js";
import { ChunkWriter, type Envelope, type IncludeUsage, newEnvelope, ReplyCollector } from "./openai.js";
import { Pace } from "./pace.js";
import { Reply } from "./reply.js";
import { readRequest, type WireRequest } from "./request.js";
import { DEFAULTS, type HandlerOptions, type Observer, type ServedModel } from "./types.js";
import { toWireError, WireError } from "./wire-error.js";

/** A request's answer: JSON, or frames. */
export type Answer =
  | { status: number; headers: Record<string, string>; body: string; frames?: undefined; error?: unknown }
  | { status: number; headers: Record<string, string>; frames: FrameSource; body?: undefined; error?: undefined };

/** Frames of one stream, pulled one at a time. */
export interface FrameSource {
  /** The next frame; undefined at the end. Does not reject: errors are frames. */
  next(): Promise<string | undefined>;
  /** The client has gone. */
  cancel(): void;
  /** Calls `cut` when the client takes nothing for too long: the connection is to be destroyed. */
  onStalled(cut: () => void): void;
}

/** The frames of an OpenAI stream. */
export class ReplyFrames implements FrameSource {
  readonly #reply: Reply;
  readonly #writer: ChunkWriter;
  readonly #heartbeatMs: number;
  #ready: string[];
  #ended = false;

  constructor(reply: Reply, envelope: Envelope, includeUsage: IncludeUsage, heartbeatMs: number) {
    this.#reply = reply;
    this.#writer = new ChunkWriter(envelope, reply.choices, includeUsage);
    this.#heartbeatMs = heartbeatMs;
    this.#ready = this.#writer.begin().map((chunk) => dataFrame(chunk));
  }

  async next(): Promise<string | undefined> {
    while (true) {
      const ready = this.#ready.shift();
      if (ready !== undefined || this.#ended) return ready;
      const pulled = await this.#reply.next(this.#heartbeatMs);
      if ("silence" in pulled) return PING_FRAME;
      if ("event" in pulled) {
        for (const chunk of this.#writer.event(pulled.choice, pulled.event)) this.#ready.push(dataFrame(chunk));
        if (this.#reply.over) this.#end(DONE_FRAME);
      } else if ("error" in pulled) {
        // Without [DONE]: a stream that just ends would look whole.
        this.#end(dataFrame(toWireError(pulled.error).body));
      } else {
        this.#ended = true;
      }
    }
  }

  cancel(): void {
    this.#reply.cancel();
  }

  onStalled(cut: () => void): void {
    this.#reply.watch((error) => {
      if ((error as { code?: unknown } | undefined)?.code === "STALLED") cut();
    });
  }

  #end(last: string): void {
    this.#ended = true;
    this.#ready.push(last);
  }
}

/** What a responder can be told beyond a handler's options; the server's part. */
export interface ResponderHooks {
  /** Checks a body before anything else is done with it; throws WireErrors. */
  validate?(body: unknown): void;
}

/** Follows one request; for metrics and logs. */
export interface Watcher extends Observer {
  /** The request is understood; its streams are opened next. */
  onRequest?(request: WireRequest, envelope: Envelope): void;
}

export class Responder {
  readonly #model: ServedModel;
  readonly #options: HandlerOptions;
  readonly #hooks: ResponderHooks;
  readonly #pace = new Pace();
  readonly #replies = new Set<Reply>();

  constructor(model: ServedModel, options: HandlerOptions = {}, hooks: ResponderHooks = {}) {
    this.#model = model;
    this.#options = options;
    this.#hooks = hooks;
  }

  get modelName(): string {
    return this.#options.model ?? this.#model.info?.name ?? "local";
  }

  get maxBodyBytes(): number {
    return this.#options.maxBodyBytes ?? DEFAULTS.maxBodyBytes;
  }

  /** Replies that are under way. */
  get active(): number {
    return this.#replies.size;
  }

  /** Ends every reply that is under way with `error`, which its client is told. */
  abortAll(error: unknown): void {
    for (const reply of [...this.#replies]) reply.abort(error);
  }

  /** When a client that is refused now should come back. */
  retryAfterMs = (): number => this.#pace.retryAfter(this.#model.stats?.());

  /** @param signal aborted when the client goes while a JSON answer is made; frames are cancelled by their own cancel() */
  async answer(body: unknown, signal?: AbortSignal, watcher?: Watcher): Promise<Answer> {
    try {
      this.#hooks.validate?.(body);
      const request = readRequest(body, this.#options.maxChoices ?? DEFAULTS.maxChoices);
      await this.#model.ready;
      return await this.#reply(request, signal, watcher);
    } catch (error) {
      return this.refuse(error);
    }
  }

  /** An error as an answer. */
  refuse(error: unknown): Answer & { body: string } {
    const { status, headers, body } = toWireError(error, this.retryAfterMs);
    return { status, headers, body: JSON.stringify(body), error };
  }

  async #reply(request: WireRequest, signal: AbortSignal | undefined, watcher: Watcher | undefined): Promise<Answer> {
    const envelope = newEnvelope(request.kind, request.model ?? this.modelName);
    watcher?.onRequest?.(request, envelope);
    const reply: Reply = new Reply(
      this.#open(request),
      this.#following(watcher, () => this.#replies.delete(reply)),
    );
    this.#replies.add(reply);
    const leave = () => reply.cancel();
    if (signal?.aborted) leave();
    signal?.addEventListener("abort", leave, { once: true });
    try {
      if (!request.stream) return await this.#collect(reply, envelope);
      const early = await reply.earlyError(this.#options.earlyErrorMs ?? DEFAULTS.earlyErrorMs);
      if (early !== undefined) throw early.error;
    } finally {
      signal?.removeEventListener("abort", leave);
    }
    const heartbeatMs = this.#options.heartbeatMs ?? DEFAULTS.heartbeatMs;
    return { status: 200, headers: STREAM_HEADERS, frames: new ReplyFrames(reply, envelope, request.includeUsage, heartbeatMs) };
  }

  /** One stream a choice. With a seed, each choice has its own, so that they differ and can be had again. */
  #open({ kind, choices, messages, prompt, options }: WireRequest) {
    const { stallTimeoutMs } = this.#options;
    const shared = stallTimeoutMs === undefined ? options : { ...options, stall_timeout_ms: stallTimeoutMs };
    return Array.from({ length: choices }, (_, i) => {
      const own = shared.seed === undefined || i === 0 ? shared : { ...shared, seed: (shared.seed + i) % (2 ** 32 - 1) };
      return kind === "chat" ? this.#model.chatStream({ messages, ...own }) : this.#model.completionStream({ prompt, ...own });
    });
  }

  async #collect(reply: Reply, envelope: Envelope): Promise<Answer> {
    const collector = new ReplyCollector(envelope, reply.choices);
    while (!reply.over) {
      const pulled = await reply.next(0);
      if ("error" in pulled) throw pulled.error;
      if ("event" in pulled) collector.event(pulled.choice, pulled.event);
      if ("end" in pulled) throw new WireError(503, "The request was cancelled.", { code: "aborted" });
    }
    const headers = { "content-type": "application/json; charset=utf-8" };
    return { status: 200, headers, body: JSON.stringify(collector.object()) };
  }

  /** The watcher, and what the responder itself wants to know. */
  #following(watcher: Watcher | undefined, onEnd: () => void): Observer {
    const began = performance.now();
    return {
      onText: (choice, waitedFor) => watcher?.onText?.(choice, waitedFor),
      onFinish: (choice, finish) => {
        this.#pace.onReply(Math.max(0, performance.now() - began - finish.timings.queueMs));
        watcher?.onFinish?.(choice, finish);
      },
      onError: (error) => watcher?.onError?.(error),
      onCancel: () => watcher?.onCancel?.(),
      onEnd: () => {
        onEnd();
        watcher?.onEnd?.();
      },
    };
  }
}
