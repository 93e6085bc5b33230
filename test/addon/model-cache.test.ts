// `model.cache`: what is kept can be looked at, pinned, forgotten, and taken to a file that another engine, or another machine, goes on from.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { EngineOptions, Message } from "../../lib/types.js";
import { randomOf } from "../random-schemas.js";
import { DEMO, ENDLESS, openModel, rejection, sleep, until } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-owned-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const RULES = "Be kind to everyone, keep every answer short, and tell stories about the animals that people name. ".repeat(6);
const SYSTEM: Message[] = [{ role: "system", content: RULES }];
const asks = (content: string): Message[] => [...SYSTEM, { role: "user", content }];
const GREEDY = { temperature: 0, maxTokens: 24 } as const;
const OPTIONS = { contextSize: 2048, maxStreams: 2 } as const;

test("what was computed is listed, and what is forgotten is computed again", async () => {
  const model = openModel(OPTIONS);
  expect(await model.cache.list()).toEqual([]);
  const { usage } = await model.chat(asks("Hello"), GREEDY);
  const [entry, ...others] = await model.cache.list();
  expect(others).toEqual([]);
  expect(entry).toMatchObject({ in: ["slot"], pinned: false, id: expect.stringMatching(/^[0-9a-f]{16}$/) });
  expect(entry!.tokens).toBeGreaterThan(usage.promptTokens);
  expect(entry!.text).toContain("Be kind to everyone");
  expect((await model.cache.evict(entry!.id)).map(({ id }) => id)).toEqual([entry!.id]);
  expect(await model.cache.list()).toEqual([]);
  const again = await model.chat(asks("Hello"), GREEDY);
  expect([again.usage.cachedTokens, again.timings.prefix!.reason]).toEqual([0, "evicted"]);
  await model.close();
});

test("what the system does not let go of is not said to be forgotten", async () => {
  const dir = mkdtempSync(join(folder, "stays-"));
  const files = () => readdirSync(dir, { recursive: true }).filter((name) => String(name).endsWith(".kv"));
  const model = openModel({ ...OPTIONS, promptCache: { dir } });
  await model.chat(asks("Hello"), GREEDY);
  await until(() => files().length === 1, "the file of the chat");
  // As root every file can be removed, but no folder that has something in it.
  const path = join(dir, String(files()[0]));
  rmSync(path);
  mkdirSync(join(path, "something"), { recursive: true });
  expect(await rejection(model.cache.evict())).toMatchObject({ code: "BAD_OPTION", message: expect.stringContaining(path) as unknown });
  rmSync(path, { recursive: true });
  await model.chat(asks("Hello again"), GREEDY);
  expect((await model.cache.evict()).length).toBeGreaterThan(0);
  await model.close();
});

test("what was forgotten is on no disk when that is said, whether it was written by then or not (random)", async () => {
  const seed = Number(process.env.ZSE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const random = randomOf(seed);
  for (let i = 0; i < 12; i++) {
    const dir = mkdtempSync(join(folder, "forgotten-"));
    const written = () => readdirSync(dir, { recursive: true }).filter((name) => /\.(kv|tmp)$/.test(String(name)));
    const model = openModel({ ...OPTIONS, promptCache: { dir } });
    await model.chat(asks("Hello"), GREEDY);
    await sleep(random.below(12));
    await model.cache.evict();
    expect(written(), `seed ${seed}, ${i}`).toEqual([]);
    await model.close();
    expect(written(), `seed ${seed}, ${i}, closed`).toEqual([]);
  }
});

test("with everything what is too short to be listed is forgotten, too", async () => {
  const model = openModel(OPTIONS);
  const short: Message[] = [{ role: "user", content: "My number is 4711" }];
  await model.chat(short, GREEDY);
  expect((await model.chat(short, GREEDY)).timings.prefix!.reason).toBe("short");
  expect(await model.cache.evict()).toEqual([]);
  expect((await model.chat(short, GREEDY)).timings.prefix).toEqual({ brokeAt: 0, reason: "new" });
  await model.close();
});

test("a pinned prefix stays, whatever else comes; one that is not makes way", async () => {
  const model = openModel({ ...OPTIONS, kvType: "f16", maxStreams: 1, promptCache: { ram: 8 << 20 } }); // room for a few images of that type
  const kept = async () => {
    for (let i = 0; i < 12; i++) await model.chat([{ role: "user", content: `${i} ${"Count from 3 to 14. ".repeat(60)}` }], GREEDY);
    return (await model.chat(asks("Hello"), GREEDY)).usage.cachedTokens;
  };
  await model.chat(asks("Hello"), GREEDY);
  expect(await kept()).toBe(0);
  const entry = await model.cache.pin(SYSTEM);
  expect(entry).toMatchObject({ pinned: true, in: ["slot", "ram"] });
  expect(await kept()).toBeGreaterThan(100);
  expect(await model.cache.list()).toContainEqual(expect.objectContaining({ id: entry.id, pinned: true }));
  expect((await model.cache.unpin(entry.id)).pinned).toBe(false);
  expect(await kept()).toBe(0);
  await model.close();
});

test.each<[string, EngineOptions]>([
  ["in this process", {}],
  ["in processes of their own", { isolate: true }],
])("a warm system prompt comes with a file: another engine computes only the question, and says the same (%s)", async (_, more) => {
  const file = join(folder, "warm.kv");
  const options = { ...OPTIONS, deterministic: true, ...more };
  const first = openModel(options);
  const exported = await first.cache.export(SYSTEM, file);
  expect(existsSync(file)).toBe(true);
  const cold = await first.chat(asks("Tell me a story about a fox"), GREEDY);
  await first.close();

  // The user's copy of the model was written at another time, and lies elsewhere.
  const copy = join(folder, "copy.gguf");
  copyFileSync(DEMO, copy);
  utimesSync(copy, new Date(1e12), new Date(1e12));
  const second = openModel(options, copy);
  expect(await second.cache.import(file)).toMatchObject({ id: exported.id, tokens: exported.tokens, in: ["ram"] });
  const warm = await second.chat(asks("Tell me a story about a fox"), GREEDY);
  expect(warm.text).toBe(cold.text);
  await second.close();

  const third = openModel({ ...OPTIONS, ...more }, copy);
  await expect(third.cache.import(file)).rejects.toMatchObject({
    code: "BAD_OPTION",
    message: expect.stringContaining("another model file"),
  });
  await third.close();
});

test("imported without deterministic mode, all of the system prompt is known", async () => {
  const file = join(folder, "plain.kv");
  const first = openModel(OPTIONS);
  const { tokens } = await first.cache.export(SYSTEM, file);
  await first.close();
  const second = openModel(OPTIONS);
  await second.cache.import(file);
  const { usage } = await second.chat(asks("Hello"), GREEDY);
  expect(usage.cachedTokens).toBeGreaterThan(tokens - 16); // but for the reply's head
  await second.close();
});

test("what was exported is said to be where it is kept, and not in RAM where RAM may hold nothing", async () => {
  const file = join(folder, "no-ram.kv");
  const model = openModel({ ...OPTIONS, promptCache: { ram: 0 } });
  const exported = await model.cache.export(SYSTEM, file);
  expect(existsSync(file)).toBe(true);
  expect(exported.in).toEqual(["slot"]);
  expect(exported.bytes).toBeGreaterThan(0);
  expect(await model.cache.list()).toEqual([exported]);
  await model.close();
});

test("a file that is damaged, cut, or none is refused, and the engine goes on (random)", async () => {
  const seed = Number(process.env.ZSE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
  const random = randomOf(seed);
  const file = join(folder, "whole.kv");
  const model = openModel(OPTIONS);
  await model.cache.export(SYSTEM, file);
  await model.cache.evict();
  const whole = readFileSync(file);
  const bad = join(folder, "bad.kv");
  for (let i = 0; i < 60; i++) {
    const bytes = Buffer.from(whole);
    if (i % 3 === 0) writeFileSync(bad, bytes.subarray(0, random.below(bytes.length)));
    else {
      const at = random.below(i % 3 === 1 ? 200 : bytes.length);
      bytes[at]! ^= 1 + random.below(255);
      writeFileSync(bad, bytes);
    }
    const said = await model.cache.import(bad).then(
      () => "imported",
      (error) => error.code,
    );
    expect(["BAD_MODEL", "BAD_OPTION"], `seed ${seed}, ${i}`).toContain(said);
  }
  expect(await model.cache.list()).toEqual([]);
  await expect(model.cache.import(folder)).rejects.toMatchObject({ code: "BAD_OPTION" });
  await expect(model.cache.import(join(folder, "none.kv"))).rejects.toMatchObject({ code: "BAD_OPTION" });
  await expect(model.cache.export(SYSTEM, join(folder, "no", "such", "folder.kv"))).rejects.toMatchObject({ code: "BAD_OPTION" });
  expect((await model.chat(asks("Hello"), GREEDY)).text).not.toBe("");
  await model.close();
});

test("beside running streams all of it works, and what cannot be done says why", async () => {
  const model = openModel({ ...OPTIONS, maxStreams: 2 });
  const stream = model.chatStream([{ role: "user", content: "Tell me a story" }], { ...ENDLESS, maxTokens: 600 });
  const reading = stream.result;
  await stream.events().next();
  const file = join(folder, "beside.kv");
  const entry = await model.cache.pin(SYSTEM);
  expect((await model.cache.export(entry.id, file)).id).toBe(entry.id);
  await model.cache.evict(entry.id);
  expect((await model.cache.import(file)).id).toBe(entry.id);
  await expect(model.cache.pin("0000000000000000")).rejects.toMatchObject({ code: "BAD_OPTION" });
  await expect(model.cache.pin("what I said before")).rejects.toMatchObject({ code: "BAD_OPTION", option: "id" });
  await expect(model.cache.unpin(entry.id)).rejects.toMatchObject({ code: "BAD_OPTION" });
  for (const none of ["", new URL("https://elsewhere/file.kv"), Object.create(null)]) {
    await expect(model.cache.export(entry.id, none)).rejects.toMatchObject({ code: "BAD_OPTION", option: "file" });
  }
  stream.abort();
  await reading.catch(() => undefined);
  await model.close();
  await expect(model.cache.list()).rejects.toMatchObject({ code: "CLOSED" });

  const off = openModel({ ...OPTIONS, promptCache: false });
  await expect(off.cache.list()).rejects.toMatchObject({ code: "BAD_OPTION", message: expect.stringContaining("promptCache") });
  await off.close();
});

test("an imported prefix has the id that is told, also where a longer one is there", async () => {
  const file = join(folder, "shorter.kv");
  const model = openModel(OPTIONS);
  const question = asks("Hello");
  const { text } = await model.chat(question, { temperature: 0, maxTokens: 4 });
  const [shorter] = await model.cache.list();
  await model.cache.export(shorter!.id, file);
  await model.cache.evict();
  await model.chat([...question, { role: "assistant", content: text }, { role: "user", content: "And now?" }], GREEDY);
  await model.cache.pin((await model.cache.list())[0]!.id);
  const { id } = await model.cache.import(file);
  expect(id).toBe(shorter!.id);
  expect(await model.cache.pin(id)).toMatchObject({ id, pinned: true });
  await model.close();
});

test("a file that is larger than RAM may be is refused before it is read", async () => {
  const file = join(folder, "large.kv");
  const model = openModel({ ...OPTIONS, promptCache: { ram: 1 << 20 } });
  await model.cache.export(asks("Hello"), file);
  await model.close();
  const small = openModel({ ...OPTIONS, promptCache: { ram: 100_000 } });
  await expect(small.cache.import(file)).rejects.toMatchObject({ code: "OVERLOADED", message: expect.stringContaining("promptCache.ram") });
  await small.close();
});

test.each<[string, (model: string) => void]>([
  ["is gone", (model) => rmSync(model)],
  [
    "is another one",
    (model) => {
      writeFileSync(`${model}.new`, readFileSync(DEMO).subarray(1));
      renameSync(`${model}.new`, model);
    },
  ],
])("where the model's file %s, nothing is exported in its name, and none of another's is taken in", async (_, change) => {
  const [copy, file] = [join(folder, "changing.gguf"), join(folder, "changing.kv")];
  const arrives = () => {
    copyFileSync(DEMO, copy);
    utimesSync(copy, new Date(1e12), new Date(1e12));
  };
  arrives();
  const model = openModel(OPTIONS, copy);
  await model.ready;
  change(copy);
  const refused = { code: "BAD_OPTION", message: expect.stringContaining("open the model again") };
  await expect(model.cache.export(SYSTEM, file)).rejects.toMatchObject(refused);
  await expect(model.cache.import(file)).rejects.toMatchObject(refused);
  expect(existsSync(file)).toBe(false);
  expect((await model.chat(asks("Hello"), GREEDY)).text).not.toBe("");
  arrives(); // a disk that is plugged in again
  await model.cache.export(SYSTEM, file);
  await model.close();
  for (const made of [copy, file]) rmSync(made);
});

test("a key that is another one than before is told by what cannot be used", async () => {
  const dir = mkdtempSync(join(folder, "keys-"));
  const bytes = async (byte?: number) => {
    const model = openModel({ ...OPTIONS, promptCache: { dir, ...(byte === undefined ? {} : { key: Buffer.alloc(32, byte) }) } });
    await model.ready;
    const { cacheUnusableBytes, cacheDiskBytes } = model.stats();
    if (cacheDiskBytes === 0) await model.chat(asks("Hello"), GREEDY);
    await model.close();
    return { unusable: cacheUnusableBytes, usable: cacheDiskBytes };
  };
  expect(await bytes(1)).toEqual({ unusable: 0, usable: 0 });
  const right = await bytes(1);
  expect(right).toEqual({ unusable: 0, usable: expect.any(Number) });
  expect(right.usable).toBeGreaterThan(0);
  expect(await bytes(2)).toEqual({ unusable: right.usable, usable: 0 });
  expect(await bytes(2)).toEqual({ unusable: right.usable, usable: right.usable });
  expect(await bytes()).toEqual({ unusable: 2 * right.usable, usable: 0 });
});

test("what an engine with a key exports is read with that key alone, and it reads nothing else", async () => {
  const file = join(folder, "sealed.kv");
  const dir = mkdtempSync(join(folder, "cache-"));
  const open = (byte?: number) =>
    openModel({ ...OPTIONS, promptCache: { dir, ...(byte === undefined ? {} : { key: Buffer.alloc(32, byte) }) } });
  const first = open(1);
  const { id } = await first.cache.export(SYSTEM, file);
  await first.close();
  const said = async (byte: number | undefined, path: string) => {
    const other = open(byte);
    const error = await other.cache.import(path).catch(({ code, message }) => `${code}: ${message}`);
    await other.close();
    return error;
  };
  expect(await said(2, file)).toMatch(/^BAD_MODEL.*sealed with another key/);
  expect(await said(undefined, file)).toMatch(/^BAD_MODEL.*is sealed; give import\(\) the key/);
  const plain = join(folder, "unsealed.kv");
  const without = openModel(OPTIONS);
  await without.cache.export(SYSTEM, plain);
  await without.close();
  expect(await said(1, plain)).toMatch(/^BAD_MODEL.*no sealed prefix.*key: null/);
  const again = open(1);
  expect((await again.cache.import(file)).id).toBe(id);
  await again.close();
});

test("a file may be sealed with a key of its own, or not at all, whatever key the model has", async () => {
  const [own, open] = [join(folder, "own.kv"), join(folder, "open.kv")];
  const [key, users] = [Buffer.alloc(32, 7), Buffer.alloc(32, 8)];
  const author = openModel({ ...OPTIONS, promptCache: { dir: mkdtempSync(join(folder, "author-")), key: Buffer.alloc(32, 9) } });
  const { id } = await author.cache.export(SYSTEM, own, { key });
  await author.cache.export(SYSTEM, open, { key: null });
  await author.close();
  const user = openModel({ ...OPTIONS, promptCache: { dir: mkdtempSync(join(folder, "user-")), key: users } });
  expect(await rejection(user.cache.import(own))).toMatchObject({ code: "BAD_MODEL" });
  expect(await rejection(user.cache.import(own, { key: null }))).toMatchObject({ code: "BAD_MODEL" });
  expect(await rejection(user.cache.import(open))).toMatchObject({ code: "BAD_MODEL" });
  expect(await rejection(user.cache.import(open, { key }))).toMatchObject({ code: "BAD_MODEL" });
  expect(await rejection(user.cache.import(open, { key: "no" as never }))).toMatchObject({ code: "BAD_OPTION", option: "key" });
  expect(await rejection(user.cache.import(open, { keys: key } as never))).toMatchObject({ code: "BAD_OPTION", option: "keys" });
  expect((await user.cache.import(own, { key })).id).toBe(id);
  await user.cache.evict(id);
  expect((await user.cache.import(open, { key: null })).id).toBe(id);
  await user.close();
});

test("what is on disk alone is pinned from there, and where RAM has no room for it, that is said", async () => {
  const dir = mkdtempSync(join(folder, "disk-"));
  const first = openModel({ ...OPTIONS, promptCache: { dir } });
  await first.chat(asks("Hello"), GREEDY);
  const old = (await first.cache.list())[0]!;
  await first.chat([{ role: "system", content: RULES.toUpperCase() }], GREEDY);
  await first.close();
  const second = openModel({ ...OPTIONS, promptCache: { dir } });
  const entry = (await second.cache.list()).find(({ id }) => id === old.id);
  expect(entry).toMatchObject({ in: ["disk"], pinned: false });
  expect(await second.cache.pin(entry!.id)).toMatchObject({ id: entry!.id, pinned: true });
  await second.close();
  const third = openModel({ ...OPTIONS, promptCache: { dir, ram: 0 } });
  await expect(third.cache.pin(entry!.id)).rejects.toMatchObject({ code: "OVERLOADED" });
  await third.close();
});

test("what was used last is in a slot after a restart, before anybody asks", async () => {
  const dir = mkdtempSync(join(folder, "head-"));
  const first = openModel({ ...OPTIONS, promptCache: { dir } });
  await first.chat(asks("Hello"), GREEDY);
  await first.close();
  const second = openModel({ ...OPTIONS, promptCache: { dir } });
  await expect.poll(async () => (await second.cache.list())[0]?.in, { timeout: 30_000 }).toContain("slot");
  expect(second.stats().prefilledTokens).toBe(0);
  const after = await second.chat(asks("Hello"), GREEDY);
  expect(after.usage.cachedTokens).toBe(after.usage.promptTokens - 1);
  await second.cache.evict();
  expect(await second.cache.list()).toEqual([]);
  await second.close();
});

test("an export takes the place of a file alone, and of the one that a link leads to", async () => {
  const model = openModel(OPTIONS);
  const file = join(folder, "there.kv");
  const link = join(folder, "link.kv");
  writeFileSync(file, "old");
  symlinkSync(file, link);
  await model.cache.export(SYSTEM, link);
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(readFileSync(file).length).toBeGreaterThan(1000);
  const fifo = join(folder, "fifo");
  spawnSync("mkfifo", [fifo]);
  const dangling = join(folder, "dangling.kv");
  symlinkSync(join(folder, "nowhere.kv"), dangling);
  for (const none of [folder, fifo, dangling]) await expect(model.cache.export(SYSTEM, none)).rejects.toMatchObject({ code: "BAD_OPTION" });
  expect([lstatSync(fifo).isFIFO(), lstatSync(dangling).isSymbolicLink()]).toEqual([true, true]);
  await expect(model.cache.import(fifo)).rejects.toMatchObject({ code: "BAD_OPTION" });
  await model.close();
});

test("a chat is pinned while a stream that never pauses runs, and does not wait for its end", async () => {
  const model = openModel({ ...OPTIONS, contextSize: 8192 });
  const stream = model.chatStream([{ role: "user", content: "Tell me a story" }], { ...ENDLESS, maxTokens: 7900 });
  let ended = false;
  const reading = (async () => {
    for await (const _ of stream);
    ended = true;
  })().catch(() => undefined); // it is aborted
  await until(() => model.stats().decoding === 1, "the stream decodes");
  expect(await model.cache.pin(SYSTEM)).toMatchObject({ pinned: true });
  expect(ended).toBe(false);
  stream.abort();
  await reading;
  await model.close();
});

test.each<[string, EngineOptions]>([
  ["little RAM", { promptCache: { ram: 3 << 20 } }],
  ["none", { promptCache: { ram: 0 } }],
])("a chat that is computed to be pinned or exported is there for that, whoever wants its place: %s", async (_, more) => {
  const model = openModel({ ...OPTIONS, kvType: "f16", maxStreams: 3, ...more });
  const long = (name: string) => [{ role: "user", content: `${name}. ${"Count from 3 to 14. ".repeat(60)}` }] as const;
  let [asked, over] = [0, false];
  const others = Array.from({ length: 6 }, async () => {
    while (!over) await model.chat(long(`Reader ${asked++}`), { ...GREEDY, maxTokens: 1 + (asked % 12), ignoreEos: true });
  });
  const file = join(folder, `wanted-${Math.random()}.kv`);
  for (let i = 0; i < 3; i++) {
    expect((await model.cache.export(long(`Export ${i}`), file)).tokens).toBeGreaterThan(200);
    if (more.promptCache !== false && more.promptCache?.ram === 0) continue;
    const { id, pinned } = await model.cache.pin(long(`Pin ${i}`));
    expect(pinned).toBe(true);
    await model.cache.unpin(id);
  }
  over = true;
  await Promise.all(others);
  await model.close();
});

test("a chat that cannot be computed is neither pinned nor exported, and it is said why", async () => {
  const model = openModel(OPTIONS);
  const far: Message[] = [{ role: "user", content: "word ".repeat(4000) }];
  const file = join(folder, "never.kv");
  await expect(model.cache.pin(far)).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
  await expect(model.cache.export(far, file)).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
  await expect(model.cache.pin([{ role: "user", content: "Hi" }])).rejects.toMatchObject({
    code: "BAD_OPTION",
    message: expect.stringContaining("less than 64 tokens"),
  });
  expect(existsSync(file)).toBe(false);
  const closing = rejection(model.cache.pin(asks("Hello")));
  await model.close();
  expect(await closing).toMatchObject({ code: "CLOSED" });
});

test("a chat is pinned also where streams want every slot, and what is no chat is named", async () => {
  const model = openModel(OPTIONS);
  const others = Promise.all(Array.from({ length: 6 }, (_, i) => model.chat(asks(`Count from ${i} to 14`), { ...GREEDY, maxTokens: 60 })));
  expect(await Promise.all([model.cache.pin(SYSTEM), model.cache.pin(SYSTEM)])).toEqual([
    expect.objectContaining({ pinned: true }),
    expect.objectContaining({ pinned: true }),
  ]);
  await others;
  const bare = Object.assign(Object.create(null), { unlike: "a chat" });
  for (const none of [undefined, null, 5, {}, bare]) {
    await expect(model.cache.pin(none as never)).rejects.toMatchObject({
      code: "BAD_OPTION",
      message: expect.stringContaining("cache.pin()"),
    });
  }
  await model.close();
});
