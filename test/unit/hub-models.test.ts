// Which file of a repository is meant: by its name, or by the memory there is.

import { describe, expect, test } from "vitest";
import { fitting, type Memory, meant, modelsAmong, need, quantOf, roomFor } from "../../lib/hub/models.js";
import { isRepo, isSafePath } from "../../lib/hub/names.js";
import { readReference, writeReference } from "../../lib/hub/reference.js";
import { rejection } from "./helpers.js";

const GIB = 2 ** 30;
const REFERENCE = { repo: "org/repo", revision: "main" };

const sized = (sizes: Record<string, number>) => Object.entries(sizes).map(([path, bytes]) => ({ path, bytes }));
const machine = (gib: number): Memory => ({ total: gib * GIB, available: gib * GIB });

/** The files of a 7B model as they are published. */
const SEVEN = sized({
  "README.md": 1000,
  "m-7b-f16.gguf": 15.2 * GIB,
  "m-7b-Q8_0.gguf": 8.1 * GIB,
  "m-7b-Q6_K.gguf": 6.25 * GIB,
  "m-7b-Q5_K_M.gguf": 5.4 * GIB,
  "m-7b-Q4_K_M.gguf": 4.7 * GIB,
  "m-7b-Q4_0.gguf": 4.4 * GIB,
  "m-7b-Q3_K_M.gguf": 3.8 * GIB,
  "m-7b-Q2_K.gguf": 3.0 * GIB,
  "mmproj-m-7b-f16.gguf": 1.2 * GIB,
  "m-7b.imatrix.gguf": 10,
});

describe("a reference", () => {
  test.each([
    ["hf:org/repo", { repo: "org/repo", revision: "main" }],
    ["HF:Org/Re.po-1_x:q4_k_m", { repo: "Org/Re.po-1_x", revision: "main", quant: "q4_k_m" }],
    ["hf:org/repo@v1.0:UD-Q4_K_XL", { repo: "org/repo", revision: "v1.0", quant: "UD-Q4_K_XL" }],
    ["hf:org/repo/a b/c.gguf", { repo: "org/repo", revision: "main", file: "a b/c.gguf" }],
    ["hf:org/repo@refs/pr/7/c.gguf", { repo: "org/repo", revision: "refs/pr/7", file: "c.gguf" }],
    ["hf:org/repo@dev%2Fnew:Q8_0", { repo: "org/repo", revision: "dev/new", quant: "Q8_0" }],
    ["hf:org/repo/c.zse", { repo: "org/repo", revision: "main", file: "c.zse" }],
  ])("%s is read, and written again as something that means the same", (text, reference) => {
    expect(readReference(text)).toEqual(reference);
    expect(readReference(writeReference(readReference(text)))).toEqual(reference);
  });
  test.each([
    "org/repo",
    "hf:org/repo/x.bin",
    "hf:a/b/c/../../d.gguf",
    "hf:-a/b",
    "hf:a/b.",
    "hf:a--b/c",
    "hf:a/b:Q4:Q5",
    "hf:a/b@main",
    "hf:a/b@-x:Q4",
  ])("%s is read or refused, and never leads out of its folder", (text) => {
    try {
      const { repo, revision, file } = readReference(text);
      expect(isRepo(repo)).toBe(true);
      expect(isSafePath(revision)).toBe(true);
      if (file !== undefined) expect(isSafePath(file)).toBe(true);
    } catch (error) {
      expect(error).toMatchObject({ code: "BAD_OPTION", option: "path" });
    }
  });
});

describe("the quantization in a name", () => {
  test.each([
    ["Qwen3-0.6B-Q8_0.gguf", "Q8_0"],
    ["qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf", "Q4_K_M"],
    ["llama-2-7b.Q4_K_S.gguf", "Q4_K_S"],
    ["Q5_K_M/model-00001-of-00003.gguf", "Q5_K_M"],
    ["gemma-3-4b-it-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"],
    ["model-IQ4_XS.gguf", "IQ4_XS"],
    ["gpt-oss-20b-mxfp4.gguf", "MXFP4"],
    ["model-bf16.gguf", "BF16"],
    ["model-f16.gguf", "F16"],
    ["bitnet-TQ2_0.gguf", "TQ2_0"],
    ["ggml-model.gguf", undefined],
    ["q4thing.gguf", undefined],
  ])("%s: %s", (path, quant) => expect(quantOf(path)).toBe(quant));
});

describe("models among files", () => {
  test("companions, other files, and split models that are not all there are none", () => {
    const files = sized({
      "a-Q4_0.gguf": 1,
      "mmproj-a-f16.gguf": 1,
      "imatrix.gguf": 1,
      "mtp-a-Q4_0.gguf": 1,
      "a.safetensors": 1,
      "b-Q4_0-00001-of-00003.gguf": 1,
      "b-Q4_0-00003-of-00003.gguf": 1,
      "c-Q4_0-00002-of-00002.gguf": 2,
      "c-Q4_0-00001-of-00002.gguf": 1,
      "d-00000-of-00000.gguf": 1,
      "e-00002-of-00001.gguf": 1,
    });
    const models = modelsAmong(files).map(({ files, bytes }) => ({ paths: files.map(({ path }) => path), bytes }));
    expect(models).toEqual([
      { paths: ["a-Q4_0.gguf"], bytes: 1 },
      { paths: ["c-Q4_0-00001-of-00002.gguf", "c-Q4_0-00002-of-00002.gguf"], bytes: 3 },
    ]);
  });
  test("a quantization is found whatever its case; an exact one before one that ends so", () => {
    const files = sized({ "a-UD-Q4_K_M.gguf": 1, "a-Q4_K_M.gguf": 2 });
    expect(meant(files, { ...REFERENCE, quant: "q4_k_m" })?.bytes).toBe(2);
    expect(meant(files.slice(0, 1), { ...REFERENCE, quant: "Q4_K_M" })?.bytes).toBe(1);
    expect(meant(files, { ...REFERENCE, quant: "Q5_K_M" })).toBeUndefined();
    expect(meant(files, { ...REFERENCE, quant: "4_K_M.*" })).toBeUndefined();
  });
  test("the same model whole and in parts is taken whole; two models of one quantization are told", async () => {
    const same = sized({ "a-q8_0-00001-of-00002.gguf": 1, "a-q8_0-00002-of-00002.gguf": 1, "a-q8_0.gguf": 2 });
    expect(meant(same, { ...REFERENCE, quant: "Q8_0" })?.files).toHaveLength(1);
    const two = sized({ "a-q8_0.gguf": 1, "b-q8_0.gguf": 2 });
    const error = await rejection((async () => meant(two, { ...REFERENCE, quant: "Q8_0" }))());
    expect(error).toMatchObject({
      code: "BAD_OPTION",
      message: expect.stringContaining("hf:org/repo/a-q8_0.gguf, hf:org/repo/b-q8_0.gguf"),
    });
  });
});

describe("without a quantization, the memory there is decides", () => {
  const quantFor = (gib: number, files = SEVEN) => fitting(files, REFERENCE, machine(gib)).model.quant;
  test("the best that takes at most half of it", () => {
    expect(quantFor(64)).toBe("Q8_0");
    expect(quantFor(20)).toBe("Q6_K");
    expect(quantFor(17)).toBe("Q5_K_M");
  });
  test("else Q4_K_M where it fits, or what is next below", () => {
    expect(quantFor(12)).toBe("Q4_K_M");
    expect(quantFor(8.2)).toBe("Q4_K_M");
    expect(quantFor(7.8)).toBe("Q4_0");
    expect(quantFor(7)).toBe("Q3_K_M");
    expect(quantFor(6)).toBe("Q2_K");
  });
  test("what fits is taken for what it needs, and leaves the system its part", () => {
    for (let gib = 5.5; gib < 100; gib += 0.5) {
      const { model } = fitting(SEVEN, REFERENCE, machine(gib));
      expect(need(model)).toBeLessThanOrEqual(roomFor(machine(gib)));
    }
    expect(roomFor({ total: 16 * GIB, available: 3 * GIB })).toBe(3 * GIB);
    expect(roomFor({ total: 16 * GIB, available: undefined })).toBe(14 * GIB);
    expect(roomFor({ total: 4 * GIB, available: 4 * GIB })).toBe(3 * GIB);
  });
  test("where none fits it says what the smallest needs", async () => {
    const error = await rejection((async () => quantFor(2))());
    expect(error).toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringMatching(/smallest, Q2_K, needs about 4\.0 GiB, and 1\.5 GiB are there/),
    });
  });
  test("unquantized weights are the last resort, and projectors none", () => {
    const only = sized({ "m-f16.gguf": GIB, "mmproj-m-Q8_0.gguf": 1000 });
    expect(quantFor(64, only)).toBe("F16");
    expect(quantFor(64, sized({ "m-f16.gguf": GIB, "m-Q2_K.gguf": GIB / 4 }))).toBe("Q2_K");
  });
});
