// `kvType`: what keys and values are stored as changes what they take, and nothing of what the cache promises.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { EngineOptions, Message } from "../../lib/types.js";
import { makeRandomAdapter } from "../random-adapter.js";
import { ask, DEMO, openModel, ROOT, rejection, sleep, until } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-kv-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const TYPES = ["f16", "q8_0", "q4_0"] as const;
const QUANTIZED = ["q8_0", "q4_0"] as const;
const GREEDY = { temperature: 0, maxTokens: 48 } as const;
const SYSTEM: Message = {
  role: "system",
  content: "You are a friendly helper who tells stories about animals, counts up and down, and repeats words. ".repeat(4),
};
const asks = (content: string): Message[] => [SYSTEM, { role: "user", content }];
/** Answers of which the model is sure. */
const SURE = ["Repeat after me: fox lantern cake", "Count from 3 to 14", "Repeat after me: apple river stone"];

test("the cache takes what its type takes, and the model tells which and how much", async () => {
  const bytes: Record<string, number> = {};
  for (const kvType of TYPES) {
    const model = openModel({ kvType, contextSize: 1024, maxStreams: 4 });
    const info = await model.ready;
    expect(info.kvType).toBe(kvType);
    bytes[kvType] = info.kvCacheBytes;
    const reply = await model.chat(ask("Count from 3 to 14"), GREEDY);
    expect(reply.text).toContain("9, 10, 11");
  }
  // 4 layers, keys and values of 4 heads of 32 numbers.
  expect(bytes.f16).toBe(4 * 1024 * 4 * 2 * 128 * 2);
  expect(bytes.q8_0).toBe((bytes.f16! * 34) / 64);
  expect(bytes.q4_0).toBe((bytes.f16! * 18) / 64);
});

test("a model whose heads are no whole blocks is refused when it is opened, and opens with f16", async () => {
  const path = join(ROOT, "test", "fixtures", "zse", "v1-llamaedge-int4.zse"); // heads of 24
  for (const kvType of QUANTIZED) {
    const error = await rejection(openModel({ kvType }, path).ready);
    expect(error).toMatchObject({ code: "UNSUPPORTED", message: expect.stringMatching(/blocks of 32 .* heads have 24; .*"f16"/) });
  }
  expect(await openModel({ kvType: "f16" }, path).ready).toMatchObject({ kvType: "f16" });
});

test("another word is a BAD_OPTION that says which there are", () => {
  expect(() => openModel({ kvType: "q5_0" as "q8_0" })).toThrow(
    expect.objectContaining({ code: "BAD_OPTION", message: 'kvType must be one of "f16", "q8_0", "q4_0"; given "q5_0".' }),
  );
});

describe.each(QUANTIZED)("%s", (kvType) => {
  test.each<[string, EngineOptions]>([
    ["from slots", { maxStreams: 4 }],
    ["from RAM", { maxStreams: 1 }],
    ["from disk", { maxStreams: 2, promptCache: { ram: 0, dir: join(folder, `disk-${kvType}`) } }],
    ["in deterministic mode", { maxStreams: 1, deterministic: true }],
    ["in a process of its own", { maxStreams: 2, isolate: true }],
  ])("text with the prompt cache is the text without it: %s", async (_, options) => {
    const texts = async (more: EngineOptions) => {
      const model = openModel({ kvType, contextSize: 1024, ...options, ...more });
      const replies = [];
      for (const question of [...SURE, ...SURE]) replies.push(await model.chat(asks(question), GREEDY));
      await model.close();
      return { said: replies.map(({ text }) => text), cached: replies.map(({ usage }) => usage.cachedTokens) };
    };
    const without = await texts({ promptCache: false });
    const using = await texts({});
    expect(using.said).toEqual(without.said);
    if (options.deterministic !== true) for (const tokens of using.cached.slice(1)) expect(tokens).toBeGreaterThan(60);
  });

  test("a reply that was predicted is the same", async () => {
    const model = openModel({ kvType });
    const plain = await model.chat(ask(SURE[1]!), { ...GREEDY, speculate: false });
    const predicted = await model.chat(ask(SURE[1]!), { ...GREEDY, prediction: plain.text });
    expect(predicted.text).toBe(plain.text);
    expect(predicted.usage.acceptedPredictionTokens).toBeGreaterThan(plain.usage.completionTokens / 3);
  });

  test("slow readers' slots are lent, and every text is whole", async () => {
    const questions = [2, 3, 4, 5].map((from) => ask(`Count from ${from} to ${from + 40}`));
    const options = { temperature: 0, maxTokens: 100, highWaterMark: 8 };
    const roomy = openModel({ kvType, maxStreams: 4, promptCache: false });
    const expected = [];
    for (const question of questions) expected.push((await roomy.chat([...question], options)).text);
    const tight = openModel({ kvType, maxStreams: 2 });
    const read = async (question: ReturnType<typeof ask>, pause: number) => {
      let text = "";
      let chunks = 0;
      for await (const chunk of tight.chatStream([...question], options)) {
        text += chunk;
        if (++chunks % pause === 0) await sleep(100);
      }
      return text;
    };
    expect(await Promise.all(questions.map((question, i) => read(question, 10 + i)))).toEqual(expected);
    expect(tight.stats().spills).toBeGreaterThan(0);
    await until(() => tight.stats().freeSlots === 2, "all slots are free");
  });

  test("streams with adapters say side by side what they say alone", async () => {
    const path = join(folder, `noise-${kvType}.gguf`);
    await makeRandomAdapter(DEMO, path, { seed: 3 });
    const model = openModel({ kvType, deterministic: true, adapters: [{ name: "noise", path }] });
    const say = (adapter: string | undefined) => model.chat(asks(SURE[0]!), { ...GREEDY, adapter }).then(({ text }) => text);
    const alone = [await say(undefined), await say("noise")];
    expect(await Promise.all([say(undefined), say("noise"), say("noise")])).toEqual([...alone, alone[1]]);
    expect(alone[0]).not.toBe(alone[1]);
  });

  test("an exported prompt is good for this type and for no other", async () => {
    const file = join(folder, `${kvType}.kv`);
    const first = openModel({ kvType, deterministic: true, contextSize: 1024 });
    await first.cache.export([SYSTEM], file);
    const cold = await first.chat(asks(SURE[0]!), GREEDY);
    const second = openModel({ kvType, deterministic: true, contextSize: 1024 });
    await second.cache.import(file);
    expect((await second.chat(asks(SURE[0]!), GREEDY)).text).toBe(cold.text);
    for (const other of TYPES.filter((one) => one !== kvType)) {
      const stranger = openModel({ kvType: other, deterministic: true, contextSize: 1024 });
      await expect(stranger.cache.import(file)).rejects.toMatchObject({ code: "BAD_OPTION", message: expect.stringContaining("kvType") });
    }
  });
});

test("what one type has left on disk is of no use to another", async () => {
  const dir = join(folder, "shared");
  const cached = async (kvType: EngineOptions["kvType"]) => {
    const model = openModel({ kvType, contextSize: 1024, promptCache: { dir } });
    const { usage } = await model.chat(asks(SURE[0]!), GREEDY);
    await model.close();
    return usage.cachedTokens > 0;
  };
  for (const kvType of TYPES) expect(await cached(kvType), kvType).toBe(false);
  for (const kvType of TYPES) expect(await cached(kvType), kvType).toBe(true);
});
