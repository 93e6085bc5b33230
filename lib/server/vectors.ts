// Owns the routes for vectors of texts, and for scores of documents: OpenAI's /v1/embeddings, Ollama's /api/embed and /api/embeddings, and /v1/rerank as
// Jina, llama-server and TEI have it. Main thread. The decode thread computes, beside the streams.

import { quote } from "../base/quote.js";
import { bad, type Fields, isObject, readBoolean, saidFields } from "../http/formats/fields.js";
import { toWireError, WireError } from "../http/formats/wire-error.js";
import { type CarriedHeaders, inTraceOf } from "../telemetry/remote-context.js";
import type { Embeddings, EmbedOptions, Ranking, RerankOptions, TokenIds } from "../types.js";

/** What is asked of a model: a ZSE has it. */
export interface VectorModel {
  embed(texts: string | TokenIds | readonly (string | TokenIds)[], options?: EmbedOptions): Promise<Embeddings>;
  rerank(query: string, documents: readonly string[], options?: RerankOptions): Promise<Ranking>;
}

/** A request as a route sees it. */
export interface VectorCall {
  body: unknown;
  /** Aborts when the client has gone. */
  signal: AbortSignal;
  /** Of the request: a trace that the client has begun goes on in the call's span. */
  headers: CarriedHeaders;
  /** The one that readModelName() tells, and its name. */
  model: VectorModel;
  name: string;
}

/** The text of a body, in JSON. */
type Answer = (call: VectorCall) => Promise<string>;

/** Numbers that are written in a turn of the event loop, some milliseconds' work: a reply may have millions, and streams go on beside it. */
const NUMBERS_A_TURN = 16_384;

export class Vectors {
  readonly #retryAfterMs: () => number;

  constructor(retryAfterMs: () => number) {
    this.#retryAfterMs = retryAfterMs;
  }

  /** What answers at which paths. */
  get routes(): readonly { paths: readonly string[]; answer: Answer }[] {
    return [
      { paths: ["/v1/embeddings"], answer: (call) => this.#openai(call) },
      { paths: ["/api/embed"], answer: (call) => this.#ollama(call) },
      { paths: ["/api/embeddings"], answer: (call) => this.#ollamaOld(call) },
      { paths: ["/v1/rerank", "/v1/reranking"], answer: (call) => this.#rerank(call) },
    ];
  }

  async #openai(call: VectorCall): Promise<string> {
    const { body, signal, name } = call;
    const given = fieldsOf(body);
    const { encoding_format: format = "float" } = given;
    if (format !== "float" && format !== "base64") {
      throw bad("encoding_format", `encoding_format must be "float" or "base64"; given ${quote(format)}.`);
    }
    const { embeddings, usage } = await this.#embed(call, readInput(given, "input"), { ...readDimensions(given), signal }, "input");
    const write = format === "base64" ? (vector: Float32Array) => JSON.stringify(base64(vector)) : written;
    const data = await list(embeddings, (vector, index) => `{"object":"embedding","index":${index},"embedding":${write(vector)}}`);
    const used = { prompt_tokens: usage.promptTokens, total_tokens: usage.totalTokens };
    return `{"object":"list","data":${data},"model":${JSON.stringify(name)},"usage":${JSON.stringify(used)}}`;
  }

  /** Texts that are too long are cut, unless that is refused: so Ollama does. */
  async #ollama(call: VectorCall): Promise<string> {
    const { body, signal, name } = call;
    const began = performance.now();
    const given = fieldsOf(body);
    const truncate = readBoolean(given, "truncate") ?? true;
    const options = { ...readDimensions(given), truncate, signal };
    // A list of no texts is answered, too.
    const { input } = given;
    const isNothing = input === undefined || input === "" || (Array.isArray(input) && input.length === 0);
    const answer = isNothing ? NOTHING : await this.#embed(call, readInput(given, "input"), options, "input");
    const embeddings = await list(answer.embeddings, written);
    const numbers = { total_duration: Math.round((performance.now() - began) * 1e6), load_duration: 0 };
    const rest = { ...numbers, prompt_eval_count: answer.usage.promptTokens };
    return `{"model":${JSON.stringify(name)},"embeddings":${embeddings},${JSON.stringify(rest).slice(1)}`;
  }

  /** Of one text, and not of length 1. */
  async #ollamaOld(call: VectorCall): Promise<string> {
    const { body, signal } = call;
    const given = fieldsOf(body);
    const { prompt = "" } = given;
    if (typeof prompt !== "string") throw bad("prompt", `prompt must be a string; given ${quote(prompt)}.`);
    if (prompt === "") return `{"embedding":[]}`;
    const { embeddings } = await this.#embed(call, prompt, { normalize: false, truncate: true, signal }, "prompt");
    return `{"embedding":${written(embeddings[0]!)}}`;
  }

  async #rerank(call: VectorCall): Promise<string> {
    const { body, signal, model, name } = call;
    const given = fieldsOf(body);
    const isTei = given.texts !== undefined; // Hugging Face's Text Embeddings Inference has another name for documents, and another answer
    const field = isTei ? "texts" : "documents";
    const documents = readDocuments(given[field], field);
    const { query } = given;
    if (typeof query !== "string") throw bad("query", `query must be a string; given ${quote(query)}.`);
    const returns = readBoolean(given, isTei ? "return_text" : "return_documents") ?? false;
    const truncate = readBoolean(given, "truncate") ?? false;
    const topN = readCount(given, "top_n");
    const options = { ...(topN === undefined ? {} : { topN }), truncate, signal };
    const { results, usage } = await this.#ask(call, () => model.rerank(query, documents, options), field, "documents");
    if (isTei) {
      return JSON.stringify(results.map(({ index, score }) => ({ index, score, ...(returns ? { text: documents[index] } : {}) })));
    }
    return JSON.stringify({
      model: name,
      object: "list",
      usage: { prompt_tokens: usage.promptTokens, total_tokens: usage.totalTokens },
      results: results.map(({ index, score }) => ({
        index,
        relevance_score: score,
        ...(returns ? { document: { text: documents[index] } } : {}),
      })),
    });
  }

  #embed(call: VectorCall, texts: string | number[] | (string | number[])[], options: EmbedOptions, field: string): Promise<Embeddings> {
    return this.#ask(call, () => call.model.embed(texts, options), field, "texts");
  }

  /** Errors name the body's field for the library's. Spans have the client's trace, and its name of the model. */
  async #ask<Value>({ body, headers }: VectorCall, ask: () => Promise<Value>, field: string, own: string): Promise<Value> {
    try {
      return await inTraceOf(headers, { model: readModelName(body), stream: false }, ask);
    } catch (error) {
      throw inItsNames(error, field, own, this.#retryAfterMs);
    }
  }
}

const NOTHING: Embeddings = { embeddings: [], usage: { promptTokens: 0, totalTokens: 0 } };

function inItsNames(error: unknown, field: string, own: string, retryAfterMs: () => number): WireError {
  const { code, message = "" } = error as { code?: string; message?: string };
  const [, which, tokens, room] = /^(.*\S) has (\d+) tokens, and the context holds (\d+)/.exec(message) ?? [];
  if (code === "CONTEXT_OVERFLOW" && room !== undefined) {
    const said = `This model's maximum context length is ${room} tokens. However, ${which!.replaceAll(own, field)} has ${tokens} tokens.`;
    return new WireError(400, `${said} Please reduce its length.`, { param: field, code: "context_length_exceeded", cause: error });
  }
  const wire = toWireError(error, retryAfterMs, field);
  if (wire.status !== 400) return wire;
  const { status, type, code: kind, cause } = wire;
  const param = (wire.param ?? field).replace(own, field);
  return new WireError(status, wire.message.replaceAll(own, field), { type, param, ...(kind === null ? {} : { code: kind }), cause });
}

function fieldsOf(body: unknown): Fields {
  if (!isObject(body)) throw bad("", "The body must be a JSON object.");
  return saidFields(body);
}

/** The model that a body asks for; undefined for any. @throws WireError 400 */
export function readModelName(body: unknown): string | undefined {
  const { model } = fieldsOf(body);
  if (model === undefined || typeof model === "string") return model;
  throw bad("model", `model must be a string; given ${quote(model)}.`);
}

/** What is in the arrays is the library's to check. */
function readInput(given: Fields, field: string): string | number[] | (string | number[])[] {
  const input = given[field];
  if (typeof input === "string" || (Array.isArray(input) && input.length > 0)) return input as string;
  throw bad(field, `${field} must be a string, an array of strings, an array of token ids, or an array of those; given ${quote(input)}.`);
}

function readDimensions(given: Fields): { dimensions?: number } {
  const dimensions = readCount(given, "dimensions");
  return dimensions === undefined ? {} : { dimensions };
}

function readCount(given: Fields, field: string): number | undefined {
  const value = given[field];
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && (value as number) >= 1) return value as number;
  throw bad(field, `${field} must be a whole number from 1; given ${quote(value)}.`);
}

/** Each a text, or an object that has one. */
function readDocuments(given: unknown, field: string): string[] {
  if (!Array.isArray(given) || given.length === 0) throw bad(field, `${field} must be an array of texts; given ${quote(given)}.`);
  return given.map((one: unknown, i) => {
    const text = isObject(one) ? one.text : one;
    if (typeof text !== "string")
      throw bad(`${field}[${i}]`, `${field}[${i}] must be a string, or an object with a text; given ${quote(one)}.`);
    return text;
  });
}

/** The little-endian bytes of its numbers, as OpenAI sends them. */
function base64({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}

function written(vector: Float32Array): string {
  return JSON.stringify(Array.from(vector));
}

async function list(vectors: readonly Float32Array[], write: (vector: Float32Array, index: number) => string): Promise<string> {
  const parts: string[] = [];
  let numbers = 0;
  for (const [index, vector] of vectors.entries()) {
    parts.push(write(vector, index));
    numbers += vector.length;
    if (numbers < NUMBERS_A_TURN) continue;
    numbers = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return `[${parts.join(",")}]`;
}
