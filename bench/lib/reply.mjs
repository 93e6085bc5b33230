// Owns what the rows know of one reply, whichever contender wrote it: when its pieces of text arrived, and what it cost. Pure.

/**
 * One reply, read to its end or cancelled. All times are ms of `performance.now()` in the process that reads.
 * @typedef {object} Reply
 * @property {number} startedAt when it was asked for
 * @property {number[]} arrivals of each piece of text
 * @property {number} endedAt
 * @property {string} text
 * @property {number} tokens generated
 * @property {number} promptTokens
 * @property {number} cachedTokens prompt tokens that were not computed, by the contender's own account
 */

/** Collects one reply's pieces as they arrive. */
export class Arrivals {
  startedAt = performance.now();
  arrivals = [];
  text = "";
  #onText;

  constructor(onText) {
    this.#onText = onText;
  }

  add(text) {
    if (text === "") return; // part of a character: nobody can read it yet
    this.arrivals.push(performance.now());
    this.text += text;
    this.#onText?.(this);
  }

  /** @returns {Reply} */
  end({ tokens, promptTokens, cachedTokens }) {
    const { startedAt, arrivals, text } = this;
    return { startedAt, arrivals, text, tokens, promptTokens, cachedTokens, endedAt: performance.now() };
  }
}

/** Time to the first text, in ms. */
export function ttft(reply) {
  if (reply.arrivals.length === 0) throw new Error("a reply has no text, so it has no time to its first text");
  return reply.arrivals[0] - reply.startedAt;
}

/** Times between the pieces of each reply, in ms, those of all replies together. */
export function gaps(replies) {
  return replies.flatMap(({ arrivals }) => arrivals.slice(1).map((at, index) => at - arrivals[index]));
}

/** The longest time without text, in ms, between `from` and `to`; text before and after bounds it. */
export function longestGap(reply, from, to) {
  let longest;
  for (let i = 1; i < reply.arrivals.length; i++) {
    if (reply.arrivals[i] < from || reply.arrivals[i - 1] > to) continue;
    const gap = reply.arrivals[i] - reply.arrivals[i - 1];
    if (longest === undefined || gap > longest) longest = gap;
  }
  if (longest === undefined) throw new Error("the running stream wrote nothing while its longest gap was measured");
  return longest;
}

/** New tokens per second, from the first piece to the last. */
export function pace(reply) {
  return ((reply.tokens - 1) / (reply.arrivals.at(-1) - reply.arrivals[0])) * 1000;
}

/**
 * Whether each token of a reply's beginning shows when it is made. A token that is part of a character shows with the next one, and
 * then the first arrival is not the first token's. The random model writes ASCII only; the demo model
 * likes emoji.
 */
export function beginsPlainly(reply) {
  return /^[\x20-\x7e]/.test(reply.text);
}
