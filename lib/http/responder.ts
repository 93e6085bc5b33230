// Owns the answer to one request, whichever HTTP server it came through: checks, opening the streams, and either one JSON body or
// frames to be pulled. JS thread of the model. handler.ts and node.ts put an answer onto their kind of response.

import { plainJson } from "../options/foreign.js";
import { type Envelope, newEnvelope, ReplyCollector, subjectOf } from "./formats/openai-chat/chunks.js";
import { readRequest, type WireRequest } from "./formats/openai-chat/request.js";
import { type FrameSource, ReplyFrames } from "./frame-source.js";
import { STREAM_HEADERS } from "./frames.js";
import { checkModel, type HandlerSettings, readHandlerOptions } from "./options.js";
import { Pace } from "./pace.js";
import { PatientFrames } from "./patience.js";
import { Reply } from "./reply.js";
import { ResumableStreams } from "./resumable.js";
import type { HandlerOptions, Observer, ServedModel } from "./types.js";
import { isToldInFull, type Subject, toWireError, WireError } from "./wire-error.js";

/** A request's answer: JSON, or frames. */
export type Answer =
  | { status: number; headers: Record<string, string>; body?: string; frames?: undefined; error?: unknown }
  | { status: number; headers: Record<string, string>; frames: FrameSource; body?: undefined; error?: undefined };

/** What a responder can be told beyond a handler's options; the server's part. */
export interface ResponderHooks {
  /** Checks a body before anything else is done with it; throws WireErrors. */
  validate?(body: unknown): void;
  /** Where resumable streams are kept, when several responders share them. */
  resumables?: ResumableStreams;
  /** What is known of how long replies take, when several responders share a model. */
  pace?: Pace;
}

/** Follows one request; for metrics and logs. */
export interface Watcher extends Observer {
  /** The request is understood; its streams are opened next. */
  onRequest?(request: WireRequest, envelope: Envelope): void;
}

export class Responder {
  readonly #model: ServedModel;
  readonly #options: HandlerSettings;
  readonly #hooks: ResponderHooks;
  readonly #pace: Pace;
  readonly #replies = new Set<Reply>();
  readonly #resumables: ResumableStreams;
  /** Errors that onError has been told of: every request to a model that cannot be loaded fails with the same one. */
  readonly #told = new WeakSet<object>();

  /**
   * @param of the function that was called with these, for the errors' sake
   * @throws ZSEError BAD_OPTION
   */
  constructor(model: ServedModel, options: HandlerOptions, of: string, hooks: ResponderHooks = {}) {
    checkModel(model, of);
    this.#model = model;
    this.#options = readHandlerOptions(options, of);
    this.#pace = hooks.pace ?? new Pace();
    this.#resumables = hooks.resumables ?? new ResumableStreams(this.#options.resumable, () => model.stats?.());
    this.#hooks = hooks;
  }

  get modelName(): string {
    return this.#options.model ?? this.#model.info?.name ?? "local";
  }

  get maxBodyBytes(): number {
    return this.#options.maxBodyBytes;
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

  /**
   * @param signal aborted when the client goes while a JSON answer is made; frames are cancelled by their own cancel()
   * @param client whose request it is, where that is known: an address or a key
   */
  async answer(given: unknown, signal?: AbortSignal, watcher?: Watcher, client = ""): Promise<Answer> {
    let subject: Subject | undefined;
    try {
      const body = plainJson(given, ""); // whoever has parsed it
      this.#hooks.validate?.(body);
      const request = readRequest(body, this.#options.maxChoices);
      subject = subjectOf(request.kind);
      await this.#model.ready;
      return await this.#reply(request, signal, watcher, client);
    } catch (error) {
      return this.refuse(error, subject);
    }
  }

  /** An error as an answer. `subject`: as toWireError has it. */
  refuse(error: unknown, subject?: Subject): Answer & { body: string } {
    this.#tell(error);
    const { status, headers, body } = toWireError(error, this.retryAfterMs, subject);
    return { status, headers, body: JSON.stringify(body), error };
  }

  #tell(error: unknown): void {
    if (isToldInFull(error)) return;
    if (typeof error === "object" && error !== null) {
      if (this.#told.has(error)) return;
      this.#told.add(error);
    }
    (this.#options.onError ?? console.error)(error);
  }

  async #reply(request: WireRequest, signal: AbortSignal | undefined, watcher: Watcher | undefined, client: string): Promise<Answer> {
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
      const early = await reply.earlyError(this.#patienceFor(request));
      if (early !== undefined) throw early.error;
    } finally {
      signal?.removeEventListener("abort", leave);
    }
    const { heartbeatMs, earlyRole } = this.#options;
    if (!request.resumable) return this.#streaming(new ReplyFrames(reply, envelope, request.includeUsage, { heartbeatMs, earlyRole }));
    // At once, since it names the stream: who is cut off before the first token comes back by this name.
    const source = new ReplyFrames(reply, envelope, request.includeUsage, { heartbeatMs: 0, earlyRole: true, numbered: true });
    try {
      return this.#streaming(this.#resumables.add(envelope.id, source, { choices: reply.choices, client }).read(0, heartbeatMs));
    } catch (error) {
      reply.fail(error);
      throw error;
    }
  }

  /** How long (ms) a stream's headers wait for a word of the engine. Load must not decide how a client is told that its prompt is too long. */
  #patienceFor(request: WireRequest): number {
    const { earlyErrorMs } = this.#options;
    return mayOverflow(request, this.#model.info?.contextSize) ? earlyErrorMs : Math.min(earlyErrorMs, AT_ONCE_MS);
  }

  /** Goes on with a resumable stream after the event `lastEventId` (as the header says it; left out: from the beginning). */
  resume(id: string, lastEventId: string | null | undefined): Answer {
    try {
      const stream = this.#resumables.get(id);
      if (!/^\d*$/.test(lastEventId ?? "")) {
        throw new WireError(400, "Last-Event-ID must be the number of an event of this stream.", {
          param: "last-event-id",
          code: "invalid_value",
        });
      }
      const after = Number(lastEventId ?? 0);
      // EventSource comes back after every end; this status alone stops it.
      if (stream.endedAt(after)) return { status: 204, headers: { "cache-control": "no-store" } };
      return this.#streaming(stream.read(after, this.#options.heartbeatMs));
    } catch (error) {
      return this.refuse(error);
    }
  }

  /** Cancels a resumable stream and forgets it. */
  remove(id: string): Answer {
    try {
      this.#resumables.get(id).remove();
      return { status: 200, headers: JSON_HEADERS, body: JSON.stringify({ id, object: "stream.deleted", deleted: true }) };
    } catch (error) {
      return this.refuse(error);
    }
  }

  /** One stream a choice. With a seed, each choice has its own, so that they differ and can be had again. */
  #open({ kind, choices, messages, prompt, options, resumable }: WireRequest) {
    // A resumable stream that nobody reads has a time limit of its own.
    const { stallTimeoutMs } = this.#options;
    const shared = resumable || stallTimeoutMs === 0 ? options : { ...options, stall_timeout_ms: stallTimeoutMs };
    return Array.from({ length: choices }, (_, i) => {
      const own = shared.seed === undefined || i === 0 ? shared : { ...shared, seed: (shared.seed + i) % (2 ** 32 - 1) };
      return kind === "chat" ? this.#model.chatStream({ messages, ...own }) : this.#model.completionStream({ prompt, ...own });
    });
  }

  async #collect(reply: Reply, envelope: Envelope): Promise<Answer> {
    const collector = new ReplyCollector(envelope, reply.choices);
    do {
      const pulled = await reply.next(0);
      if ("error" in pulled) throw pulled.error;
      if ("event" in pulled) collector.event(pulled.choice, pulled.event);
      if ("end" in pulled) throw new WireError(503, "The request was cancelled.", { code: "aborted" });
    } while (!reply.over);
    return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(collector.object()) };
  }

  #streaming(frames: FrameSource): Answer {
    const { stallTimeoutMs } = this.#options;
    return { status: 200, headers: STREAM_HEADERS, frames: stallTimeoutMs > 0 ? new PatientFrames(frames, stallTimeoutMs) : frames };
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
      onError: (error) => {
        this.#tell(error);
        watcher?.onError?.(error);
      },
      onCancel: () => watcher?.onCancel?.(),
      onEnd: () => {
        onEnd();
        watcher?.onEnd?.();
      },
    };
  }
}

/** Time (ms) in which an engine says what is wrong with a prompt that fits. */
const AT_ONCE_MS = 30;
/** Tokens that a chat template adds at most, as far as is known: to a conversation, and to each of its messages. */
const TEMPLATE_TOKENS = 256;
const MESSAGE_TOKENS = 32;
/** The context of a model that does not tell it. */
const USUAL_CONTEXT = 4096;

/** Whether the prompt may have more tokens than the context: a token is a byte at least. */
function mayOverflow({ kind, messages, prompt }: WireRequest, contextSize = USUAL_CONTEXT): boolean {
  const text = kind === "chat" ? JSON.stringify(messages) : prompt;
  const more = kind === "chat" && Array.isArray(messages) ? TEMPLATE_TOKENS + MESSAGE_TOKENS * messages.length : 1;
  return text.length + more >= contextSize || new TextEncoder().encode(text).length + more >= contextSize;
}

const JSON_HEADERS = { "content-type": "application/json; charset=utf-8" };
