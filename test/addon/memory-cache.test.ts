// The prompt cache of models whose memory cannot be cut anywhere (hybrid, recurrent, with a sliding window): a turn computes only what is new, from
// slots, from RAM and from disk, and says what it says without a cache.

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { EngineOptions, Message, Reply } from "../../lib/types.js";
import type { ZSE } from "../../lib/zse.js";
import { MEMORIES, type Memory, writeMemoryModel } from "../memory-models.js";
import { openModel, sleep, until } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-memory-"));
// After all tests: a test's models are closed after it, and until then they may write.
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => {
  for (const memory of MEMORIES) writeMemoryModel(place(memory), memory, 7);
});
const place = (memory: Memory) => join(folder, `${memory}.gguf`);
const cacheFolder = () => mkdtempSync(join(folder, "cache-"));

const SHORT = { temperature: 0, maxTokens: 12, ignoreEos: true } as const;
const say = (role: Message["role"], content: string) => ({ role, content }) as Message;
/** So many sentences, of some ten tokens each. */
const words = (sentences: number, about: string) =>
  Array.from({ length: sentences }, (_, i) => `Then the ${about} went to house ${i + 3} and said hello.`).join(" ");
const SYSTEM = say("system", words(30, "fox"));
const QUESTION = say("user", words(12, "owl"));

const open = (memory: Memory, options: EngineOptions = {}) => openModel({ contextSize: 4096, maxStreams: 2, ...options }, place(memory));
const tokens = (model: ZSE, messages: Message[]) => model.countTokens(messages);
/** Tokens that stand before the last message of these. */
async function before(model: ZSE, messages: Message[]): Promise<number> {
  const [all, last] = [await tokens(model, messages), await tokens(model, messages.slice(0, -1))];
  return last < all ? last : all;
}

interface Turn {
  name: string;
  messages: Message[];
}
/** What people do with a conversation: all of them begin as the first one does. */
function turns(first: Reply): Turn[] {
  return [
    { name: "second turn", messages: [SYSTEM, QUESTION, say("assistant", first.text), say("user", words(6, "cat"))] },
    { name: "edited message", messages: [SYSTEM, say("user", words(8, "dog"))] },
    { name: "other question", messages: [SYSTEM, say("user", "Count from 3 to 14")] },
    { name: "stripped thought", messages: [SYSTEM, QUESTION, say("assistant", "Hello."), say("user", words(5, "hen"))] },
    { name: "same again", messages: [SYSTEM, QUESTION] },
  ];
}

async function converse(model: ZSE): Promise<Map<string, Reply>> {
  const first = await model.chat([SYSTEM, QUESTION], SHORT);
  const replies = new Map([["first", first]]);
  for (const { name, messages } of turns(first)) replies.set(name, await model.chat(messages, SHORT));
  return replies;
}
const texts = (replies: Map<string, Reply>) => [...replies].map(([name, { text }]) => [name, text]);
const cached = (replies: Map<string, Reply>) => Object.fromEntries([...replies].map(([name, { usage }]) => [name, usage.cachedTokens]));

describe.each(MEMORIES)("%s", (memory) => {
  // One slot: each turn but the first comes from RAM, where another one has the slot.
  test.each([1, 3])("each turn computes only what is new, with %i slots", async (maxStreams) => {
    const model = open(memory, { maxStreams });
    const replies = await converse(model);
    const known = cached(replies);
    const system = await before(model, [SYSTEM, QUESTION]);
    const asked = (await tokens(model, [SYSTEM, QUESTION])) - 3; // but for the head of the reply
    expect(known.first).toBe(0);
    expect(known["second turn"]).toBeGreaterThanOrEqual(asked - 32);
    expect(known["stripped thought"]).toBeGreaterThanOrEqual(asked - 32);
    expect(known["same again"]).toBeGreaterThanOrEqual(asked - 32);
    expect(known["edited message"]).toBeGreaterThanOrEqual(system - 32);
    expect(known["other question"]).toBeGreaterThanOrEqual(system - 32);
  });

  test.each([1, 3])("in deterministic mode the text with the cache is the text without it, with %i slots", async (maxStreams) => {
    const options = { maxStreams, deterministic: true };
    const without = await converse(open(memory, { ...options, promptCache: false }));
    const using = await converse(open(memory, options));
    expect(texts(using)).toEqual(texts(without));
    expect(new Set(Object.values(cached(without)))).toEqual(new Set([0]));
    // Whole pieces of 256 tokens of the system prompt, and of the question.
    for (const [name, known] of Object.entries(cached(using))) {
      if (name !== "first") expect(known, name).toBeGreaterThanOrEqual(256);
      expect(known % 256).toBe(0);
    }
  });

  test.each([false, true])("after a restart it goes on from disk (deterministic: %s)", async (deterministic) => {
    const options = { maxStreams: 1, deterministic, promptCache: { dir: cacheFolder() } };
    const first = open(memory, options);
    const reply = await first.chat([SYSTEM, QUESTION], SHORT);
    await first.close();
    for (const { name, messages } of turns(reply)) {
      const model = open(memory, options);
      const { text, usage } = await model.chat(messages, SHORT);
      expect(usage.cachedTokens, name).toBeGreaterThanOrEqual(256);
      await model.close();
      if (!deterministic) continue;
      const alone = open(memory, { ...options, promptCache: false });
      expect(text, name).toBe((await alone.chat(messages, SHORT)).text);
      await alone.close();
    }
  });

  test("a damaged file is removed and not used", async () => {
    const dir = cacheFolder();
    const options = { maxStreams: 1, deterministic: true, promptCache: { dir } };
    const model = open(memory, options);
    const reply = await model.chat([SYSTEM, QUESTION], SHORT);
    await model.close();
    const files = readdirSync(dir, { recursive: true })
      .map((name) => join(dir, String(name)))
      .filter((path) => statSync(path).isFile());
    expect(files.length).toBeGreaterThan(0);
    for (const path of files) {
      const bytes = readFileSync(path);
      bytes[bytes.length - 7]! ^= 1; // of the last checkpoint's state
      writeFileSync(path, bytes);
    }
    const again = open(memory, options);
    const second = await again.chat([SYSTEM, QUESTION], SHORT);
    expect(second.usage.cachedTokens).toBe(0);
    expect(second.text).toBe(reply.text);
  });

  test("a reader that leaves in the middle of its prompt, and slow ones whose slots are lent, change no text", async () => {
    const options = { maxStreams: 2, deterministic: true };
    const alone = open(memory, { ...options, promptCache: false });
    const asked = Array.from({ length: 5 }, (_, i) => [SYSTEM, say("user", words(i + 4, `bird ${i}`))]);
    const expected: string[] = [];
    for (const messages of asked) expected.push((await alone.chat(messages, SHORT)).text);
    await alone.close();

    const model = open(memory, options);
    const leaving = model.chatStream([SYSTEM, say("user", words(90, "ant"))], SHORT);
    await sleep(5);
    leaving.abort();
    const read = async (messages: Message[]) => {
      let text = "";
      for await (const piece of model.chatStream(messages, { ...SHORT, highWaterMark: 2 })) {
        text += piece;
        await sleep(60);
      }
      return text;
    };
    expect(await Promise.all(asked.map(read))).toEqual(expected);
    expect(model.stats().spills).toBeGreaterThan(0);
    await until(() => model.stats().freeSlots === 2, "the slots are free again");
  });

  test("what is kept stays within promptCache.ram", async () => {
    const ram = 3_000_000;
    const model = open(memory, { maxStreams: 2, promptCache: { ram } });
    for (let i = 0; i < 8; i++) {
      await model.chat([say("system", words(20, `fox ${i}`)), QUESTION], SHORT);
      const { cacheRamBytes, spilledBytes } = model.stats();
      expect(cacheRamBytes + spilledBytes).toBeLessThanOrEqual(ram);
    }
  });
});

test.each(MEMORIES)("a system prompt that was exported is a warm one in another engine (%s)", async (memory) => {
  for (const deterministic of [true, false]) {
    const file = join(folder, `${memory}.kv`);
    const first = open(memory, { deterministic });
    await first.cache.export([SYSTEM], file);
    await first.close();
    const cold = open(memory, { deterministic, promptCache: false });
    const { text } = await cold.chat([SYSTEM, QUESTION], SHORT);
    await cold.close();
    const second = open(memory, { deterministic });
    await second.cache.import(file);
    const warm = await second.chat([SYSTEM, QUESTION], SHORT);
    if (deterministic) expect(warm.text).toBe(text);
    expect(warm.usage.cachedTokens).toBe(deterministic ? 512 : warm.timings.prefix!.brokeAt - 1);
    await second.close();
  }
});
