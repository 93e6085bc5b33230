// Owns a model as LangChain embeds with it. JS thread of the model. Works on anything that embeds as a ZSE does, and imports nothing native;
// @langchain/core is a peer.

import { Embeddings, type EmbeddingsParams } from "@langchain/core/embeddings";
import { cutName, quote } from "../../base/quote.js";
import { bad } from "../../errors.js";
import { MOST_TEXTS } from "../../options/embeddings.js";
import { isPlainObject } from "../../options/rules.js";
import type { EmbedOptions } from "../../types.js";
import { checkEmbedder, type EmbeddingSource } from "../model.js";

export interface ZSEEmbeddingsFields extends EmbeddingsParams, Omit<EmbedOptions, "signal"> {
  /** A ZSE, or anything that embeds in its way. Its owner closes it. */
  model: EmbeddingSource;
  /** Put before each query, and before each document: many models were trained with such words. Default: nothing. */
  queryPrefix?: string | undefined;
  documentPrefix?: string | undefined;
  /** Texts of one call of the model. 1 to 2,048, default 512. */
  batchSize?: number | undefined;
}

const OWN_FIELDS = new Set(["dimensions", "normalize", "truncate"]);
/** LangChain's own: how its caller waits and tries again. */
const BASE_FIELDS = new Set(["maxConcurrency", "maxRetries", "onFailedAttempt"]);

/**
 * A model of zStream as embeddings of LangChain.
 *
 * ```js
 * const store = await MemoryVectorStore.fromTexts(texts, metadata, new ZSEEmbeddings({ model: new ZSE("embeddinggemma.gguf") }));
 * ```
 */
export class ZSEEmbeddings extends Embeddings {
  readonly #model: EmbeddingSource;
  readonly #options: EmbedOptions;
  readonly #prefixes: { query: string; document: string };
  readonly #batchSize: number;

  /** @throws ZSEError BAD_OPTION naming a field that is wrong; values of embed()'s options are checked where a vector is asked for */
  constructor(fields: ZSEEmbeddingsFields) {
    super(fields ?? {});
    if (!isPlainObject(fields)) throw bad("fields", `new ZSEEmbeddings() takes an object { model, …options }; given ${quote(fields)}.`);
    const { model, queryPrefix = "", documentPrefix = "", batchSize = 512, ...rest } = fields as ZSEEmbeddingsFields;
    checkEmbedder(model, "new ZSEEmbeddings()");
    const strange = Object.keys(rest).find((name) => !OWN_FIELDS.has(name) && !BASE_FIELDS.has(name));
    if (strange !== undefined) {
      throw bad(cutName(strange), `${cutName(strange)} is neither an option of embed() nor a field of LangChain's embeddings.`);
    }
    for (const [name, prefix] of Object.entries({ queryPrefix, documentPrefix })) {
      if (typeof prefix !== "string") throw bad(name, `${name} must be a string; given ${quote(prefix)}.`);
    }
    if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > MOST_TEXTS) {
      throw bad("batchSize", `batchSize must be a whole number from 1 to ${MOST_TEXTS}; given ${quote(batchSize)}.`);
    }
    this.#model = model;
    this.#options = Object.fromEntries(Object.entries(rest).filter(([name]) => OWN_FIELDS.has(name)));
    this.#prefixes = { query: queryPrefix, document: documentPrefix };
    this.#batchSize = batchSize;
  }

  async embedDocuments(documents: string[]): Promise<number[][]> {
    const vectors: number[][] = [];
    for (let from = 0; from < documents.length; from += this.#batchSize) {
      const texts = documents.slice(from, from + this.#batchSize).map((text) => this.#prefixes.document + text);
      vectors.push(...(await this.#embed(texts)));
    }
    return vectors;
  }

  async embedQuery(query: string): Promise<number[]> {
    return (await this.#embed([this.#prefixes.query + query]))[0]!;
  }

  async #embed(texts: string[]): Promise<number[][]> {
    const { embeddings } = await this.#model.embed(texts, this.#options);
    return embeddings.map((vector) => Array.from(vector));
  }
}
