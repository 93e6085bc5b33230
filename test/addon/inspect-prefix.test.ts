// `zse inspect --prefix`: where two prompts part, for people and for machines.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Comparison, compare, describePrefix, type Prompt } from "../../lib/cli/prefix.js";
import { buildLibrary, DEMO, zse } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-prefix-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(buildLibrary);

async function inspect(...args: string[]) {
  const { child, ended } = zse("inspect", ...args);
  child.stdin?.end();
  return ended;
}

function file(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const system = (time: string) => ({ role: "system", content: `You are brief. The time is ${time} now.` });
const QUESTION = { role: "user", content: "Count from 1 to 5" };
const EARLY = file("early.json", [system("10:15"), QUESTION]);
const LATE = file("late.json", { model: "demo", messages: [system("10:47"), QUESTION], temperature: 0 });

async function json(...files: string[]): Promise<Comparison> {
  const { code, stdout, stderr } = await inspect(DEMO, "--json", "--prefix", ...files);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as Comparison;
}

test("the model may stand behind the chats, and a file may begin with a byte order mark", async () => {
  const marked = file("marked.json", `\uFEFF${JSON.stringify([system("10:47"), QUESTION])}`);
  const { code, stdout, stderr } = await inspect("--json", "--prefix", EARLY, marked, DEMO);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { sameTokens } = JSON.parse(stdout) as Comparison;
  expect(sameTokens).toBe((await json(EARLY, LATE)).sameTokens);
});

test("without a model it is told by the embedded demo model, and the page says so", async () => {
  const page = await inspect("--prefix", EARLY, LATE);
  expect(page).toMatchObject({ code: 0, stdout: expect.stringContaining("embedded demo model") as unknown, stderr: "" });
  const { code, stdout } = await inspect("--json", "--prefix", EARLY, LATE);
  expect([code, (JSON.parse(stdout) as Comparison).sameTokens]).toEqual([0, (await json(EARLY, LATE)).sameTokens]);
  const neither = await inspect();
  expect(neither).toMatchObject({ code: 2, stderr: expect.stringContaining("missing required argument 'file'") as unknown });
});

test("a changed word is found: its token, the text on both sides, and the message it is in", async () => {
  const found = await json(EARLY, LATE);
  expect(found.parts).toBe(true);
  expect(found.sameTokens).toBeGreaterThan(5);
  const [a, b] = found.sides;
  expect(a.before.endsWith(b.before)).toBe(true);
  expect(a.before + a.after).toContain("10:15 now.");
  expect(b.before + b.after).toContain("10:47 now.");
  expect(a.token?.id).not.toBe(b.token?.id);
  for (const side of found.sides) expect(side.message).toEqual({ index: 0, role: "system", inText: true });
});

test("the page says the same to people", async () => {
  const { code, stdout, stderr } = await inspect(DEMO, "--prefix", EARLY, LATE);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^same +the first \d+$/m);
  expect(stdout).toMatch(/^breaks +at token \d+, counted from 0$/m);
  expect(stdout).toContain("late.json: in messages[0] (system)");
});

test("a break within a character is shown with the whole character", async () => {
  const face = (name: string, is: string) => file(name, [{ role: "user", content: `I am ${is} today` }]);
  const found = await json(face("glad.json", "😀"), face("merry.json", "😁"));
  const [a, b] = found.sides;
  expect([a.token?.text, b.token?.text]).toEqual(["😀", "😁"]);
  expect([a.after.startsWith("😀 today"), b.after.startsWith("😁 today")]).toEqual([true, true]);
  expect(a.before.endsWith("I am ")).toBe(true);
  expect(JSON.stringify(found)).not.toContain("\uFFFD");
});

test("a request for several replies is compared as one for a single reply", async () => {
  const several = file("several.json", { model: "demo", messages: [system("10:15"), QUESTION], n: 3, stream: true });
  expect((await inspect(DEMO, "--prefix", EARLY, several)).stdout).toContain("nowhere: the prompts are the same");
});

test("a conversation that goes on breaks nowhere, and which prompt has all of the other is said", async () => {
  const next = file("next.json", [
    system("10:15"),
    QUESTION,
    { role: "assistant", content: "1 2 3 4 5" },
    { role: "user", content: "More" },
  ]);
  const further = await json(EARLY, next);
  expect(further.parts).toBe(false);
  expect(further.sameTokens).toBe(further.sides[0].promptTokens);
  expect(further.sides[0].token).toBeUndefined();
  expect((await inspect(DEMO, "--prefix", EARLY, next)).stdout).toContain("nowhere: next.json begins with all of early.json");
  expect((await inspect(DEMO, "--prefix", EARLY, EARLY)).stdout).toContain("nowhere: the prompts are the same");
});

test.each([
  ["one file", [EARLY], /^zse: --prefix takes two files, given 1; as in: zse inspect .*\n$/],
  ["a file that is not there", [EARLY, join(folder, "none.json")], /^zse: --prefix: .*none\.json cannot be read: ENOENT.*\n$/],
  ["what is no JSON", [EARLY, file("broken.json", "{\u001b[2J")], /^zse: --prefix: .*broken\.json is no JSON: .*\n$/],
  ["what is no chat", [file("text.json", { prompt: "Hi" }), LATE], /^zse: --prefix: .*text\.json is no chat: it must have messages.*\n$/],
  [
    "what the model cannot read",
    [file("images.json", [{ role: "user", content: [{ type: "image_url" }] }]), LATE],
    /^zse: --prefix: .*images\.json: messages\[0\]\.content\[0\] must be .*\n$/,
  ],
])("%s is one sentence on stderr, and exit code 2", async (_, files, sentence) => {
  const { code, stdout, stderr } = await inspect(DEMO, "--prefix", ...files);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(sentence);
});

/** A prompt whose tokens are characters. */
function prompt(text: string, messages: Prompt["messages"]): Prompt {
  const tokens = [...text].map((character) => character.codePointAt(0)!);
  return { file: "a.json", tokens, pieces: [...text].map((character) => Buffer.from(character)), messages };
}

test("a break is told to be before, in or after the texts of messages, whatever the template left out of them", () => {
  const messages: Prompt["messages"] = [
    { role: "user", content: " one " },
    { role: "assistant", content: "left out" },
    { role: "user", content: [{ type: "text", text: "two" }] },
  ];
  const text = "<U>one<U>two<A>";
  const at = (place: number) => {
    const other = `${text.slice(0, place)}#${text.slice(place + 1)}`;
    return compare(prompt(text, messages), prompt(other, messages)).sides[0].message;
  };
  expect(at(1)).toBeUndefined();
  expect(at(4)).toEqual({ index: 0, role: "user", inText: true });
  expect(at(7)).toEqual({ index: 0, role: "user", inText: false });
  expect(at(9)).toEqual({ index: 2, role: "user", inText: true });
  expect(at(13)).toEqual({ index: 2, role: "user", inText: false });
});

test("bytes that are no characters are shown as U+FFFD, and what stands beside them as it is", () => {
  const of = (...pieces: number[][]): Prompt => {
    const bytes = pieces.map((piece) => Uint8Array.from(piece));
    return { file: "a.json", tokens: pieces.map((piece) => piece.reduce((sum, byte) => 256 * sum + byte, 1)), pieces: bytes, messages: [] };
  };
  const [a, b] = compare(of([0x9f, 0x61], [0xf0, 0x9f], [0x98], [0x80, 0x62]), of([0x9f, 0x61], [0xf0, 0x9f], [0x63])).sides;
  expect([a.before, a.token?.text, a.after]).toEqual(["a", "😀", "😀b"]);
  expect([b.before, b.token?.text, b.after]).toEqual(["a", "\uFFFDc", "\uFFFDc"]);
});

test("nothing that a prompt says reaches the terminal as a control sequence", () => {
  const messages: Prompt["messages"] = [{ role: "user", content: "\u001b[2Ja" }];
  const page = describePrefix(compare(prompt("\u001b[2Ja", messages), prompt("\u001b[2Jb", messages)));
  expect(page).toContain("\\u001b[2J");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(page).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
});
