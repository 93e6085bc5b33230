// Owns what of a request only the loaded model can find wrong, before the engine has it: token ids beyond the vocabulary, text beyond the
// context. Pure; any thread.

import type { NativeAdapter, NativeEmbed, NativeRequest } from "../addon/contract.js";
import { quote } from "../base/quote.js";
import { bad, ZSEError } from "../errors.js";
import type { ModelInfo } from "../types.js";

/** Characters that a token stands for at most, with room to spare: the longest of real vocabularies have 256 bytes. */
const CHARACTERS_A_TOKEN = 1024;

/**
 * Whether another stream may be opened. Streams that were cancelled make room at once, though not without end: they take memory until they have ended.
 * @throws ZSEError OVERLOADED
 */
export function checkRoom({ maxStreams, maxQueue }: { maxStreams: number; maxQueue: number }, open: number, leaving: number): void {
  const room = maxStreams + maxQueue;
  if (open - Math.min(leaving, room) < room) return;
  const all = `all ${maxStreams} streams are running and ${maxQueue} requests are waiting (maxStreams, maxQueue)`;
  throw new ZSEError("OVERLOADED", `${all}; try again later`);
}

/**
 * Whether another question for vectors may be asked.
 * @throws ZSEError OVERLOADED
 */
export function checkQuestions({ maxStreams, maxQueue }: { maxStreams: number; maxQueue: number }, open: number): void {
  const room = maxStreams + maxQueue;
  if (open < room) return;
  throw new ZSEError("OVERLOADED", `${open} calls for embeddings are not answered yet (maxStreams + maxQueue = ${room}); try again later`);
}

/**
 * Texts that only the loaded model can find wrong.
 * @throws ZSEError BAD_OPTION, UNSUPPORTED or CONTEXT_OVERFLOW
 */
export function checkEmbed({ embed, dimensions, truncate }: NativeEmbed, info: ModelInfo): void {
  if (info.pooling === "rank") {
    throw new ZSEError("UNSUPPORTED", "The model gives scores of documents, and no vectors; use rerank(), or a model that embeds.");
  }
  if (dimensions > info.vectorSize) {
    throw bad("dimensions", `dimensions may be 1 to ${info.vectorSize}, as many as the model's vectors have; given ${dimensions}.`);
  }
  for (const [i, text] of embed.entries()) {
    if (typeof text === "string") continue;
    checkTokens(`texts[${i}]`, text, info);
    if (truncate || text.length <= info.contextSize) continue;
    const holds = `the context holds ${info.contextSize}; shorten it, have it cut with truncate: true, or open the model with a larger contextSize`;
    throw new ZSEError("CONTEXT_OVERFLOW", `texts[${i}] has ${text.length} tokens, and ${holds}`);
  }
}

/** @throws ZSEError UNSUPPORTED */
export function checkRerank(info: ModelInfo): void {
  if (info.pooling === "rank") return;
  const message = "The model gives no scores of documents (its pooling is not rank); take a reranker, or compare vectors of embed().";
  throw new ZSEError("UNSUPPORTED", message);
}

/** @throws ZSEError UNSUPPORTED */
export function checkGenerates({ generates, architecture }: ModelInfo): void {
  if (generates) return;
  throw new ZSEError(
    "UNSUPPORTED",
    `The model (architecture "${architecture}") is an encoder: it embeds texts with embed(), and writes none.`,
  );
}

type Texts = Pick<NativeRequest, "messages" | "prompt" | "suffix">;

/** @throws ZSEError BAD_OPTION, UNSUPPORTED or CONTEXT_OVERFLOW */
export function checkAgainstModel(request: NativeRequest, info: ModelInfo): void {
  checkGenerates(info);
  checkBiases(request.logitBias, info.vocabularySize);
  if (request.prompt instanceof Int32Array) checkTokens("prompt", request.prompt, info);
  if (request.suffix !== undefined) checkSuffix(info);
  if (request.adapters !== undefined) checkAdapters(request.adapters, info);
  checkLength(request, info);
}

/** @throws ZSEError BAD_OPTION */
export function checkTokens(name: string, tokens: Int32Array, { vocabularySize }: ModelInfo): void {
  const wrong = tokens.findIndex((token) => token >= vocabularySize);
  if (wrong < 0) return;
  const at = `${name}[${wrong}]`;
  throw bad(at, `${at} is ${tokens[wrong]}; the token ids of this vocabulary are 0 to ${vocabularySize - 1}.`);
}

function checkAdapters(wanted: readonly NativeAdapter[], { adapters }: ModelInfo): void {
  const unknown = wanted.find(({ name }) => !adapters.some((one) => one.name === name));
  if (unknown === undefined) return;
  const known =
    adapters.length === 0 ? "the model was opened without any (adapters)" : `there are: ${adapters.map(({ name }) => name).join(", ")}`;
  throw bad("adapter", `adapter names ${quote(unknown.name)}, and ${known}.`);
}

function checkSuffix({ fillsInTheMiddle }: ModelInfo): void {
  if (fillsInTheMiddle) return;
  const message = "suffix needs a model that fills in the middle, and this one's vocabulary has no tokens for it; leave it out.";
  throw new ZSEError("UNSUPPORTED", message, { option: "suffix" });
}

/**
 * A token that there is none of would change nothing, in silence. With every token banned there is nothing to say, which is known before
 * anything is computed. Pairs [token id, bias], flat.
 */
function checkBiases(logitBias: readonly number[], vocabularySize: number): void {
  for (let i = 0; i < logitBias.length; i += 2) {
    if (logitBias[i]! < vocabularySize) continue;
    throw bad("logitBias", `logitBias names token ${logitBias[i]}; the token ids of this vocabulary are 0 to ${vocabularySize - 1}.`);
  }
  if (logitBias.length < 2 * vocabularySize) return;
  const banned = new Set<number>();
  for (let i = 0; i < logitBias.length; i += 2) {
    if (logitBias[i + 1]! <= -100) banned.add(logitBias[i]!);
  }
  if (banned.size < vocabularySize) return;
  throw bad("logitBias", `logitBias bans all ${vocabularySize} tokens of the vocabulary; leave one that can be said.`);
}

/** What cannot fit whatever the tokenizer makes of it is known before it is copied, rendered and split. */
export function checkLength({ messages, prompt, suffix = "" }: Texts, { contextSize }: ModelInfo): void {
  const text = messages ?? (typeof prompt === "string" ? prompt : "");
  const given = text.length + suffix.length;
  const most = contextSize * CHARACTERS_A_TOKEN;
  if (given <= most) return;
  const holds = `the context of a stream holds ${contextSize} including at least one of the reply`;
  const many = `its text has ${given} characters, of which at most ${most} could fit`;
  const advice = "shorten the prompt or open the model with a larger contextSize";
  throw new ZSEError("CONTEXT_OVERFLOW", `the prompt has at least ${contextSize + 1} tokens, and ${holds}: ${many}; ${advice}`);
}
