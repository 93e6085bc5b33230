// Owns how pieces of text are grouped into chunks (chunkSize, chunkBy). Pure: no timers, no I/O, any thread.
//
// A piece is what the engine hands over: whole code points, usually one token. A chunk is what the consumer sees. Whatever
// the grouping, the chunks joined are the pieces joined, and no chunk ends inside a grapheme cluster (UAX #29): whether
// a boundary lies at a place is decided by what stands before it and by the one code point after it, so a chunk is
// given out once that code point is there, and the last one at flush().
//
// The work is linear in the text, whatever the text and the size of chunks: it runs on the thread of everybody's streams.

import type { ChunkBy } from "../types.js";
import { isGraphemeBoundary, LOOK_BACK, lookBack } from "./graphemes.js";
import { SentenceStarts, type StartFinder, WordStarts } from "./unit-starts.js";

/** Groups pieces into chunks. */
export interface Chunker {
  /** Takes a piece that holds `tokens` tokens; returns the chunk that it completed, or "" if none. */
  push(piece: string, tokens: number): string;
  /** Gives out what is held, "" if nothing is. */
  flush(): string;
  /** Whether text is held. */
  readonly holding: boolean;
}

/**
 * @param by unit of the grouping
 * @param size units per chunk, at least 1
 * @returns undefined where every piece is its own chunk (one token at a time), so that the plain case costs nothing
 */
export function createChunker(by: ChunkBy, size: number): Chunker | undefined {
  if (by === "token") return size === 1 ? undefined : new TokenChunker(size);
  return new UnitChunker(() => (by === "word" ? new WordStarts() : new SentenceStarts()), size);
}

/** Chunks of `size` tokens: given out when the next piece shows that no grapheme is split. */
class TokenChunker implements Chunker {
  readonly #size: number;
  #held = "";
  /** The end of the text held, to look back on: touching all of it for each token would take the square of its length. */
  #end = "";
  #tokens = 0;

  constructor(size: number) {
    this.#size = size;
  }

  push(piece: string, tokens: number): string {
    const end = this.#end + piece;
    const whole = this.#end.length === this.#held.length;
    this.#end = end.slice(lookBack(end, end.length, LOOK_BACK));
    if (this.#tokens < this.#size || !isGraphemeBoundary(end, end.length - piece.length, whole)) {
      this.#held += piece;
      this.#tokens += tokens;
      return "";
    }
    const chunk = this.#held;
    this.#held = piece;
    this.#end = piece.slice(lookBack(piece, piece.length, LOOK_BACK));
    this.#tokens = tokens;
    return chunk;
  }

  flush(): string {
    const chunk = this.#held;
    this.#held = "";
    this.#end = "";
    this.#tokens = 0;
    return chunk;
  }

  get holding(): boolean {
    return this.#held !== "";
  }
}

/** Chunks of `size` words or sentences. */
class UnitChunker implements Chunker {
  readonly #newFinder: () => StartFinder;
  readonly #size: number;
  #finder: StartFinder;
  /** The text held begins at this place of what the finder was given, and so many units have begun in it since. */
  #heldFrom = 0;
  #units = 0;
  #held = "";

  constructor(newFinder: () => StartFinder, size: number) {
    this.#newFinder = newFinder;
    this.#size = size;
    this.#finder = newFinder();
  }

  push(piece: string): string {
    this.#held += piece;
    const starts = this.#finder.push(piece);
    const units = this.#units + starts.length;
    // A piece may complete several units at once; all full groups go out together, as they arrived together.
    const whole = units - (units % this.#size);
    if (whole === 0) {
      this.#units = units;
      return "";
    }
    const from = starts[whole - this.#units - 1]!;
    const chunk = this.#held.slice(0, from - this.#heldFrom);
    this.#held = this.#held.slice(from - this.#heldFrom);
    this.#heldFrom = from;
    this.#units = units - whole;
    return chunk;
  }

  flush(): string {
    const chunk = this.#held;
    this.#held = "";
    this.#heldFrom = 0;
    this.#units = 0;
    this.#finder = this.#newFinder();
    return chunk;
  }

  get holding(): boolean {
    return this.#held !== "";
  }
}
