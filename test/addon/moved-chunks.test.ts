// `promptCache.moved` on real weights: parts of a prompt that stand elsewhere than before are not computed anew, `timings.prefix` says how many, what is
// kept so is for those alone who asked for it, and where it cannot be, that is said when the model is opened.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

import { readEngineOptions } from "../../lib/options/options.js";
import type { EngineOptions, Message } from "../../lib/types.js";
import { MEMORIES, writeMemoryModel } from "../memory-models.js";
import { DEMO, ENDLESS, openModel, rejection, until } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-moved-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MOVED = { contextSize: 2048, maxStreams: 2, promptCache: { moved: true } } as const;
const GREEDY = { temperature: 0, maxTokens: 24 } as const;
const RULES = [
  "Be kind to everyone, and keep every answer short. When somebody says hello, say hello in their language, and ask for nothing. ",
  "Tell stories about the animals that people name: foxes, owls, bears, whales and the small grey mouse that lives in the mill. ",
  "Count up and down as far as you are asked to, aloud, and with no number left out on the way from the first to the last one. ",
].map((rule) => rule.repeat(3));

const chat = (system: string, question = "Repeat after me: fox lantern cake"): Message[] => [
  { role: "system", content: system },
  { role: "user", content: question },
];

test.each<[string, EngineOptions]>([
  ["in this process", {}],
  ["in a process of its own", { isolate: true }],
  ["with keys and values of 8 bits", { kvType: "q8_0" }],
  ["with one stream", { maxStreams: 1 }],
  ["with a draft model", { speculate: { draftModel: DEMO } }],
])("behind a changed first line, what follows is not computed anew (%s)", async (_, options) => {
  const model = openModel({ ...MOVED, ...options });
  const without = openModel({ contextSize: 2048 });
  const system = RULES.join("");
  await model.chat(chat(`It is 10:41:07. ${system}`), GREEDY);
  for (const line of ["It is 10:52:33. ", "In the evening of a long day it is eight. ", ""]) {
    const messages = chat(line + system);
    const { text, usage, timings } = await model.chat(messages, GREEDY);
    expect(usage.promptTokens - usage.cachedTokens).toBeLessThan(40);
    expect(timings.prefix).toMatchObject({ reason: "differs" });
    expect(timings.prefix!.movedTokens).toBeGreaterThan(200);
    expect(timings.prefix!.movedTokens!).toBeLessThanOrEqual(usage.cachedTokens);
    // The model is sure of each of its tokens: so what was moved still means what it says.
    expect(text).toBe((await without.chat(messages, GREEDY)).text);
  }
});

test("parts that change their order are found, and what is short is computed", async () => {
  const model = openModel(MOVED);
  const [a, b, c] = RULES as [string, string, string];
  await model.chat(chat(`First. ${a}Then. ${b}Last. ${c}`), GREEDY);
  const { usage, timings } = await model.chat(chat(`New. ${c}And. ${a}So. ${b}`), GREEDY);
  expect(timings.prefix!.movedTokens!).toBeGreaterThan(200);
  expect(usage.promptTokens - usage.cachedTokens).toBeLessThan(60);
});

test("streams beside each other, and cancelled ones, keep to their own tokens", async () => {
  const model = openModel({ ...MOVED, maxStreams: 4 });
  const without = openModel({ contextSize: 2048, promptCache: false });
  const system = RULES.join("");
  const words = ["apple river stone", "fox lantern cake", "moon basket bell", "green cup door"];
  for (let round = 0; round < 3; round++) {
    const replies = await Promise.all(
      words.map(async (some, i) => {
        const messages = chat(`Line ${round} of ${i + 1}. ${system}`, `Repeat after me: ${some}`);
        const signal = AbortSignal.timeout(1 + 3 * i);
        await rejection(model.chat(chat(`Another ${round}${i}. ${system}`), { ...ENDLESS, signal }));
        return [(await model.chat(messages, GREEDY)).text, (await without.chat(messages, GREEDY)).text];
      }),
    );
    for (const [moved, exact] of replies) expect(moved).toBe(exact);
  }
  await until(() => model.stats().freeSlots === 4, "all slots are free");
});

test("after a restart it is taken from disk, by those alone who asked for it", async () => {
  const options = (moved: boolean): EngineOptions => ({ ...MOVED, promptCache: { dir: join(folder, "kept"), moved } });
  const system = RULES.join("");
  const first = openModel(options(true));
  await first.chat(chat(`It is one. ${system}`), GREEDY);
  await first.close();
  const plain = openModel(options(false));
  expect((await plain.chat(chat(`It is one. ${system}`), GREEDY)).usage.cachedTokens).toBe(0);
  expect(plain.stats().cacheUnusableBytes).toBeGreaterThan(0);
  await plain.close();
  const second = openModel(options(true));
  const { timings } = await second.chat(chat(`It is two. ${system}`), GREEDY);
  expect(timings.prefix!.movedTokens).toBeGreaterThan(200);
});

test("an exported prefix goes to those alone who asked for it, too", async () => {
  const file = join(folder, "prefix.kv");
  const moving = openModel(MOVED);
  const plain = openModel({ contextSize: 2048, maxStreams: 2 });
  const messages = chat(RULES.join(""));
  await moving.chat(messages, GREEDY);
  await moving.cache.export(messages, file);
  expect(await rejection(plain.cache.import(file))).toMatchObject({ code: "BAD_OPTION" });
  await openModel(MOVED).cache.import(file);
});

test.each(MEMORIES)("a model whose memory cannot be taken apart says so when it is opened (%s)", async (kind) => {
  const model = openModel(MOVED, writeMemoryModel(join(folder, `${kind}.gguf`), kind, 7));
  const error = await rejection(model.ready);
  expect(error).toMatchObject({ code: "UNSUPPORTED", message: expect.stringContaining("promptCache.moved") });
});

test("deterministic, and more streams than there are sequences for, are refused with a sentence", async () => {
  const both = () => readEngineOptions({ deterministic: true, promptCache: { moved: true } });
  expect(both).toThrow(expect.objectContaining({ code: "BAD_OPTION", option: "promptCache.moved" }));
  const error = await rejection(openModel({ ...MOVED, contextSize: 64, maxStreams: 200 }).ready);
  expect(error).toMatchObject({ code: "BAD_OPTION", message: expect.stringContaining("127") });
});
