// Owns what the SSE adapter asks of a model and of a stream: shapes, so that anything that keeps them can be served, and nothing
// native is imported. Types only.

import type {
  CompletionOptionsInput,
  EngineStats,
  FinishEvent,
  Message,
  ModelInfo,
  Prepared,
  PrepareOptions,
  ReplyOptionsInput,
  StreamEvent,
} from "../types.js";

/** What the adapter uses of a TokenStream: one that is wrapped, or made up, will do. */
export interface EventStream {
  /** What happens, in order, `finish` last. Leaving early (`return()`) cancels. */
  events(): AsyncIterator<StreamEvent> | AsyncIterable<StreamEvent>;
  /** The request's includeUsage, when the stream was opened with one. */
  readonly includeUsage?: boolean | undefined;
  /** Tokens of what was taken of events() so far; for those who want usage with every piece. */
  readonly takenTokens?: number;
  /** Rejects as soon as the stream has failed, also while nobody reads. */
  readonly result?: Promise<unknown>;
}

/** What the adapter uses of a model: a ZSE, or anything that streams in its way. */
export interface ServedModel {
  chatStream(request: { messages: readonly Message[] } & ReplyOptionsInput): EventStream;
  /** Prompts are texts, unless the model has detokenize(). */
  completionStream(request: { prompt: string | readonly number[] } & CompletionOptionsInput): EventStream;
  /** Without it a prompt's tokens are counted by opening a stream. */
  countTokens?(request: { messages: readonly Message[] } & ReplyOptionsInput): Promise<number>;
  applyTemplate?(request: { messages: readonly Message[] } & ReplyOptionsInput): Promise<{ prompt: string }>;
  /** Without it there is no /v1/chat/prepare. */
  prepare?(request: { messages: readonly Message[] } & ReplyOptionsInput & PrepareOptions): Promise<Prepared>;
  /** Without it no request has token ids. */
  detokenize?(tokens: readonly number[]): Promise<string>;
  /** Awaited before the first request is answered. */
  readonly ready?: Promise<unknown>;
  /**
   * `name` is the replies' `model` where nothing else says it; `contextSize` tells which prompts cannot be too long, `vocabularySize` which token ids there are,
   * `adapters` which names behind a colon mean the model with one.
   */
  readonly info?: (Pick<ModelInfo, "name"> & Partial<Pick<ModelInfo, "contextSize" | "vocabularySize" | "adapters">>) | undefined;
  /** Tells a full server's clients when to come back. */
  stats?(): Occupancy;
}

/** What the adapter uses of several models: a ModelPool, or anything alike. */
export interface ServedPool {
  /** Every name that is answered to. The first one is that of requests that name none. */
  readonly names: readonly string[];
  /** Opens a model, and keeps it open until it is released, which may be before its streams end. Rejects with the signal's reason. */
  acquire(name: string, options?: { signal?: AbortSignal | undefined }): Promise<HeldModel>;
  /** Takes a model out of memory, unless somebody uses it; tells whether it is out. Without it models leave by themselves alone. */
  unload?(name: string): Promise<boolean>;
  /** The same model, whether it is open or not; asked for its stats() alone. */
  model(name: string): Pick<ServedModel, "stats">;
}

/** A model that stays open until it is released. */
export interface HeldModel {
  readonly model: ServedModel;
  release(): void;
}

/** How many streams are where. */
export type Occupancy = Pick<EngineStats, "queued" | "prefilling" | "decoding" | "parked" | "freeSlots"> &
  Partial<Pick<EngineStats, "spilled">>;

/** Told what happens to a request; for metrics and logs. A call costs a step of the stream, so it must be quick. */
export interface Observer {
  /** A piece of text, of a thought or of a call came. `waitedFor`: the reader was already waiting, so the time since the last one is the engine's. */
  onText?(choice: number, waitedFor: boolean): void;
  onFinish?(choice: number, finish: FinishEvent): void;
  onError?(error: unknown): void;
  /** The client left before the end. */
  onCancel?(): void;
  /** The last word, whatever happened; once. */
  onEnd?(): void;
}

export interface HandlerOptions {
  /** The name that replies carry as their `model`. Default: the name in the model's file. */
  model?: string | undefined;
  /** Silence (ms) after which a chunk with an empty delta is sent, so that no proxy takes the stream for dead. Default 15000. */
  heartbeatMs?: number | undefined;
  /** Largest body that is read, in bytes. Default 1 MiB. */
  maxBodyBytes?: number | undefined;
  /** Most choices (`n`) of a request. Default 8. */
  maxChoices?: number | undefined;
  /** A client that takes nothing for this long (ms), after highWaterMark tokens are waiting for it, is cut off. Default: never. */
  stallTimeoutMs?: number | undefined;
  /**
   * How long (ms) the headers of a stream whose prompt may be too long wait for its check: one that is too long is then a 400, as
   * OpenAI's clients expect it, not an error in the stream. They wait no longer than until the first event. Those of prompts that fit
   * in any case wait 30 ms at most. Default 10000; 0 is not at all.
   */
  earlyErrorMs?: number | undefined;
  /** The role chunk goes out before the first token, as soon as the request is accepted. Default: with the first token. */
  earlyRole?: boolean | undefined;
  /**
   * Pads the pieces of streams, so that their lengths on the wire do not tell what they say; a request's `stream_options.include_obfuscation`
   * says otherwise. Default false; `zse serve` does where others than its own machine reach it.
   */
  obfuscation?: boolean | undefined;
  /** Bounds of streams that clients ask to be resumable. */
  resumable?: ResumableOptions | undefined;
  /** Bounds of the replies that are kept for OpenAI's Responses (`store`), in RAM. */
  keptReplies?: KeptReplyOptions | undefined;
  /**
   * Told once of each failure of which clients are not told more than that there was one: a model that cannot be loaded, an engine
   * that failed, a mistake in a program. Default: console.error.
   */
  onError?: ((error: unknown) => void) | undefined;
}

export interface ToResponseOptions {
  /** The reply's `model`. Default "local". */
  model?: string | undefined;
  /** Which of OpenAI's formats. Default "chat". */
  kind?: "chat" | "completion" | undefined;
  /** See HandlerOptions. */
  heartbeatMs?: number | undefined;
  /** See HandlerOptions. */
  earlyRole?: boolean | undefined;
}

/**
 * Bounds of the replies that requests can go on from (`previous_response_id`). Of more, those used longest ago are forgotten. One that is
 * with its conversation more than twice as large as a body may be is not kept.
 */
export interface KeptReplyOptions {
  /** Replies kept at a time; 0 keeps none. Default 1000. */
  maxReplies?: number | undefined;
  /** Bytes of JSON that all of them take together, each with the whole of its conversation. Default 64 MiB. */
  maxBytes?: number | undefined;
}

/** Bounds of resumable streams. */
export interface ResumableOptions {
  /** How long (ms) a stream is kept that nobody reads, while it runs and after its end. Default 60000. */
  keepMs?: number | undefined;
  /** Events that a stream keeps: half of them unread (then the reply is paused), half already sent. Default 65536. */
  maxEvents?: number | undefined;
  /** Streams kept at a time, running or not. Default 64. */
  maxStreams?: number | undefined;
  /**
   * Running choices (`n`) that the replies of one client may hold together while nobody reads them and others wait for a slot; of more,
   * those that nobody has read for longest end. As many may run in the background without a stream. Default 8. A client is an address, or a key of `zse serve`; behind createHandler() all
   * are one.
   */
  maxUnread?: number | undefined;
}
