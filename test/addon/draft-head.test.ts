// A head of the model's own that guesses its next tokens (MTP), on random weights of Qwen3.5's shape: one whose guesses come, and one whose guesses never do. No
// text changes by either; what of a file cannot be used is left unused, and said.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";

import type { EngineOptions } from "../../lib/types.js";
import { type Damage, type Head, HEAD_LAYERS as LAYERS, writeHeadModel, writeMemoryModel } from "../memory-models.js";
import { ask, DEMO, openModel } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-head-"));
// After all tests: a test's models are closed after it.
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const GREEDY = { temperature: 0, maxTokens: 90, ignoreEos: true } as const;
/** Tokens are looked up only where 32 stood there before: what is drafted is the head's. */
const BY_HEAD = { tokens: 8, match: 32 };
const PROMPTS = ["Tell me a story", "What is in a zoo?", "Count from 3 to 14"];
const HEADS = ["right", "rows", "random"] as const;
const FILES = Object.fromEntries(HEADS.map((head) => [head, writeHeadModel(join(folder, `${head}.gguf`), head, 7)])) as Record<
  Head,
  string
>;

async function openHead(head: Head, options: EngineOptions = {}) {
  const model = openModel({ contextSize: 1024, ...options }, FILES[head]);
  await model.ready;
  expect(model.info).toMatchObject({ draftHead: true, architecture: "qwen35" });
  return model;
}

test("greedy text is the same with a head whose guesses come, and timings and stats tell of them", async () => {
  const model = await openHead("right");
  let drafted = 0;
  let accepted = 0;
  // How much it guesses is a matter of time.
  for (let i = 0; i < 60 && (i < 3 || drafted <= 10); i++) {
    const prompt = PROMPTS[i % 3]!;
    const plain = await model.completion(prompt, { ...GREEDY, speculate: false });
    expect(plain.timings.draftedTokens).toBeUndefined();
    const { text, timings } = await model.completion(prompt, { ...GREEDY, speculate: BY_HEAD });
    expect(text).toBe(plain.text);
    drafted += timings.draftedTokens ?? 0;
    accepted += timings.acceptedTokens ?? 0;
  }
  expect(drafted).toBeGreaterThan(10);
  expect(accepted).toBeGreaterThan(0.8 * drafted);
  expect(model.stats()).toMatchObject({ draftedTokens: drafted, acceptedTokens: accepted });
});

test("greedy text is the same with a head that is always wrong, which is soon asked no more", async () => {
  const model = await openHead("random");
  for (const prompt of PROMPTS) {
    const plain = await model.completion(prompt, { ...GREEDY, speculate: false });
    expect((await model.completion(prompt, { ...GREEDY, speculate: BY_HEAD })).text).toBe(plain.text);
  }
  const { draftedTokens } = model.stats();
  expect(draftedTokens).toBeGreaterThan(0);
  await model.completion(PROMPTS[0]!, { ...GREEDY, maxTokens: 500, speculate: BY_HEAD });
  expect(model.stats().draftedTokens - draftedTokens).toBeLessThan(50);
});

test.each(HEADS)("a seed draws the same text with it, and a schema holds (%s)", async (head) => {
  const model = await openHead(head);
  const sampled = { temperature: 0.8, maxTokens: 60, ignoreEos: true, seed: 5 } as const;
  const properties = { name: { type: "string", maxLength: 12 }, more: { type: "array", items: { type: "boolean" }, maxItems: 20 } };
  const schema = { type: "object", properties, required: ["name", "more"], additionalProperties: false };
  const held = { ...GREEDY, responseFormat: { type: "json_schema", json_schema: { name: "one", schema } } } as const;
  for (let round = 0; round < 3; round++) {
    const plain = await model.completion(PROMPTS[round]!, { ...sampled, speculate: false });
    expect((await model.completion(PROMPTS[round]!, { ...sampled, speculate: BY_HEAD })).text).toBe(plain.text);
    const object = await model.chat(ask(PROMPTS[round]!), { ...held, speculate: false });
    expect((await model.chat(ask(PROMPTS[round]!), { ...held, speculate: BY_HEAD })).text).toBe(object.text);
  }
  expect(model.stats().draftedTokens).toBeGreaterThan(0);
});

test.each(HEADS)(
  "streams beside each other, slow readers whose slots are lent, new prompts and cancelled ones among them, have their texts (%s)",
  async (head) => {
    const model = await openHead(head, { maxStreams: 3, promptCache: { ram: 64 * 2 ** 20 } });
    const alone = new Map<string, string>();
    for (const prompt of PROMPTS) alone.set(prompt, (await model.completion(prompt, { ...GREEDY, speculate: false })).text);
    const slow = async (prompt: string) => {
      let text = "";
      for await (const part of model.completionStream(prompt, { ...GREEDY, speculate: BY_HEAD, highWaterMark: 4 })) {
        text += part;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      return text;
    };
    const cancelled = async (prompt: string) => {
      for await (const _ of model.completionStream(prompt, { ...GREEDY, speculate: BY_HEAD })) break;
    };
    const quick = async (prompt: string) => (await model.completion(prompt, { ...GREEDY, speculate: BY_HEAD })).text;
    const texts = await Promise.all(PROMPTS.flatMap((prompt) => [slow(prompt), cancelled(prompt), quick(prompt), quick(prompt)]));
    for (const [i, prompt] of PROMPTS.entries()) {
      expect([texts[4 * i], texts[4 * i + 2], texts[4 * i + 3]]).toEqual(Array(3).fill(alone.get(prompt)));
    }
    expect(model.stats().draftedTokens).toBeGreaterThan(0);
  },
);

test("each stream is guessed for from its own rows, beside others and beside prompts", async () => {
  const model = await openHead("rows", { maxStreams: 4 });
  const words = ["story", "zoo", "fox", "cat", "house", "town", "one", "friend"];
  const short = { ...GREEDY, maxTokens: 30 }; // fewer than lookup wants
  const alone = [];
  for (const word of words) alone.push((await model.completion(`The ${word}`, { ...short, speculate: false })).text);
  expect(new Set(alone).size).toBeGreaterThan(4);
  // How much it guesses is a matter of time, and each stream's guesses are few.
  for (let round = 0; round < 40 && model.stats().draftedTokens < 8; round++) {
    const texts = words.map(async (word) => (await model.completion(`The ${word}`, { ...short, speculate: BY_HEAD })).text);
    expect(await Promise.all(texts)).toEqual(alone);
  }
  const { draftedTokens, acceptedTokens } = model.stats();
  expect(draftedTokens).toBeGreaterThanOrEqual(8);
  expect(acceptedTokens).toBeGreaterThan(0.8 * draftedTokens);
});

test("a second turn goes on from a reply that it guessed, in the slot and after a restart", async () => {
  const cached = { promptCache: { dir: join(folder, "kept") } };
  const first = await openHead("right", cached);
  const exact = await openHead("right", { promptCache: false });
  const { text } = await first.completion(PROMPTS[0]!, { ...GREEDY, speculate: BY_HEAD });
  const next = `${PROMPTS[0]}${text} And then`;
  const fresh = await exact.completion(next, { ...GREEDY, speculate: false });
  expect((await first.completion(next, { ...GREEDY, speculate: BY_HEAD })).text).toBe(fresh.text);
  await first.close();
  expect((await (await openHead("right", cached)).completion(next, { ...GREEDY, speculate: BY_HEAD })).text).toBe(fresh.text);
});

test("what a head keeps of the streams is told as part of their cache", async () => {
  const guessed = await openHead("right");
  const plain = openModel({ contextSize: 1024, speculate: { draftModel: DEMO } }, FILES.right);
  const none = openModel({ contextSize: 1024, deterministic: true }, FILES.right);
  await Promise.all([plain.ready, none.ready]);
  for (const { info } of [guessed, plain]) expect(info!.kvCacheBytes).toBeGreaterThan(none.info!.kvCacheBytes);
});

test("an isolated engine has its head", async () => {
  const model = await openHead("right", { isolate: true });
  const plain = await model.completion(PROMPTS[0]!, { ...GREEDY, speculate: false });
  expect((await model.completion(PROMPTS[0]!, { ...GREEDY, speculate: BY_HEAD })).text).toBe(plain.text);
});

describe("a head is left out", () => {
  const keysOf = (info: object | undefined) => Object.keys(info ?? {}).filter((key) => key === "draftHead" || key === "unusedHead");
  test.each<[string, EngineOptions]>([
    ["where nothing is guessed", { speculate: false }],
    ["in deterministic mode", { deterministic: true }],
    ["where a draft model guesses", { speculate: { draftModel: DEMO } }],
  ])("%s", async (_, options) => {
    const model = openModel({ contextSize: 512, ...options }, FILES.right);
    await model.ready;
    expect(keysOf(model.info)).toEqual([]);
    expect((await model.completion(PROMPTS[0]!, { ...GREEDY, maxTokens: 5 })).usage.completionTokens).toBe(5);
  });
  test("of a file that has none", async () => {
    const model = openModel({ contextSize: 512 }, writeMemoryModel(join(folder, "none.gguf"), "delta", 7));
    await model.ready;
    expect(keysOf(model.info)).toEqual([]);
  });

  const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  afterAll(() => warned.mockRestore());
  test("with a warning, where a file has two of them", async () => {
    const path = join(folder, "two.gguf");
    const parts = ["eh_proj", "enorm", "hnorm"].map((part) => `nextn.${part}.weight`);
    const copied = Object.fromEntries(parts.map((part) => [`blk.${LAYERS - 1}.${part}`, `blk.${LAYERS}.${part}`]));
    writeHeadModel(path, "right", 7, { keys: { "*.nextn_predict_layers": 2 }, copied });
    const model = openModel({ contextSize: 512 }, path);
    await model.ready;
    expect(model.info).not.toHaveProperty("draftHead");
    expect(model.info?.unusedHead).toMatch(/it has 2 of them/);
    expect(warned).toHaveBeenCalledWith(expect.stringContaining(path), expect.objectContaining({ code: "ZSE_HEAD_UNUSED" }));
    const plain = await model.completion(PROMPTS[0]!, { ...GREEDY, speculate: false });
    expect((await model.completion(PROMPTS[0]!, { ...GREEDY, speculate: BY_HEAD })).text).toBe(plain.text);
  });
});

// llama.cpp looks at a head's shapes whether it is loaded or not.
test.each<[string, RegExp, Damage]>([
  ["a part is missing", /nextn\.enorm/, { without: /nextn\.enorm/ }],
  ["its projection has another width", /eh_proj/, { reshaped: { [`blk.${LAYERS}.nextn.eh_proj.weight`]: [128, 128] } }],
  ["its attention has another width", /attn_k/, { reshaped: { [`blk.${LAYERS}.attn_k.weight`]: [128, 32] } }],
  ["all layers are heads", /./, { keys: { "*.nextn_predict_layers": LAYERS + 1 } }],
  ["there are more heads than layers", /./, { keys: { "*.nextn_predict_layers": 99 } }],
])("a file is refused, used or not, where %s", async (what, message, damage) => {
  const path = writeHeadModel(join(folder, `${what}.gguf`), "right", 7, damage);
  const refused = { code: "BAD_MODEL", message: expect.stringMatching(message) as unknown };
  await expect(openModel({ contextSize: 512 }, path).ready).rejects.toMatchObject(refused);
  await expect(openModel({ contextSize: 512, speculate: false }, path).ready).rejects.toMatchObject(refused);
});

test.each([NaN, Infinity, 3e38])("a head whose weights are %s harms no reply", async (weight) => {
  const path = writeHeadModel(join(folder, `${weight}.gguf`), "right", 7, { filled: { [`blk.${LAYERS}.nextn.enorm.weight`]: weight } });
  const model = openModel({ contextSize: 512, maxStreams: 3 }, path);
  const plain = await model.completion(PROMPTS[0]!, { ...GREEDY, speculate: false });
  const guessed = await Promise.all([1, 2, 3].map(() => model.completion(PROMPTS[0]!, { ...GREEDY, speculate: BY_HEAD })));
  for (const { text } of guessed) expect(text).toBe(plain.text);
});
