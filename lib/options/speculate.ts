// Owns reading what is guessed of a reply before it is computed: `speculate` of a model and of a reply, and `prediction`. Pure; any thread.
// Both throw ZSEError BAD_OPTION naming the option, what was given and what is allowed.

import type { NativeEngineOptions, NativeSpeculation } from "../addon/contract.js";
import { cutName, quote } from "../base/quote.js";
import { bad } from "../errors.js";
import { readFile } from "./custom.js";
import { entriesOf, MOST_TEXT, plainJson } from "./foreign.js";
import { isPlainObject } from "./rules.js";
import { isTokens, readTokens } from "./tokens.js";

const AUTO: NativeSpeculation = { tokens: 16, match: 4 };

const RANGES: Readonly<Record<keyof NativeSpeculation, { min: number; max: number; what: string }>> = {
  tokens: { min: 0, max: 64, what: "tokens of a step" },
  match: { min: 1, max: 32, what: "tokens" },
};

type ModelSpeculation = NonNullable<NativeEngineOptions["speculate"]>;

/** Of a reply: `"auto"`, `false`, or `{ tokens, match }`. */
export function readSpeculate(name: string, value: unknown): NativeSpeculation {
  return read(name, value, ["tokens", "match"]);
}

/** Of a model: the same, and `draftModel`, which stays a URL where it is one: pages have this file too, and cannot make paths of them. */
export function readModelSpeculate(name: string, value: unknown): ModelSpeculation {
  const speculation = read(name, value, ["tokens", "match", "draftModel"]);
  if (speculation.draftModel !== undefined && speculation.tokens === 0) {
    throw bad(`${name}.tokens`, `${name}.tokens is 0, with which draftModel guesses nothing; leave one of the two out.`);
  }
  return speculation;
}

function read(name: string, value: unknown, keys: readonly (keyof ModelSpeculation)[]): ModelSpeculation {
  if (value === "auto") return AUTO;
  if (value === false) return { ...AUTO, tokens: 0 };
  if (!isPlainObject(value)) {
    throw bad(name, `${name} must be "auto", false, or an object { ${keys.join(", ")} }; given ${quote(value)}.`);
  }
  const speculation: ModelSpeculation = { ...AUTO };
  for (const [key, given] of entriesOf(value, name)) {
    if (given === undefined) continue;
    const at = `${name}.${cutName(key)}`;
    if (!isKey(key, keys)) throw bad(at, `${name} has no ${quote(key)}; there are: ${keys.join(", ")}.`);
    if (key === "draftModel") {
      speculation.draftModel = readModelFile(at, given);
      continue;
    }
    const { min, max, what } = RANGES[key];
    if (typeof given !== "number" || !Number.isInteger(given) || given < min || given > max) {
      throw bad(at, `${at} must be a whole number of ${what} from ${min} to ${max}; given ${quote(given)}.`);
    }
    speculation[key] = given;
  }
  return speculation;
}

function isKey(key: string, keys: readonly (keyof ModelSpeculation)[]): key is keyof ModelSpeculation {
  return (keys as readonly string[]).includes(key);
}

function readModelFile(at: string, value: unknown): string {
  const file = readFile(at, value, "a GGUF or .zse file");
  if (!/^hf:/i.test(file)) return file;
  throw bad(at, `${at} must be a file on this machine; given ${quote(file)}: pull() of zstream fetches it, and gives its path.`);
}

/** A text, or token ids; or OpenAI's `{ type: "content", content }`, whose content is a text or parts of one. Nothing where it is empty. */
export function readPrediction(name: string, value: unknown): string | Int32Array | undefined {
  if (isTokens(value)) return value.length === 0 ? undefined : readTokens(name, value);
  const given = typeof value === "string" ? value : plainJson(value, name);
  const text = typeof given === "string" ? given : contentOf(name, given);
  if (text.length > MOST_TEXT) throw bad(name, `${name} may have up to ${MOST_TEXT} characters; given ${text.length}.`);
  return text === "" ? undefined : text.toWellFormed();
}

function contentOf(name: string, given: unknown): string {
  if (!isPlainObject(given) || given.type !== "content") {
    throw bad(name, `${name} must be a string, an array of token ids, or an object { type: "content", content }; given ${quote(given)}.`);
  }
  const { content } = given;
  if (typeof content === "string") return content;
  const isText = (part: unknown) => isPlainObject(part) && part.type === "text" && typeof part.text === "string";
  if (Array.isArray(content) && content.every(isText)) return content.map((part: { text: string }) => part.text).join("");
  throw bad(`${name}.content`, `${name}.content must be a string, or an array of parts { type: "text", text }; given ${quote(content)}.`);
}
