// Owns how pieces of text are grouped into chunks (chunkSize, chunkBy). Pure: no timers, no I/O, any thread.
//
// A piece is what the engine hands over: whole code points, usually one token. A chunk is what the consumer sees. Whatever
// the grouping, the chunks joined are the pieces joined, and no chunk ends inside a grapheme cluster (UAX #29): whether
// a boundary lies at a place is decided by what stands before it and by the one code point after it, so a chunk is
// given out once that code point is there, and the last one at flush().

export type ChunkBy = "token" | "word" | "sentence";

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
  return new UnitChunker(by === "word" ? wordStarts : sentenceStarts, size);
}

// Made on first use: an Intl.Segmenter costs about 1 ms and some 100 KB.
const segmenters: Partial<Record<"grapheme" | "word" | "sentence", Intl.Segmenter>> = {};
function segmenter(granularity: "grapheme" | "word" | "sentence"): Intl.Segmenter {
  return (segmenters[granularity] ??= new Intl.Segmenter("und", { granularity }));
}

/** Whether a grapheme cluster begins at `index`; text[index] must be there. `text` must begin at a cluster's start. */
export function isGraphemeBoundary(text: string, index: number): boolean {
  const before = text.charCodeAt(index - 1);
  const after = text.charCodeAt(index);
  // Below U+0300 nothing joins with its neighbour but CR LF.
  if (before < 0x300 && after < 0x300) return !(before === 0x0d && after === 0x0a);
  return segmenter("grapheme").segment(text).containing(index)?.index === index;
}

/** Chunks of `size` tokens: given out when the next piece shows that no grapheme is split. */
class TokenChunker implements Chunker {
  readonly #size: number;
  #held = "";
  #tokens = 0;

  constructor(size: number) {
    this.#size = size;
  }

  push(piece: string, tokens: number): string {
    if (this.#tokens < this.#size || !isGraphemeBoundary(this.#held + piece, this.#held.length)) {
      this.#held += piece;
      this.#tokens += tokens;
      return "";
    }
    const chunk = this.#held;
    this.#held = piece;
    this.#tokens = tokens;
    return chunk;
  }

  flush(): string {
    const chunk = this.#held;
    this.#held = "";
    this.#tokens = 0;
    return chunk;
  }

  get holding(): boolean {
    return this.#held !== "";
  }
}

/** Finds the places, in rising order and above 0, where a unit begins for certain, whatever text may follow. */
type FindStarts = (text: string) => number[];

/** Chunks of `size` words or sentences. */
class UnitChunker implements Chunker {
  readonly #findStarts: FindStarts;
  readonly #size: number;
  #held = "";

  constructor(findStarts: FindStarts, size: number) {
    this.#findStarts = findStarts;
    this.#size = size;
  }

  push(piece: string): string {
    this.#held += piece;
    const starts = this.#findStarts(this.#held);
    // A piece may complete several units at once; all full groups go out together, as they arrived together.
    const whole = starts.length - (starts.length % this.#size);
    const end = whole === 0 ? 0 : starts[whole - 1]!;
    const chunk = this.#held.slice(0, end);
    this.#held = this.#held.slice(end);
    return chunk;
  }

  flush(): string {
    const chunk = this.#held;
    this.#held = "";
    return chunk;
  }

  get holding(): boolean {
    return this.#held !== "";
  }
}

// White space that delimits words: \s without the no-break spaces.
const DELIMITER = /[\t-\r \u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000]/u;
// Scripts written without spaces between words; there the Segmenter's dictionaries find them.
const SPACELESS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

/** A word begins with the white space before it (as tokens do), or where the Segmenter says in scripts without spaces. */
function wordStarts(text: string): number[] {
  const starts: number[] = [];
  const spaceless = SPACELESS.test(text);
  if (!spaceless && !DELIMITER.test(text)) return starts;
  const words = spaceless ? [...segmenter("word").segment(text)] : [];
  let next = 1; // words[next - 1] is the one before
  let inSpace = DELIMITER.test(text[0] ?? "");
  let inWord = !inSpace;
  for (let i = 1; i < text.length; i++) {
    while (next < words.length && words[next]!.index < i) next++;
    const space = DELIMITER.test(text[i]!);
    const after = words[next];
    const dictionary =
      !space &&
      !inSpace &&
      after?.index === i &&
      after.isWordLike === true &&
      next < words.length - 1 && // the last segment may still grow, and with it this one may shift
      (SPACELESS.test(after.segment) || SPACELESS.test(words[next - 1]!.segment));
    // Leading white space of the text belongs to its first word.
    if (((space && !inSpace && inWord) || dictionary) && isGraphemeBoundary(text, i)) starts.push(i);
    inSpace = space;
    inWord ||= !space;
  }
  return starts;
}

const MAY_END_SENTENCE = /[\p{Sentence_Terminal}\n\r\u0085\u2028\u2029]/u;
// What settles whether a full stop ended a sentence (UAX #29 SB8 looks past anything else for a lower-case letter).
const SETTLES = /[\p{L}\p{Nl}\p{Sentence_Terminal}\n\r\u0085\u2028\u2029]/u;
const LINE_END = /[\n\u0085\u2028\u2029]$/u;

/** A sentence begins where the Segmenter says, once the text after it can no longer change that. */
function sentenceStarts(text: string): number[] {
  const starts: number[] = [];
  if (!MAY_END_SENTENCE.test(text)) return starts;
  for (const { index } of segmenter("sentence").segment(text)) {
    if (index === 0) continue;
    const settled = LINE_END.test(text.slice(index - 1, index)) || SETTLES.test(text.slice(index));
    if (settled && isGraphemeBoundary(text, index)) starts.push(index);
  }
  return starts;
}
