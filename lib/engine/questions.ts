// Owns what is asked of an engine beside streams: the numbers of questions, and the way from an answer to whoever asked. JS thread that made the model.

import type {
  NativeAnswer,
  NativeCacheEntries,
  NativeCacheQuestion,
  NativeDetokenize,
  NativeEmbed,
  NativeError,
  NativePieces,
  NativePrompt,
  NativeRender,
  NativeRerank,
  NativeTokenize,
  NativeTokens,
  NativeVectors,
} from "../addon/contract.js";
import { fromNative } from "../errors.js";
import { type EngineLink, freeId, type Question } from "./link.js";

/** Token ids that are copied in a turn of the event loop: about a millisecond's work. */
const TOKENS_A_TURN = 65_536;
/** Items of an array that V8 lays out flat when it is made; a longer one begins as a hash table, and is made to grow instead. */
const LARGEST_FLAT = 2 ** 24;

/** A question that takes long. */
export interface AskedVectors {
  answer: Promise<NativeVectors>;
  /** Makes the answer reject with the reason, unless it is there; and the engine need not compute it. */
  withdraw(reason: unknown): void;
}

interface Asked {
  resolve: (answer: NativeAnswer) => void;
  reject: (error: unknown) => void;
  /** It asks for vectors. */
  vectors: boolean;
}

export class Questions {
  #last = 0;
  #vectors = 0;
  /** Asked, and not yet answered. */
  readonly #open = new Map<number, Asked>();

  get open(): number {
    return this.#open.size;
  }

  async tokenize(link: EngineLink, question: NativeTokenize): Promise<number[]> {
    return await copyTokens(((await this.#ask(link, question)) as NativeTokens).tokens);
  }

  async detokenize(link: EngineLink, question: NativeDetokenize): Promise<NativePieces> {
    return (await this.#ask(link, question)) as NativePieces;
  }

  async render(link: EngineLink, question: NativeRender): Promise<NativePrompt> {
    return (await this.#ask(link, question)) as NativePrompt;
  }

  async cache(link: EngineLink, question: NativeCacheQuestion): Promise<NativeCacheEntries> {
    return (await this.#ask(link, question)) as NativeCacheEntries;
  }

  /** Of texts, or scores of documents. */
  vectors(link: EngineLink, question: NativeEmbed | NativeRerank): AskedVectors {
    this.#vectors += 1;
    const answer = this.#ask(link, question) as Promise<NativeVectors & { question: number }>;
    const number = this.#last;
    return { answer, withdraw: (reason) => this.#withdraw(link, number, reason) };
  }

  /** Questions for vectors that are not yet answered, those that nobody waits for any more included. */
  get openVectors(): number {
    return this.#vectors;
  }

  #ask(link: EngineLink, question: Question): Promise<NativeAnswer> {
    return new Promise((resolve, reject) => {
      this.#last = freeId(this.#last, this.#open);
      this.#open.set(this.#last, { resolve, reject, vectors: "embed" in question || "rerank" in question });
      link.ask(this.#last, question);
    });
  }

  /** It stays open until the engine has answered. */
  #withdraw(link: EngineLink, number: number, reason: unknown): void {
    const asked = this.#open.get(number);
    if (asked === undefined) return;
    asked.reject(reason);
    link.withdraw(number);
  }

  onAnswer(answer: NativeAnswer): void {
    this.#take(answer.question)?.resolve(answer);
  }

  onError(error: NativeError & { question: number }): void {
    this.#take(error.question)?.reject(fromNative(error));
  }

  /** What is still said to these is not heard. */
  failAll(error: unknown): void {
    const asked = [...this.#open.values()];
    this.#open.clear();
    this.#vectors = 0;
    for (const one of asked) one.reject(error);
  }

  #take(question: number): Asked | undefined {
    const asked = this.#open.get(question);
    this.#open.delete(question);
    if (asked?.vectors === true) this.#vectors -= 1;
    return asked;
  }
}

/** The bytes of each token, as many a turn: views of one buffer. */
export async function piecesOf({ bytes, ends }: NativePieces): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for (let start = 0; pieces.length < ends.length; start = ends[pieces.length - 1]!) {
    if (pieces.length > 0 && pieces.length % TOKENS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    pieces.push(bytes.subarray(start, ends[pieces.length]!));
  }
  return pieces;
}

/**
 * The ids as an array, a slice a turn of the event loop: a long text has tens of millions. By hand, since spreading a typed array goes through its
 * iterator and takes five times as long.
 */
export function copyTokens(tokens: Int32Array): Promise<number[]> {
  const copy = new Array<number>(Math.min(tokens.length, LARGEST_FLAT));
  let next = 0;
  return new Promise((done) => {
    const copySlice = () => {
      const end = Math.min(tokens.length, next + TOKENS_A_TURN);
      for (; next < end; next++) copy[next] = tokens[next]!;
      if (next < tokens.length) setImmediate(copySlice);
      else done(copy);
    };
    copySlice();
  });
}
