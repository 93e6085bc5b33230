// Owns patterns: a regular expression of JSON Schema, written anew in what llama.cpp's converter turns into a grammar exactly. Pure; any thread.
//
// That converter takes few forms, and copies them into the text of a JSON string as they are: its `.` would match the quotation mark that
// ends the string. So every character here is a class of characters that stand for themselves in JSON, or the escape of one that does not.
// What comes out matches no string that the pattern does not match. It may match fewer: no \uXXXX, and classes without what needs an escape.

import { type AST, RegExpParser } from "@eslint-community/regexpp";

/** llama.cpp refuses grammars with more repetitions than this. */
export const MOST_REPEATS = 2000;
const MOST_LENGTH = 20_000;
const MOST_DEPTH = 90;

type Range = readonly [number, number];
type Node =
  | { kind: "set"; ranges: readonly Range[] }
  | { kind: "sequence"; items: readonly Node[] }
  | { kind: "choice"; options: readonly Node[] }
  | { kind: "repeat"; item: Node; min: number; max: number };

/** Code points that stand for themselves in a JSON string. */
const PLAIN: readonly Range[] = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, 0xd7ff],
  [0xe000, 0x10ffff],
];
const ESCAPES = new Map([...'"\\\b\f\n\r\t'].map((one, i) => [one.codePointAt(0)!, '"\\bfnrt'[i]!]));
const DIGITS: readonly Range[] = [[0x30, 0x39]];
const WORD: readonly Range[] = [...DIGITS, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const SPACE: readonly Range[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: readonly Range[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const NOTHING: Node = { kind: "sequence", items: [] };
const ANY: Node = { kind: "set", ranges: PLAIN };
const ANYTHING: Node = { kind: "repeat", item: ANY, min: 0, max: Number.POSITIVE_INFINITY };
/** One character of a string, as itself or as an escape. */
const CHARACTER: Node = { kind: "choice", options: [ANY, { kind: "sequence", items: [char("\\"), set([...'"\\/bfnrt'])] }] };

/** Why a pattern cannot be enforced; a piece of a sentence. */
export class PatternRefusal extends Error {
  /** The word beside the pattern that is in the way, where it is one. */
  readonly word: "minLength" | "maxLength" | undefined;

  constructor(why: string, word?: "minLength" | "maxLength") {
    super(why);
    this.word = word;
  }
}

/**
 * @param minLength,maxLength of the string, in code points
 * @returns an equivalent for llama.cpp's converter
 * @throws PatternRefusal
 */
export function enforceablePattern(source: string, minLength = 0, maxLength = Number.POSITIVE_INFINITY): string {
  const parsed = parse(source);
  const bounded = withinLength(whole(parsed), minLength, maxLength);
  return written(bounded);
}

/** The pattern of a string of some length. Throws PatternRefusal where it is longer than grammars can be. */
export function lengthPattern(minLength: number, maxLength: number): string {
  return written(repeat(CHARACTER, minLength, maxLength));
}

function written(node: Node): string {
  const text = `^${write(node, 0)}$`;
  if (text.length > MOST_LENGTH)
    throw new PatternRefusal(`it is too long (${text.length} characters once its repetitions are written out)`);
  return text;
}

function parse(source: string): AST.Pattern {
  try {
    return new RegExpParser({ ecmaVersion: 2024 }).parsePattern(source, undefined, undefined, { unicode: true });
  } catch (error) {
    throw new PatternRefusal(`it is no regular expression (${(error as Error).message})`);
  }
}

/** All alternatives, each with what may stand before and behind it where it has no anchor. */
function whole(pattern: AST.Pattern): Node {
  return choice(
    pattern.alternatives.map(({ elements }) => {
      const begins = isAnchor(elements[0], "start");
      const ends = elements.length > (begins ? 1 : 0) && isAnchor(elements[elements.length - 1], "end");
      const inner = elements.slice(begins ? 1 : 0, ends ? -1 : undefined).map(nodeOf);
      return sequence([...(begins ? [] : [ANYTHING]), ...inner, ...(ends ? [] : [ANYTHING])]);
    }),
  );
}

function isAnchor(element: AST.Element | undefined, kind: "start" | "end"): boolean {
  return element?.type === "Assertion" && element.kind === kind;
}

function nodeOf(element: AST.Element): Node {
  switch (element.type) {
    case "Character":
      return oneOf([[element.value, element.value]]);
    case "CharacterSet":
    case "CharacterClass":
      return oneOf(rangesOf(element));
    case "Group":
      if (element.modifiers !== null) throw new PatternRefusal("it has flags within");
      return choice(element.alternatives.map((one) => sequence(one.elements.map(nodeOf))));
    case "CapturingGroup":
      return choice(element.alternatives.map((one) => sequence(one.elements.map(nodeOf))));
    case "Quantifier":
      return repeat(nodeOf(element.element), element.min, element.max);
    case "Assertion":
      if (element.kind === "start" || element.kind === "end") throw new PatternRefusal(`its ${element.raw} stands in the middle`);
      throw new PatternRefusal(`it looks around (${element.raw})`);
    case "Backreference":
      throw new PatternRefusal(`it refers back (${element.raw})`);
    default:
      throw new PatternRefusal(`it has a form that is not known here (${element.raw})`);
  }
}

function rangesOf(element: AST.CharacterSet | AST.CharacterClass | AST.CharacterClassElement | AST.Character): readonly Range[] {
  switch (element.type) {
    case "Character":
      return [[element.value, element.value]];
    case "CharacterClassRange":
      return [[element.min.value, element.max.value]];
    case "CharacterClass": {
      const ranges = element.elements.flatMap((one) => [...rangesOf(one as AST.CharacterClassElement)]);
      return element.negate ? without(PLAIN, ranges) : ranges;
    }
    case "CharacterSet": {
      if (element.kind === "any") return without(PLAIN, LINE_ENDS);
      if (element.kind === "property") throw new PatternRefusal(`it names a property of Unicode (${element.raw})`);
      const ranges = element.kind === "digit" ? DIGITS : element.kind === "word" ? WORD : SPACE;
      return element.negate ? without(PLAIN, ranges) : ranges;
    }
    default:
      throw new PatternRefusal(`it has a form that is not known here (${element.raw})`);
  }
}

/** Those that stand for themselves; where there are none, the escapes. */
function oneOf(ranges: readonly Range[]): Node {
  const plain = ranges.flatMap((range) => PLAIN.map((within) => overlap(range, within))).filter(([from, to]) => from <= to);
  if (plain.length > 0) return { kind: "set", ranges: plain };
  const escapes = [...ESCAPES].filter(([code]) => ranges.some(([from, to]) => code >= from && code <= to));
  if (escapes.length === 0) throw new PatternRefusal("it asks for characters that no string may hold here");
  return choice(escapes.map(([, letter]) => sequence([char("\\"), char(letter)])));
}

function overlap(a: Range, b: Range): Range {
  return [Math.max(a[0], b[0]), Math.min(a[1], b[1])];
}

function without(all: readonly Range[], taken: readonly Range[]): Range[] {
  let left = [...all];
  for (const [from, to] of taken) {
    left = left.flatMap(([a, b]): Range[] => [
      [a, Math.min(b, from - 1)],
      [Math.max(a, to + 1), b],
    ]);
    left = left.filter(([a, b]) => a <= b);
  }
  return left;
}

function char(one: string): Node {
  return set([one]);
}

function set(characters: readonly string[]): Node {
  return { kind: "set", ranges: characters.map((one): Range => [one.codePointAt(0)!, one.codePointAt(0)!]) };
}

function sequence(items: readonly Node[]): Node {
  return items.length === 1 ? items[0]! : { kind: "sequence", items };
}

function choice(options: readonly Node[]): Node {
  return options.length === 1 ? options[0]! : { kind: "choice", options };
}

function repeat(item: Node, min: number, max: number): Node {
  if (max === 0) return NOTHING;
  if (min > MOST_REPEATS) throw new PatternRefusal(`it repeats something ${min} times; up to ${MOST_REPEATS} can be enforced`);
  return { kind: "repeat", item, min, max: max === Number.POSITIVE_INFINITY ? max : Math.min(max, MOST_REPEATS) };
}

/** Least and greatest length, in code points of the string. */
function lengthOf(node: Node): Range {
  switch (node.kind) {
    case "set":
      return [1, 1];
    case "repeat": {
      const [least, most] = lengthOf(node.item);
      return [least * node.min, most === 0 ? 0 : most * node.max];
    }
    case "choice": {
      const all = node.options.map(lengthOf);
      return [Math.min(...all.map(([least]) => least)), Math.max(...all.map(([, most]) => most))];
    }
    case "sequence": {
      if (isEscape(node)) return [1, 1];
      const all = node.items.map(lengthOf);
      return [all.reduce((sum, [least]) => sum + least, 0), all.reduce((sum, [, most]) => sum + most, 0)];
    }
  }
}

/** A backslash stands nowhere else. */
function isEscape({ items }: { items: readonly Node[] }): boolean {
  const [first] = items;
  return items.length === 2 && first?.kind === "set" && first.ranges.length === 1 && first.ranges[0]![0] === 0x5c;
}

function withinLength(node: Node, min: number, max: number): Node {
  const [least, most] = lengthOf(node);
  if (least >= min && most <= max) return node;
  const word = most > max ? "maxLength" : "minLength";
  const lengths = `${least} to ${most === Number.POSITIVE_INFINITY ? "any number of" : most} characters`;
  if (least > max || most < min) throw new PatternRefusal(`what could be generated has ${lengths}`, word);
  if (node.kind === "repeat" && node.item.kind === "set") return repeat(node.item, Math.max(node.min, min), Math.min(node.max, max));
  throw new PatternRefusal(
    `what could be generated has ${lengths}, and is not bounded further; leave it out, or give a pattern that says it`,
    word,
  );
}

function write(node: Node, depth: number): string {
  if (depth > MOST_DEPTH) throw new PatternRefusal(`it nests deeper than ${MOST_DEPTH} levels`);
  switch (node.kind) {
    case "set":
      return `[${node.ranges.map(([from, to]) => (from === to ? escaped(from) : `${escaped(from)}-${escaped(to)}`)).join("")}]`;
    case "sequence":
      return node.items.map((item) => write(item, depth + 1)).join("");
    case "choice": {
      const options = [...new Set(node.options.map((option) => write(option, depth + 1)))];
      const said = options.filter((option) => option !== "");
      if (said.length === 0) return "";
      return `(${said.join("|")})${said.length < options.length ? "?" : ""}`;
    }
    case "repeat":
      return writeRepeat(write(node.item, depth + 1), node);
  }
}

function writeRepeat(text: string, { item, min, max }: { item: Node; min: number; max: number }): string {
  if (text === "") return "";
  const body = item.kind === "set" ? text : `(${text})`;
  if (max === Number.POSITIVE_INFINITY) return min === 0 ? `${body}*` : min === 1 ? `${body}+` : `${body}{${min}}${body}*`;
  if (min === 1 && max === 1) return body;
  if (min === 0 && max === 1) return `${body}?`;
  return min === max ? `${body}{${min}}` : `${body}{${min},${max}}`;
}

/** As llama.cpp's grammars and its converter both read it. */
function escaped(code: number): string {
  if (code < 0x80 && /[A-Za-z0-9]/.test(String.fromCodePoint(code))) return String.fromCodePoint(code);
  const hex = code.toString(16).toUpperCase();
  if (code < 0x80) return `\\x${hex.padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
