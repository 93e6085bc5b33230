// Owns where a text may be cut: between grapheme clusters (UAX #29), found from a bounded look back, so that a text costs the same for
// each of its characters however long a cluster gets. Pure; any thread.

// Made on first use: an Intl.Segmenter costs about 1 ms and some 100 KB.
const segmenters: Partial<Record<"grapheme" | "word" | "sentence", Intl.Segmenter>> = {};
export function segmenter(granularity: "grapheme" | "word" | "sentence"): Intl.Segmenter {
  return (segmenters[granularity] ??= new Intl.Segmenter("und", { granularity }));
}

/** How far (UTF-16 units) it is looked back: more than clusters that are read as one (a family with skin colours has 25) need. */
export const LOOK_BACK = 64;

/** What some characters look past (GB9c, GB11), and these: whether a cluster ends between them is not decided by the two alone. */
const LOOKED_PAST = /[\p{M}\p{Grapheme_Extend}\p{Emoji_Modifier}\u200d]$/u;
const LOOKS_PAST = /^[\p{L}\p{Extended_Pictographic}]/u;
const FLAG_HALF = /^\p{Regional_Indicator}/u;
const AFTER_FLAG_HALF = /\p{Regional_Indicator}$/u;

/**
 * Whether a grapheme cluster begins at `index` for certain; text[index] must be there. False, too, in a cluster so long that its
 * beginning is out of sight: better a late cut than one inside of it.
 * @param whole the text begins where a cluster does
 */
export function isGraphemeBoundary(text: string, index: number, whole = true): boolean {
  const before = text.charCodeAt(index - 1);
  const after = text.charCodeAt(index);
  // Below U+0300 nothing joins with its neighbour but CR LF.
  if (before < 0x300 && after < 0x300) return !(before === 0x0d && after === 0x0a);
  let from = Math.max(0, index - LOOK_BACK);
  let certain = whole && from === 0;
  if (!certain && isLowSurrogate(text, from)) from += 1;
  const window = text.slice(from, index + (text.codePointAt(index)! > 0xffff ? 2 : 1));
  for (const { index: at } of segmenter("grapheme").segment(window)) {
    if (at > 0) certain ||= endsByItself(window, at);
    if (from + at === index) return certain;
  }
  return false;
}

/** Whether the boundary at `at` is one whatever stands before the two characters around it. */
function endsByItself(text: string, at: number): boolean {
  const before = text.slice(Math.max(0, at - 2), at);
  const after = text.slice(at, at + 2);
  return !(LOOKED_PAST.test(before) && LOOKS_PAST.test(after)) && !(AFTER_FLAG_HALF.test(before) && FLAG_HALF.test(after));
}

/** The index at most `units` before `index`, and never inside of a surrogate pair. */
export function lookBack(text: string, index: number, units: number): number {
  const from = Math.max(0, index - units);
  return from > 0 && isLowSurrogate(text, from) ? from + 1 : from;
}

function isLowSurrogate(text: string, index: number): boolean {
  const code = text.charCodeAt(index);
  return code >= 0xdc00 && code <= 0xdfff;
}
