// Owns finding where words and sentences begin in a text that comes in pieces. Pure: no timers, no I/O, any thread.
//
// What is settled is never looked at again: a finder keeps the end of the text from the last place on at which something may still be
// found, and a little before it for context. So the work grows as the text does, whatever the text is.

import { isGraphemeBoundary, LOOK_BACK, lookBack, segmenter } from "./graphemes.js";

/** Finds the places where a unit begins for certain, whatever text may follow. */
export interface StartFinder {
  /** Takes the next piece (whole code points). Returns the new starts in rising order, counted from the first piece's beginning. */
  push(piece: string): number[];
}

/** Of the text before what is still looked at, so much is kept for context (UTF-16 units); more is let go of in portions. */
const KEPT = LOOK_BACK;
const PORTION = 1024;

/** The end of a text, and the place in it from which on something may still be found. */
class Tail {
  text = "";
  /** Index in `text`. */
  base = 0;
  /** Where `text` begins in the whole text. */
  #offset = 0;

  /** The place in the whole text of an index in `text`. */
  placeOf(index: number): number {
    return this.#offset + index;
  }

  isGraphemeBoundary(index: number): boolean {
    return isGraphemeBoundary(this.text, index, this.#offset === 0);
  }

  /** Lets go of what is well before the base: nothing will be found there any more. Indexes become smaller by that. */
  trim(): void {
    if (this.base < KEPT + PORTION) return;
    const cut = lookBack(this.text, this.base, KEPT);
    this.text = this.text.slice(cut);
    this.base -= cut;
    this.#offset += cut;
  }
}

// White space that delimits words: \s without the no-break spaces.
const DELIMITER = /[\t-\r \u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000]/u;
// Scripts written without spaces between words; there the Segmenter's dictionaries find them.
const SPACELESS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
/** A word longer than this (UTF-16 units) is looked for again only when it has grown by a quarter. */
const LONG_WORD = 1024;

/** A word begins with the white space before it (as tokens do), or where the Segmenter says in scripts without spaces. */
export class WordStarts implements StartFinder {
  readonly #tail = new Tail();
  #starts: number[] = [];
  #inSpace = true;
  /** Leading white space of the text belongs to its first word. */
  #inWord = false;
  /** From the tail's base on there is a script without spaces. */
  #spaceless = false;
  /** Units from the base on when the Segmenter last looked. */
  #looked = 0;

  push(piece: string): number[] {
    this.#starts = [];
    const tail = this.#tail;
    tail.trim();
    const before = tail.text.length;
    tail.text += piece;
    for (let i = 0; i < piece.length; ) {
      const code = piece.codePointAt(i)!;
      const space = code < 0x80 ? code === 0x20 || (code >= 0x09 && code <= 0x0d) : DELIMITER.test(piece[i]!);
      if (space && !this.#inSpace && this.#inWord && tail.isGraphemeBoundary(before + i)) this.#begin(before + i);
      this.#inSpace = space;
      this.#inWord ||= !space;
      this.#spaceless ||= code >= 0x80 && SPACELESS.test(String.fromCodePoint(code));
      i += code > 0xffff ? 2 : 1;
    }
    const units = tail.text.length - tail.base;
    if (!this.#spaceless) tail.base = Math.max(tail.base, lookBack(tail.text, tail.text.length, KEPT));
    else if (units < LONG_WORD || units >= 1.25 * this.#looked) this.#look(tail.text.length);
    return this.#starts;
  }

  /** A word begins at `index` with its white space: what is before it is settled. */
  #begin(index: number): void {
    if (this.#spaceless) this.#look(index + 1);
    this.#starts.push(this.#tail.placeOf(index));
    this.#tail.base = index;
    this.#spaceless = false;
    this.#looked = 0;
  }

  /** Asks the Segmenter for the words up to `end`. The last two segments stay: the last may still grow, and with it its own start shift. */
  #look(end: number): void {
    const tail = this.#tail;
    const { text, base } = tail;
    const words = [...segmenter("word").segment(text.slice(base, end))];
    for (let i = 1; i < words.length - 1; i++) {
      const { index, segment, isWordLike } = words[i]!;
      const at = base + index;
      if (isWordLike !== true || DELIMITER.test(text[at]!) || DELIMITER.test(text[at - 1]!)) continue;
      if (!SPACELESS.test(segment) && !SPACELESS.test(words[i - 1]!.segment)) continue;
      if (tail.isGraphemeBoundary(at)) this.#starts.push(tail.placeOf(at));
    }
    const rest = words.slice(-2);
    tail.base = base + rest[0]!.index;
    this.#spaceless = rest.some(({ segment }) => SPACELESS.test(segment));
    this.#looked = text.length - tail.base;
  }
}

const MAY_END_SENTENCE = /[\p{Sentence_Terminal}\n\r\u0085\u2028\u2029]/u;
// What settles whether a full stop ended a sentence (UAX #29 SB8 looks past anything else for a lower-case letter).
const SETTLES = /[\p{L}\p{Nl}\p{Sentence_Terminal}\n\r\u0085\u2028\u2029]/gu;
const LINE_END = /[\n\u0085\u2028\u2029]/u;

/** A sentence begins where the Segmenter says, once the text after it can no longer change that. */
export class SentenceStarts implements StartFinder {
  readonly #tail = new Tail();
  /** In the whole text: up to here everything is settled. */
  #settled = 0;
  /** From there on, something may have ended a sentence. */
  #mayEnd = false;
  /** The last piece ended with the end of a line. */
  #lineEnded = false;

  push(piece: string): number[] {
    const tail = this.#tail;
    tail.trim();
    const before = tail.text.length;
    tail.text += piece;
    this.#mayEnd ||= MAY_END_SENTENCE.test(piece);
    if (!this.#mayEnd) {
      tail.base = Math.max(tail.base, lookBack(tail.text, tail.text.length, KEPT));
      return [];
    }
    const settles = lastIndexOf(SETTLES, piece);
    const lineEnded = this.#lineEnded; // just before the piece, and only had to be followed by something
    this.#lineEnded = LINE_END.test(piece.at(-1)!);
    if (settles < 0 && !lineEnded) return [];
    return this.#settle(before + settles);
  }

  /** All up to the character at `last` is settled now, and what is behind it if that ends a line. */
  #settle(last: number): number[] {
    const tail = this.#tail;
    const { text, base } = tail;
    const settled = LINE_END.test(text[last]!) && last + 1 < text.length ? last + 1 : last;
    const starts: number[] = [];
    for (const { index } of segmenter("sentence").segment(text.slice(base))) {
      const at = base + index;
      if (index === 0 || at > settled || tail.placeOf(at) <= this.#settled) continue;
      if (tail.isGraphemeBoundary(at)) starts.push(tail.placeOf(at));
    }
    this.#settled = tail.placeOf(settled);
    this.#mayEnd = MAY_END_SENTENCE.test(text.slice(settled));
    tail.base = Math.max(base, lookBack(text, settled, KEPT));
    return starts;
  }
}

/** Where the last match of a global expression begins; -1 where there is none. */
function lastIndexOf(expression: RegExp, text: string): number {
  let last = -1;
  for (const { index } of text.matchAll(expression)) last = index;
  return last;
}
