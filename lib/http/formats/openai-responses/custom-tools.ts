// Owns OpenAI's tools of type `custom`, whose input is free text: as functions that take one text, and that text out of their calls' arguments
// again, while they grow. Pure; any thread.

import { quote } from "../../../base/quote.js";
import { bad, type Fields, isObject } from "../fields.js";

const PARAMETERS = { type: "object", properties: { input: { type: "string" } }, required: ["input"], additionalProperties: false };

/**
 * What its grammar is, is told to the model and not enforced: it is in a language that is none of llama.cpp's.
 * @throws WireError naming the field
 */
export function asFunction({ name, description, format }: Fields, where: string): Fields {
  const said = [...(typeof description === "string" ? [description] : []), ...formatOf(format, `${where}.format`)];
  return { name, ...(said.length === 0 ? {} : { description: said.join("\n\n") }), parameters: PARAMETERS, strict: true };
}

function formatOf(format: unknown, where: string): string[] {
  if (format === undefined || format === null) return [];
  const { type, syntax, definition } = isObject(format) ? format : {};
  if (type === "text") return [];
  if (type !== "grammar")
    throw bad(where, `${where} must be { type: "text" } or { type: "grammar", syntax, definition }; given ${quote(format)}.`);
  if (syntax !== "lark" && syntax !== "regex")
    throw bad(`${where}.syntax`, `${where}.syntax must be "lark" or "regex"; given ${quote(syntax)}.`);
  if (typeof definition !== "string") throw bad(`${where}.definition`, `${where}.definition must be a text; given ${quote(definition)}.`);
  return [`The input must match this ${syntax === "lark" ? "Lark grammar" : "regular expression"}:\n${definition}`];
}

/** A call of one as a function's arguments. */
export function argumentsOf(input: string): string {
  return JSON.stringify({ input });
}

const HEAD = /^\s*\{\s*"input"\s*:\s*"/;
/** Of a string of JSON: what can be read of it, without half an escape at its end. */
const WHOLE = /^(?:[^"\\]|\\(?:[^u]|u[0-9a-fA-F]{4}))*/;

/** The first half of a surrogate pair at the end: its other half is on its way. */
const HALF_PAIR = /\\u[dD][89abAB][0-9a-fA-F]{2}$/;

/** Reads the text out of arguments that come in pieces. */
export class InputReader {
  #arguments = "";
  /** Where the text begins in them, once it has, and what of it was given. */
  #start = -1;
  #given = "";

  get input(): string {
    return this.#given;
  }

  /** @returns what of the text is new */
  add(delta: string): string {
    this.#arguments += delta;
    if (this.#start < 0) this.#start = HEAD.exec(this.#arguments)?.[0].length ?? -1;
    if (this.#start < 0) return "";
    let [whole] = WHOLE.exec(this.#arguments.slice(this.#start)) as unknown as [string];
    if (this.#arguments[this.#start + whole.length] !== '"') whole = whole.replace(HALF_PAIR, "");
    this.#start += whole.length;
    return this.#give(decoded(whole));
  }

  /** The rest: of arguments that are whole and no such object, all of them as they are. */
  end(): string {
    return this.#start < 0 && isJson(this.#arguments) ? this.#give(this.#arguments) : "";
  }

  #give(text: string): string {
    this.#given += text;
    return text;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function decoded(escaped: string): string {
  try {
    return JSON.parse(`"${escaped}"`) as string;
  } catch {
    return escaped; // control characters that JSON wants escaped, or an escape that there is none of
  }
}
