// Long runs of every class of character through every pre-tokenizer that the source of llama.cpp names: `texts.mjs <seed> <names …>`. Each
// class at 48 KB, and one, which the seed picks, at 1 MB.
import { modelWith, open, outcome, say } from "./attack.mjs";

export const classes = {
  lower: "a",
  upper: "A",
  "upper and lower": "Aa",
  words: "word ",
  digits: "7",
  space: " ",
  tabs: "\t",
  newline: "\n",
  "carriage returns": "\r\n",
  "spaces before a letter": "                               x",
  "no-break space": "\u00a0",
  "ideographic space": "\u3000",
  punctuation: "!",
  brackets: "[({",
  symbols: "$+",
  apostrophes: "'",
  contractions: "'s'LL",
  accents: "é",
  marks: "\u0301\u0316",
  "letters with marks": "e\u0301",
  Han: "漢",
  Kana: "かカ",
  Hangul: "한",
  Thai: "ก็",
  Devanagari: "क्ष",
  Arabic: "سلام",
  emoji: "\u{1F469}\u200D\u{1F4BB}",
  control: "\u0001\u007f",
  unassigned: "\u{E0080}",
  "control tokens": "<|im_end|>",
  "nearly control tokens": "<|im_en",
};

const [seed, ...names] = process.argv.slice(2);
const kinds = Object.entries(classes);
let state = Number(seed) >>> 0;
const random = (below) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};
const fill = (piece, bytes) => piece.repeat(Math.ceil(bytes / Buffer.byteLength(piece)));

for (const name of names) {
  say({ name, begins: true });
  const model = open(modelWith({ "tokenizer.ggml.pre": name }));
  const load = await outcome(model.ready);
  const long = kinds[random(kinds.length)];
  const results = {};
  if (load.outcome === "ok") {
    for (const [kind, piece] of [...kinds, [`1 MB of ${long[0]}`, undefined]]) {
      say({ name: `${name}: ${kind}`, begins: true });
      const text = piece === undefined ? fill(long[1], 1 << 20) : fill(piece, 48 << 10);
      const tokens = await outcome(model.tokenize(text, { special: true }));
      results[kind] = tokens.value ?? tokens;
      const completion = await outcome(model.completion(text, { maxTokens: 1 }));
      if (completion.outcome !== "CONTEXT_OVERFLOW") results[kind] = completion;
    }
  }
  await model.close();
  say({ name, load, results });
}
say({ done: true });
