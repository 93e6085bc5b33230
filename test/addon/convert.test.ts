// `zse convert`: what a conversion keeps, checked by what the models say and by the digests of the fixtures; and that its output is there
// whole or not at all.

import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { ask, buildLibrary, DEMO, openModel, ROOT, until, writeSparseModel, zse } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-convert-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(buildLibrary);

const FIXTURES = join(ROOT, "test", "fixtures", "zse");
const place = (name: string) => join(folder, name);

async function convert(...args: string[]) {
  const { child, ended } = zse("convert", ...args);
  child.stdin?.end();
  return ended;
}

async function converted(input: string, name: string, ...flags: string[]): Promise<string> {
  expect(await convert(input, place(name), ...flags)).toMatchObject({ code: 0, stdout: "" });
  return place(name);
}

async function replies(path: string, prompts: string[]): Promise<string[]> {
  const model = openModel({}, path);
  const all: string[] = [];
  for (const prompt of prompts) all.push((await model.chat(ask(prompt), { temperature: 0, maxTokens: 200 })).text);
  await model.close();
  return all;
}

const PROMPTS = [
  "Hello",
  "Tell me a story about a fox",
  "Count from 3 to 9",
  "Repeat after me: apple, pear, stone",
  "Say thank you in Japanese.",
  "Give me JSON for a person named Anna, aged 31, from Paris.",
  "Show me the flag of France",
];

describe("the demo model through .zse and back", () => {
  test("INT8 keeps every reply, in .zse and in the GGUF made of it", async () => {
    const before = await replies(DEMO, PROMPTS);
    const zseFile = await converted(DEMO, "int8.zse");
    const gguf = await converted(zseFile, "int8.gguf");
    expect(await replies(zseFile, PROMPTS)).toEqual(before);
    expect(await replies(gguf, PROMPTS)).toEqual(before);
  });

  // models/demo/README.md says how often it does these at full precision.
  test("INT4 still counts and repeats", async () => {
    const zseFile = await converted(DEMO, "int4.zse", "--quant", "int4");
    const counts = Array.from({ length: 15 }, (_, i) => ({ from: i * 3 + 1, to: i * 3 + 5 + (i % 4) }));
    const lists = ["apple, pear, stone", "red, blue", "fox, tree, river, cake", "bread, milk, honey", "sun, moon, star"];
    const prompts = [...counts.map(({ from, to }) => `Count from ${from} to ${to}`), ...lists.map((list) => `Repeat after me: ${list}`)];
    const wanted = [...counts.map(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i).join(", ")), ...lists];
    for (const path of [zseFile, await converted(zseFile, "int4.gguf")]) {
      const said = await replies(path, prompts);
      const right = said.filter((text, i) => text === wanted[i]).length;
      expect(right, `right of ${wanted.length}: ${JSON.stringify(said)}`).toBeGreaterThanOrEqual(Math.ceil(wanted.length * 0.8));
    }
  });

  test("the chat template, the name and the tokens survive", async () => {
    const [before, after] = [openModel({}, DEMO), openModel({}, await converted(DEMO, "fp16.zse", "--quant", "fp16"))];
    const [a, b] = [await before.ready, await after.ready];
    expect({ name: b.name, template: b.chatTemplate, layers: b.layers }).toEqual({
      name: a.name,
      template: a.chatTemplate,
      layers: a.layers,
    });
    for (const text of ["Once upon a time 1234 <|im_end|> été 👩‍🚀", "  \n\n\tx", "<tool_call>{}"]) {
      for (const special of [false, true])
        expect(await after.tokenize(text, { special })).toEqual(await before.tokenize(text, { special }));
    }
  });
});

interface Expected {
  tensors: { name: string; ggml?: { sha256: string; sha256_after_llama_row_permutation?: string } }[];
}

/** Name → the tensor's bytes, of a GGUF file without surprises. */
function tensorsOf(path: string): Map<string, Buffer> {
  const file = readFileSync(path);
  let at = 8;
  const u32 = () => file.readUInt32LE((at += 4) - 4);
  const u64 = () => Number(file.readBigUInt64LE((at += 8) - 8));
  const text = () => {
    const length = u64();
    return file.toString("utf8", at, (at += length));
  };
  const width = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
  const skip = (type: number) => {
    if (type === 8) text();
    else at += width[type]!;
  };
  const [tensorCount, keyCount] = [u64(), u64()];
  for (let i = 0; i < keyCount; i++) {
    text();
    const type = u32();
    if (type !== 9) skip(type);
    else {
      const of = u32();
      for (let left = u64(); left > 0; left--) skip(of);
    }
  }
  const block: Record<number, [number, number]> = { 0: [1, 4], 1: [1, 2], 2: [32, 18], 3: [32, 20], 8: [32, 34] };
  const found = Array.from({ length: tensorCount }, () => {
    const name = text();
    const shape = Array.from({ length: u32() }, u64);
    const [values, bytes] = block[u32()]!;
    return { name, offset: u64(), size: (shape.reduce((a, b) => a * b, 1) / values) * bytes };
  });
  const data = Math.ceil(at / 32) * 32;
  return new Map(found.map(({ name, offset, size }) => [name, file.subarray(data + offset, data + offset + size)]));
}

describe("a .zse fixture as GGUF has exactly the blocks that its digests say", () => {
  const names = readdirSync(FIXTURES).filter((name) => name.endsWith(".zse") && !name.includes("notok"));
  test.each(names)("%s", async (name) => {
    const expected = JSON.parse(readFileSync(join(FIXTURES, name.replace(/\.zse$/, ".expected.json")), "utf8")) as Expected;
    const tensors = tensorsOf(await converted(join(FIXTURES, name), `${name}.gguf`));
    const hashes = new Set([...tensors.values()].map((bytes) => createHash("sha256").update(bytes).digest("hex")));
    const exact = expected.tensors.filter((tensor) => tensor.ggml !== undefined);
    for (const { name: tensor, ggml } of exact) expect(hashes, tensor).toContain(ggml!.sha256_after_llama_row_permutation ?? ggml!.sha256);
    expect(exact.length).toBe(name.includes("edge") ? 0 : expected.tensors.filter((tensor) => tensor.ggml !== undefined).length);
  });
});

describe("every architecture goes to GGUF and back", () => {
  const names = [
    "v2-mistral-int8",
    "v2-phi3-int8",
    "v1-phi3partial-int8",
    "v1-gemma2-int8",
    "v2-llamayarn-int8",
    "v2-llamarope-int4-tiled",
  ];
  test.each(names)("%s: the same text and tokens at each stop", async (name) => {
    const said = async (path: string) => {
      const model = openModel({ contextSize: 128 }, path);
      const reply = await model.completion("the quick brown fox once upon a time", { temperature: 0, maxTokens: 24, ignoreEos: true });
      return { text: reply.text, tokens: [...(await model.tokenize("Hello <unk> world  1 été 🙂", { special: true }))] };
    };
    const gguf = await converted(join(FIXTURES, `${name}.zse`), `${name}.there.gguf`);
    const back = await converted(gguf, `${name}.back.zse`, ...(name.includes("int4") ? ["--quant", "fp16"] : []));
    const first = await said(join(FIXTURES, `${name}.zse`));
    expect(await said(gguf)).toEqual(first);
    if (name.includes("int8")) expect(await said(back)).toEqual(first);
    expect((await said(back)).tokens).toEqual(first.tokens);
  });
});

describe("the output", () => {
  test("is not overwritten without --force, and may not be the input", async () => {
    writeFileSync(place("there.zse"), "mine");
    const refused = await convert(DEMO, place("there.zse"));
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(/^zse: ".*there\.zse" is there already; .*--force.*\n$/);
    expect(readFileSync(place("there.zse"), "utf8")).toBe("mine");
    expect((await convert(DEMO, place("there.zse"), "--force")).code).toBe(0);
    expect(readFileSync(place("there.zse")).toString("latin1", 0, 4)).toBe("ZSE\x01");
    expect((await convert(place("there.zse"), place("there.zse"), "--force")).code).toBe(2);
  });
  test("--quant where GGUF is written is wrong usage, and so is a kind that there is not", async () => {
    const file = await converted(DEMO, "again.zse");
    expect(await convert(file, place("x.gguf"), "--quant", "int4")).toMatchObject({ code: 2, stderr: expect.stringContaining("--quant") });
    expect((await convert(DEMO, place("x.zse"), "--quant", "int3")).code).toBe(2);
  });
  test("may not have the name of the other format: what is made follows from the input", async () => {
    const file = await converted(DEMO, "named.zse");
    const gguf = await convert(DEMO, place("named.GGUF"), "--quant", "int4"); // what one types to quantize again
    expect(gguf.code).toBe(2);
    expect(gguf.stderr).toMatch(
      /is a GGUF file, so a \.zse file is made of it, and ".*named\.GGUF" has the name.*ends in \.zse \(to quantize, /,
    );
    const zseFile = await convert(file, place("other.zse"));
    expect(zseFile.code).toBe(2);
    expect(zseFile.stderr).toMatch(/is a \.zse file, so a GGUF file is made of it, and ".*other\.zse" has the name.*ends in \.gguf\n$/);
    expect(readdirSync(folder).filter((name) => /named\.GGUF|other/.test(name))).toEqual([]);
    expect((await convert(DEMO, place("named.bin"))).code).toBe(0);
  });
  test("the summary names both formats, and says where float16 makes the file larger", async () => {
    const { stderr } = await convert(DEMO, place("told.zse"), "--quant", "int4");
    expect(stderr).toMatch(/^\S+told\.zse: [\d.]+ MiB of \.zse, from [\d.]+ MiB of GGUF\n/);
    expect(stderr).toMatch(/note: a \.zse file keeps the embeddings and the output matrix as float16: 0\.8 MiB .* 0\.4 MiB/);
    const back = await convert(place("told.zse"), place("told.gguf"));
    expect(back.stderr).toMatch(/of GGUF, from [\d.]+ MiB of \.zse\n/);
    expect((await convert(place("told.gguf"), place("told16.zse"), "--quant", "fp16")).stderr).not.toContain("float16");
  });
  test("a folder that is not there is said, with what to do", async () => {
    const { code, stderr } = await convert(DEMO, place("no-folder/x.zse"));
    expect(code).toBe(1);
    expect(stderr).toMatch(/cannot be written: .*; make the folder ".*no-folder" first\n$/);
  });
  test("a file that is no model is refused, and leaves nothing", async () => {
    writeFileSync(place("text.gguf"), "This is not a model.");
    expect(await convert(place("text.gguf"), place("no.zse"))).toMatchObject({ code: 1 });
    expect(await convert(place("nowhere.gguf"), place("no.zse"))).toMatchObject({ code: 1 });
    expect(readdirSync(folder).filter((name) => name.startsWith("no.zse"))).toEqual([]);
  });
  test.skipIf(process.platform === "win32")("leaves nothing when the disk is full", () => {
    // A limit on the size of files stands for the disk: writing fails in the same place, in the middle.
    const run = () =>
      execFileSync("bash", ["-c", `ulimit -f 500; exec node dist/cli/main.js convert ${DEMO} ${place("full.zse")}`], {
        cwd: ROOT,
        encoding: "utf8",
        stdio: "pipe",
      });
    expect(run).toThrow(/could not be written: .*nothing of it was left behind/);
    expect(readdirSync(folder).filter((name) => name.startsWith("full.zse"))).toEqual([]);
  });
  test.skipIf(process.platform === "win32").each(["SIGINT", "SIGTERM"] as const)(
    "is not there after %s, nor is anything else",
    async (signal) => {
      const big = place(`big-${signal}.gguf`);
      writeSparseModel(big);
      const child = spawn(process.execPath, ["dist/cli/main.js", "convert", big, place(`${signal}.zse`)], { cwd: ROOT, stdio: "pipe" });
      let stderr = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        stderr += text;
      });
      const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
      await until(() => readdirSync(folder).some((name) => name.startsWith(`${signal}.zse.`)), "the temporary file to appear");
      child.kill(signal);
      expect(await ended).toBe(signal === "SIGINT" ? 130 : 143);
      expect(stderr).toBe("zse: interrupted; nothing was written\n");
      expect(readdirSync(folder).filter((name) => name.startsWith(`${signal}.zse`))).toEqual([]);
      rmSync(big);
    },
  );
});

test("models/demo/demo.zse is what the converter makes of demo.gguf", async () => {
  const committed = join(ROOT, "models", "demo", "demo.zse");
  expect(existsSync(committed)).toBe(true);
  expect(readFileSync(await converted(DEMO, "same.zse")).equals(readFileSync(committed))).toBe(true);
});
