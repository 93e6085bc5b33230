// Owns the types of what calls give: replies, the events that they come in, usage, timings, log-probabilities, vectors, and what is kept of prompts.

import type { ToolCall } from "./messages.js";
import type { Step } from "./tools.js";

/** How far a prompt is that was computed ahead. In tokens. */
export interface Prepared {
  /** Of the whole prompt; 0 where that was not looked at, for want of room. */
  promptTokens: number;
  /** Those that need not be computed any more. All of them unless something else wanted the slot, or a newer call took its place. */
  readyTokens: number;
  /** Of these, the ones that were known before. */
  cachedTokens: number;
}

/** A beginning of a prompt that is kept, as `model.cache.list()` tells it. */
export interface CacheEntry {
  /** Of its tokens: 16 digits, base 16. The same text has the same id in every engine of the model. */
  id: string;
  tokens: number;
  /** Of its image in RAM, or else of its file; of one that is only in a slot, those that its image would have. */
  bytes: number;
  /** Where it is: in a free slot of the KV cache, where the next stream may need the place; in RAM; in a file of `promptCache.dir`. */
  in: ("slot" | "ram" | "disk")[];
  pinned: boolean;
  /** How it begins, some 24 tokens: what a person knows it by. */
  text: string;
}

/** What a conversation becomes for the model, as applyTemplate() gives it. */
export interface RenderedPrompt {
  /** What the chat template writes. */
  prompt: string;
  /** Ids of what the model reads. A control token's name in a message is text here, which tokenize() does not know of the text alone. */
  tokens: number[];
}

/** A token, and how likely the model itself held it to be. */
export interface TokenLogprob {
  /** Its id in the vocabulary. */
  id: number;
  /** Its text, in which half a code point is U+FFFD. Of a control token, its name. */
  token: string;
  /** Its bytes, which with those of its neighbours are the text's. A control token has none. */
  bytes: number[];
  /** Natural logarithm of its probability, 0 at most. */
  logprob: number;
}

/** A token of a reply. */
export interface TokenLogprobs extends TokenLogprob {
  /** The likeliest tokens in its place, `topLogprobs` of them at most, the likeliest first. */
  top: TokenLogprob[];
}

/** A token of a prompt. The first one has no log-probability, since nothing stands before it. */
export interface PromptToken extends Omit<TokenLogprobs, "logprob"> {
  logprob: number | null;
}

/** A collected reply. `Value`: what its `object` is. */
export interface Reply<Value = unknown> {
  /** All text, of all steps. */
  text: string;
  /** Of the tokens whose text the consumer had, where `logprobs` asked for them. */
  logprobs?: TokenLogprobs[];
  /** The prompt's tokens, where `promptLogprobs` asked for them. */
  promptLogprobs?: PromptToken[];
  /**
   * "stop": the model ended, or a stop string was found; "length": maxTokens or the context's end; "toolCalls": it calls tools, which were not
   * run; "cancelled": the consumer left.
   */
  finishReason: FinishReason;
  /** The calls that are left to the caller. One in whose middle the reply ended is `incomplete`. */
  toolCalls: readonly ToolCall[];
  /** Where tools were given: what looked like a call and is none. `text` has it as well. */
  malformedCall?: MalformedCall;
  /** What the model thought before it answered, of all steps. Absent where it did not. */
  reasoning?: string;
  /** The value of a structured reply (`responseFormat`), as its schema makes it. Absent where the reply was cut short (finishReason "length"), or the schema refuses it. */
  object?: Value;
  /** The steps, where calls of tools were run. */
  steps?: readonly Step[];
  /** What looks wrong with a reply that is given all the same; a sentence for people. */
  warning?: string;
  /** The stop string that was found, if one was. */
  stopString?: string;
  usage: Usage;
  timings: Timings;
  /** The seed in use, given or drawn: the same call with it gives the same text. */
  seed: number;
}

/** The prompt is being read: how far it is. Only the newest is kept for a consumer that is slow. */
export interface ProgressEvent {
  type: "progress";
  processedTokens: number;
  promptTokens: number;
  cachedTokens: number;
}

/** The next tokens of the prompt, where `promptLogprobs` asked for them; all of them come before the reply. */
export interface PromptEvent {
  type: "prompt";
  tokens: PromptToken[];
}

/** A chunk of the reply, never empty. */
export interface TextEvent {
  type: "text";
  text: string;
  /** Of the tokens that begin in it, where they were asked for. Empty where its text is the rest of a token that was told before. */
  logprobs?: TokenLogprobs[];
}

/** A piece of what the model thinks before it answers. */
export interface ReasoningEvent {
  type: "reasoning";
  text: string;
  /** As a text's. */
  logprobs?: TokenLogprobs[];
}

/** A piece of a call of a tool. */
export interface ToolCallEvent {
  type: "toolCall";
  /** Which of the reply's calls this belongs to, from 0. */
  index: number;
  /** Only in a call's first event. */
  id?: string;
  /** Only in a call's first event. */
  name?: string;
  /** The next piece of the arguments' JSON text. */
  argumentsDelta: string;
  /** As a text's. */
  logprobs?: TokenLogprobs[];
}

/** What looked like a call of a tool, and is not in the syntax of the model's template. */
export interface MalformedCall {
  /** What of the reply could not be read, as it is in the reply's text. "" where all of it had come as pieces of a call, which is `incomplete` then. */
  text: string;
  /** Why; a sentence for people. */
  reason: string;
}

/** The reply is over, and what looked like a call of a tool is none: the text before this event has it. Comes just before `finish`. */
export interface MalformedCallEvent extends MalformedCall {
  type: "malformedCall";
  /** As a text's. */
  logprobs?: TokenLogprobs[];
}

/** What a structured reply has come to: its value so far, and at the end all of it. Comes as the text grows by an eighth. */
export interface ObjectEvent<Partial = unknown> {
  type: "object";
  partial: Partial;
}

/** The calls of a reply were run, and another one begins with their results; or the last step is over. */
export interface StepEvent {
  type: "step";
  step: Step;
}

/** The end of a reply that was not aborted and did not fail; the last event. */
export interface FinishEvent {
  type: "finish";
  reason: FinishReason;
  stopString?: string;
  warning?: string;
  /** Of the tokens that no event before it has told, where they were asked for: a tag that closes a call, say. */
  logprobs?: TokenLogprobs[];
  usage: Usage;
  timings: Timings;
  seed: number;
}

/** What `events()` gives. Take care of unknown types: later versions may add some. */
export type StreamEvent<Partial = unknown> =
  | ProgressEvent
  | PromptEvent
  | TextEvent
  | ReasoningEvent
  | ToolCallEvent
  | MalformedCallEvent
  | ObjectEvent<Partial>
  | StepEvent
  | FinishEvent;

/** Tokens that a call without a reply has used. */
export interface TextUsage {
  promptTokens: number;
  /** The same. */
  totalTokens: number;
}

export interface Embeddings {
  /** One for each text, in their order; memory of its own. */
  embeddings: Float32Array[];
  usage: TextUsage;
}

export interface Ranking {
  /** The best first. `index` is that of the document as it was given; `score` is the model's own, and means something only beside others of the same call. */
  results: { index: number; score: number }[];
  usage: TextUsage;
}

/** Tokens used by a request. */
export interface Usage {
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
  /** Prompt tokens taken from the prefix cache instead of being computed. */
  cachedTokens: number;
  /** Of the completion's tokens, those of the model's thought. Absent where it had none. */
  reasoningTokens?: number;
  /** Tokens of the `prediction` that were computed ahead and are in the completion, and those that are not. Absent where nothing was predicted. */
  acceptedPredictionTokens?: number;
  rejectedPredictionTokens?: number;
}

/** Times of a request, in milliseconds, measured in the engine (a slow reader changes only pausedMs). */
export interface Timings {
  /** From submit to the first prefill step. */
  queueMs: number;
  /** From the first prefill step to the first sampled token. */
  prefillMs: number;
  /** From submit to the first token's being handed over. Absent where none was: a reply that ended before it, or was cancelled. */
  ttftMs?: number;
  /** Time between consecutive tokens, without the time the sequence was parked; waiting for a slot that was lent meanwhile is part of it. */
  itlMs: { p50: number; p99: number; max: number };
  /** Tokens per second after the first one, without the time parked. */
  tokensPerSecond: number;
  /** Time parked at highWaterMark, until the reader is back. */
  pausedMs: number;
  /** Tokens that were guessed and computed ahead, and of those the ones that came. Absent where none were. */
  draftedTokens?: number;
  acceptedTokens?: number;
  /** Where the part of the prompt ended that was known, and why. Absent where the prompt was never begun. */
  prefix?: PrefixBreak;
}

/**
 * Why no more of a prompt was known.
 *
 * - `whole`: all of it was; the last token is computed all the same.
 * - `new`: nothing that is held begins as it does.
 * - `continued`: what is held ends there, and the prompt goes on: a conversation's next turn.
 * - `differs`: what is held goes on with another token there. Something before that place changes from call to call: a date, say.
 * - `evicted`: more was known once, and had to make way (`promptCache`, `maxStreams`).
 * - `adapter`: more is known, and was computed with other adapters.
 * - `coarse`: all up to there is known, and can be used only up to an earlier place (`usage.cachedTokens`): a hybrid, recurrent or sliding-window
 *   model is cut at its checkpoints alone, and `deterministic` at whole pieces. Less than 64 tokens are told only where all is known.
 * - `short`: all of it was known, and it is too short to be worth a copy.
 * - `lost`: what was kept could not be read: its file was damaged, removed, or not there in time.
 * - `off`: nothing is looked for: `promptCache` is false, or `promptLogprobs` are told.
 */
export type PrefixReason = "whole" | "new" | "continued" | "differs" | "evicted" | "adapter" | "coarse" | "short" | "lost" | "off";

/** Where the known part of a prompt ended. */
export interface PrefixBreak {
  /**
   * The first token of the prompt, counted from 0, that was not known; the prompt's length where all are. Fewer may have been taken over
   * (`usage.cachedTokens`): fewer than 64 in common are not worth a copy.
   */
  brokeAt: number;
  reason: PrefixReason;
  /** Tokens behind it that were taken over from other places all the same (`promptCache.moved`). Absent where none were. */
  movedTokens?: number;
  /** What the prompt goes on with there: a few tokens of it, to find the place by. Absent where that tells nothing. */
  text?: string;
}

export type FinishReason = "stop" | "length" | "toolCalls" | "cancelled";
