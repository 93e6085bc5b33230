// Owns how the calls for vectors and scores of texts are read. Runs on the caller's thread, before anything is queued.

import { quote } from "../base/quote.js";
import { bad } from "../errors.js";
import { readSignal } from "./custom.js";
import { MOST_TEXT, reading } from "./foreign.js";
import { INT32_MAX, readOptions } from "./rules.js";
import type { OptionTable } from "./table.js";
import { isTokens, readTokens } from "./tokens.js";

/** Texts of one call: as many as OpenAI takes. */
export const MOST_TEXTS = 2048;
/** Token ids of all texts of one call. */
const MOST_TOKENS = 2 ** 22;

const EMBED_OPTIONS = {
  dimensions: { kind: "integer", min: 0, max: INT32_MAX, default: 0, hint: "0 means all that the model has" },
  normalize: { kind: "boolean", default: true },
  truncate: { kind: "boolean", default: false },
  signal: { kind: "custom", read: readSignal },
} as const satisfies OptionTable;

const RERANK_OPTIONS = {
  topN: { kind: "integer", min: 1, max: INT32_MAX },
  truncate: { kind: "boolean", default: false },
  signal: { kind: "custom", read: readSignal },
} as const satisfies OptionTable;

export interface EmbedCall {
  texts: (string | Int32Array)[];
  dimensions: number;
  normalize: boolean;
  truncate: boolean;
  signal: AbortSignal | undefined;
}

export interface RerankCall {
  query: string;
  documents: string[];
  topN: number | undefined;
  truncate: boolean;
  signal: AbortSignal | undefined;
}

/**
 * Reads a call of embed(): one text or many, each a string or token ids.
 * @throws ZSEError BAD_OPTION naming the text or option, what was given and what is allowed
 */
export function readEmbedCall(texts: unknown, given: unknown): EmbedCall {
  return reading("embed()", () => {
    const options = readOptions(EMBED_OPTIONS, given, "embed()") as unknown as Omit<EmbedCall, "texts">;
    return { ...options, texts: readTexts(texts) };
  });
}

/** Reads a call of rerank(). Throws as readEmbedCall. */
export function readRerankCall(query: unknown, documents: unknown, given: unknown): RerankCall {
  return reading("rerank()", () => {
    const options = readOptions(RERANK_OPTIONS, given, "rerank()") as unknown as Omit<RerankCall, "query" | "documents">;
    if (typeof query !== "string") throw bad("query", `query must be a string; given ${quote(query)}.`);
    if (!Array.isArray(documents)) throw bad("documents", `documents must be an array of strings; given ${quote(documents)}.`);
    checkCount("documents", documents.length);
    const count = new Count();
    // Each document is computed with the query.
    count.text(query.length * documents.length, "query");
    const read = Array.from({ length: documents.length }, (_, i) => {
      const document: unknown = documents[i];
      if (typeof document !== "string") throw bad(`documents[${i}]`, `documents[${i}] must be a string; given ${quote(document)}.`);
      count.text(document.length, `documents[${i}]`);
      return document;
    });
    return { topN: options.topN, truncate: options.truncate, signal: options.signal, query, documents: read };
  });
}

function readTexts(given: unknown): (string | Int32Array)[] {
  const one = typeof given === "string" || given instanceof Int32Array || (Array.isArray(given) && typeof given[0] === "number");
  const texts: readonly unknown[] | undefined = one ? [given] : Array.isArray(given) ? given : undefined;
  if (texts === undefined) {
    throw bad("texts", `texts must be a string, an array of token ids, or an array of such; given ${quote(given)}.`);
  }
  checkCount("texts", texts.length);
  const count = new Count();
  return Array.from({ length: texts.length }, (_, i) => {
    const name = one ? "texts" : `texts[${i}]`;
    const text = texts[i];
    if (typeof text === "string") {
      count.text(text.length, name);
      return text;
    }
    if (!isTokens(text)) throw bad(name, `${name} must be a string or an array of token ids; given ${quote(text)}.`);
    count.tokens(text.length, name);
    return readTokens(name, text);
  });
}

function checkCount(name: string, count: number): void {
  if (count >= 1 && count <= MOST_TEXTS) return;
  throw bad(name, `${name} may be 1 to ${MOST_TEXTS} in one call; given ${count}.`);
}

/** What all texts of a call come to. */
class Count {
  #characters = 0;
  #tokens = 0;

  text(characters: number, name: string): void {
    this.#characters += characters;
    if (this.#characters <= MOST_TEXT) return;
    throw bad(name, `${name} goes beyond the ${MOST_TEXT} characters of text that one call may have in all; give fewer texts at a time.`);
  }

  tokens(tokens: number, name: string): void {
    this.#tokens += tokens;
    if (this.#tokens <= MOST_TOKENS) return;
    throw bad(name, `${name} goes beyond the ${MOST_TOKENS} token ids that one call may have in all; give fewer texts at a time.`);
  }
}
