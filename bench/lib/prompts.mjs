// Owns the benchmark's prompts: texts of an exact number of tokens. Each begins with a token that no other prompt of the same
// process begins with, so that nothing a contender has computed or kept for one can be used for another.

const words = (
  "river stone bird cloud apple garden window silver story morning letter winter yellow paper forest mountain table summer " +
  "water little house green evening friend music road light flower island bridge"
).split(" ");

/** Prompts for one process: a seed decides which, a set of first tokens keeps them apart. */
export class Prompts {
  #tokenize;
  #random;
  #taken = new Set();

  /**
   * @param tokenize text → promise of token ids, of the model that will read the prompts
   * @param {number} seed the same seed gives the same prompts, to whichever contender
   */
  constructor(tokenize, seed) {
    this.#tokenize = tokenize;
    this.#random = randomFrom(seed);
  }

  /** A text of exactly `tokens` tokens whose first one is new to this process. */
  async cold(tokens) {
    return textOf(this.#tokenize, tokens, [await this.#opening(), ...this.#words(tokens)]);
  }

  /** A text of exactly `tokens` tokens that begins like any other: to follow a prompt that is known. */
  async more(tokens) {
    return textOf(this.#tokenize, tokens, this.#words(tokens));
  }

  /** Three letters that begin with a new token. Not every model has a token for each, so some draws are in vain. */
  async #opening() {
    for (let tries = 0; tries < 10_000; tries++) {
      const letters = Array.from({ length: 3 }, () => String.fromCharCode(97 + Math.floor(this.#random() * 26))).join("");
      const [first] = await this.#tokenize(letters);
      if (first === undefined || this.#taken.has(first)) continue;
      this.#taken.add(first);
      return letters;
    }
    throw new Error(`after ${this.#taken.size} prompts no first token is left that none of them began with`);
  }

  #words(count) {
    return Array.from({ length: count }, () => words[Math.floor(this.#random() * words.length)]);
  }
}

/** As many of the words as fit into exactly `count` tokens, filled up with single letters and marks. */
async function textOf(tokenize, count, list) {
  const lengthOf = async (words) => (await tokenize(list.slice(0, words).join(" "))).length;
  // The most words that fit: every word takes at least one token.
  let fits = 0;
  let tooMany = count + 1;
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    if ((await lengthOf(middle)) <= count) fits = middle;
    else tooMany = middle;
  }
  let text = list.slice(0, fits).join(" ");
  let used = await lengthOf(fits);
  for (const piece of [" a", ".", ",", " I", "!", "?", ";"]) {
    while (used < count) {
      const length = (await tokenize(text + piece)).length;
      if (length > count || length === used) break;
      text += piece;
      used = length;
    }
  }
  if (used !== count) throw new Error(`no text of ${count} tokens was found; the nearest has ${used}`);
  return text;
}

/** Numbers from 0 up to 1: Numerical Recipes' generator, whose high bits are good enough for words. */
function randomFrom(seed) {
  let state = (Math.imul(seed + 1, 2654435761) ^ 0x5eed) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
