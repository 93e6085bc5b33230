// The prompt cache changes how long a prompt takes and nothing else: from a slot, from RAM, from disk, whole or in part.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

import type { EngineOptions, Message, Reply } from "../../lib/types.js";
import type { ZSE } from "../../lib/zse.js";
import { openModel, rejection, sleep, until } from "./helpers.js";

const folders: string[] = [];
// After all tests: a test's models are closed after it, and until then they may write.
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
function folder(): string {
  folders.push(mkdtempSync(join(tmpdir(), "zstream-cache-")));
  return folders.at(-1)!;
}

const GREEDY = { temperature: 0, maxTokens: 60 } as const;
const SYSTEM =
  "You are a friendly helper. You tell stories about animals, count up and down, and repeat words. Keep it short and be kind to " +
  "everyone. When somebody asks for a story, tell one about the animal they name. When somebody says hello, say hello in their language.";
// Answers of which the model is sure at every token: rounding, which the pieces that a prompt is computed in do change, turns none.
const QUESTIONS = ["Repeat after me: fox lantern cake", "Count from 3 to 14", "Repeat after me: apple river stone", "Count from 21 to 32"];
// Full of near-ties: for deterministic mode, where the text does not depend on the pieces.
const STORIES = ["Tell me a story about a fox", "Count from 3 to 14", "Repeat after me: apple river stone", "Tell me a story about an owl"];

const say = (role: Message["role"], content: string) => ({ role, content }) as Message;

/** Three conversations of three turns, in turn, as three users of one server have them. */
async function converse(model: ZSE, questions: readonly string[]): Promise<Reply[]> {
  const replies: Reply[] = [];
  const talks: Message[][] = [0, 1, 2].map(() => [say("system", SYSTEM)]);
  for (let turn = 0; turn < 3; turn++) {
    for (const [user, talk] of talks.entries()) {
      talk.push(say("user", questions[(user + turn) % questions.length]!));
      const reply = await model.chat(talk, GREEDY);
      talk.push(say("assistant", reply.text));
      replies.push(reply);
    }
  }
  return replies;
}

async function conversations(options: EngineOptions): Promise<Reply[]> {
  const model = openModel({ contextSize: 1024, ...options });
  const replies = await converse(model, options.deterministic === true ? STORIES : QUESTIONS);
  await model.close();
  return replies;
}
const texts = (replies: Reply[]) => replies.map(({ text }) => text);
const cached = (replies: Reply[]) => replies.map(({ usage }) => usage.cachedTokens);

describe("the text with the cache is the text without it", () => {
  test.each([
    ["from slots", { maxStreams: 4 }],
    ["from RAM, with one slot for all", { maxStreams: 1 }],
    ["from RAM for some of them", { maxStreams: 1, promptCache: { ram: 1_500_000 } }],
    ["in deterministic mode", { maxStreams: 1, deterministic: true }],
  ] as const)("%s", async (_, options) => {
    const without = await conversations({ ...options, promptCache: false });
    const using = await conversations(options);
    expect(texts(using)).toEqual(texts(without));
    expect(cached(without)).toEqual(without.map(() => 0));
    const deterministic = "deterministic" in options;
    // Every later turn finds at least the system prompt; in deterministic mode only whole pieces of 256 tokens count.
    for (const [i, tokens] of cached(using).entries()) if (i > 0 && !deterministic) expect(tokens).toBeGreaterThan(20);
  });

  test("from disk, after the process's model was closed and opened again", async () => {
    const dir = folder();
    const options = { maxStreams: 2, promptCache: { ram: 0, dir } };
    const first = await conversations(options);
    const again = await conversations(options);
    expect(texts(again)).toEqual(texts(first));
    // The first prompt of all is on disk now, all but its last token.
    expect(again[0]!.usage.cachedTokens).toBe(again[0]!.usage.promptTokens - 1);
    const other = openModel({ contextSize: 1024, ...options });
    const shared = await other.chat([say("system", SYSTEM), say("user", "What is 3 plus 4?")], GREEDY);
    const alone = openModel({ contextSize: 1024, promptCache: false });
    expect(shared.text).toBe((await alone.chat([say("system", SYSTEM), say("user", "What is 3 plus 4?")], GREEDY)).text);
    expect(shared.usage.cachedTokens).toBeGreaterThanOrEqual(20);
  });
});

test("a second turn computes only what is new", async () => {
  const model = openModel({ contextSize: 1024, maxStreams: 2 });
  const talk = [say("system", SYSTEM), say("user", QUESTIONS[0]!)];
  const first = await model.chat(talk, GREEDY);
  const before = model.stats();
  const second = await model.chat([...talk, say("assistant", first.text), say("user", QUESTIONS[1]!)], GREEDY);
  const computed = model.stats().prefilledTokens - before.prefilledTokens;
  expect(computed).toBe(second.usage.promptTokens - second.usage.cachedTokens);
  expect(second.usage.cachedTokens).toBeGreaterThan(first.usage.promptTokens);
  expect(computed).toBeLessThan(40);
});

test("files of a cache are readable by their owner alone, stay within the limit, and a damaged one is removed and not used", async () => {
  const dir = folder();
  const disk = 600_000;
  const options = { contextSize: 1024, maxStreams: 1, promptCache: { dir, disk } };
  const files = () =>
    readdirSync(dir, { recursive: true })
      .map((name) => join(dir, String(name)))
      .filter((path) => statSync(path).isFile());
  const ask = (model: ZSE, i: number) => model.chat([say("user", `${SYSTEM} ${QUESTIONS[i % 4]} ${"and then ".repeat(i)}`)], GREEDY);
  const model = openModel(options);
  for (let i = 0; i < 8; i++) await ask(model, i);
  await model.close();
  expect(files().length).toBeGreaterThan(0);
  expect(files().reduce((sum, path) => sum + statSync(path).size, 0)).toBeLessThanOrEqual(disk);
  if (process.platform !== "win32") for (const path of files()) expect(statSync(path).mode & 0o077).toBe(0);

  const damaged = new Map(files().map((path) => [path, readFileSync(path)]));
  for (const [path, bytes] of damaged) {
    bytes[bytes.length - 7]! ^= 1;
    writeFileSync(path, bytes);
  }
  const again = openModel(options);
  const reply = await ask(again, 7);
  expect(reply.usage.cachedTokens).toBe(0);
  // The one that was asked for is gone, or a sound one has its place.
  const isStill = ([path, bytes]: [string, Buffer]) => existsSync(path) && readFileSync(path).equals(bytes);
  await until(() => ![...damaged].every(isStill), "a damaged file is removed");
});

test("options of the cache that cannot be met say so", async () => {
  const dir = join(folder(), "file");
  writeFileSync(dir, "x");
  expect(await rejection(openModel({ promptCache: { dir } }).ready)).toMatchObject({ code: "BAD_OPTION" });
});

// RAM for all images (256 MiB), and for two or three: then those of readers that come back change places with others'.
test.each([false, { ram: 500_000 }] as const)(
  "more readers than slots, all of them slow: slots are lent, and every text is whole (%j)",
  async (promptCache) => {
    const options = { temperature: 0, maxTokens: 150, highWaterMark: 8 };
    const questions = Array.from({ length: 6 }, (_, i) => [say("user", `Count from ${i + 2} to ${i + 60}`)]);
    const roomy = openModel({ maxStreams: 6, promptCache: false });
    const expected: string[] = [];
    for (const question of questions) expected.push((await roomy.chat(question, options)).text);

    const tight = openModel({ maxStreams: 2, promptCache });
    const streams = questions.map((question) => tight.chatStream(question, options));
    const read = await Promise.all(
      streams.map(async (stream, i) => {
        let text = "";
        let chunks = 0;
        for await (const chunk of stream) {
          text += chunk;
          if (++chunks % (10 + i) === 0) await sleep(120);
        }
        return text;
      }),
    );
    expect(read).toEqual(expected);
    expect(tight.stats().spills).toBeGreaterThan(0);
    await until(() => tight.stats().freeSlots === 2, "all slots are free");
    expect(tight.stats()).toMatchObject({ spilled: 0, spilledBytes: 0 });
  },
);

test.each<[string, EngineOptions]>([
  ["in this process", {}],
  ["in a process of its own", { isolate: true }],
])("what is sealed with a key is there after a restart with that key, and with no other (%s)", async (_, more) => {
  const dir = folder();
  const key = Buffer.alloc(32, 7);
  const messages = [say("system", SYSTEM), say("user", QUESTIONS[0]!)];
  const cached = async (promptCache: EngineOptions["promptCache"]) => {
    const model = openModel({ contextSize: 1024, promptCache, ...more });
    const { usage, text } = await model.chat(messages, GREEDY);
    await model.close();
    return [usage.cachedTokens > 0, text];
  };
  const [, text] = await cached({ dir, key });
  expect(await cached({ dir, key })).toEqual([true, text]);
  expect(await cached({ dir, key: Buffer.alloc(32, 8) })).toEqual([false, text]);
  expect(await cached({ dir })).toEqual([false, text]);
  expect(await cached({ dir, key })).toEqual([true, text]);
  expect(() => openModel({ promptCache: { dir, key: Buffer.alloc(16) } })).toThrow(/32 bytes/);
});
