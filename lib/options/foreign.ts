// Owns the door for JSON that comes from outside: bodies of requests, messages, the JSON in tool arguments. What it lets through is
// plain data of bounded depth, so that everything behind it (zod, JSON.stringify, logs, llama.cpp's parser, templates) may recurse.
// Runs on the caller's thread, before anything is queued; nothing in here recurses.

import { fieldPath, quote, quoteError } from "../base/quote.js";
import { bad, ZSEError } from "../errors.js";

/** Levels of arrays and objects in one another. Schemas and conversations of real programs have less than twenty. */
export const MOST_LEVELS = 100;
/** Values in all: a conversation has thousands. Each is copied, checked and logged on the thread that streams; and objects that share their parts
 * are few in memory and endless as JSON. */
export const MOST_VALUES = 200_000;
/** Keys of one object. Those of tool arguments too: llama.cpp's JSON compares each key with all the others of its object. */
export const MOST_KEYS = 4096;
/** Parts of a message's content, and calls of one message. */
export const MOST_PARTS = 4096;
/** Characters of text in one call: no context holds as much. Beyond it nothing is copied, checked or sent on. */
export const MOST_TEXT = 64 * 2 ** 20;
/** Characters of a body that is parsed whatever is in it. */
const SMALL = 65_536;

interface Frame {
  source: object;
  target: unknown[] | Record<string, unknown>;
  /** Of an object; an array is read by its indexes. */
  keys: string[] | undefined;
  length: number;
  next: number;
}

/**
 * A copy as JSON.stringify sees the value: own fields, toJSON honoured, undefined ones left out. Texts and names are well-formed: a lone surrogate
 * becomes U+FFFD, since no parser of JSON behind this one takes it.
 * @param where its name in errors; "" for a body, whose fields are named by themselves
 * @throws ZSEError BAD_OPTION naming the field that is too deep, too wide, contains itself, cannot be read, or is no JSON
 */
export function plainJson(value: unknown, where: string): unknown {
  const root: unknown[] = [];
  const stack: Frame[] = [{ source: [value], target: root, keys: undefined, length: 1, next: 0 }];
  let values = 0;
  let characters = 0;
  while (stack.length > 0) {
    const frame = stack[stack.length - 1]!;
    if (frame.next === frame.length) {
      stack.pop();
      continue;
    }
    const key = frame.keys === undefined ? frame.next : frame.keys[frame.next]!;
    frame.next += 1;
    const item = read(stack, where, frame.source, key);
    if (typeof item !== "object" || item === null) {
      if (typeof item === "string" && (characters += item.length) > MOST_TEXT) throw tooLong(stack, where, characters);
      if (typeof item === "bigint" || typeof item === "function" || typeof item === "symbol") {
        const at = pathOf(stack, where);
        throw bad(at, `${named(at)} must be JSON data; given ${quote(item)}.`);
      }
      const said = typeof item === "string" ? item.toWellFormed() : item;
      if (frame.keys === undefined || said !== undefined) put(frame.target, key, said);
      continue;
    }
    if (stack.length > MOST_LEVELS) throw tooDeep(stack, where, item);
    const inner = open(stack, where, item);
    values += inner.length; // before any of them is looked at
    if (values > MOST_VALUES) throw bad(topOf(stack, where), `${named(topOf(stack, where))} holds more than ${MOST_VALUES} values.`);
    if (inner.keys !== undefined && inner.length > MOST_KEYS) throw tooWide(stack, where);
    put(frame.target, key, inner.target);
    stack.push(inner);
  }
  return root[0];
}

/**
 * The fields of an object, read once each.
 * @param where its name in errors; "" for options, which are named by themselves
 * @throws ZSEError BAD_OPTION naming the field that cannot be read
 */
export function entriesOf(value: object, where = ""): [string, unknown][] {
  return Object.keys(value).map((key) => {
    try {
      return [key, (value as Record<string, unknown>)[key]];
    } catch (error) {
      const at = fieldPath(where === "" ? [key] : [where, key]);
      throw bad(at, `${at} cannot be read: ${quoteError(error)}.`);
    }
  });
}

/**
 * The net under everything that reads what a caller passed: what its traps throw (a revoked proxy, say) is the caller's mistake too.
 * @throws ZSEError BAD_OPTION in place of any other error
 */
export function reading<Value>(call: string, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (error instanceof ZSEError) throw error;
    throw bad("options", `What ${call} was given cannot be read: ${quoteError(error)}.`);
  }
}

/**
 * Looks over a text that others will parse as JSON; whether it is any is theirs to say.
 * @param where its name in errors; "" for a body, of which the field at the top is named
 * @throws ZSEError BAD_OPTION naming the field when it nests too deep, or has an object with too many keys
 */
export function checkJsonText(text: string, where: string): void {
  refuseBeyond(lookOver(text), text, where);
}

/**
 * The value of a body's text. What JSON.parse makes is plain data already, so a text within the bounds needs no copy.
 * @throws ZSEError BAD_OPTION as plainJson; SyntaxError where it is no JSON
 */
export function parseForeign(text: string): unknown {
  const seen = lookOver(text);
  // A wide or deep one takes a hundred times as long to parse as to look over; of a small one the copy names the field more exactly.
  if (text.length > SMALL) refuseBeyond(seen, text, "");
  const value: unknown = JSON.parse(text);
  const within = seen.beyond === undefined && seen.values <= MOST_VALUES && text.length <= MOST_TEXT;
  return within ? value : plainJson(value, "");
}

interface Seen {
  /** The bound that it goes beyond: where the look ended. */
  beyond?: { what: string; field: number | undefined };
  /** Values in it at most: an empty array or object counts as one more. */
  values: number;
}

function lookOver(text: string): Seen {
  /** Keys so far of each open object, 0 for arrays too: a colon outside of strings is a key's. */
  const keys: number[] = [];
  /** Where the value begins that is open below the top. */
  let below = 0;
  let values = 0;
  const beyond = (what: string) => ({ beyond: { what, field: keys.length > 1 ? below : undefined }, values });
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: // "
        i = endOfString(text, i);
        break;
      case 0x5b: // [
      case 0x7b: // {
        keys.push(0);
        values += 1;
        if (keys.length === 2) below = i;
        if (keys.length > MOST_LEVELS) return beyond(`nests deeper than ${MOST_LEVELS} levels`);
        break;
      case 0x5d: // ]
      case 0x7d: // }
        keys.pop();
        break;
      case 0x2c: // ,
        values += 1;
        break;
      case 0x3a: // :
        if (keys.length > 0 && ++keys[keys.length - 1]! > MOST_KEYS) return beyond(`has an object of more than ${MOST_KEYS} keys`);
        break;
    }
  }
  return { values };
}

function refuseBeyond({ beyond }: Seen, text: string, where: string): void {
  if (beyond === undefined) return;
  const at = where === "" && beyond.field !== undefined ? nameBefore(text, beyond.field) : where;
  throw bad(at, `${named(at)} ${beyond.what}.`);
}

/** The name of the field whose value begins at `start`; "" where it has none. */
function nameBefore(text: string, start: number): string {
  const name = /"([^"\\]+)"\s*:\s*$/.exec(text.slice(Math.max(0, start - 100), start))?.[1];
  return name === undefined ? "" : fieldPath([name]);
}

/** The index of the quotation mark that ends the string which begins at `start`; the text's last one where none does. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === 0x5c) escapes += 1;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
}

function read(stack: readonly Frame[], where: string, source: object, key: string | number): unknown {
  try {
    const item = (source as Record<PropertyKey, unknown>)[key];
    if (typeof item !== "object" || item === null || typeof (item as { toJSON?: unknown }).toJSON !== "function") return item;
    return (item as { toJSON: (key: string) => unknown }).toJSON(String(key));
  } catch (error) {
    throw unreadable(stack, where, error);
  }
}

function open(stack: readonly Frame[], where: string, item: object): Frame {
  try {
    if (Array.isArray(item)) return { source: item, target: [], keys: undefined, length: item.length, next: 0 };
    const keys = Object.keys(item);
    return { source: item, target: {}, keys, length: keys.length, next: 0 };
  } catch (error) {
    throw unreadable(stack, where, error);
  }
}

/** JSON.parse makes a field of `__proto__` as of any other; an assignment would not. */
function put(target: Frame["target"], key: string | number, value: unknown): void {
  if (typeof key === "number") (target as unknown[]).push(value);
  else if (key !== "__proto__") (target as Record<string, unknown>)[key.toWellFormed()] = value;
  else Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

function tooDeep(stack: readonly Frame[], where: string, item: object) {
  const at = topOf(stack, where);
  const itself = stack.some(({ source }) => source === item);
  return bad(at, itself ? `${named(at)} contains itself.` : `${named(at)} nests deeper than ${MOST_LEVELS} levels.`);
}

function tooWide(stack: readonly Frame[], where: string) {
  const at = pathOf(stack, where);
  return bad(at, `${named(at)} has more than ${MOST_KEYS} keys.`);
}

function tooLong(stack: readonly Frame[], where: string, characters: number) {
  const at = pathOf(stack, where);
  return bad(
    at,
    `${named(at)} goes beyond the ${MOST_TEXT} characters of text that one call may have in all; given ${characters} up to here.`,
  );
}

function unreadable(stack: readonly Frame[], where: string, error: unknown) {
  const at = pathOf(stack, where);
  return bad(at, `${named(at)} cannot be read: ${quoteError(error)}.`);
}

/** The keys on the way to the value that is looked at, from the root's name. */
function keysOf(stack: readonly Frame[], where: string): (string | number)[] {
  const keys = stack.slice(1).map(({ keys, next }) => (keys === undefined ? next - 1 : keys[next - 1]!));
  return where === "" ? keys : [where, ...keys];
}

function pathOf(stack: readonly Frame[], where: string): string {
  return fieldPath(keysOf(stack, where));
}

/** The field at the top of a nest: up to where names begin to repeat, since the whole way down says nothing. */
function topOf(stack: readonly Frame[], where: string): string {
  let keys = keysOf(stack, where).slice(0, 6);
  const again = keys.findIndex((key, i) => typeof key === "string" && keys.indexOf(key) < i);
  if (again > 0) keys = keys.slice(0, again);
  while (keys.length > 1 && typeof keys.at(-1) === "number") keys.pop();
  return fieldPath(keys);
}

function named(where: string): string {
  return where === "" ? "The body" : where;
}
