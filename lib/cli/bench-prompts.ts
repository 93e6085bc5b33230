// Owns the benchmark's prompts: token ids of plain words, none of which begins as another one does, so that nothing computed for one is known of another. Any thread.

const WORDS = (
  "river stone bird cloud apple garden window silver story morning letter winter yellow paper forest mountain table summer " +
  "water little house green evening friend music road light flower island bridge"
).split(" ");

/** Makes token ids of a text. */
type Tokenize = (text: string) => Promise<number[]>;

export class Prompts {
  readonly #tokenize: Tokenize;
  readonly #random: () => number;
  /** Beginnings that were given out. */
  readonly #taken = new Set<string>();

  constructor(tokenize: Tokenize, seed = 1) {
    this.#tokenize = tokenize;
    this.#random = randomFrom(seed);
  }

  /** So many token ids, whose first ones no prompt before had. */
  async next(tokens: number): Promise<number[]> {
    for (let tries = 0; tries < 1000; tries++) {
      const ids = await this.#ids(tokens);
      const beginning = ids.slice(0, 2).join(" ");
      if (this.#taken.has(beginning)) continue;
      this.#taken.add(beginning);
      return ids;
    }
    throw new Error(`after ${this.#taken.size} prompts no beginning is left that none of them had`);
  }

  /** A word has one token at least, in whatever vocabulary, so as many words are enough. */
  async #ids(tokens: number): Promise<number[]> {
    const words = Array.from({ length: tokens }, () => WORDS[Math.floor(this.#random() * WORDS.length)]);
    const ids = await this.#tokenize(words.join(" "));
    if (ids.length < tokens) throw new Error(`${words.length} words have only ${ids.length} tokens`);
    return ids.slice(0, tokens);
  }
}

/** Numbers from 0 up to 1: Numerical Recipes' generator, whose high bits are good enough for words. */
function randomFrom(seed: number): () => number {
  let state = (Math.imul(seed, 2_654_435_761) ^ 0x5eed) >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
