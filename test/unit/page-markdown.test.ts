// What the page of `zse serve` makes of a reply's text (lib/ui/markdown): nothing is lost, wherever the text is cut while it streams, however it is written,
// and what is settled stays as it is. Elements are made of it in Chromium, in test/browser.

import { describe, expect, test } from "vitest";
import { type Block, Blocks } from "../../lib/ui/markdown/blocks.js";
import { type Word, wordsOf } from "../../lib/ui/markdown/highlight.js";
import { safeLink, withoutEntities } from "../../lib/ui/markdown/links.js";
import { randomOf } from "../random-schemas.js";

const PIECES = [
  "A paragraph with **bold**, *slanted*, `code` and a [link](https://example.com/a_b).\nIts second line.\n\n",
  "# Heading\n\n",
  "Title\n===\n\n",
  "- one\n- two\n  - nested\n\n    with a paragraph\n- three\n\n",
  "1. first\n\n   ```sh\n   npm install\n   ```\n2. second\n\n",
  "```python\ndef f(x):\n    return x  # ~~~\n\nprint(f(1))\n```\n",
  "~~~~\n```\nnot an end\n~~~\n~~~~\n\n",
  "| a | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |\n\n",
  "> quoted\n> - list\n\nlast\n\n",
  "<script>alert(1)</script>\n\n<b>bold</b> text\n\n",
  "- [x] done\n- [ ] to do\n\n",
  "日本語のテキスト、👩‍👩‍👧 とemoji\n\n---\n\n",
  "    indented code\n\n",
  "``` not ``` a fence\n\n",
];

/** What blocks are made of, back in one text. */
function written(blocks: readonly Block[]): string {
  return blocks
    .map((block) => {
      if (block.kind === "plain") return block.text;
      return block.kind === "code" ? block.chunks.join("") : block.tokens.map(({ raw }) => raw).join("");
    })
    .join("");
}

const letters = (text: string) => text.replace(/[\s`~]/g, "");

function randomDocument(random: ReturnType<typeof randomOf>, pieces: number): string {
  return Array.from({ length: pieces }, () => PIECES[random.below(PIECES.length)]!).join("");
}

function seeded() {
  const seed = Number(process.env.ZSE_TEST_SEED ?? Date.now() % 1e6);
  console.log(`ZSE_TEST_SEED=${seed}`);
  return randomOf(seed);
}

describe("a reply's text", () => {
  test("is the same blocks at its end, in whatever pieces it came", () => {
    const random = seeded();
    for (let i = 0; i < 60; i++) {
      const text = randomDocument(random, 1 + random.below(12));
      const whole = new Blocks().read(text);
      const growing = new Blocks();
      for (let at = 0; at < text.length; at += 1 + random.below(12)) growing.read(text.slice(0, at));
      expect(growing.read(text)).toEqual(whole);
    }
  });

  test("loses nothing, however long it is, and its settled blocks stay the same objects", () => {
    const random = seeded();
    const text = randomDocument(random, 900);
    const blocks = new Blocks();
    let before: readonly Block[] = [];
    for (let at = 0; at < text.length; at += 500 + random.below(4000)) {
      const now = blocks.read(text.slice(0, at));
      const same = now.findIndex((block, i) => block !== before[i]);
      expect(same).toBeGreaterThanOrEqual(before.length - 3); // the last block, and what it was read with
      before = now;
    }
    const last = blocks.read(text);
    const languages = /```(?:sh|python)/g;
    expect(letters(written(last)).replace(/sh|python/g, "")).toBe(letters(text.replace(languages, "")).replace(/sh|python/g, ""));
  });

  test("has no block that grows without an end: each is bounded, and nothing of it is lost", () => {
    for (const piece of ["word ", "x", "- item\n", "| a | b |\n", "> q\n", "line\n", "𝒳", "1. a\n"]) {
      const text = piece.repeat(Math.ceil(60_000 / piece.length));
      const blocks = new Blocks();
      for (let at = 0; at < text.length; at += 7000) blocks.read(text.slice(0, at));
      const all = blocks.read(text);
      expect(all.length).toBeGreaterThan(5);
      for (const block of all) expect(written([block]).length).toBeLessThanOrEqual(8000);
      expect(written(all).replace(/\s/g, "")).toBe(text.replace(/\s/g, ""));
      expect(written(all)).not.toMatch(/^[\udc00-\udfff]/);
    }
  });

  test("has a table's head wherever the table had to be cut", () => {
    const rows = Array.from({ length: 900 }, (_, i) => `| row ${i} | ${"value ".repeat(3)}|\n`);
    const tokens = new Blocks()
      .read(`| a | b |\n|---|---|\n${rows.join("")}\nText behind it.\n`)
      .flatMap((block) => (block.kind === "markdown" ? block.tokens : []));
    const tables = tokens.filter(({ type }) => type === "table") as { header: { text: string }[]; rows: { text: string }[][] }[];
    expect(tables.length).toBeGreaterThan(3);
    for (const { header } of tables) expect(header.map(({ text }) => text)).toEqual(["a", "b"]);
    expect(tables.flatMap((table) => table.rows.map(([first]) => first!.text))).toEqual(rows.map((_, i) => `row ${i}`));
    expect(tokens.at(-1)).toMatchObject({ type: "paragraph", text: "Text behind it." });
  });

  test("is code from the fence on, while it is written, and no half of a fence is shown", () => {
    const blocks = new Blocks();
    const listing = "```js\nlet a = 1;\n``\n```";
    for (let end = 3; end <= listing.length; end++) {
      const [block, ...more] = blocks.read(listing.slice(0, end));
      expect(block).toMatchObject({ kind: "code", open: end < listing.length });
      expect(more).toEqual([]);
    }
    expect(blocks.read(`${listing}\nText.`)).toMatchObject([
      { kind: "code", language: "js", chunks: ["let a = 1;\n``\n"], open: false },
      { kind: "markdown" },
    ]);
    const oneLine = new Blocks().read(`\`\`\`\n${"y".repeat(30_000)}\n\`\`\`\n`);
    expect(oneLine).toMatchObject([{ kind: "code", open: false }]);
    expect(written(oneLine)).toBe(`${"y".repeat(30_000)}\n`);
  });

  test("is read in bounded pieces of work, whatever its marks are", () => {
    const attacks = ["*_*_a", "!", "[", "![", "a_b_", "<", "`a", "> ", "- ", "1. ", "[a](", "\\", "~~a", "&#", "<!--", "|||\n", "#"];
    for (const attack of attacks) {
      const text = attack.repeat(Math.ceil(30_000 / attack.length));
      const all = new Blocks().read(text);
      expect(written(all).replace(/\s/g, "").length).toBe(text.replace(/\s/g, "").length);
    }
    const [before, deep, behind] = new Blocks().read(`**bold**\n\n${"> ".repeat(2000)}\n\n*slanted*`);
    expect([before, deep, behind].map((block) => block!.kind)).toEqual(["markdown", "plain", "markdown"]);
  });

  test("that is long is read over several calls", () => {
    const text = randomDocument(seeded(), 400);
    const blocks = new Blocks();
    let calls = 0;
    do {
      blocks.read(text, 0); // the time is always over
      calls += 1;
    } while (!blocks.isWhole);
    expect(calls).toBeGreaterThan(5);
    expect(blocks.read(text)).toEqual(new Blocks().read(text));
  });

  test("begins anew where it is another one", () => {
    const blocks = new Blocks();
    blocks.read("```\ncode\n");
    expect(blocks.read("Text.")).toEqual(new Blocks().read("Text."));
    expect(blocks.read("")).toEqual([]);
    expect(blocks.read("a\r\n\r\nb\r").length).toBe(2);
  });
});

describe("a reply's code", () => {
  const textOf = (words: readonly Word[]): string => words.map((word) => (typeof word === "string" ? word : textOf(word.inner))).join("");

  test("is coloured by its language, and stays the same text", () => {
    const codes: Record<string, string> = {
      c: "int main(void) { return 0; } // <end>\n",
      python: 'def f(x):\n    """A text."""\n    return f"{x}"\n',
      json: '{"a": [1, true, null]}',
      html: "<b class='x'>&amp;</b>",
      sh: 'echo "$HOME" | sort\n',
      ts: "const a: number = 1;\n",
    };
    for (const [language, code] of Object.entries(codes)) {
      const words = wordsOf(language, code);
      expect(textOf(words), language).toBe(code);
      expect(
        words.some((word) => typeof word !== "string" && word.class.startsWith("hljs-")),
        language,
      ).toBe(true);
    }
    for (const language of ["", "nope", "constructor", "__proto__"]) expect(wordsOf(language, "let a")).toEqual(["let a"]);
  });

  test("is plain where colouring it would take the square of its length", () => {
    for (const attack of ["a ", "int a", "_\n", "A".repeat(300), "select \n", "-".repeat(500)]) {
      const text = attack.repeat(Math.ceil(8000 / attack.length));
      for (const language of ["c", "cpp", "csharp", "ini", "java", "php"]) expect(wordsOf(language, text)).toEqual([text]);
    }
  });
});

describe("a reply's links and entities", () => {
  test("lead out of the page or nowhere", () => {
    for (const href of [
      "javascript:alert(1)",
      "JaVaScRiPt:alert(1)",
      " javascript:alert(1)",
      "java\nscript:alert(1)",
      "data:text/html,<script>",
      "vbscript:x",
      "file:///etc/passwd",
      "/v1/models",
      "//example.com",
      "#top",
      "blob:x",
      "https://",
      "http://[",
    ]) {
      expect(safeLink(href), href).toBeUndefined();
    }
    expect(safeLink("https://example.com/a b")).toBe("https://example.com/a%20b");
    expect(safeLink("mailto:a@example.com")).toBe("mailto:a@example.com");
  });

  test("are characters, and no half ones", () => {
    expect(withoutEntities("&lt;b&gt; &amp;amp; &#8364; &#x1F600; &nope; &constructor;")).toBe("<b> &amp; € 😀 &nope; &constructor;");
    expect(withoutEntities("&#0;&#xD800;&#x110000;")).toBe("\ufffd\ufffd\ufffd");
  });
});
