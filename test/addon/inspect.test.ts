// `zse inspect`: what it tells of each kind of file, for people and for machines.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import type { NativeInspection } from "../../lib/native.js";
import { buildLibrary, DEMO, ROOT, zse } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-inspect-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(buildLibrary);

const fixture = (name: string) => join(ROOT, "test", "fixtures", "zse", `${name}.zse`);

async function inspect(...args: string[]) {
  const { child, ended } = zse("inspect", ...args);
  child.stdin?.end();
  return ended;
}

async function json(path: string): Promise<NativeInspection> {
  const { code, stdout, stderr } = await inspect(path, "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as NativeInspection;
}

test("a GGUF file: sizes, types, tokenizer and template", async () => {
  const found = await json(DEMO);
  expect(found).toMatchObject({
    format: "gguf",
    architecture: "qwen2",
    name: "zStream demo",
    parameters: 2756864,
    shape: { layers: 4, width: 256, heads: 8, kvHeads: 4, headSize: 32, vocabulary: 1536, context: 2048 },
    tokenizer: { model: "gpt2", preTokenizer: "qwen2", tokens: 1536, eos: "<|im_end|>" },
    chatTemplate: { source: "file" },
  });
  expect(found.weights.find(({ kind }) => kind === "attention")).toMatchObject({ coding: "q8_0", loadsAs: "q8_0", lossless: true });
});

test.each([
  ["v2-qwen2-int4-tiled", "tiled"],
  ["v2-qwen2-int4-rowmajor", "row-major"],
])("%s: the layout that its codes tell, and that no value changes", async (name, layout) => {
  const found = await json(fixture(name));
  expect(found).toMatchObject({ format: "zse", version: 2, architecture: "qwen2", chatTemplate: { source: "fallback", name: "chatml" } });
  const packed = found.weights.filter(({ layout: has }) => has !== undefined);
  expect(packed.length).toBeGreaterThan(0);
  for (const weights of packed) expect(weights).toMatchObject({ layout, lossless: true, loadsAs: expect.stringMatching(/q4_1/i) });
  expect(found.sections.filter(({ crc32 }) => crc32 !== undefined).map(({ name: section }) => section)).toHaveLength(3);
});

test("rows that are no multiple of 32 are said to be rounded", async () => {
  const found = await json(fixture("v2-llamaedge-int4-tiled"));
  expect(found.weights.some(({ lossless }) => lossless === false)).toBe(true);
  expect((await inspect(fixture("v2-llamaedge-int4-tiled"))).stdout).toMatch(/F16, rounded/);
});

test("generation 1", async () => {
  expect(await json(fixture("v1-llama-int4"))).toMatchObject({ format: "zse", version: 1, architecture: "llama" });
});

test("a file that cannot be opened as a model: what it is, why not, and exit code 1", async () => {
  const { code, stdout } = await inspect(fixture("v2-llamaedge-int8-notok"), "--json");
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ format: "zse", refusal: expect.stringContaining("without a tokenizer") });
});

test("what is no model file at all is one sentence on stderr", async () => {
  writeFileSync(join(folder, "text.zse"), "\x1b[2Jtext");
  const { code, stdout, stderr } = await inspect(join(folder, "text.zse"));
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^zse: .*is not a model file: it begins with "\\x1b\[2J".*\n$/);
});

test("nothing that a file says reaches the terminal as a control sequence", async () => {
  const bytes = readFileSync(DEMO);
  const at = bytes.indexOf("zStream demo");
  bytes.write("\x1b]0;owned\x07x", at, "latin1");
  const path = join(folder, "hostile.gguf");
  writeFileSync(path, bytes);
  const { stdout } = await inspect(path);
  expect(stdout).toContain("\\u001b]0;owned\\u0007x");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
});
