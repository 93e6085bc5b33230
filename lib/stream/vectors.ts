// Owns the calls for vectors of texts and scores of documents, from what the caller gave to what it gets, on any engine. JS thread that made the model.

import type { ModelEngine } from "../engine/engine.js";
import { readEmbedCall, readRerankCall } from "../options/embeddings.js";
import type { Embeddings, EmbedOptions, Ranking, RerankOptions, TextUsage } from "../types.js";
import { orWithdrawn, unlessAborted } from "./abort.js";

/** Rejects as ZSE.embed(). */
export async function embedOn(engine: ModelEngine, given: unknown, options: EmbedOptions | undefined): Promise<Embeddings> {
  const { signal, texts, ...shape } = readEmbedCall(given, options);
  await unlessAborted(signal, engine.ready);
  const { answer, withdraw } = engine.embed({ embed: texts, ...shape });
  const { vectors, width, tokens } = await orWithdrawn(signal, answer, withdraw);
  return { embeddings: texts.map((_, i) => vectors.slice(i * width, (i + 1) * width)), usage: usageOf(tokens) };
}

/** Rejects as ZSE.rerank(). */
export async function rerankOn(engine: ModelEngine, given: unknown, among: unknown, options: RerankOptions | undefined): Promise<Ranking> {
  const { query, documents, topN, truncate, signal } = readRerankCall(given, among, options);
  await unlessAborted(signal, engine.ready);
  const { answer, withdraw } = engine.rerank({ rerank: query, documents, truncate });
  const { vectors, width, tokens } = await orWithdrawn(signal, answer, withdraw);
  const scored = documents.map((_, index) => ({ index, score: vectors[index * width]! }));
  return { results: scored.sort((a, b) => b.score - a.score).slice(0, topN), usage: usageOf(tokens) };
}

function usageOf(tokens: Int32Array): TextUsage {
  const promptTokens = tokens.reduce((sum, count) => sum + count, 0);
  return { promptTokens, totalTokens: promptTokens };
}
