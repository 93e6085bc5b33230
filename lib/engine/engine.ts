// Owns one engine as JavaScript sees it: its load state, ids and room, the way from an id to its stream, and closing. JS thread that made the model
// (main, or a worker_threads thread); the decode thread is on the other side of the link.
//
// A stream's id stays in the map until its native terminal event, even when its consumer has long left: only then is its
// slot free again. Streams opened while the model loads wait here and are submitted in order once it is ready.

import {
  NativeEventKind as Kind,
  type NativeAnswer,
  type NativeCacheEntries,
  type NativeCacheQuestion,
  type NativeEmbed,
  type NativeEngineOptions,
  type NativeError,
  type NativeEventListener,
  type NativeFinish,
  type NativePieces,
  type NativePrompt,
  type NativeRecommended,
  type NativeRender,
  type NativeRequest,
  type NativeRerank,
} from "../addon/contract.js";
import { cut } from "../base/quote.js";
import { fromNative, ZSEError } from "../errors.js";
import type { EngineStats, LoadEvent, ModelInfo, RecommendedSampling } from "../types.js";
import { type Item, itemOf } from "./items.js";
import { type EngineLink, FETCHING, type Fetching, freeId, NO_STATS, type OpenLink, RESTARTING, type StreamId } from "./link.js";
import { warnOfHead, warnOfPreTokenizer } from "./load-warnings.js";
import { namingLongest } from "./overflow.js";
import { type AskedVectors, Questions } from "./questions.js";
import {
  checkAgainstModel,
  checkEmbed,
  checkGenerates,
  checkLength,
  checkQuestions,
  checkRerank,
  checkRoom,
  checkTokens,
} from "./request-checks.js";

/** How a stream ended on the engine's side. */
export type Ending = { finish: NativeFinish } | { error: unknown };

/** What receives a stream's items. end() is the last call, and comes once. */
export interface StreamSink {
  /** Its id in the engine; 0 until it is submitted. Set by the engine. */
  id: StreamId;
  request: NativeRequest;
  /** Names of its options for which what the model file recommends counts. */
  readonly unsaid: readonly string[];
  /** Whether the next reply's first thought is to be closed at once. */
  readonly endsReasoning: boolean;
  /** `tokens`: the credit that the item takes; given back with ack() once the consumer has taken it. */
  on(item: Item, tokens: number): void;
  end(ending: Ending): void;
}

/** What streams and calls use of an engine. A model of a pool has another one behind it each time that it is opened. */
export type ModelEngine = { [Name in keyof Engine]: Engine[Name] };

/** Characters of what a model file says of itself: each chunk, metric and log line repeats it. */
const LONGEST_NAME = 256;

/** What hears how far a model is on its way to being ready. */
export type OnProgress = (fraction: number, event: LoadEvent) => void;

export class Engine {
  /** The model's file; of one that is still to be fetched, what was asked for. */
  path: string;
  /** Another one from the crash of an isolated engine on, until it runs again. */
  ready!: Promise<ModelInfo>;
  /** undefined until the model is loaded. */
  info: ModelInfo | undefined;

  #link: EngineLink | undefined;
  /** Of one that is no more, where it could be. */
  #restarts: number | undefined;
  /** Streams and waiting requests that there may be at a time. */
  readonly #room: { maxStreams: number; maxQueue: number };
  #sinks = new Map<StreamId, StreamSink>();
  /** Of these, the ones that were cancelled and have not ended yet. */
  #leaving = new Set<StreamId>();
  #lastId: StreamId = 0;
  readonly #questions = new Questions();
  /** Opened while the model loads. */
  #waiting = new Set<StreamSink>();
  /** Streams between two replies: calls of tools are run for them, and they come back. */
  #resting = new Set<StreamSink>();
  /** Why no stream can be opened any more. */
  #failure: ZSEError | undefined;
  /** Pending while the turn of the event loop in which something was submitted is not over. */
  #turn: NodeJS.Immediate | undefined;
  /** Nobody can open another stream: the model is closed once the last one has ended. */
  #abandoned = false;
  #closed: Promise<void> | undefined;
  #onClosed: (() => void) | undefined;
  readonly #onProgress: OnProgress | undefined;
  readonly #readRecommended: (said: NativeRecommended) => RecommendedSampling;
  /** One that is pending is kept, however often the engine is lost meanwhile. */
  #readyIsSettled = false;
  #settleReady!: { resolve: (info: ModelInfo) => void; reject: (error: ZSEError) => void };

  /**
   * @param open makes the link; what it throws makes every call fail
   * @param readRecommended tells what of a file's recommendations is used
   */
  constructor(
    path: string,
    options: Pick<NativeEngineOptions, "maxStreams" | "maxQueue">,
    open: OpenLink,
    readRecommended: (said: NativeRecommended) => RecommendedSampling,
    onProgress?: OnProgress,
  ) {
    this.path = path;
    this.#room = options;
    this.#onProgress = onProgress;
    this.#readRecommended = readRecommended;
    this.#awaitReady();
    try {
      this.#link = open((heads, payloads, logprobs) => this.#onEvents(heads, payloads, logprobs));
    } catch (error) {
      this.#fail(fromNative(error));
    }
  }

  #awaitReady(): void {
    this.#readyIsSettled = false;
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    this.ready.catch(() => {}); // the first call reports it too, so nobody has to look here
  }

  get closing(): boolean {
    return this.#closed !== undefined;
  }

  /** Why nothing can be asked of it any more; undefined while something can. */
  get failure(): ZSEError | undefined {
    return this.#failure;
  }

  /** Opens a stream now, or once the model is ready. Failures come as the sink's end, perhaps before this returns. */
  open(sink: StreamSink): void {
    this.#resting.delete(sink);
    if (this.#failure !== undefined) sink.end({ error: this.#failure });
    else if (this.info === undefined) this.#waiting.add(sink);
    else this.#submit(sink);
  }

  /** A stream whose reply has ended opens another one later: it is told until then when the model is closed. */
  rest(sink: StreamSink): void {
    sink.id = 0;
    if (this.#failure !== undefined) sink.end({ error: this.#failure });
    else this.#resting.add(sink);
  }

  /** Closes the thought that a stream is in; where it has no token yet, the one that it begins with. What is not submitted says so itself. */
  endReasoning(sink: StreamSink): void {
    if (this.#sinks.has(sink.id)) this.#link!.endReasoning(sink.id);
  }

  /** Gives back credit for tokens that the consumer has taken. */
  ack(sink: StreamSink, tokens: number): void {
    if (this.#sinks.has(sink.id)) this.#link!.ack(sink.id, tokens);
  }

  /** Ends a stream. Returns whether a terminal event is still to come: not when it was never submitted. */
  cancel(sink: StreamSink): boolean {
    if (this.#waiting.delete(sink) || this.#resting.delete(sink) || !this.#sinks.has(sink.id)) {
      if (this.#abandoned) this.abandon();
      return false;
    }
    this.#leaving.add(sink.id);
    this.#link!.cancel(sink.id);
    return true;
  }

  /** Resolves once threads are joined and memory is free. Streams that run end with CLOSED. May be called again. */
  close(): Promise<void> {
    if (this.#closed !== undefined) return this.#closed;
    this.#closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
    const error = new ZSEError("CLOSED", `The model was closed (${this.path}).`);
    this.#fail(error);
    this.#failure = error; // also after a load that failed: what is asked of a closed model is told so
    this.#failRunning(error);
    if (this.#link === undefined) this.#onClosed?.();
    else this.#link.close();
    return this.#closed;
  }

  /** The caller dropped the model without closing it. */
  abandon(): void {
    this.#abandoned = true;
    if (this.info === undefined && this.#failure === undefined) return; // someone may still await `ready`
    if (this.#sinks.size + this.#waiting.size + this.#resting.size + this.#questions.open === 0) void this.close();
  }

  // Once loaded. They reject with what makes an answer impossible, and with CLOSED when the model is closed before it.

  async tokenize(text: string, special: boolean, addSpecial: boolean): Promise<number[]> {
    return await this.#questions.tokenize(this.#asked(), { tokenize: text, special, addSpecial });
  }

  async detokenize(tokens: Int32Array, special: boolean): Promise<NativePieces> {
    const link = this.#asked();
    checkTokens("tokens", tokens, this.info!);
    return await this.#questions.detokenize(link, { detokenize: tokens, special });
  }

  async render(chat: NativeRender["render"]): Promise<NativePrompt> {
    const link = this.#asked();
    checkGenerates(this.info!);
    try {
      checkLength(chat, this.info!);
      return await this.#questions.render(link, { render: chat });
    } catch (error) {
      throw namingLongest(error, chat.messages);
    }
  }

  /** @throws ZSEError what makes an answer impossible, and OVERLOADED where too many such questions wait */
  embed(question: NativeEmbed): AskedVectors {
    const link = this.#asked();
    checkEmbed(question, this.info!);
    checkQuestions(this.#room, this.#questions.openVectors);
    return this.#questions.vectors(link, question);
  }

  async cache(question: NativeCacheQuestion): Promise<NativeCacheEntries> {
    await this.ready;
    return await this.#questions.cache(this.#asked(), question);
  }

  /** Throws as embed(). */
  rerank(question: NativeRerank): AskedVectors {
    const link = this.#asked();
    checkRerank(this.info!);
    checkQuestions(this.#room, this.#questions.openVectors);
    return this.#questions.vectors(link, question);
  }

  #asked(): EngineLink {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#link!;
  }

  stats(): EngineStats {
    if (this.#link !== undefined && !this.closing) return this.#link.stats;
    const restarts = this.#link === undefined ? this.#restarts : this.#link.stats.restarts;
    return { ...NO_STATS, ...(restarts === undefined ? {} : { restarts }) };
  }

  #submit(sink: StreamSink): void {
    try {
      checkRoom(this.#room, this.#sinks.size, this.#leaving.size);
      checkAgainstModel(sink.request, this.info!);
    } catch (error) {
      sink.end({ error: namingLongest(error, sink.request.messages) });
      return;
    }
    this.#lastId = freeId(this.#lastId, this.#sinks);
    sink.id = this.#lastId;
    this.#sinks.set(sink.id, sink);
    this.#link!.submit(sink.id, withRecommended(sink, this.info!));
    if (sink.endsReasoning) this.#link!.endReasoning(sink.id);
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined;
      this.#link?.endTurn();
    });
  }

  /** One batch is one decode step's news of all streams: this loop is the per-token path. */
  #onEvents(...[heads, payloads, logprobs]: Parameters<NativeEventListener>): void {
    for (let i = 0, head = 0; i < payloads.length; i++, head += 3) {
      const id = heads[head]!;
      const kind = heads[head + 1]!;
      const payload = payloads[i];
      if (id === 0) {
        this.#onModelEvent(kind, payload);
        continue;
      }
      const sink = this.#sinks.get(id);
      if (sink === undefined) continue;
      switch (kind) {
        case Kind.Finish:
          this.#forget(id);
          sink.end({ finish: payload as NativeFinish });
          break;
        case Kind.StreamError:
          this.#forget(id);
          sink.end({ error: namingLongest(fromNative(payload as NativeError), sink.request.messages) });
          break;
        default: {
          const item = itemOf(kind, payload, logprobs?.[i], sink.request);
          if (item !== undefined) sink.on(item, heads[head + 2]!);
        }
      }
    }
  }

  #forget(id: number): void {
    this.#sinks.delete(id);
    this.#leaving.delete(id);
    if (this.#abandoned) this.abandon();
  }

  #onModelEvent(kind: number, payload: unknown): void {
    switch (kind) {
      case Kind.LoadProgress:
        this.#reportProgress(payload as number, { type: "load", fraction: payload as number });
        break;
      case FETCHING:
        this.#reportProgress(...(payload as Fetching));
        break;
      case Kind.Ready:
        this.#onReady(payload as ModelInfo);
        break;
      case RESTARTING:
        if (this.#failure === undefined && this.#readyIsSettled) this.#awaitReady();
        break;
      case Kind.LoadError:
        this.#fail(fromNative(payload as NativeError));
        break;
      case Kind.Closed:
        this.#onNativeClosed();
        break;
      case Kind.Answer:
        this.#questions.onAnswer(payload as NativeAnswer);
        if (this.#abandoned) this.abandon();
        break;
      case Kind.AnswerError:
        this.#questions.onError(payload as NativeError & { question: number });
        if (this.#abandoned) this.abandon();
        break;
    }
  }

  #onReady(info: ModelInfo): void {
    if (this.#failure !== undefined) return; // closed in the meantime
    for (const field of ["name", "architecture", "description"] as const) info[field] = cut(info[field], LONGEST_NAME);
    info.sampling = this.#readRecommended(info.sampling);
    this.info = info;
    if (info.guessesPreTokenizer) warnOfPreTokenizer(info.path);
    if (info.unusedHead !== undefined) {
      info.unusedHead = cut(info.unusedHead, LONGEST_NAME);
      warnOfHead(info.path, info.unusedHead);
    }
    this.#readyIsSettled = true;
    this.#settleReady.resolve(info);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const sink of waiting) this.open(sink);
    if (this.#abandoned) this.abandon();
  }

  #onNativeClosed(): void {
    const error = new ZSEError("ENGINE_FAILED", `The engine ended unexpectedly (${this.path}).`);
    this.#fail(error);
    this.#failRunning(error);
    this.#restarts = this.#link?.stats.restarts;
    this.#link = undefined;
    this.#onClosed?.();
  }

  /** From here on nothing can be opened; the first reason stays. */
  #fail(error: ZSEError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#settleReady.reject(error);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const sink of waiting) sink.end({ error });
  }

  /** Ends all streams and questions that were submitted; what the addon may still say of them is not heard. */
  #failRunning(error: ZSEError): void {
    this.#questions.failAll(error);
    const running = [...this.#sinks.values(), ...this.#resting];
    this.#sinks.clear();
    this.#resting.clear();
    this.#leaving.clear();
    for (const sink of running) sink.end({ error });
  }

  #reportProgress(fraction: number, event: LoadEvent): void {
    // Closed, or of an isolated engine that is started again: its caller has put the progress bar away.
    if (this.#failure !== undefined || this.info !== undefined) return;
    try {
      this.#onProgress?.(fraction, event);
    } catch (error) {
      // The caller's own mistake: it must neither stop the load nor be lost.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/** What the file recommends, where the call says nothing; and the adapters' own strengths. */
function withRecommended({ request, unsaid }: StreamSink, { sampling, adapters }: ModelInfo): NativeRequest {
  const counts = Object.entries(sampling).filter(([name]) => unsaid.includes(name));
  const known = counts.length === 0 ? request : { ...request, ...Object.fromEntries(counts) };
  if (request.adapters === undefined) return known;
  const own = (name: string) => adapters.find((one) => one.name === name)?.scale ?? 1;
  const scaled = request.adapters.map(({ name, scale = own(name) }) => ({ name, scale }));
  return { ...known, adapters: scaled.filter(({ scale }) => scale !== 0) };
}
