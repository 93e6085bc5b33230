// A smaller model that guesses ahead, on real weights: it changes no text, it comes in fewer steps, and what does not go together is refused. The demo
// model guesses for itself here, which is right nearly always: how long its guesses take is bench/'s matter.

import { mkdtempSync, rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gguf } from "@huggingface/gguf";
import { afterAll, describe, expect, test } from "vitest";

import { type EngineOptions, ZSE } from "../../lib/index.js";
// @ts-expect-error: plain JavaScript, shared with children
import { rewriteGguf } from "../hostile/gguf.mjs";
import { MEMORIES, writeMemoryModel } from "../memory-models.js";
import { ask, DEMO, openModel, openReady } from "./helpers.js";

const demo = DEMO;
const folder = mkdtempSync(join(tmpdir(), "zstream-draft-"));
// After all tests: a test's models are closed after it.
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const GREEDY = { temperature: 0, maxTokens: 80, ignoreEos: true } as const;
/** Tokens are looked up only where 32 stood there before: what is drafted is the draft model's. */
const BY_MODEL = { tokens: 16, match: 32 };
const PROMPTS = ["Tell me a story", "Show me the fox emoji.", "What is in a zoo?"];

test("greedy text is the same with a draft model and without, and timings tell of it", async () => {
  const model = await openReady({ speculate: { draftModel: demo } });
  expect(model.info?.draftModel).toBe(demo);
  let drafted = 0;
  for (let round = 0; round < 3; round++) {
    for (const prompt of PROMPTS) {
      const plain = await model.chat(ask(prompt), { ...GREEDY, speculate: false });
      const guessed = await model.chat(ask(prompt), { ...GREEDY, speculate: BY_MODEL });
      expect(guessed.text).toBe(plain.text);
      drafted += guessed.timings.draftedTokens ?? 0;
      expect(guessed.timings.acceptedTokens ?? 0).toBeLessThanOrEqual(guessed.timings.draftedTokens ?? 0);
    }
  }
  expect(drafted).toBeGreaterThan(0);
});

test("streams beside each other, slow readers and cancelled ones among them, have the texts that they have alone", async () => {
  const model = await openReady({ speculate: { draftModel: demo }, maxStreams: 3 });
  // Of 80 tokens of a number after the other the model is sure: rows beside others round differently in attention, and turn none of them.
  const prompts = ["Tell me a story", "Count from 3 to 80", "Count from 21 to 90"];
  const alone = new Map<string, string>();
  for (const prompt of prompts) alone.set(prompt, (await model.chat(ask(prompt), { ...GREEDY, speculate: false })).text);
  const slow = async (prompt: string) => {
    let text = "";
    for await (const part of model.chatStream(ask(prompt), { ...GREEDY, speculate: BY_MODEL, highWaterMark: 4 })) {
      text += part;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return text;
  };
  const cancelled = async (prompt: string) => {
    for await (const _ of model.chatStream(ask(prompt), { ...GREEDY, speculate: BY_MODEL })) break;
  };
  const texts = await Promise.all(
    prompts.flatMap((prompt) => [slow(prompt), cancelled(prompt), model.chat(ask(prompt), { ...GREEDY, speculate: BY_MODEL })]),
  );
  for (const [i, prompt] of prompts.entries()) {
    expect(texts[3 * i]).toBe(alone.get(prompt));
    expect(texts[3 * i + 2]).toMatchObject({ text: alone.get(prompt) });
  }
});

test("an object held to a schema, and calls of tools, come the same", async () => {
  const model = await openReady({ speculate: { draftModel: demo } });
  const schema = { type: "object", properties: { name: { type: "string" }, age: { type: "integer" } }, required: ["name", "age"] };
  const tools = [
    {
      type: "function",
      function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
    },
  ];
  const shapes = [
    { responseFormat: { type: "json_schema", json_schema: { name: "one", schema } } },
    { tools, toolChoice: "required" },
  ] as const;
  for (const shape of shapes) {
    const options = { temperature: 0, maxTokens: 120, ...shape } as object;
    const plain = await model.chat(ask("What is the weather in Rome?"), { ...options, speculate: false });
    for (let i = 0; i < 3; i++) {
      const guessed = await model.chat(ask("What is the weather in Rome?"), { ...options, speculate: BY_MODEL });
      expect(guessed.text).toBe(plain.text);
      expect(guessed.toolCalls?.map((call) => call.function.arguments)).toEqual(plain.toolCalls?.map((call) => call.function.arguments));
    }
  }
});

test("an isolated engine has its draft model", async () => {
  const model = await openReady({ speculate: { draftModel: demo }, isolate: true });
  expect(model.info?.draftModel).toBe(demo);
  const plain = await model.chat(ask(PROMPTS[0]!), { ...GREEDY, speculate: false });
  expect((await model.chat(ask(PROMPTS[0]!), { ...GREEDY, speculate: BY_MODEL })).text).toBe(plain.text);
});

test.each([NaN, Infinity, 3e38])("a draft model whose weights are %s harms no reply", async (weight) => {
  const { tensorInfos, tensorDataOffset } = await gguf(demo, { allowLocalFile: true });
  const { offset, shape } = tensorInfos.find(({ name }) => name === "output_norm.weight")!;
  const bytes = await readFile(demo);
  for (let i = 0; i < Number(shape[0]); i++) bytes.writeFloatLE(weight, Number(tensorDataOffset) + Number(offset) + 4 * i);
  const path = join(folder, `damaged-${weight}.gguf`);
  await writeFile(path, bytes);
  const model = await openReady({ speculate: { draftModel: path } });
  const plain = await model.chat(ask(PROMPTS[0]!), { ...GREEDY, speculate: false });
  const guessed = await Promise.all([1, 2, 3].map(() => model.chat(ask(PROMPTS[0]!), { ...GREEDY, speculate: BY_MODEL })));
  for (const { text } of guessed) expect(text).toBe(plain.text);
});

describe("what does not go together is refused when the model is opened", () => {
  test("a file that is not there, or is no model: it is said that it is the draft model's", async () => {
    const bad = join(folder, "bad.gguf");
    await writeFile(bad, (await readFile(demo)).subarray(0, 5000));
    const says = expect.stringMatching(/^the draft model \(speculate\.draftModel\): /);
    await expect(openModel({ speculate: { draftModel: join(folder, "none.gguf") } }).ready).rejects.toMatchObject({
      code: "MODEL_NOT_FOUND",
      message: says,
    });
    await expect(openModel({ speculate: { draftModel: bad } }).ready).rejects.toMatchObject({ code: "BAD_MODEL", message: says });
  });
  test.each(MEMORIES)("a model with another kind of memory: %s", async (memory) => {
    const path = join(folder, `${memory}.gguf`);
    writeMemoryModel(path, memory, 7);
    const asDraft = openModel({ speculate: { draftModel: path } }).ready;
    const drafted = openModel({ speculate: { draftModel: path } }, path).ready;
    if (memory === "sliding") {
      await expect(drafted).resolves.toMatchObject({ draftModel: path }); // it can take guesses back
    } else {
      await expect(drafted).rejects.toMatchObject({ code: "UNSUPPORTED", message: expect.stringContaining("guesses back") as unknown });
    }
    await asDraft.catch((error: unknown) => expect(error).toMatchObject({ code: "UNSUPPORTED" }));
  });
  test("a model of another vocabulary", async () => {
    const path = rewriteGguf(demo, join(folder, "other.gguf"), { "tokenizer.ggml.add_bos_token": true }) as string;
    await expect(openModel({ speculate: { draftModel: path } }).ready).rejects.toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringContaining("vocabulary is another one") as unknown,
    });
  });
  test("what guesses nothing", () => {
    const refused = (options: EngineOptions) => expect(() => new ZSE(options)).toThrow(expect.objectContaining({ code: "BAD_OPTION" }));
    refused({ speculate: { draftModel: demo, tokens: 0 } });
    refused({ speculate: { draftModel: demo }, deterministic: true });
    refused({ speculate: { draftModel: "" } });
    refused({ speculate: { draftModel: "hf:org/model" } });
    refused({ speculate: { draftModel: new URL("https://example.com/a.gguf") } });
    expect(() => new ZSE({ speculate: { draftModel: 3 as unknown as string } })).toThrow(/speculate\.draftModel must be the path/);
  });
  test("a draft model of a reply: it is the model's", async () => {
    const model = await openReady();
    await expect(async () => model.chat(ask("Hi"), { speculate: { draftModel: demo } as object })).rejects.toMatchObject({
      code: "BAD_OPTION",
    });
  });
});
