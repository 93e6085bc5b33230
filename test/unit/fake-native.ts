// A NativeAddon in TypeScript for the unit tests: it keeps the contract of lib/addon/contract.ts (slots, queue, credits, parking,
// one terminal event per stream, Closed last) without a model. It steps on its own, one batch a turn of the event loop, or
// by hand with step() where a test wants to stand between two tokens.

import type {
  NativeAddon,
  NativeEmbed,
  NativeEngine,
  NativeEngineOptions,
  NativeError,
  NativeEventListener,
  NativeFinish,
  NativeMalformedCall,
  NativePieces,
  NativeProgress,
  NativePrompt,
  NativeQuestion,
  NativeRequest,
  NativeRerank,
  NativeTokenLogprobs,
  NativeTokens,
  NativeToolCall,
  NativeVectors,
} from "../../lib/addon/contract.js";
import { NativeEventKind as Kind } from "../../lib/addon/contract.js";
import { NO_STATS } from "../../lib/engine/link.js";
import type { Device, EngineStats, ModelInfo } from "../../lib/types.js";

/** What a stream says: text pieces (one token each), pieces of several tokens, thoughts, calls of tools, tokens that show nothing, progress, or an error that ends it. */
export type ScriptItem =
  | string
  | { text: string; tokens: number; logprobs?: NativeTokenLogprobs[] }
  | { reasoning: string; tokens?: number }
  | { toolCall: NativeToolCall; tokens?: number }
  | { malformedCall: NativeMalformedCall }
  | { hidden: number }
  | { progress: NativeProgress }
  | { error: NativeError };

/** A call of a tool as a script says it: its name first, its arguments in two pieces. */
export function callOf(name: string, args: unknown, index = 0, id = ""): ScriptItem[] {
  const text = typeof args === "string" ? args : JSON.stringify(args);
  const half = text.length >> 1;
  const pieces = ["", text.slice(0, half), text.slice(half)];
  return pieces.map((argumentsDelta, i) => ({ toolCall: { index, ...(i === 0 ? { id, name } : {}), argumentsDelta } }));
}

export interface FakeOptions {
  /** What each request is answered with; may be endless. */
  script?: (request: NativeRequest, streamIndex: number) => Iterable<ScriptItem>;
  /** "auto": ready a turn later; "manual": the test calls becomeReady() or failLoad(). */
  load?: "auto" | "manual" | NativeError;
  /** Steps only when the test says so. */
  manualSteps?: boolean;
  /** Merged into what the Finish event says. */
  finish?: Partial<NativeFinish>;
  /** Questions for vectors are answered when the test says so. */
  holdsVectors?: boolean;
  /** Merged into what the Ready event says. */
  info?: Partial<ModelInfo>;
}

export interface FakeStream {
  id: number;
  request: NativeRequest;
  script: Iterator<ScriptItem>;
  state: "queued" | "decoding" | "ended";
  /** Tokens delivered and not acknowledged: the stream is parked from highWaterMark on. */
  outstanding: number;
  maxOutstanding: number;
  delivered: number;
  /** Of these, tokens of thought. */
  thought: number;
  calls: boolean;
  cancelled: boolean;
  parkedSince: number | undefined;
}

export const STORY = ["Once", " upon", " a", " time", ",", " a", " fox", " ran", "."];

export class FakeAddon implements NativeAddon {
  version = "0.0.0";
  llamaVersion = "fake";
  systemInfo = "fake";
  cpuLevel = "fake";
  readonly models: FakeEngine[] = [];
  readonly Engine: NativeAddon["Engine"];

  constructor(readonly options: FakeOptions = {}) {
    const addon = this;
    this.Engine = class extends FakeEngine {
      constructor(path: string, engineOptions: NativeEngineOptions, onEvents: NativeEventListener) {
        super(path, engineOptions, onEvents, addon.options);
        addon.models.push(this);
      }
    };
  }

  devices(): Device[] {
    return [{ name: "CPU", description: "fake", kind: "cpu", backend: "CPU", memoryFreeBytes: 1, memoryTotalBytes: 2 }];
  }

  /** The model opened last. */
  get model(): FakeEngine {
    return this.models[this.models.length - 1]!;
  }
}

export class FakeEngine implements NativeEngine {
  readonly streams: FakeStream[] = [];
  readonly acks: { id: number; tokens: number }[] = [];
  readonly cancels: number[] = [];
  readonly endedThoughts: number[] = [];
  /** Numbers of questions that nobody waits for. */
  readonly withdrawn: number[] = [];
  readonly #held = new Map<number, NativeVectors>();
  closes = 0;
  #isReady = false;
  #closing = false;
  #closed = false;
  #pending: unknown[] = [];
  /** Of pending events, by their places. */
  #logprobs: (NativeTokenLogprobs[] | undefined)[] = [];
  #scheduled = false;
  #generated = 0;

  constructor(
    readonly path: string,
    readonly engineOptions: NativeEngineOptions,
    readonly listener: NativeEventListener,
    readonly options: FakeOptions,
  ) {
    const { load = "auto" } = options;
    if (load === "auto") setImmediate(() => this.becomeReady());
    else if (load !== "manual") setImmediate(() => this.failLoad(load));
  }

  /** Four slots an event: stream id, kind, payload, tokens. */
  onEvents(batch: readonly unknown[]): void {
    const every = <Value>(offset: number) => batch.filter((_, i) => i % 4 === offset) as Value[];
    const [ids, kinds, payloads, tokens] = [every<number>(0), every<number>(1), every<unknown>(2), every<number>(3)];
    const logprobs = this.#logprobs.length === 0 ? undefined : this.#logprobs;
    this.#logprobs = [];
    this.listener(Uint32Array.from(ids.flatMap((id, i) => [id, kinds[i]!, tokens[i]!])), payloads, logprobs);
  }

  endReasoning(streamId: number): void {
    this.endedThoughts.push(streamId);
  }

  becomeReady(): void {
    if (this.#closing) return;
    this.#isReady = true;
    this.onEvents([0, Kind.LoadProgress, 1, 0, 0, Kind.Ready, { ...fakeInfo(this.path, this.engineOptions), ...this.options.info }, 0]);
  }

  failLoad(error: NativeError): void {
    if (!this.#closing) this.onEvents([0, Kind.LoadError, error, 0]);
  }

  submit(id: number, request: NativeRequest): void {
    if (this.#closing) throw Object.assign(new Error("closed"), { code: "CLOSED" });
    if (!this.#isReady) throw new Error("contract broken: submit before Ready");
    if (this.streams.some((one) => one.id === id && one.state !== "ended"))
      throw new Error(`contract broken: stream ${id} was there before`);
    const script = this.options.script?.(request, this.streams.length) ?? STORY;
    const stream: FakeStream = {
      id,
      request,
      script: script[Symbol.iterator](),
      state: "queued",
      outstanding: 0,
      maxOutstanding: 0,
      delivered: 0,
      thought: 0,
      calls: false,
      cancelled: false,
      parkedSince: undefined,
    };
    this.streams.push(stream);
    this.#schedule();
  }

  endTurn(): void {}

  ack(id: number, tokens: number): void {
    this.acks.push({ id, tokens });
    const stream = this.#streamOf(id);
    if (stream === undefined) return;
    stream.outstanding -= tokens;
    if (stream.outstanding < 0) throw new Error(`contract broken: stream ${id} gave back more than it was given`);
    this.#schedule();
  }

  cancel(id: number): void {
    this.cancels.push(id);
    const stream = this.#streamOf(id);
    if (stream !== undefined) stream.cancelled = true;
    this.#schedule();
  }

  close(): void {
    this.closes++;
    if (this.#closing) return;
    this.#closing = true;
    setImmediate(() => {
      for (const stream of this.streams) if (stream.state !== "ended") this.#end(stream, "cancelled");
      this.#closed = true;
      this.#emit([0, Kind.Closed, undefined, 0]);
    });
  }

  ask(question: number, asked: NativeQuestion): void {
    if (this.#closing) throw Object.assign(new Error("closed"), { code: "CLOSED" });
    const answer = fakeAnswer(asked);
    if ("vectors" in answer && this.options.holdsVectors) {
      this.#held.set(question, answer);
      return;
    }
    setImmediate(() => {
      if (!this.#closed) this.onEvents([0, Kind.Answer, { question, ...answer }, 0]);
    });
  }

  withdraw(question: number): void {
    this.withdrawn.push(question);
    if (!this.#held.delete(question)) return;
    const error = { question, code: "ABORTED", message: "nobody waits for the answer any more" };
    setImmediate(() => this.onEvents([0, Kind.AnswerError, error, 0]));
  }

  /** Answers the questions for vectors that are held. */
  answerVectors(): void {
    for (const [question, answer] of this.#held) this.onEvents([0, Kind.Answer, { question, ...answer }, 0]);
    this.#held.clear();
  }

  /** The newest that has the id. */
  #streamOf(id: number): FakeStream | undefined {
    return this.streams.findLast((one) => one.id === id && one.state !== "ended") ?? this.streams.findLast((one) => one.id === id);
  }

  stats(): EngineStats {
    const count = (state: FakeStream["state"]) => this.streams.filter((one) => one.state === state).length;
    const decoding = count("decoding");
    const parked = this.streams.filter((one) => one.state === "decoding" && this.#isParked(one)).length;
    return {
      ...NO_STATS,
      queued: count("queued"),
      decoding: decoding - parked,
      parked,
      freeSlots: this.engineOptions.maxStreams - decoding,
      generatedTokens: this.#generated,
    };
  }

  /** One decode step: every stream that may gets its next item, all in one batch. Returns whether there was any. */
  step(): boolean {
    if (this.#closed) return false;
    for (const stream of this.streams) if (stream.cancelled) this.#end(stream, "cancelled");
    for (const stream of this.streams) {
      const decoding = this.streams.filter((one) => one.state === "decoding").length;
      if (stream.state === "queued" && decoding < this.engineOptions.maxStreams) stream.state = "decoding";
    }
    for (const stream of this.streams) if (stream.state === "decoding") this.#advance(stream);
    return this.#emit([]);
  }

  #advance(stream: FakeStream): void {
    if (this.#isParked(stream)) {
      stream.parkedSince ??= performance.now();
      const { stallTimeoutMs } = stream.request;
      if (stallTimeoutMs > 0 && performance.now() - stream.parkedSince >= stallTimeoutMs) {
        stream.state = "ended";
        this.#pending.push(stream.id, Kind.StreamError, { code: "STALLED", message: "nobody reads" }, 0);
      }
      return;
    }
    stream.parkedSince = undefined;
    const { value, done } = stream.script.next();
    if (done) {
      this.#end(stream, stream.calls ? "toolCalls" : "stop");
    } else if (typeof value === "object" && "progress" in value) {
      this.#pending.push(stream.id, Kind.Progress, value.progress, 0);
    } else if (typeof value === "object" && "error" in value) {
      stream.state = "ended";
      this.#pending.push(stream.id, Kind.StreamError, value.error, 0);
    } else {
      const [kind, payload, tokens] = eventOf(value);
      const given = typeof value === "object" && "logprobs" in value ? value.logprobs : undefined;
      if (stream.request.logprobs)
        this.#logprobs[this.#pending.length / 4] = given ?? [fakeLogprobs(typeof payload === "string" ? payload : "")];
      this.#generated += tokens;
      stream.delivered += tokens;
      stream.outstanding += tokens;
      stream.maxOutstanding = Math.max(stream.maxOutstanding, stream.outstanding);
      if (kind === Kind.Reasoning) stream.thought += tokens;
      if (kind === Kind.ToolCall) stream.calls = true;
      this.#pending.push(stream.id, kind, payload, tokens);
      const { maxTokens } = stream.request;
      if (maxTokens > 0 && stream.delivered >= maxTokens) this.#end(stream, "length");
    }
  }

  #isParked(stream: FakeStream): boolean {
    return stream.outstanding >= stream.request.highWaterMark;
  }

  #end(stream: FakeStream, reason: NativeFinish["reason"]): void {
    if (stream.state === "ended") return;
    stream.state = "ended";
    this.#pending.push(stream.id, Kind.Finish, fakeFinish(stream, reason, this.options.finish), 0);
  }

  #emit(more: unknown[]): boolean {
    const batch = [...this.#pending, ...more];
    this.#pending = [];
    if (batch.length > 0) this.onEvents(batch);
    return batch.length > 0;
  }

  #schedule(): void {
    if (this.options.manualSteps === true || this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const waitsForStall = this.streams.some((one) => one.state === "decoding" && one.request.stallTimeoutMs > 0);
      if (this.step() || waitsForStall) this.#schedule();
    });
  }
}

function eventOf(item: Exclude<ScriptItem, { progress: unknown } | { error: unknown }>): [number, unknown, number] {
  if (typeof item === "string") return [Kind.Text, item, 1];
  if ("text" in item) return [Kind.Text, item.text, item.tokens];
  if ("reasoning" in item) return [Kind.Reasoning, item.reasoning, item.tokens ?? 1];
  if ("toolCall" in item) return [Kind.ToolCall, item.toolCall, item.tokens ?? 1];
  if ("malformedCall" in item) return [Kind.MalformedCall, item.malformedCall, 1];
  return [Kind.Hidden, undefined, item.hidden];
}

/** Of a text: how many characters it has, and the first of them; normalised it is another one. */
export function fakeVector(text: string, normalize = true): number[] {
  return [text.length, text.codePointAt(0) ?? 0, normalize ? 1 : 0, 0.25];
}

/** The better a document, the longer it is. */
function fakeVectors(asked: NativeEmbed | NativeRerank): NativeVectors {
  if ("rerank" in asked) {
    const vectors = Float32Array.from(asked.documents.map((document) => document.length));
    return { vectors, width: 1, tokens: Int32Array.from(asked.documents.map((document) => document.length + asked.rerank.length)) };
  }
  const texts = asked.embed.map((text) => (typeof text === "string" ? text : String.fromCodePoint(...text)));
  const width = asked.dimensions || 4;
  const vectors = Float32Array.from(texts.flatMap((text) => fakeVector(text, asked.normalize).slice(0, width)));
  return { vectors, width, tokens: Int32Array.from(texts.map((text) => text.length)) };
}

/** A character is a token, and the template writes messages as their JSON. */
function fakeAnswer(asked: NativeQuestion): NativeTokens | NativePieces | NativePrompt | NativeVectors {
  if ("embed" in asked || "rerank" in asked) return fakeVectors(asked);
  const tokensOf = (text: string) => Int32Array.from([...text].map((character) => character.codePointAt(0)!));
  if ("tokenize" in asked) return { tokens: tokensOf(asked.tokenize) };
  if ("render" in asked) return { prompt: asked.render.messages!, tokens: tokensOf(asked.render.messages!) };
  if ("cache" in asked) throw new Error("the fake keeps nothing");
  const pieces = [...asked.detokenize].map((token) => new TextEncoder().encode(String.fromCodePoint(token)));
  let end = 0;
  const ends = Int32Array.from(pieces.map((piece) => (end += piece.length)));
  return { bytes: Uint8Array.from(pieces.flatMap((piece) => [...piece])), ends, padding: 0 };
}

function fakeLogprobs(text: string): NativeTokenLogprobs {
  const one = { id: 0, bytes: String.fromCharCode(...new TextEncoder().encode(text)), logprob: -1 };
  return { ...one, top: [one] };
}

export function fakeFinish(stream: FakeStream, reason: NativeFinish["reason"], more: Partial<NativeFinish> = {}): NativeFinish {
  const promptTokens = 7;
  return {
    reason,
    seed: stream.request.seed ?? 4711,
    usage: {
      ...{ promptTokens, completionTokens: stream.delivered, totalTokens: promptTokens + stream.delivered, cachedTokens: 0 },
      ...(stream.thought === 0 ? {} : { reasoningTokens: stream.thought }),
    },
    timings: { queueMs: 0, prefillMs: 1, ttftMs: 1, itlMs: { p50: 1, p99: 1, max: 1 }, tokensPerSecond: 100, pausedMs: 0 },
    ...more,
  };
}

export function fakeInfo(path: string, options: NativeEngineOptions): ModelInfo {
  return {
    path,
    name: "fake",
    architecture: "fake",
    description: "fake 0B",
    parameters: 1,
    sizeBytes: 1,
    layers: 1,
    embeddingSize: 1,
    vocabularySize: 1,
    trainedContextSize: 1024,
    contextSize: options.contextSize || 1024,
    maxStreams: options.maxStreams,
    threads: options.threads || 1,
    gpuLayers: 0,
    device: "CPU",
    kvType: options.kvType,
    kvCacheBytes: 0,
    chatTemplate: { source: "model", name: "own", text: "" },
    guessesPreTokenizer: false,
    fillsInTheMiddle: false,
    generates: true,
    pooling: "none",
    vectorSize: 4,
    sampling: {},
    adapters: [],
    deterministic: options.deterministic,
  };
}
