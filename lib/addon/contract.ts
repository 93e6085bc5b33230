// Owns the contract with the native addon about engines: all that crosses between TypeScript and C++ for them, described here and nowhere else.
// file-contract.ts has model files that are not opened. Its C++ side are request_values.cpp and event_values.cpp of native/node. options/ has checked
// all values before: the addon trusts their types and ranges. Types, but for the kinds of events.

import type { CacheEntry, Device, EngineStats, FinishReason, SamplerName, Timings, Usage } from "../types.js";

/** Settings of the engine, fixed when a model is opened. All are required here; defaults come from lib/options. */
export interface NativeEngineOptions {
  /** Tokens of context per stream; 0 means min(trained context, 4096). */
  contextSize: number;
  /** Streams that may be in the batch at once: 1 to 256. */
  maxStreams: number;
  /** Requests that may wait for a slot beyond maxStreams; one more is OVERLOADED. */
  maxQueue: number;
  /** Compute threads; 0 means the physical cores. */
  threads: number;
  /** Layers on the GPU; -1 means "auto": as many as fit. */
  gpuLayers: number;
  /** "auto", or the kind of device that must be used; a kind that is not there is UNSUPPORTED. */
  device: "auto" | "cpu" | "cuda" | "metal" | "vulkan";
  /** How keys and values are stored; UNSUPPORTED where the model's heads are no multiple of 32, but for "f16". */
  kvType: "f16" | "q8_0" | "q4_0";
  /** Longest step (ms) that the planner aims at while streams are decoding. */
  latencyTargetMs: number;
  /** Each sequence is computed alone in fixed shapes: other streams cannot change its rounding. Slower. */
  deterministic: boolean;
  /** Tokens of guesses that a step of all streams checks at most, in memory of their own for each; `match` means nothing here. Absent: none. */
  speculate?: NativeSpeculation & {
    /** Absolute path of a smaller model that guesses, too. */
    draftModel?: string;
  };
  /** Tokens of `replay` that are computed at once, in memory of their own for each. 0 to 256, default 0: one for each stream. */
  replayRows?: number;
  /** LoRA adapters that requests may name, each name once; absolute paths. Default: none. `scale`: where a request has no other. */
  adapters?: readonly Readonly<{ name: string; path: string; scale: number }>[];
  /** Where prefixes of earlier streams are kept. ram and disk in bytes; dir "" means nothing on disk. `key`: 32 bytes. */
  promptCache: { enabled: boolean; ram: number; dir: string; disk: number; key?: Uint8Array; moved: boolean };
}

/** One request for a reply. All fields but messages/prompt are required here; defaults come from lib/options. */
export interface NativeRequest {
  /** Chat messages as the JSON text of an OpenAI `messages` array; exactly one of messages and prompt is given. */
  messages?: string;
  /** Raw text to continue, no template; or token ids of the vocabulary, as they are. */
  prompt?: string | Int32Array;
  /** Of a prompt that is text: what follows what is to be written. Only where the model `fillsInTheMiddle`. */
  suffix?: string;
  /** Log-probabilities of the prompt's tokens are told, as Prompt events; nothing of it comes from the prompt cache then. */
  promptLogprobs?: boolean;
  /** What a reply is made of besides plain text. Absent: the reply is text, whatever is in it. */
  reply?: NativeReplyShape;
  /** Tokens to generate at most; 0 means up to the end of the context. */
  maxTokens: number;
  /** Before so many tokens nothing but maxTokens and the context's end ends the reply. */
  minTokens: number;
  temperature: number;
  topP: number;
  /** 0 turns it off. */
  topK: number;
  minP: number;
  typicalP: number;
  /** 0 turns it off. */
  topNSigma: number;
  /** Absent: the engine draws one and reports it. An integer 0 … 2^32-2. */
  seed?: number;
  stop: string[];
  presencePenalty: number;
  frequencyPenalty: number;
  repeatPenalty: number;
  /** Tokens that repeatPenalty looks back on; -1: the context. */
  repeatLastN: number;
  xtcProbability: number;
  xtcThreshold: number;
  dryMultiplier: number;
  dryBase: number;
  dryAllowedLength: number;
  dryPenaltyLastN: number;
  drySequenceBreakers: readonly string[];
  dynatempRange: number;
  dynatempExponent: number;
  /** 0, 1 or 2. */
  mirostat: number;
  mirostatTau: number;
  mirostatEta: number;
  adaptiveTarget: number;
  adaptiveDecay: number;
  minKeep: number;
  /** Each once at most, in the order of their acting. */
  samplers: readonly SamplerName[];
  /** Pairs [token id, bias] flattened; a bias of -100 or less bans the token. */
  logitBias: number[];
  /** Whether each token's log-probability is told, and those of how many of the likeliest in its place. */
  logprobs: boolean;
  topLogprobs: number;
  /** Generate on past the model's end-of-text tokens (benchmarks and tests). */
  ignoreEos: boolean;
  /** Tokens that may be delivered and not yet acknowledged before the sequence is parked. */
  highWaterMark: number;
  /** A sequence parked for longer than this many ms ends with STALLED; 0 means never. */
  stallTimeoutMs: number;
  /** What is guessed of the reply. Absent: nothing. */
  speculate?: NativeSpeculation;
  /** Text that is expected of the reply, or its tokens: guesses come from it first. */
  prediction?: string | Int32Array;
  /** Adapters that the model was opened with, in the order of their names, each once, and their strengths: not 0. Absent: none. */
  adapters?: readonly NativeAdapter[];
  /** Nothing is drawn: its prompt is computed for calls to come, in steps that nothing else wants. */
  prepares?: boolean;
  /** The ids of the reply's tokens are told with its events. */
  tellTokens?: boolean;
  /**
   * Ids that were told of the same request by an engine that was lost. The reply begins with them, its sampler goes on as if it had just drawn them, and all
   * of it is given out again from its start. Deterministic engines end with ENGINE_FAILED where one of them comes out as another token.
   */
  replay?: readonly number[];
}

/** Guesses change no text, only how soon it comes. */
export interface NativeSpeculation {
  /** That a step checks at most: 0 to 64; 0 is none. */
  tokens: number;
  /** Tokens at the text's end that must have stood before, so that what followed them is guessed: 1 to 32. */
  match: number;
}

/** An adapter that a request is computed with. The engine of lib/engine fills in the strength that is the adapter's own. */
export interface NativeAdapter {
  name: string;
  scale?: number;
}

/** What the model is offered and held to, and what is told apart in its reply. Only `jsonSchema` and `grammar` go with a prompt. */
export interface NativeReplyShape {
  /** Functions as the JSON text of an OpenAI `tools` array, names checked and unique. */
  tools?: string;
  /** Default "auto"; "required" with one tool stands for a named function. "none" shows the tools and takes no call: what looks like one is text. */
  toolChoice?: "auto" | "none" | "required";
  /** Several calls in one reply. Default true. */
  parallelToolCalls?: boolean;
  /** The text is held to this JSON Schema; "{}" is any JSON value. At most one of jsonSchema and grammar is given. */
  jsonSchema?: string;
  /** The text is held to this grammar, in llama.cpp's GBNF. */
  grammar?: string;
  /** Whether the model thinks before it answers; absent: what its template does by itself. */
  thinking?: boolean;
  /** Tokens of thinking at most; then the thought is closed. Absent: no limit. */
  reasoningBudget?: number;
  /** More variables for the template, as the JSON text of an object (`reasoning_effort`, …). */
  templateArguments?: string;
  /** The last message is the assistant's, and the reply goes on with it. */
  continueFinalMessage?: boolean;
}

/** Payload of a ToolCall event: a piece of a call. A call's first piece has id and name. */
export interface NativeToolCall {
  /** Which of the reply's calls, from 0. */
  index: number;
  /** "" where the model gives none: whoever shows it chooses one. */
  id?: string;
  name?: string;
  /** May be empty. */
  argumentsDelta: string;
}

/** Payload of a MalformedCall event: the reply has ended, and is not in the syntax of the template. */
export interface NativeMalformedCall {
  /** What could not be read; a Text event just before it has it too. May be empty. */
  text: string;
  /** A sentence for people. */
  reason: string;
}

/** Payload of a Finish event. */
export interface NativeFinish {
  reason: FinishReason;
  /** Why a reply that looked like calls of tools, or the like, was given as text; a sentence for people. */
  warning?: string;
  /** The stop string that was found, if one was. */
  stopString?: string;
  /** The seed in use, given or drawn. */
  seed: number;
  usage: Usage;
  timings: Timings;
}

/** Payload of a StreamError, LoadError or EngineError event, and the shape of what submit() throws. */
export interface NativeError {
  code: string;
  message: string;
}

/** Payload of a Progress event: the prompt's way through prefill. */
export interface NativeProgress {
  processedTokens: number;
  promptTokens: number;
  cachedTokens: number;
}

/**
 * Kinds of events. A batch has a payload for each event, and in `heads` three numbers for each: streamId, kind, tokens. `heads` may be
 * longer, and is written anew for the next batch. streamId is 0 for events of the model itself. Every stream gets exactly one
 * Finish or StreamError, after which its id is not seen again before four billion others were.
 */
export const NativeEventKind = {
  /** payload: string, never empty; tokens: how many tokens' credit it takes (at least 1). */
  Text: 0,
  /** payload: NativeProgress; takes no credit. */
  Progress: 1,
  /** payload: NativeFinish. A last Text event may come just before it. */
  Finish: 2,
  /** payload: NativeError. */
  StreamError: 3,
  /** payload: number from 0 to 1 (model). */
  LoadProgress: 4,
  /** payload: ModelInfo (model); its `sampling` is a NativeRecommended still. */
  Ready: 5,
  /** payload: NativeError (model); nothing follows but Closed. */
  LoadError: 6,
  /** payload: undefined (model); the very last event: threads are joined, memory is free. */
  Closed: 7,
  /** payload: NativeAnswer (model). */
  Answer: 8,
  /** payload: NativeError & { question } (model). */
  AnswerError: 9,
  /** payload: string, never empty: what the model thinks before it answers; tokens as Text. */
  Reasoning: 10,
  /** payload: NativeToolCall; tokens as Text. */
  ToolCall: 11,
  /** payload: undefined: tokens went into something that does not show yet (the syntax of a call, say); tokens as Text. */
  Hidden: 12,
  /** payload: NativeMalformedCall; tokens as Text. */
  MalformedCall: 13,
  /** payload: undefined: the next tokens of the prompt, whose log-probabilities are beside it (NaN for the first one); takes no credit. */
  Prompt: 14,
} as const;

/** What a model file recommends, by the names of options: numbers, and `samplers`, a list of names. Unchecked: the file's own. */
export type NativeRecommended = Readonly<Record<string, unknown>>;

/** What is asked of a model beside replies. Plain data, as its answer is. */
export type NativeQuestion = NativeTokenize | NativeDetokenize | NativeRender | NativeEmbed | NativeRerank | NativeCacheQuestion;

/** The tokens of a text. */
export interface NativeTokenize {
  tokenize: string;
  /** Control tokens are read by their text. */
  special: boolean;
  /** The vocabulary's own BOS comes first, where it has one to add. */
  addSpecial: boolean;
}

/** What token ids of the vocabulary stand for. */
export interface NativeDetokenize {
  detokenize: Int32Array;
  /** Control tokens stand for their text, otherwise for nothing. */
  special: boolean;
}

/** What a conversation becomes, were it asked for a reply. One that is longer than the context is answered, too. */
export interface NativeRender {
  render: Pick<NativeRequest, "messages" | "reply">;
}

/** The vectors of texts. They are computed beside the steps of streams. */
export interface NativeEmbed {
  /** Each a text, or the tokens that it is. At least one. */
  embed: readonly (string | Int32Array)[];
  /** The first so many of each vector's numbers; 0 means all. */
  dimensions: number;
  /** To a length of 1, after they were cut. */
  normalize: boolean;
  /** Texts that are longer than the context are cut; otherwise they are CONTEXT_OVERFLOW. */
  truncate: boolean;
}

/** How well documents answer a query. Only where the model's pooling is "rank". Computed as vectors are. */
export interface NativeRerank {
  rerank: string;
  documents: readonly string[];
  /** Documents that do not fit beside the query are cut; otherwise they are CONTEXT_OVERFLOW. */
  truncate: boolean;
}

/** What is wanted of the prefixes that are kept. Never from a page: they are everybody's texts. */
export interface NativeCacheQuestion {
  cache: "list" | "pin" | "unpin" | "evict" | "export" | "import" | "enough";
  /** The entry: 16 digits, base 16; or `tokens`, with which it begins. Neither: all (list, evict). */
  id?: string;
  tokens?: Int32Array;
  /** Of the file, for export and import. */
  path?: string;
  /** Of pin and export: what is not kept yet is waited for, until "enough" comes with the same number (from 1 to 2^32-1). */
  ticket?: number;
  /** 32 bytes that the file is sealed with; null: it is not sealed. Absent: as the engine's own files. */
  key?: Uint8Array | null;
}

/** The prefixes that it was of. */
export interface NativeCacheEntries {
  entries: CacheEntry[];
}

/** What was asked of the model, by the number that the question was given. */
export type NativeAnswer = { question: number } & (NativeTokens | NativePieces | NativePrompt | NativeVectors | NativeCacheEntries);

/** To a NativeTokenize. */
export interface NativeTokens {
  tokens: Int32Array;
}

/** To a NativeDetokenize. */
export interface NativePieces {
  /** Of all tokens, and where those of each end. */
  bytes: Uint8Array;
  ends: Int32Array;
  /** How many of the first bytes are no text's: a space that the tokenizer puts before each. */
  padding: number;
}

/** To a NativeRender. */
export interface NativePrompt {
  prompt: string;
  tokens: Int32Array;
}

/** To a NativeEmbed; and to a NativeRerank, whose vectors are scores: the first number of each, the others are of other classes. */
export interface NativeVectors {
  /** All of them, one after the other. */
  vectors: Float32Array;
  /** Numbers of each. */
  width: number;
  /** Of each text, as it was computed. */
  tokens: Int32Array;
}

/** A token and its log-probability in the model's own distribution. */
export interface NativeLogprob {
  id: number;
  /** Its bytes in the text, a character for each. */
  bytes: string;
  /** Of a control token, which has no bytes. */
  name?: string;
  logprob: number;
}

/** A token of a reply, and the likeliest in its place. */
export interface NativeTokenLogprobs extends NativeLogprob {
  top: NativeLogprob[];
}

/**
 * `logprobs`: at an event's place those of the tokens that it took, or of the prompt's, where its request asks for them. Absent where no event has any.
 * `drawn`: of streams whose request tells tokens, pairs [an event's place, token id], flat: the tokens that were drawn since the stream's event
 * before. Absent where there are none.
 */
export type NativeEventListener = (
  heads: Uint32Array,
  payloads: readonly unknown[],
  logprobs?: readonly (readonly NativeTokenLogprobs[] | undefined)[],
  drawn?: ArrayLike<number>,
) => void;

/** The addon's model: one decode thread, one llama_context. */
export interface NativeEngine {
  /**
   * Queues a request under the id that the caller chose: from 1 to 2^32 - 1, of one stream at a time. Only after Ready.
   * Template and tokenizer run on the engine's prompt workers; their failures come as a StreamError event.
   * Throws an Error with `code` CLOSED, or ENGINE_FAILED where no thread can be had.
   */
  submit(streamId: number, request: NativeRequest): void;
  /**
   * Says that the turn of the event loop in which something was submitted is over. Until then, but for a few milliseconds at most, an
   * idle engine waits for more, so that what is asked for in one turn begins in one batch.
   */
  endTurn(): void;
  /** Gives back credit for tokens that the consumer has taken. Unknown ids are ignored. */
  ack(streamId: number, tokens: number): void;
  /** Ends a stream in whatever state it is, with Finish{reason:"cancelled"}. Unknown ids are ignored. */
  cancel(streamId: number): void;
  /** Closes the thought that a stream is in, as a spent budget does; nothing where it is in none. Unknown ids are ignored. */
  endReasoning(streamId: number): void;
  /** Cancels every stream (each still gets its Finish), stops the thread, frees the model, then emits Closed. Idempotent. */
  close(): void;
  /**
   * Only after Ready. One Answer or AnswerError event with the caller's number (from 1 to 2^32 - 1) follows, also when the model is closed first.
   * Throws as submit.
   */
  ask(number: number, question: NativeQuestion): void;
  /** Nobody waits for an answer any more: it comes as soon as it can, and may be an AnswerError. Unknown numbers are ignored. */
  withdraw(number: number): void;
  /** Counters for tests and metrics; cheap, may be called at any time. */
  stats(): EngineStats;
}

export interface NativeAddon {
  /** The project's version the addon was built from. */
  version: string;
  /** The llama.cpp release and commit it was built from, such as "v0.5.0 (de3ff815)". */
  llamaVersion: string;
  /** Instruction sets and backends in use, llama.cpp's own line. */
  systemInfo: string;
  /** Level of instructions that a prebuilt addon chose for this processor ("avx2", …; ZSE_CPU names another); "native" in a local build. */
  cpuLevel: string;
  devices(): Device[];
  /** Opens a model in the background; `onEvents` is called on the thread that made it, once per decode step at most. */
  Engine: new (
    path: string,
    options: NativeEngineOptions,
    onEvents: NativeEventListener,
  ) => NativeEngine;
}

/** How the addon comes by a GPU: its backend is a library in a package of its own. */
export interface NativeGpuLibraries {
  /**
   * Loads the library at an absolute path, and adds its devices to those that models choose from; returns how many there are. Throws an Error
   * with `code` BAD_OPTION, or UNSUPPORTED where it cannot be loaded or is of another version.
   */
  useGpuLibrary(path: string): number;
}
