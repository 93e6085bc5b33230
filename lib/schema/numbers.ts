// Owns the rewriting of schemas of numbers. Pure; any thread.

import { type Schema, WORDS_OF } from "./keywords.js";
import { Nothing, type Place } from "./refusal.js";
import type { Rewriting } from "./rewriting.js";

/** Whole numbers are written with up to 15 digits, which every reader of JSON takes exactly. */
const LARGEST_INTEGER = 999_999_999_999_999;

/** @throws Nothing, or ZSEError BAD_OPTION by the place */
export function integerSchema(words: Schema, place: Place, rewriting: Rewriting): Schema {
  checkMultiple(words, place, rewriting);
  const { least, most, isBounded } = integerBounds(words);
  if (least > most) throw new Nothing(place, `there is no whole number of up to 15 digits from ${least} to ${most}`);
  return isBounded ? { type: "integer", minimum: least, maximum: most } : { type: "integer" };
}

/** @throws Nothing, or ZSEError BAD_OPTION by the place */
export function numberSchema(words: Schema, place: Place, rewriting: Rewriting): Schema {
  if (words.multipleOf !== undefined && Number.isInteger(words.multipleOf)) return integerSchema(words, place, rewriting);
  checkMultiple(words, place, rewriting);
  const bound = WORDS_OF.number.find((word) => words[word] !== undefined && word !== "multipleOf");
  if (bound !== undefined && rewriting.exact) {
    throw rewriting.refused(
      [...place, bound],
      `${bound} can be enforced for type "integer" only; leave it out, or list the values in an enum`,
    );
  }
  return { type: "number" };
}

function checkMultiple(words: Schema, place: Place, rewriting: Rewriting): void {
  if (words.multipleOf === undefined || words.multipleOf === 1 || !rewriting.exact) return;
  throw rewriting.refused([...place, "multipleOf"], "multipleOf cannot be enforced while a reply is generated; leave it out");
}

function integerBounds(words: Schema): { least: number; most: number; isBounded: boolean } {
  const bounds = words as Record<string, number | undefined>;
  let least = -LARGEST_INTEGER;
  let most = LARGEST_INTEGER;
  if (bounds.minimum !== undefined) least = Math.max(least, Math.ceil(bounds.minimum));
  if (bounds.exclusiveMinimum !== undefined) least = Math.max(least, Math.floor(bounds.exclusiveMinimum) + 1);
  if (bounds.maximum !== undefined) most = Math.min(most, Math.floor(bounds.maximum));
  if (bounds.exclusiveMaximum !== undefined) most = Math.min(most, Math.ceil(bounds.exclusiveMaximum) - 1);
  const ranges: Record<string, readonly [number, number]> = {
    int32: [-(2 ** 31), 2 ** 31 - 1],
    uint32: [0, 2 ** 32 - 1],
    int8: [-128, 127],
    uint8: [0, 255],
  };
  const range = typeof words.format === "string" && Object.hasOwn(ranges, words.format) ? ranges[words.format] : undefined;
  if (range !== undefined) {
    least = Math.max(least, range[0]);
    most = Math.min(most, range[1]);
  }
  const isBounded =
    range !== undefined || ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].some((word) => words[word] !== undefined);
  return { least: least + 0, most: most + 0, isBounded };
}
