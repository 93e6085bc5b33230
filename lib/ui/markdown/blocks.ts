// Owns cutting a reply's text into blocks while it grows: what is settled is read once, and only the last block is read anew. Pure; runs in a page.
//
// A reply may have a million characters, and none of them may be believed. So what is read at a time is bounded, whatever it says: a block that does
// not end is cut.

import { Lexer, type Links, type Token } from "marked";

/** Something that is shown as one; the same object as long as it stays the same. */
export type Block =
  | { kind: "markdown"; tokens: readonly Token[] }
  /** `chunks` are parts of one listing, cut between lines; `open` while its end has not come. */
  | { kind: "code"; language: string; chunks: readonly string[]; open: boolean }
  /** What could not be read. */
  | { kind: "plain"; text: string };

/** Characters that are read at a time. */
const MOST_READ = 6000;
/** Characters of a listing that are coloured at a time. */
const LONGEST_CHUNK = 8000;
/** Characters of a line that may be a fence. */
const LONGEST_FENCE = 200;
/** Quotes and lists in each other, deeper than anybody means: they are shown as text, since reading them takes the square of their depth. */
const TOO_DEEP = /^(?:[ \t]*(?:>|[-*+][ \t]|\d{1,9}[.)][ \t])){12}/m;

/** Where more than this part of a text are marks, and many of them, it is shown as it is: marked takes the square of their number to pair them. */
const MOST_MARKS = 0.35;
const MANY_MARKS = 200;
const MARKS = /[*_~`[\]!<\\]/g;

/** An opening fence at a line's start. Indented ones belong to lists, and are read as parts of those. */
const FENCE = /^(`{3,})([^`\n]*)(\n|$)|^(~{3,})([^\n]*)(\n|$)/m;

/** The beginning of a marker of lists, alone on its line. */
const MAY_BE_ITEM = /^ {0,3}(?:\d{1,9}[.)]?|[-*+])\s*$/;

interface Fence {
  mark: string;
  language: string;
  chunks: string[];
  /** The line that is read next has been cut. */
  midLine: boolean;
}

interface Read {
  text: string;
  /** Undefined for what shows nothing: empty lines, definitions. */
  block: Block | undefined;
}

export class Blocks {
  #text = "";
  /** Where the text begins that is not settled. */
  #offset = 0;
  readonly #settled: Block[] = [];
  #all: readonly Block[] = [];
  #isWhole = true;
  #fence: Fence | undefined;
  #links: Links = Object.create(null) as Links;
  /** Of a table that had to be cut: its first two lines, which what comes next is read behind. */
  #head = "";

  /**
   * The blocks of a text. Where it goes on from the text before, those that are settled are the same objects.
   * @param until the time (of performance.now()) from which the rest is left for the next call with the same text; see `isWhole`
   */
  read(given: string, until = Number.POSITIVE_INFINITY): readonly Block[] {
    const text = given.includes("\r") ? given.replace(/\r\n?/g, "\n") : given;
    if (text === this.#text && this.#isWhole) return this.#all;
    if (!text.startsWith(this.#text)) this.#begin();
    this.#text = text;
    let open: readonly Block[];
    let before: number;
    do {
      before = this.#offset;
      open = this.#fence === undefined ? this.#readMarkdown() : this.#readCode(this.#fence);
    } while (this.#offset !== before && performance.now() < until);
    this.#isWhole = this.#offset === before;
    this.#all = [...this.#settled, ...open];
    return this.#all;
  }

  /** Whether all of the text has been read. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  #begin(): void {
    this.#offset = 0;
    this.#settled.length = 0;
    this.#fence = undefined;
    this.#links = Object.create(null) as Links;
    this.#head = "";
  }

  /** Settles what it can, and returns what may still change. */
  #readMarkdown(): readonly Block[] {
    const window = this.#text.slice(this.#offset, this.#offset + MOST_READ);
    const isAll = this.#offset + window.length === this.#text.length;
    const fence = FENCE.exec(window);
    if (fence !== null) return this.#readFence(fence, window, isAll);
    const blocks = this.#lex(window);
    // The last one may grow, and those before it are as they will be. A line that may become a list's next item may yet be a part of the one before.
    const last = blocks.findLastIndex(({ block, text }) => block !== undefined && !(isAll && MAY_BE_ITEM.test(text)));
    if (last > 0) this.#settle(blocks.slice(0, last));
    else if (window.length === MOST_READ) {
      const part = this.#lex(cut(window)); // the one that there is does not end
      this.#settle(part);
      this.#head = headOf(part);
      return [];
    }
    return blocks.slice(Math.max(0, last)).flatMap(({ block }) => block ?? []);
  }

  #readFence(fence: RegExpExecArray, window: string, isAll: boolean): readonly Block[] {
    const [line, ticks, said, , tildes, saidBehindTildes] = fence;
    const language = (said ?? saidBehindTildes ?? "").trim().split(/\s/)[0]!.toLowerCase();
    if (fence.index > 0) this.#settle(this.#lex(window.slice(0, fence.index)));
    else if (line.endsWith("\n")) {
      this.#offset += line.length;
      this.#fence = { mark: (ticks ?? tildes)!, language, chunks: [], midLine: false };
    } else if (isAll)
      return [{ kind: "code", language, chunks: [], open: true }]; // its line is still being written
    else this.#settle([plain(window)]);
    return [];
  }

  /** Takes whole lines, and returns the listing as far as it has come. */
  #readCode(fence: Fence): readonly Block[] {
    const { mark, language, chunks } = fence;
    const end = new RegExp(`^ {0,3}${mark[0]}{${mark.length},}[ \\t]*$`);
    for (;;) {
      const newline = this.#text.indexOf("\n", this.#offset);
      const line = this.#text.slice(this.#offset, newline === -1 ? undefined : newline);
      const isShort = line.length < LONGEST_FENCE && !fence.midLine;
      const ends = isShort && end.test(line);
      if (newline === -1 && line.length <= LONGEST_CHUNK) {
        // What could become the end is not shown: a listing would end in half a fence for a moment.
        const mayEnd = isShort && line.trim() !== "" && [...line.trim()].every((one) => one === mark[0]);
        return [{ kind: "code", language, chunks: mayEnd ? [...chunks] : added(chunks, line), open: !ends }];
      }
      if (ends) {
        this.#offset = newline + 1;
        this.#fence = undefined;
        this.#settled.push({ kind: "code", language, chunks, open: false });
        return [];
      }
      const taken = newline === -1 ? line.slice(0, LONGEST_CHUNK) : `${line}\n`;
      fence.midLine = newline === -1;
      this.#offset += taken.length;
      chunks.splice(-1, 1, ...added(chunks.slice(-1), taken));
    }
  }

  #lex(text: string): Read[] {
    const blocks = lex(this.#head + text, this.#links);
    const [first, ...others] = blocks;
    if (this.#head === "" || first === undefined) return blocks;
    const rest = first.text.slice(this.#head.length);
    return [{ text: rest, block: rest.trim() === "" ? undefined : first.block }, ...others];
  }

  #settle(blocks: readonly Read[]): void {
    this.#head = "";
    for (const { text, block } of blocks) {
      if (block !== undefined) this.#settled.push(block);
      this.#offset += text.length;
    }
  }
}

/** What marked makes of a text. What it must not be asked is text as it is, by paragraphs. */
function lex(text: string, links: Links): Read[] {
  if (!isTooMuch(text)) return lexed(text, links);
  return text.split(/(?<=\n\n)(?!\n)/).flatMap((part) => (isTooMuch(part) ? [plain(part)] : lexed(part, links)));
}

function lexed(text: string, links: Links): Read[] {
  try {
    const lexer = new Lexer({ gfm: true });
    lexer.tokens.links = links;
    const tokens = lexer.lex(text);
    if (tokens.reduce((sum, { raw }) => sum + raw.length, 0) !== text.length) return [{ text, block: { kind: "markdown", tokens } }];
    return tokens.map((token) => ({
      text: token.raw,
      block: token.type === "space" || token.type === "def" ? undefined : { kind: "markdown", tokens: [token] },
    }));
  } catch {
    return [plain(text)];
  }
}

function plain(text: string): Read {
  return { text, block: { kind: "plain", text } };
}

/** The first two lines of a table that is the last of the blocks. */
function headOf(blocks: readonly Read[]): string {
  const block = blocks.at(-1)?.block;
  const token = block?.kind === "markdown" ? block.tokens.at(-1) : undefined;
  return token?.type === "table" ? `${token.raw.split("\n", 2).join("\n")}\n` : "";
}

function isTooMuch(text: string): boolean {
  return TOO_DEEP.test(text) || hasTooManyMarks(text);
}

function hasTooManyMarks(text: string): boolean {
  const marks = text.match(MARKS)?.length ?? 0;
  return marks > MANY_MARKS && marks > text.length * MOST_MARKS;
}

/** The chunks of a listing with more behind them, as few as may be. */
function added(chunks: readonly string[], text: string): string[] {
  const all = [...chunks];
  const last = all.at(-1);
  if (last !== undefined && last.length + text.length <= LONGEST_CHUNK) all[all.length - 1] = last + text;
  else for (let at = 0; at < text.length; at += LONGEST_CHUNK) all.push(text.slice(at, at + LONGEST_CHUNK));
  return all;
}

/** As much of a text as can be settled where no block of it ends: up to an item of a list, a line, a word, in that order. */
function cut(text: string): string {
  const half = text.length >> 1;
  for (const pattern of [/\n(?=(?:[-*+]|\d{1,9}[.)])[ \t])/g, /\n/g, /[ \t]/g]) {
    const last = [...text.matchAll(pattern)].at(-1);
    if (last !== undefined && last.index >= half) return text.slice(0, last.index + last[0].length);
  }
  const code = text.charCodeAt(text.length - 1);
  return code >= 0xd800 && code < 0xdc00 ? text.slice(0, -1) : text; // no half of a character
}
