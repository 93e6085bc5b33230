// Owns the seam between an engine as JavaScript sees it and its native half, wherever that runs: in this process (addon-link.ts), or in
// another one. What comes back are batches of events, as lib/addon/contract.ts describes them, in one order for all.

import type { NativeEventListener, NativeFinish, NativeQuestion, NativeRequest } from "../addon/contract.js";
import type { EngineStats, FetchEvent } from "../types.js";

/** Of streams and of questions. */
export const LARGEST_ID = 2 ** 32 - 1;

/** A whole number from 1 to LARGEST_ID, of one stream at a time. lib/engine chooses it. 0 stands for the engine itself. */
export type StreamId = number;

/** The next id after `last` that none of the open ones has. */
export function freeId(last: number, open: { has(id: number): boolean }): number {
  let id = last;
  do {
    id = (id % LARGEST_ID) + 1;
  } while (open.has(id));
  return id;
}

/** What a stream took that never began. */
export const NO_USE: Pick<NativeFinish, "usage" | "timings"> = {
  usage: { promptTokens: 0, completionTokens: 0, totalTokens: 0, cachedTokens: 0 },
  timings: { queueMs: 0, prefillMs: 0, itlMs: { p50: 0, p99: 0, max: 0 }, tokensPerSecond: 0, pausedMs: 0 },
};

/** What is asked of an engine beside streams. */
export type Question = NativeQuestion;

/** One open engine. No method throws or waits; each may be called from Ready on, and close() before, too. */
export interface EngineLink {
  /** Opens a stream. A refusal is a StreamError event, like any other end. */
  submit(id: StreamId, request: NativeRequest): void;
  /** The turn of the event loop in which something was submitted is over: what was asked for in it begins together. */
  endTurn(): void;
  /** Gives back credit for tokens that the consumer has taken. Ids of streams that have ended are ignored. */
  ack(id: StreamId, tokens: number): void;
  /** Ends a stream in whatever state it is, with Finish{cancelled}. Ids of streams that have ended are ignored. */
  cancel(id: StreamId): void;
  /** Closes the thought that a stream is in; nothing where it is in none. Ids of streams that have ended are ignored. */
  endReasoning(id: StreamId): void;
  /** One Answer or AnswerError event with the same number follows, also when the engine is closed first. */
  ask(question: number, what: Question): void;
  /** Nobody waits for an answer any more: it comes as soon as it can, and may be an AnswerError. Numbers of questions that were answered are ignored. */
  withdraw(question: number): void;
  /** Ends every stream, frees the model, and says Closed, the last event. May be called again. */
  close(): void;
  /** In this process as they are now; elsewhere as of the last batch. */
  readonly stats: EngineStats;
}

/**
 * A kind of event beside those of lib/addon/contract.ts, of the engine itself; its payload is a NativeError that says why. An engine elsewhere has
 * ended by itself, and is started again: Ready follows, or LoadError where that was in vain. What is asked meanwhile waits.
 */
export const RESTARTING = 255;

/** Another one: the model's file is on its way here. */
export const FETCHING = 254;
/** Its payload: the part that is done, 0 to 1, and what is told. */
export type Fetching = [fraction: number, event: FetchEvent];

/** Opens an engine in the background. Throws only where there is no native half at all. */
export type OpenLink = (listener: NativeEventListener) => EngineLink;

/** Of a model that is not open. */
export const NO_STATS: EngineStats = {
  queued: 0,
  prefilling: 0,
  decoding: 0,
  parked: 0,
  spilled: 0,
  freeSlots: 0,
  steps: 0,
  generatedTokens: 0,
  prefilledTokens: 0,
  abortedSteps: 0,
  cachedTokens: 0,
  spills: 0,
  draftedTokens: 0,
  acceptedTokens: 0,
  embedding: 0,
  embeddedTokens: 0,
  embeddingBytes: 0,
  cacheRamBytes: 0,
  cacheDiskBytes: 0,
  cacheUnusableBytes: 0,
  spilledBytes: 0,
};
