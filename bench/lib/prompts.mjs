// Owns prompts of an exact number of tokens. Each is of its own from the first word on, so that nothing computed for one can
// be used for another.

const words = (
  "river stone bird cloud apple garden window silver story morning letter winter yellow paper forest mountain table summer " +
  "water little house green evening friend music road light flower island bridge"
).split(" ");

/**
 * A text of exactly `count` tokens.
 * @param tokenize text → promise of token ids, of the model that will read it
 * @param {number} number which one: prompts of different numbers differ from their beginning
 */
export async function promptOf(tokenize, count, number) {
  const next = wordsFrom(number);
  const list = Array.from({ length: count }, next);
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
  // What is left is less than a word: single letters and marks.
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

/** The words in an order that the number decides; the first three spell the number itself, up to 27,000. */
function wordsFrom(number) {
  const start = [number, Math.floor(number / words.length), Math.floor(number / words.length ** 2)].map(
    (digit) => words[digit % words.length],
  );
  let state = number + 1;
  return () => {
    if (start.length > 0) return start.shift();
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator; its high bits are good enough for words
    return words[Math.floor((state / 2 ** 32) * words.length)];
  };
}
