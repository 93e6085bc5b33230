// GGUF files that say something which a reader must heed: parts of a split model, special tokens, what a vocabulary lacks. Made of the
// demo model with other metadata.

import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ZSEError } from "../../lib/errors.js";
import type { Message } from "../../lib/types.js";
// @ts-expect-error: plain JavaScript, shared with children
import * as gguf from "../hostile/gguf.mjs";
import { ask, buildLibrary, DEMO, openModel, ROOT, rejection, zse } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-models-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(buildLibrary);

const place = (name: string) => join(folder, name);

async function run(...args: string[]) {
  const { child, ended } = zse(...args);
  child.stdin?.end();
  return ended;
}

async function failure(path: string): Promise<ZSEError> {
  return (await rejection(openModel({}, path).ready)) as ZSEError;
}

describe("a model split into two files", () => {
  const first = place("demo-00001-of-00002.gguf");
  const second = place("demo-00002-of-00002.gguf");
  beforeAll(() => gguf.splitGguf(DEMO, first, second));

  test("opens by its first part, and says what the whole model says", async () => {
    const options = { temperature: 0, maxTokens: 40 };
    const whole = await openModel().chat(ask("Count from 3 to 9"), options);
    expect((await openModel({}, first).chat(ask("Count from 3 to 9"), options)).text).toBe(whole.text);
  });

  test("part 2 names part 1, whoever reads it", async () => {
    const error = await failure(second);
    expect(error.code).toBe("BAD_MODEL");
    expect(error.message).toContain("this is part 2 of 2: open part 1");
    expect(error.message).toContain(first);
    const inspected = await run("inspect", second);
    expect(inspected.code).toBe(1);
    expect(inspected.stdout).toContain("this is part 2 of 2: open part 1");
  });

  test("inspect counts the weights of all parts", async () => {
    const whole = JSON.parse((await run("inspect", DEMO, "--json")).stdout);
    const split = await run("inspect", first, "--json");
    expect(split.code).toBe(0);
    expect(JSON.parse(split.stdout)).toMatchObject({
      parameters: whole.parameters,
      weights: whole.weights,
      tiedEmbeddings: whole.tiedEmbeddings,
    });
    expect(split.stdout).toContain("2 files");
  });

  test.each([1, 2])("convert refuses part %i, says how to join them, and writes nothing", async (part) => {
    const { code, stderr } = await run("convert", part === 1 ? first : second, place("half.zse"));
    expect(code).toBe(1);
    expect(stderr).toContain(`this is part ${part} of 2`);
    expect(stderr).toContain("llama-gguf-split --merge");
    expect(existsSync(place("half.zse"))).toBe(false);
  });

  test("a part that is missing, or has another name, is said", async () => {
    renameSync(second, place("away.gguf"));
    const missing = await failure(first);
    expect(missing).toMatchObject({ code: "BAD_MODEL" });
    expect(missing.message).toContain(second);
    expect((await run("inspect", first)).code).toBe(1);
    renameSync(place("away.gguf"), second);
    renameSync(first, place("renamed.gguf"));
    const renamed = await failure(place("renamed.gguf"));
    expect(renamed).toMatchObject({ code: "BAD_MODEL" });
    expect(renamed.message).toContain("-00001-of-00002.gguf");
    renameSync(place("renamed.gguf"), first);
  });
});

describe("control tokens", () => {
  test("a stop string that is one of them ends the reply, and does not show", async () => {
    const model = openModel();
    const [token] = await model.tokenize("<|im_start|>", { special: true });
    const options = { temperature: 0, maxTokens: 5, logitBias: { [token!]: 100 } };
    const stopped = await model.chat(ask("Hello"), { ...options, stop: ["<|im_start|>"] });
    expect(stopped).toMatchObject({ text: "", finishReason: "stop", stopString: "<|im_start|>" });
    expect(await model.chat(ask("Hello"), { ...options, stop: ["<|other|>"] })).toMatchObject({ text: "", finishReason: "length" });
  });
});

describe("tags that are control tokens", () => {
  const CONTROL = 3;
  const tags = ["<think>", "</think>", "<|channel|>", "<tool_call>", "<｜tool▁calls▁begin｜>", "<|hidden|>"];

  test("those that are text for the reader show, and others do not", async () => {
    const tokens: string[] = gguf.readList(DEMO, "tokenizer.ggml.tokens");
    const types: number[] = gguf.readList(DEMO, "tokenizer.ggml.token_type");
    const first = tokens.length - tags.length;
    tags.forEach((tag, i) => {
      tokens[first + i] = tag;
      types[first + i] = CONTROL;
    });
    const keys = { "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": gguf.i32s(types) };
    const model = openModel({}, gguf.rewriteGguf(DEMO, place("tags.gguf"), keys));
    for (const [i, tag] of tags.entries()) {
      const { text } = await model.completion("Hello", { temperature: 0, maxTokens: 1, logitBias: { [first + i]: 100 } });
      expect(text).toBe(tag === "<|hidden|>" ? "" : tag);
    }
  });
});

describe("tokens that are put around a prompt", () => {
  const options = { temperature: 0, maxTokens: 20 };

  test("no EOS goes between the prompt and the reply, whatever the file says", async () => {
    const path = gguf.rewriteGguf(DEMO, place("eos.gguf"), { "tokenizer.ggml.add_eos_token": true });
    for (const model of [openModel(), openModel({}, path)]) {
      expect((await model.completion("Count from 1 to", options)).usage.promptTokens).toBe(
        (await model.tokenize("Count from 1 to")).length,
      );
    }
    const [plain, marked] = [openModel(), openModel({}, path)];
    expect((await marked.chat(ask("Count from 3 to 9"), options)).text).toBe((await plain.chat(ask("Count from 3 to 9"), options)).text);
  });
});

describe("BOS", () => {
  test("is there once, whether the prompt or the template begins with it or not", async () => {
    const keys = { "tokenizer.ggml.add_bos_token": true };
    const template = "{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}";
    const bare = openModel({}, gguf.rewriteGguf(DEMO, place("bos.gguf"), { ...keys, "tokenizer.chat_template": template }));
    const own = { ...keys, "tokenizer.chat_template": `<|endoftext|>{{ bos_token }}${template}` };
    const written = openModel({}, gguf.rewriteGguf(DEMO, place("bos-own.gguf"), own));
    const count = async (reply: Promise<{ usage: { promptTokens: number } }>) => (await reply).usage.promptTokens;
    const options = { maxTokens: 1 };
    const once = (await bare.tokenize("Hi")).length + 1;
    expect(await count(bare.completion("Hi", options))).toBe(once);
    expect(await count(bare.completion("<|endoftext|>Hi", options))).toBe(once);
    expect(await count(written.chat(ask("Hi"), options))).toBe(await count(bare.chat(ask("Hi"), options)));
  });
});

test("a template that refuses a message: the reason first, in one line, and the message", async () => {
  const template = `{% for m in messages %}
    {%- if m.content == "nonsense" %}
      {{- raise_exception("No nonsense is taken,\\n and this is some") }}
    {%- endif %}
    {{- m.role }}: {{ m.content }}
  {%- endfor %}`;
  const model = openModel({}, gguf.rewriteGguf(DEMO, place("refuses.gguf"), { "tokenizer.chat_template": template }));
  const user = { role: "user", content: "Hi" } as const;
  const refused = { role: "user", content: "nonsense" } as const;
  const assistant = { role: "assistant", content: "Hello" } as const;
  for (const [index, messages] of [
    [1, [user, refused]],
    [3, [user, assistant, user, refused, assistant, user]],
  ] as const) {
    const error = (await rejection(model.chat([...messages], { maxTokens: 1 }))) as ZSEError;
    expect(error.code).toBe("BAD_OPTION");
    expect(error.message).toMatch(/^No nonsense is taken, and this is some \(/);
    expect(error.message).toContain(`messages[${index}], of role "user"`);
    expect(error.message).not.toContain("\n");
  }
});

describe("a file that names no pre-tokenizer", () => {
  test("is told in info, by one warning, and by inspect", async () => {
    const path = gguf.rewriteGguf(DEMO, place("no-pre.gguf"), { "tokenizer.ggml.pre": undefined });
    const warnings: Error[] = [];
    const listen = (warning: Error) => warnings.push(warning);
    process.on("warning", listen);
    expect((await openModel({}, path).ready).guessesPreTokenizer).toBe(true);
    expect((await openModel({}, path).ready).guessesPreTokenizer).toBe(true);
    expect((await openModel().ready).guessesPreTokenizer).toBe(false);
    await new Promise(setImmediate);
    process.off("warning", listen);
    const ours = warnings.filter(({ name }) => name === "ZSEWarning");
    expect(ours).toHaveLength(1);
    expect(ours[0]!.message).toContain("tokenizer.ggml.pre");
    expect((await run("inspect", path)).stdout).toContain("names no pre-tokenizer");
    expect((await run("inspect", DEMO)).stdout).not.toContain("names no pre-tokenizer");
  });
});

describe("what an earlier message thought is in the prompt, under the name that the model's template has for it", () => {
  const templates = join(ROOT, "vendor", "llama.cpp", "models", "templates");
  test.each(["openai-gpt-oss-120b", "LFM2.5-8B-A1B", "mistralai-Ministral-3-14B-Reasoning-2512"])("%s", async (name) => {
    const source = readFileSync(join(templates, `${name}.jinja`), "utf8");
    const model = openModel(
      { contextSize: 1024 },
      gguf.rewriteGguf(DEMO, place("reasoning.gguf"), { "tokenizer.chat_template": source }) as string,
    );
    const call = { id: "call12345", type: "function", function: { name: "look", arguments: "{}" } } as const;
    const promptTokens = async (more: object) => {
      const messages = [
        ...ask("Hi"),
        { role: "assistant", content: "", tool_calls: [call], ...more },
        { role: "tool", tool_call_id: call.id, content: "a fox" },
      ] as Message[];
      return (await model.chat(messages, { maxTokens: 1 })).usage.promptTokens;
    };
    const without = await promptTokens({});
    expect(await promptTokens({ reasoning_content: "I should look whether there is a fox." })).toBeGreaterThan(without + 5);
    await model.close();
  });
});

test("what a file recommends for sampling counts where a call says nothing, and inspect shows it", async () => {
  const f32 = (value: number) => ({ type: 6, bytes: Buffer.from(Float32Array.of(value).buffer) });
  const i32 = (value: number) => ({ type: 5, bytes: Buffer.from(Int32Array.of(value).buffer) });
  const path: string = gguf.rewriteGguf(DEMO, place("recommends.gguf"), {
    "general.sampling.temp": f32(0),
    "general.sampling.top_p": f32(0.25),
    "general.sampling.top_k": i32(12),
    "general.sampling.penalty_last_n": i32(-1),
    "general.sampling.mirostat": i32(9),
    "general.sampling.sequence": "penalties;top_k;typ_p;temperature;unheard_of",
  });
  const model = openModel({}, path);
  const plain = openModel();
  const { sampling } = await model.ready;
  const expected = { temperature: 0, topP: 0.25, topK: 12, repeatLastN: -1, samplers: ["penalties", "topK", "typicalP", "temperature"] };
  expect(sampling).toEqual(expected);
  const greedy = await plain.chat(ask("Tell me a story"), { temperature: 0, maxTokens: 40 });
  for (const seed of [1, 2]) expect((await model.chat(ask("Tell me a story"), { seed, maxTokens: 40 })).text).toBe(greedy.text);
  const said = { temperature: 1, samplers: ["temperature"], maxTokens: 40 } as const;
  expect((await model.chat(ask("Tell me a story"), { ...said, seed: 1 })).text).not.toBe(
    (await model.chat(ask("Tell me a story"), { ...said, seed: 2 })).text,
  );
  expect(JSON.parse((await run("inspect", path, "--json")).stdout).sampling).toMatchObject({ temperature: 0, topK: 12, mirostat: 9 });
  const { stdout } = await run("inspect", path);
  expect(stdout).toMatch(/^sampling +.*temperature 0,.*samplers penalties topK typicalP temperature,.*1 out of range$/m);
  expect((await run("inspect", DEMO)).stdout).not.toMatch(/^sampling/m);
  const converted = await run("convert", path, place("recommends.zse"));
  expect(converted).toMatchObject({ code: 0 });
  expect(converted.stdout + converted.stderr).toContain("does not keep what the model recommends for sampling");
});
