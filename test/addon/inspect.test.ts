// `zse inspect`: what it tells of each kind of file, for people and for machines.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NativeInspection } from "../../lib/addon/file-contract.js";
import { loadNative } from "../../lib/addon/load.js";
import { describe as describePage } from "../../lib/cli/inspect.js";
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

test("a file without a tokenizer has no chat template either, and that is said", async () => {
  const { stdout } = await inspect(fixture("v2-llamaedge-int8-notok"));
  expect(stdout).toMatch(/chat template +none: .*the tokenizer cannot be used/);
  expect(stdout).not.toContain("chosen by the control tokens: the file has none");
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

describe("a file that is cut short: what could be told of it, why it cannot be opened, and exit code 1", () => {
  const cut = (source: string, bytes: number) => {
    const path = join(folder, `cut-${bytes}${source.slice(source.lastIndexOf("."))}`);
    writeFileSync(path, readFileSync(source).subarray(0, bytes));
    return path;
  };
  test("in the weights of a GGUF file: everything", async () => {
    const path = cut(DEMO, 1_500_000);
    const { code, stdout, stderr } = await inspect(path, "--json");
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    const whole = await json(DEMO);
    expect(JSON.parse(stdout)).toMatchObject({
      ...whole,
      bytes: 1_500_000,
      sections: [whole.sections[0], { ...whole.sections[1], bytes: 1_500_000 - whole.sections[1]!.offset }],
      refusal: expect.stringMatching(/^at byte \d+: tensor ".*the file ends at 1500000$/),
    });
    expect((await inspect(path)).stdout).toMatch(/parameters +2\.76 M(.|\n)*It cannot be opened: at byte/);
  });
  test("anywhere in a header: what comes before", async () => {
    for (let bytes = 4; bytes < 49_000; bytes += bytes < 1500 ? 7 : 997) {
      const found = await loadNative().inspect(cut(DEMO, bytes));
      expect(found).toMatchObject({ format: "gguf", bytes, refusal: expect.stringMatching(/^at byte \d+/) });
      expect(describePage("cut.gguf", found)).toMatch(/format +GGUF(.|\n)*It cannot be opened: at byte \d+/);
    }
    expect((await inspect(cut(DEMO, 1000))).stdout).toMatch(/architecture +qwen2/);
  });
  test.each(["v2-qwen2-int4-tiled", "v1-llama-int4"])("%s: the format", async (name) => {
    const { code, stdout, stderr } = await inspect(cut(fixture(name), 3000), "--json");
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({ format: "zse", version: Number(name[1]), bytes: 3000, refusal: expect.any(String) });
    expect((await inspect(cut(fixture(name), 3000))).stdout).toMatch(
      /format +\.zse, generation \d(.|\n)*It cannot be opened: .*at byte \d+/,
    );
  });
});

test("run, inspect and convert say the same of what is no model file", async () => {
  const empty = join(folder, "empty.gguf");
  writeFileSync(empty, "");
  for (const [path, sentence] of [
    [join(folder, "nowhere.gguf"), /^zse: there is no file ".*nowhere\.gguf"; give the path of a \.gguf or \.zse model file\n$/],
    [folder, /^zse: ".*" is a directory; give the path of the \.gguf or \.zse file inside it\n$/],
    [empty, /^zse: ".*empty\.gguf" is empty; download or copy the model again\n$/],
  ] as const) {
    const said = [];
    for (const args of [
      ["inspect", path],
      ["run", path, "Hi"],
      ["convert", path, join(folder, "out.bin")],
    ]) {
      const { child, ended } = zse(...args);
      child.stdin?.end();
      said.push((await ended).stderr);
    }
    expect(said[0]).toMatch(sentence);
    expect(said).toEqual([said[0], said[0], said[0]]);
  }
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
