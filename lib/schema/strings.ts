// Owns the rewriting of schemas of strings: patterns, formats and lengths all become one pattern. Pure; any thread.

import { quote } from "../base/quote.js";
import { FORMATS, isSaidTwice, NO_FORMATS, SHORT_FORMATS } from "./formats.js";
import type { Schema } from "./keywords.js";
import { enforceablePattern, lengthPattern, PatternRefusal } from "./pattern.js";
import { Nothing, type Place } from "./refusal.js";
import type { Rewriting } from "./rewriting.js";

/** @throws Nothing, or ZSEError BAD_OPTION by the place */
export function stringSchema(words: Schema, place: Place, rewriting: Rewriting): Schema {
  const {
    pattern,
    minLength = 0,
    maxLength = Number.POSITIVE_INFINITY,
  } = words as { pattern?: string; minLength?: number; maxLength?: number };
  if (minLength > maxLength) throw new Nothing(place, `no string has from ${minLength} to ${maxLength} characters`);
  const format = knownFormat(words, place, rewriting);
  try {
    if (format !== undefined) return { type: "string", pattern: formatPattern(words.format as string, minLength, maxLength) };
    if (pattern !== undefined) return { type: "string", pattern: enforceablePattern(pattern, minLength, maxLength) };
    if (minLength === 0 && maxLength === Number.POSITIVE_INFINITY) return { type: "string" };
    return { type: "string", pattern: lengthPattern(minLength, maxLength) };
  } catch (error) {
    if (!(error instanceof PatternRefusal)) throw error;
    if (!rewriting.exact) return { type: "string" };
    const { word, message } = error;
    if (format === undefined && pattern === undefined)
      throw rewriting.refused([...place, "minLength"], `it cannot be enforced: ${message}`);
    const shape = format !== undefined && pattern === undefined ? "format" : "pattern";
    const beside = word === undefined ? "" : ` beside ${shape === "format" ? `format ${quote(words.format)}` : shape}`;
    throw rewriting.refused([...place, word ?? shape], `it cannot be enforced${beside}: ${message}`);
  }
}

/** The pattern that stands for the format, and for a pattern beside it that says the same. */
function knownFormat({ format, pattern }: Schema, place: Place, rewriting: Rewriting): string | undefined {
  if (typeof format !== "string" || NO_FORMATS.has(format)) return undefined;
  const known = FORMATS.get(format);
  if (known !== undefined && (pattern === undefined || isSaidTwice(format, pattern as string))) return known;
  if (!rewriting.exact) return undefined;
  if (known !== undefined)
    throw rewriting.refused([...place, "format"], "format and pattern cannot be enforced at once; leave one of them out");
  if (pattern !== undefined) return undefined; // it is told by its pattern, whatever it is called
  throw rewriting.refused([...place, "format"], `format ${quote(format)} is not known; there are: ${[...FORMATS.keys()].join(", ")}`);
}

/** Of the strings of the format that can be generated, those of that length. Throws PatternRefusal. */
function formatPattern(format: string, minLength: number, maxLength: number): string {
  const short = SHORT_FORMATS.get(format);
  try {
    return enforceablePattern(FORMATS.get(format)!, minLength, maxLength);
  } catch (error) {
    if (short === undefined || !(error instanceof PatternRefusal) || error.word !== "maxLength") throw error;
    return enforceablePattern(short, minLength, maxLength);
  }
}
