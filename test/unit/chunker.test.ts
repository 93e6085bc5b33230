import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";

import { createChunker } from "../../lib/stream/chunker.js";
import { WordStarts } from "../../lib/stream/unit-starts.js";
import type { ChunkBy } from "../../lib/types.js";

function chunk(pieces: readonly string[], by: ChunkBy, size: number): string[] {
  const chunker = createChunker(by, size);
  if (chunker === undefined) return [...pieces];
  const chunks = pieces.map((piece) => chunker.push(piece, 1));
  chunks.push(chunker.flush());
  return chunks.filter((one) => one !== "");
}

/** Every code point its own piece. */
const codePoints = (text: string) => [...text];

describe("one token at a time", () => {
  test("needs no chunker", () => {
    expect(createChunker("token", 1)).toBeUndefined();
  });
});

describe("N tokens", () => {
  test("a chunk has N tokens, the last one what is left", () => {
    expect(chunk(["a", "b", "c", "d", "e"], "token", 2)).toEqual(["ab", "cd", "e"]);
  });
  test("a piece of several tokens counts as several", () => {
    const chunker = createChunker("token", 3)!;
    expect([chunker.push("é", 3), chunker.push("x", 1), chunker.flush()]).toEqual(["", "é", "x"]);
  });
  test("a grapheme that begins in one chunk ends in it", () => {
    const family = ["👩", "\u200d", "👩", "\u200d", "👧"];
    expect(chunk([...family, "!"], "token", 2)).toEqual(["👩‍👩‍👧", "!"]);
    expect(chunk(["a", "e", "\u0301", "b"], "token", 2)).toEqual(["ae\u0301", "b"]);
    expect(chunk(["a", "\r", "\n", "b"], "token", 2)).toEqual(["a\r\n", "b"]);
    expect(chunk(codePoints("🇩🇪🇫🇷🇮🇹"), "token", 1 + 1)).toEqual(["🇩🇪", "🇫🇷", "🇮🇹"]);
  });
});

describe("words", () => {
  test("a word comes with the white space before it", () => {
    expect(chunk(["Once", " upon", " a", "\n\n", "time", "."], "word", 1)).toEqual(["Once", " upon", " a", "\n\ntime."]);
  });
  test("words do not depend on how the text came", () => {
    const text = " The quick  brown fox,\tand\n the well-known don't dog. ";
    const words = [" The", " quick", "  brown", " fox,", "\tand", "\n the", " well-known", " don't", " dog.", " "];
    expect(chunk(codePoints(text), "word", 1)).toEqual(words);
    // What one piece completes goes out together; the boundaries are the same.
    expect(chunk([text], "word", 1)).toEqual([words.slice(0, -1).join(""), " "]);
  });
  test("N words a chunk", () => {
    expect(chunk(codePoints("one two three four five"), "word", 2)).toEqual(["one two", " three four", " five"]);
  });
  test("no-break spaces do not end a word", () => {
    expect(chunk(codePoints("10\u00a0000 and 1\u202f000"), "word", 1)).toEqual(["10\u00a0000", " and", " 1\u202f000"]);
  });
  test("scripts without spaces are divided by the Segmenter, not held until the end", () => {
    const chunks = chunk(codePoints("今日はいい天気ですね。散歩に行きましょう。"), "word", 1);
    expect(chunks.length).toBeGreaterThan(5);
    expect(chunk(codePoints("สวัสดีชาวโลกที่สวยงาม"), "word", 1).length).toBeGreaterThan(1);
  });
});

describe("sentences", () => {
  test("a sentence comes with the white space after it", () => {
    const text = 'He ran. "Go!" she said. Was it 3.14? Yes!  The end.';
    expect(chunk(codePoints(text), "sentence", 1)).toEqual(["He ran. ", '"Go!" ', "she said. ", "Was it 3.14? ", "Yes!  ", "The end."]);
  });
  test("sentences do not depend on how the text came", () => {
    const text = "One. Two etc. (and more). Ver. 2. 3 apples.\n- a list\n- of things\r\n今日は。元気？はい。End";
    const byCodePoint = chunk(codePoints(text), "sentence", 1);
    const byThree = chunk(text.match(/.{1,3}/gsu)!, "sentence", 1);
    // Sentences that a single piece completes go out together, so only the boundaries are compared.
    const boundaries = (chunks: string[]) => chunks.map((_, i) => chunks.slice(0, i + 1).join("").length);
    expect(boundaries(byCodePoint)).toEqual(expect.arrayContaining(boundaries(byThree)));
  });
  test("N sentences a chunk", () => {
    expect(chunk(codePoints("A b. C d. E f."), "sentence", 2)).toEqual(["A b. C d. ", "E f."]);
  });
  test("a line end is a sentence's end at once", () => {
    const chunker = createChunker("sentence", 1)!;
    expect(chunker.push("- first", 1)).toBe("");
    expect(chunker.push("\n-", 1)).toBe("- first\n");
  });
});

describe("whatever the pieces", () => {
  const scraps = fc.constantFrom(
    ...["a", "é", "e\u0301", " ", "  ", "\n", "\r", "\n", "\r\n", ".", "!", "?", "…", ",", "3.14", "Mr. ", "the", "The", "\u00a0"],
    ...["👩", "\u200d", "👧", "👍🏽", "🏽", "🇩", "🇪", "🇫🇷", "❤️", "\ufe0f", "1\u20e3", "\u0301", "\u0600", "क्ष", "क", "\u094d", "ष"],
    ...[
      "สวัสดี",
      "ชาวโลก",
      "\u0e33",
      "今日",
      "は",
      "。",
      "天気",
      "カ\u3099",
      "각",
      "\u1100",
      "\u1161",
      "\u11a8",
      "မြန်မာ",
      "𝒜",
      "\u2028",
      "\u0085",
    ],
  );
  const pieces = fc.array(
    fc
      .array(fc.oneof(scraps, fc.string({ unit: "binary", minLength: 1, maxLength: 4 })), { minLength: 1, maxLength: 4 })
      .map((all) => all.join("")),
    { maxLength: 40 },
  );
  const by = fc.constantFrom<ChunkBy>("token", "word", "sentence");
  const size = fc.integer({ min: 1, max: 4 });

  // fast-check prints the seed and the path of a failure; pass them to fc.assert to see it again.
  test("the chunks joined are the pieces joined", () => {
    fc.assert(
      fc.property(pieces, by, size, (pieces, by, size) => {
        expect(chunk(pieces, by, size).join("")).toBe(pieces.join(""));
      }),
      { numRuns: 400 },
    );
  });
  test("no chunk ends inside a grapheme", () => {
    const graphemes = new Intl.Segmenter("und", { granularity: "grapheme" });
    fc.assert(
      fc.property(pieces, by, size, (pieces, by, size) => {
        if (by === "token" && size === 1) return;
        const starts = new Set([...graphemes.segment(pieces.join(""))].map((one) => one.index));
        let at = 0;
        for (const one of chunk(pieces, by, size)) {
          expect(starts).toContain(at);
          at += one.length;
        }
      }),
      { numRuns: 400 },
    );
  });
});

describe("the work is linear in the text: twice the text, twice what the Segmenter is given", () => {
  const repeat = (pieces: readonly string[], count: number) => Array.from({ length: count }, (_, i) => pieces[i % pieces.length]!);
  /** UTF-16 units that the Segmenter is given while a text of `count` pieces is chunked. */
  function segmented(head: string, pieces: readonly string[], by: ChunkBy, size: number, count: number): number {
    let units = 0;
    const spy = vi.spyOn(Intl.Segmenter.prototype, "segment").mockImplementation(function (this: Intl.Segmenter, text: string) {
      units += text.length;
      return segment.call(this, text);
    });
    const all = [head, ...repeat(pieces, count)];
    expect(chunk(all, by, size).join("")).toBe(all.join(""));
    spy.mockRestore();
    return units;
  }
  const segment = Intl.Segmenter.prototype.segment;

  const CHINESE = codePoints("今天天气很好我们去公园散步吧她说这本书非常有意思");
  const THAI = codePoints("สวัสดีชาวโลกที่สวยงาม");
  test.each<[string, string, readonly string[]]>([
    ["Chinese", "今", CHINESE],
    ["Thai", "ส", THAI],
    ["Burmese", "မ", codePoints("မြန်မာ")],
    ["Katakana", "カ", codePoints("カタカナ")],
    ["Chinese with words between", "今", ["今", " a", "b"]],
    ["one endless word after a Chinese one", "今", ["abc"]],
    ["one endless mark after a Chinese word", "今", ["\u0301"]],
    ["full stops without end after a Chinese word", "今", ["。"]],
    ["spaces after a sign that clings to them", "今\u0600", [" "]],
    ["English", "A", [" word"]],
    ["sentences", "A", [" Word", "."]],
    ["a full stop, and digits without end", "3.", ["1", "4"]],
    ["numbers that might end a sentence", "A", [" 3", ".", "14"]],
    ["lines", "A", ["\r", "\n", "-"]],
    ["combining marks without end", "a", ["\u0301"]],
    ["an emoji sequence without end", "a", ["👩", "\u200d"]],
    ["flags without end", "a", codePoints("🇩🇪🇫🇷")],
    ["signs that cling to what follows, without end", "a", ["\u0600"]],
    ["Hangul letters without end", "a", ["\u1100"]],
    ["an Indic conjunct without end", "क", ["\u094d", "ष"]],
  ])("%s", (_, head, pieces) => {
    for (const by of ["token", "word", "sentence"] as const) {
      for (const size of [1 + Number(by === "token"), 65_536]) {
        const [once, twice] = [1500, 3000].map((count) => segmented(head, pieces, by, size, count)) as [number, number];
        expect(twice, `${by} × ${size}`).toBeLessThan(2.6 * once + 5000);
        expect(twice / 3000, `${by} × ${size}`).toBeLessThan(300); // units for each piece
      }
    }
  });

  test("a grapheme of 100,000 marks stays whole, and the text goes on behind it", () => {
    const chunks = chunk(["a", ...repeat(["\u0301"], 100_000), ...codePoints(" Then it ends. And goes on")], "word", 1);
    expect(chunks[0]).toBe(`a${"\u0301".repeat(100_000)}`);
    expect(chunks.slice(1)).toEqual([" Then", " it", " ends.", " And", " goes", " on"]);
  });
});

test("N words are N of the words that are found, whatever N is", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("今日", "は", "สวัสดี", "ชาวโลก", " a", "b", "。", "\n", "!"), { maxLength: 30 }), (words) => {
      const pieces = words.flatMap(codePoints);
      const finder = new WordStarts();
      const starts = pieces.flatMap((piece) => finder.push(piece));
      for (const size of [1, 3]) {
        const chunks = chunk(pieces, "word", size);
        const ends = chunks.slice(0, -1).map((_, i) => chunks.slice(0, i + 1).join("").length);
        for (const end of ends) expect((starts.indexOf(end) + 1) % size).toBe(0);
        expect(starts).toEqual(expect.arrayContaining(ends));
      }
    }),
  );
});
