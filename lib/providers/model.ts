// Owns what a provider asks of a model: shapes, so that a model which is wrapped, or made up, will do, and nothing native is imported. Pure.

import { quote } from "../base/quote.js";
import { bad } from "../errors.js";
import type { EmbedOptions, Message, ReplyOptionsInput, StreamEvent, TextUsage } from "../types.js";

/** What is used of a model: a ZSE, or anything that streams in its way. */
export interface StreamingModel {
  chatStream(request: { messages: readonly Message[] } & ReplyOptionsInput): EventStream;
  readonly info?: { readonly name: string } | undefined;
  /** For frameworks that count tokens. A ZSE has it. */
  tokenize?(text: string): Promise<ArrayLike<number>>;
}

/** What is used of a TokenStream. Leaving early (`return()`) cancels. */
export interface EventStream {
  events(): AsyncIterator<StreamEvent> | AsyncIterable<StreamEvent>;
}

export function eventsOf(stream: EventStream): AsyncIterator<StreamEvent> {
  const events = stream.events();
  return Symbol.asyncIterator in events ? events[Symbol.asyncIterator]() : events;
}

/** What is used of a model that embeds: a ZSE, or anything that does it in its way. */
export interface EmbeddingSource {
  embed(texts: readonly string[], options?: EmbedOptions): Promise<{ embeddings: readonly Float32Array[]; usage: TextUsage }>;
  readonly info?: { readonly name: string } | undefined;
}

/** @throws ZSEError BAD_OPTION */
export function checkEmbedder(model: unknown, of: string): asserts model is EmbeddingSource {
  if (typeof (model as Partial<EmbeddingSource> | undefined | null)?.embed === "function") return;
  throw bad("model", `${of} takes a model: a ZSE, or an object with its embed(); given ${quote(model)}.`);
}

/** @throws ZSEError BAD_OPTION */
export function checkModel(model: unknown, of: string): asserts model is StreamingModel {
  if (typeof (model as Partial<StreamingModel> | undefined | null)?.chatStream === "function") return;
  throw bad("model", `${of} takes a model: a ZSE, or an object with its chatStream(); given ${quote(model)}.`);
}
