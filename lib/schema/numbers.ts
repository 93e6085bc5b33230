// Owns the rewriting of schemas of numbers. Pure; any thread.

import { type Schema, WORDS_OF } from "./keywords.js";
import { type NumberBounds, numberPattern } from "./number-pattern.js";
import { Nothing, type Place } from "./refusal.js";
import type { Rewriting } from "./rewriting.js";

/** Whole numbers are written with up to 15 digits, which every reader of JSON takes exactly. */
const LARGEST_INTEGER = 999_999_999_999_999;

/** No number that a grammar writes is as large: 15 digits, and an exponent of two. */
const LARGEST_NUMBER = 1e115;
/** Multiples are listed: a grammar goes through all of them for each token. */
const MOST_MULTIPLES = 1000;

/** @throws Nothing, or ZSEError BAD_OPTION by the place */
export function integerSchema(words: Schema, place: Place, rewriting: Rewriting): Schema {
  const { least, most, isBounded } = integerBounds(words);
  if (least > most) throw new Nothing(place, `there is no whole number of up to 15 digits from ${least} to ${most}`);
  if (isStep(words.multipleOf)) {
    const all = multiples(words.multipleOf, least, most)?.filter(Number.isInteger);
    if (all !== undefined) return listed("integer", all, place);
    refuseMultiple(place, rewriting);
  }
  return isBounded ? { type: "integer", minimum: least, maximum: most } : { type: "integer" };
}

/** @throws Nothing, or ZSEError BAD_OPTION by the place */
export function numberSchema(words: Schema, place: Place, rewriting: Rewriting): Schema {
  const { multipleOf } = words;
  const bounds = numberBounds(words);
  if (isStep(multipleOf)) {
    const all = multiples(multipleOf, Math.max(bounds.least, bounds.above), Math.min(bounds.most, bounds.below))?.filter(
      (value) => value > bounds.above && value < bounds.below,
    );
    if (all !== undefined) return listed("number", all, place);
  }
  if (multipleOf !== undefined && Number.isInteger(multipleOf)) return integerSchema(words, place, rewriting);
  if (multipleOf !== undefined) refuseMultiple(place, rewriting);
  if (!rewriting.exact || !WORDS_OF.number.some((word) => typeof words[word] === "number" && !isBeyond(word, words[word])))
    return { type: "number" };
  const pattern = numberPattern(bounds);
  if (pattern === undefined) throw new Nothing(place, "there is no number of up to 15 digits between its bounds");
  return { type: "number", pattern };
}

/** Whether a bound is one that no number reaches which a grammar writes. */
function isBeyond(word: string, bound: number): boolean {
  return word.endsWith("inimum") ? bound <= -LARGEST_NUMBER : bound >= LARGEST_NUMBER;
}

function isStep(multipleOf: unknown): multipleOf is number {
  return typeof multipleOf === "number" && multipleOf !== 1;
}

/** All between two bounds that every reader finds to be multiples; undefined where they are too many. */
function multiples(step: number, least: number, most: number): number[] | undefined {
  const [from, to] = [Math.ceil(least / step), Math.floor(most / step)];
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || to - from >= MOST_MULTIPLES) return undefined;
  const decimals = decimalsOf(step);
  if (decimals > 20) return undefined;
  const all = Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => Number(((from + i) * step).toFixed(decimals)) + 0);
  return all.filter((value) => value >= least && value <= most && Number.isInteger(value / step));
}

function decimalsOf(value: number): number {
  const [digits, exponent = "0"] = String(value).split("e");
  return Math.max(0, (digits!.split(".")[1] ?? "").length - Number(exponent));
}

function listed(type: "integer" | "number", values: readonly number[], place: Place): Schema {
  if (values.length === 0) throw new Nothing(place, "no multiple lies between its bounds");
  return { type, enum: values };
}

function refuseMultiple(place: Place, rewriting: Rewriting): void {
  if (!rewriting.exact) return;
  const why = `it can be enforced beside both bounds, with up to ${MOST_MULTIPLES} multiples between them`;
  throw rewriting.refused([...place, "multipleOf"], `${why}; give those, or leave it out`);
}

function numberBounds(words: Schema): NumberBounds {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = words as Record<string, number | undefined>;
  const above = exclusiveMinimum ?? Number.NEGATIVE_INFINITY;
  const below = exclusiveMaximum ?? Number.POSITIVE_INFINITY;
  return { least: minimum ?? Number.NEGATIVE_INFINITY, most: maximum ?? Number.POSITIVE_INFINITY, above, below };
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
