// What opening .zse files promises, on files that the format's own writers made, and for the other architectures and rotary scalings on files of
// test/fixtures/make: the source's token ids, the logits that Hugging Face (or the reference there) computes from the same weights, clear refusals. Values and blocks, bit for bit, are test/native/zse_format_test.cpp's.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

// @ts-expect-error: plain JavaScript
import { buildAddon } from "../../scripts/build.mjs";
// @ts-expect-error: plain JavaScript
import { placesOf } from "../../scripts/paths.mjs";
import { openModel, ROOT } from "./helpers.js";

const FIXTURES = process.env.ZSE_FIXTURES ?? join(ROOT, "test", "fixtures", "zse");
const names = readdirSync(FIXTURES)
  .filter((name) => name.endsWith(".zse"))
  .map((name) => name.slice(0, -4));
const withTokenizer = names.filter((name) => !name.endsWith("-notok"));
const pathOf = (name: string) => join(FIXTURES, `${name}.zse`);

interface Expected {
  tokenizer: { vectors: { text: string; hf_ids: number[] }[] };
  /** `last_with_gelu_in_half`: of gemma2, whose GELU ggml takes from a table of float16. */
  logits: { input_ids: number[]; argmax: number; last: number[]; last_with_gelu_in_half?: number[] };
}
const expected = (name: string): Expected => JSON.parse(readFileSync(join(FIXTURES, `${name}.expected.json`), "utf8"));

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "zstream-zse-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function refusalOf(path: string): Promise<{ code: string; message: string }> {
  return openModel({}, path).ready.then(
    () => ({ code: "opened", message: "" }),
    (error) => error,
  );
}

describe.each(withTokenizer)("%s", (name) => {
  test("its token ids are the source tokenizer's", async () => {
    const model = openModel({}, pathOf(name));
    for (const { text, hf_ids } of expected(name).tokenizer.vectors) {
      expect([...(await model.tokenize(text, { special: true }))], JSON.stringify(text)).toEqual(hf_ids);
    }
  });

  test("it streams text and says how far loading is", async () => {
    const fractions: number[] = [];
    const model = openModel({ contextSize: 64, onProgress: (fraction) => fractions.push(fraction) }, pathOf(name));
    const reply = await model.completion("Hello world", { maxTokens: 4, ignoreEos: true });
    expect(reply.usage.completionTokens).toBe(4);
    expect(fractions.at(-1)).toBe(1);
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
  });
});

describe("logits", () => {
  let probe: string;
  beforeAll(async () => {
    await buildAddon({ targets: ["zse_logits"] });
    probe = join(placesOf().cmake, process.platform === "win32" ? "Release/zse_logits.exe" : "zse_logits");
  }, 900_000);

  function logitsOf(flags: "as-is" | "f32"): Map<string, number[]> {
    const input = names.map((name) => `${flags} ${expected(name).logits.input_ids.join(",")} ${pathOf(name)}\n`).join("");
    const { stdout, status } = spawnSync(probe, { input, encoding: "utf8", maxBuffer: 1 << 28 });
    expect(status).toBe(0);
    const answers = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { logits: number[] });
    return new Map(names.map((name, i) => [name, answers[i]!.logits]));
  }
  const largest = (values: number[]) => Math.max(...values.map(Math.abs));
  const difference = (a: number[], b: number[]) => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

  test("with weights as float32 they are Hugging Face's, to 1e-4; gemma2's to 0.1 % of the largest", () => {
    for (const [name, logits] of logitsOf("f32")) {
      const { last, last_with_gelu_in_half, argmax } = expected(name).logits;
      expect(logits.length, name).toBe(last.length);
      expect(difference(logits, last_with_gelu_in_half ?? last), name).toBeLessThan(1e-4);
      expect(difference(logits, last) / largest(last), name).toBeLessThan(1e-3);
      expect(logits.indexOf(Math.max(...logits)), name).toBe(argmax);
    }
  });

  test("as ggml's blocks they are that to 4 % of the largest: activations are quantized too", () => {
    for (const [name, logits] of logitsOf("as-is")) {
      const { last, argmax } = expected(name).logits;
      expect(difference(logits, last) / largest(last), name).toBeLessThan(0.04);
      expect(logits.indexOf(Math.max(...logits)), name).toBe(argmax);
    }
  });
});

describe("what a file is", () => {
  test("is told by its first bytes, whatever its name", async () => {
    const renamed = join(scratch, "model.gguf");
    copyFileSync(pathOf("v2-llama-int8"), renamed);
    expect((await openModel({}, renamed).ready).architecture).toBe("llama");
  });

  test("a file without a tokenizer is UNSUPPORTED, and the message says what to do", async () => {
    expect(await refusalOf(pathOf("v2-llamaedge-int8-notok"))).toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringMatching(/without a tokenizer.*convert it again/),
    });
  });

  test("a LoRA adapter is UNSUPPORTED", async () => {
    const path = join(scratch, "adapter.zse");
    writeFileSync(path, `ZLRA${"\0".repeat(200)}`);
    expect(await refusalOf(path)).toMatchObject({ code: "UNSUPPORTED", message: expect.stringContaining("LoRA") });
  });

  test("a damaged file is BAD_MODEL, with its path and the place in it", async () => {
    const path = join(scratch, "cut.zse");
    writeFileSync(path, readFileSync(pathOf("v2-llama-int8")).subarray(0, 300_000));
    expect(await refusalOf(path)).toMatchObject({ code: "BAD_MODEL", message: expect.stringMatching(/cut\.zse.*at byte 8:.*300000/) });
  });

  test("weights that are not finite end the load with BAD_MODEL", async () => {
    const bytes = readFileSync(pathOf("v1-llama-int4"));
    bytes.fill(0x7c, bytes.length - 64); // the last scales
    const path = join(scratch, "infinite.zse");
    writeFileSync(path, bytes);
    expect(await refusalOf(path)).toMatchObject({ code: "BAD_MODEL", message: expect.stringContaining("not finite") });
  });
});

test("a chat template in the file is used, and one that is missing is chosen by the control tokens", async () => {
  expect((await openModel({}, pathOf("v1-llama-int4")).ready).chatTemplate.source).toBe("model");
  const qwen = await openModel({}, pathOf("v2-qwen2-int4-tiled")).ready;
  expect(qwen.chatTemplate).toMatchObject({ source: "fallback", name: "chatml" });
  const llama = await openModel({}, pathOf("v2-llama-int8")).ready;
  expect(llama.chatTemplate).toMatchObject({ source: "fallback", name: "llama3" });
});

test("text is normalized to NFC where the source tokenizer does it, in chats too", async () => {
  const model = openModel({ contextSize: 256 }, pathOf("v2-qwen2-int4-tiled"));
  expect((await model.ready).normalizer).toBe("NFC");
  const composed = 'caf\u00e9 "\u00f1"';
  const decomposed = composed.normalize("NFD");
  expect(await model.tokenize(decomposed)).toEqual(await model.tokenize(composed));
  const options = { maxTokens: 1, ignoreEos: true } as const;
  const count = async (content: string) => (await model.chat([{ role: "user", content }], options)).usage.promptTokens;
  expect(await count(`line\n${decomposed}`)).toBe(await count(`line\n${composed}`));
  expect((await openModel({}, pathOf("v2-llama-int8")).ready).normalizer).toBeUndefined();
});

test("closing while it loads ends the load", async () => {
  const model = openModel({}, pathOf("v2-llama-int8"));
  await model.close();
  await expect(model.ready).rejects.toMatchObject({ code: "CLOSED" });
});
