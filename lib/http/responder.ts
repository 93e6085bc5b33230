// Owns the answer to one request, whichever HTTP server it came through: checks, opening the streams, and either one JSON body or
// frames to be pulled. JS thread of the model. web.ts and node.ts put an answer onto their kind of response.

import { type CarriedHeaders, inTraceOf } from "../telemetry/remote-context.js";
import { AtOnce } from "./at-once.js";
import { BackgroundReplies, cancelled } from "./background.js";
import { FORMATS, formatOf } from "./format-registry.js";
import type { Collector, Envelope, FrameWriter, SideCall, SideRoute, WireFormat, WireRequest } from "./formats/format.js";
import { isToldInFull, toWireError, WireError } from "./formats/wire-error.js";
import { type FrameSource, ReplyFrames } from "./frame-source.js";
import { LINE_HEADERS, STREAM_HEADERS } from "./frames.js";
import { KeepingWriter } from "./keeping-writer.js";
import { LateModel } from "./late-model.js";
import { ReplyMemory } from "./memory.js";
import { requestFor, streamsOf } from "./model-request.js";
import { type ChosenModel, type Models, modelsOf } from "./models.js";
import { openFor } from "./opening.js";
import { type HandlerSettings, readHandlerOptions } from "./options.js";
import { Pace } from "./pace.js";
import { PatientFrames } from "./patience.js";
import { mayOverflow } from "./prompt-size.js";
import { Reply } from "./reply.js";
import { ResumableStreams } from "./resumable.js";
import { SideDesks } from "./side-desk.js";
import type { HandlerOptions, Observer, ServedModel, ServedPool } from "./types.js";

/** A request's answer: JSON, or frames. */
export type Answer =
  | { status: number; headers: Record<string, string>; body?: string; frames?: undefined; error?: unknown }
  | { status: number; headers: Record<string, string>; frames: FrameSource; body?: undefined; error?: undefined };

/** What a responder can be told beyond a handler's options; the server's part. */
export interface ResponderHooks {
  /** Checks a body before anything else is done with it; throws WireErrors. */
  validate?(body: unknown, format: WireFormat): void;
  /** Whether streams are padded whose requests do not say. */
  obfuscates?(): boolean;
}

/** What is known of a request beside its body. */
export interface Circumstances {
  /** Aborted when the client goes while a JSON answer is made; frames are cancelled by their own cancel(). */
  signal?: AbortSignal | undefined;
  watcher?: Watcher | undefined;
  /** Whose request it is, where that is known: an address or a key. */
  client?: string | undefined;
  /** Its headers: a trace that the client has begun goes on in the reply's spans. */
  headers?: CarriedHeaders | undefined;
  /** The format of the path that it came to; left out: as its body looks. */
  format?: WireFormat | undefined;
  /** Told with errors, in formats that have a place for it. */
  requestId?: string | undefined;
}

/** What is known of a request that is refused. */
export interface Refused {
  /** As toWireError has them. */
  subject?: string | undefined;
  fieldOf?: ((param: string) => string) | undefined;
  requestId?: string | undefined;
  /** The model that was wanted. */
  model?: Pick<ChosenModel, "occupancy"> | undefined;
}

/** How an error is told of a stream that is taken up again or ended: in the format of whoever asks. */
export interface RefusedStream {
  format?: WireFormat | undefined;
  requestId?: string | undefined;
}

/** Follows one request; for metrics and logs. */
export interface Watcher extends Observer {
  /** The request is understood; its streams are opened next. */
  onRequest?(request: WireRequest, envelope: Envelope): void;
}

export class Responder {
  readonly #models: Models;
  readonly #options: HandlerSettings;
  readonly #hooks: ResponderHooks;
  readonly #pace = new Pace();
  readonly #replies = new Set<Reply>();
  readonly #resumables: ResumableStreams;
  readonly #memory: ReplyMemory;
  readonly #background: BackgroundReplies;
  readonly #questions = new AtOnce();
  readonly #desks: SideDesks;
  /** Errors that onError has been told of: every request to a model that cannot be loaded fails with the same one. */
  readonly #told = new WeakSet<object>();

  /**
   * @param of the function that was called with these, for the errors' sake
   * @throws ZSEError BAD_OPTION
   */
  constructor(model: ServedModel | ServedPool, options: HandlerOptions, of: string, hooks: ResponderHooks = {}) {
    this.#models = modelsOf(model, of);
    this.#options = readHandlerOptions(options, of);
    this.#resumables = new ResumableStreams(this.#options.resumable, () => this.#models.occupancy());
    this.#memory = new ReplyMemory(this.#options.keptReplies, this.#options.maxBodyBytes);
    this.#background = new BackgroundReplies(this.#memory, this.#resumables.maxUnread);
    this.#hooks = hooks;
    this.#desks = new SideDesks({
      models: this.#models,
      memory: this.#memory,
      questions: this.#questions,
      read: (body, format) => this.#read(body, format),
      stallTimeoutMs: this.#options.stallTimeoutMs,
    });
  }

  get modelName(): string {
    return this.#options.model ?? this.#models.usualName();
  }

  /** Whether there is such a resumable stream, which nobody takes by asking. @throws WireError 404 */
  checkStream(id: string): void {
    this.#resumables.get(id);
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

  /** When a client that is refused now should come back. `of`: the model that it wants, where that is known. */
  retryAfterMs = (of: Pick<ChosenModel, "occupancy"> = this.#models): number => this.#pace.retryAfter(of.occupancy());

  /** @param body as body.ts leaves it */
  async answer(body: unknown, circumstances: Circumstances = {}): Promise<Answer> {
    let format: WireFormat | undefined;
    let request: WireRequest | undefined;
    let model: ChosenModel | undefined;
    try {
      const chosen = circumstances.format ?? formatOf(body);
      request = this.#read(body, chosen);
      format = chosen;
      model = this.#models.of(request.model);
      return await this.#answer(request, format, model, circumstances);
    } catch (error) {
      return this.refuse(error, format ?? circumstances.format, {
        subject: format?.subject,
        fieldOf: request?.fieldOf,
        requestId: circumstances.requestId,
        model,
      });
    }
  }

  async #answer(request: WireRequest, format: WireFormat, chosen: ChosenModel, circumstances: Circumstances): Promise<Answer> {
    if (request.unloads === true && (await chosen.unload())) return this.#answered(request, true);
    const { held, model } = await openFor(request, chosen, this.#options.earlyErrorMs, circumstances);
    try {
      if (request.answer !== undefined) return this.#answered(request);
      return await this.#reply(await requestFor(request, model, this.#questions, circumstances.signal), format, model, circumstances);
    } finally {
      // After the streams of a model that comes late: they were there first.
      held.then(
        ({ release }) => release(),
        () => {},
      );
    }
  }

  /** Where nothing is to be generated. */
  #answered({ answer, model = this.modelName }: WireRequest, unloaded = false): Answer {
    return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(answer!(model, unloaded)) };
  }

  #read(body: unknown, format: WireFormat): WireRequest {
    this.#hooks.validate?.(body, format);
    return format.read(body, this.#options.maxChoices, this.#memory.view());
  }

  /** What is asked of a format beside replies. `head`: only how it would be answered. */
  async answerSide(format: WireFormat, side: SideRoute, call: SideCall, { head = false } = {}): Promise<Answer> {
    let request: WireRequest | undefined;
    const desk = this.#desks.of(format, call, (read) => {
      request = read;
    });
    try {
      const answer = await side.answer(call, desk);
      if ("object" in answer) return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(answer.object) };
      const stream = this.#resumables.get(answer.resume);
      // No more is looked at: a reader would take the stream from the one that it has.
      if (head) return { status: 200, headers: STREAM_HEADERS, body: "" };
      return this.#streaming(stream.read(answer.after, this.#options.heartbeatMs, answer.said));
    } catch (error) {
      return this.refuse(error, format, { subject: format.subject, fieldOf: request?.fieldOf, requestId: call.requestId });
    }
  }

  /** An error as an answer, in a format. */
  refuse(error: unknown, format: WireFormat = FORMATS[0], of: Refused = {}): Answer & { body: string } {
    this.#tell(error);
    const wire = toWireError(error, () => this.retryAfterMs(of.model), of.subject, of.fieldOf);
    return { status: wire.status, headers: wire.headers, body: JSON.stringify(format.refuse(wire, of.requestId)), error };
  }

  #tell(error: unknown): void {
    if (isToldInFull(error)) return;
    if (typeof error === "object" && error !== null) {
      if (this.#told.has(error)) return;
      this.#told.add(error);
    }
    (this.#options.onError ?? console.error)(error);
  }

  async #reply(
    request: WireRequest,
    format: WireFormat,
    model: ServedModel,
    { signal, watcher, client = "", headers }: Circumstances,
  ): Promise<Answer> {
    const isUnseen = request.background === true && !request.stream;
    if (isUnseen) this.#background.checkRoom(client);
    const envelope = format.envelope(request.model ?? this.modelName);
    watcher?.onRequest?.(request, envelope);
    const reply: Reply = new Reply(
      inTraceOf(headers, request, () => streamsOf(request, model, this.#options.stallTimeoutMs)),
      this.#following(
        watcher,
        () => this.#replies.delete(reply),
        () => this.#memory.ran(envelope.id),
        model instanceof LateModel ? model.opened : undefined,
      ),
    );
    this.#replies.add(reply);
    if (isUnseen) {
      const collector = format.collect(envelope, request);
      const toWire = (error: unknown) => toWireError(error, undefined, format.subject, request.fieldOf);
      const collect = () => this.#collect(reply, collector);
      this.#background.run({ id: envelope.id, client, reply, collector, collect, toWireError: toWire });
      return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(collector.object()) };
    }
    const leave = () => reply.cancel();
    if (signal?.aborted) leave();
    signal?.addEventListener("abort", leave, { once: true });
    try {
      if (!request.stream) {
        const collector = format.collect(envelope, request);
        await this.#collect(reply, collector);
        if (request.keep === true && collector.kept !== undefined) this.#memory.put(collector.kept());
        return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(collector.object()) };
      }
      const early = await reply.earlyError(this.#patienceFor(request, model));
      if (early !== undefined) throw early.error;
    } finally {
      signal?.removeEventListener("abort", leave);
    }
    const { heartbeatMs } = this.#options;
    const earlyRole = this.#options.earlyRole || format.beginsEarly === true;
    const obfuscate = request.obfuscate ?? this.#hooks.obfuscates?.() ?? this.#options.obfuscation;
    const writer = this.#keeping(format.writer(envelope, { ...request, obfuscate }), request);
    const { fieldOf } = request;
    const asLines = format.framing === "lines";
    if (!request.resumable) {
      const frames = new ReplyFrames(reply, writer, format.subject, { heartbeatMs, earlyRole, fieldOf, asLines });
      return this.#streaming(frames, asLines ? LINE_HEADERS : STREAM_HEADERS);
    }
    // At once, since it names the stream: who is cut off before the first token comes back by this name.
    const source = new ReplyFrames(reply, writer, format.subject, { heartbeatMs: 0, earlyRole: true, numbered: true, fieldOf });
    try {
      const stream = this.#resumables.add(envelope.id, source, { choices: reply.choices, client });
      if (request.background === true)
        this.#memory.run(envelope.id, { kept: () => writer.kept!(), cancel: () => stream.endWith(cancelled()) });
      return this.#streaming(stream.read(0, heartbeatMs));
    } catch (error) {
      reply.fail(error);
      throw error;
    }
  }

  /** How long (ms) a stream's headers wait for a word of the engine. Load must not decide how a client is told that its prompt is too long. */
  #patienceFor(request: WireRequest, model: ServedModel): number {
    if (model instanceof LateModel) return 0;
    const { earlyErrorMs } = this.#options;
    return mayOverflow(request, model.info?.contextSize) ? earlyErrorMs : Math.min(earlyErrorMs, AT_ONCE_MS);
  }

  /** Goes on with a resumable stream after the event `lastEventId` (as the header says it; left out: from the beginning). */
  resume(id: string, lastEventId: string | null | undefined, of: RefusedStream = {}): Answer {
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
      return this.refuse(error, of.format, of);
    }
  }

  /** Cancels a resumable stream and forgets it. */
  remove(id: string, of: RefusedStream = {}): Answer {
    try {
      this.#resumables.get(id).remove();
      return { status: 200, headers: JSON_HEADERS, body: JSON.stringify({ id, object: "stream.deleted", deleted: true }) };
    } catch (error) {
      return this.refuse(error, of.format, of);
    }
  }

  /** A reply that is kept when it has ended. */
  #keeping(writer: FrameWriter, { keep }: WireRequest): FrameWriter {
    if (keep !== true || writer.kept === undefined) return writer;
    return new KeepingWriter(writer, (kept) => this.#memory.put(kept));
  }

  async #collect(reply: Reply, collector: Collector): Promise<void> {
    do {
      const pulled = await reply.next(0);
      if ("error" in pulled) throw pulled.error;
      if ("event" in pulled) collector.event(pulled.choice, pulled.event);
      if ("end" in pulled) throw new WireError(503, "The request was cancelled.", { code: "aborted" });
    } while (!reply.over);
  }

  #streaming(frames: FrameSource, headers: Record<string, string> = STREAM_HEADERS): Answer {
    const { stallTimeoutMs } = this.#options;
    return { status: 200, headers, frames: stallTimeoutMs > 0 ? new PatientFrames(frames, stallTimeoutMs) : frames };
  }

  /** The watcher, and what the responder itself wants to know. `opened`: of a model that comes late; how long that took says nothing of replies. */
  #following(watcher: Watcher | undefined, onEnd: () => void, onCancel: () => void, opened?: Promise<unknown>): Observer {
    let began = performance.now();
    void opened?.then(() => {
      began = performance.now();
    });
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
      onCancel: () => {
        onCancel();
        watcher?.onCancel?.();
      },
      onEnd: () => {
        onEnd();
        watcher?.onEnd?.();
      },
    };
  }
}

/** Time (ms) in which an engine says what is wrong with a prompt that fits. */
const AT_ONCE_MS = 30;
const JSON_HEADERS = { "content-type": "application/json; charset=utf-8" };
