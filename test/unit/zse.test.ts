import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { NativeEventKind } from "../../lib/addon/contract.js";
import { setNative } from "../../lib/addon/load.js";
import { ZSE, ZSEError } from "../../lib/index.js";
import { FakeAddon, type FakeEngine, STORY } from "./fake-native.js";
import { endless, exposeGc, openFake, openReady, readAll, rejection, settle, USER, unhandledDuring } from "./helpers.js";

const TEXT = STORY.join("");

describe("opening", () => {
  test("returns at once; ready gives the model's info", async () => {
    const { model } = openFake({ load: "manual" }, { contextSize: 512 });
    expect(model.info).toBeUndefined();
    expect(model.stats().generatedTokens).toBe(0);
    const { fake } = openFake({}, { contextSize: 512 });
    expect(fake.engineOptions.contextSize).toBe(512);
  });
  test("info is there once the model is ready", async () => {
    const { model } = await openReady();
    expect(model.info).toMatchObject({ name: "fake" });
    expect(await model.ready).toBe(model.info);
  });
  test("more threads than this process may use cores are told once, since every step is slower so", () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    try {
      openFake({}, { threads: availableParallelism() });
      expect(warned).not.toHaveBeenCalled();
      openFake({}, { threads: 512 });
      openFake({}, { threads: 512 });
      expect(warned).toHaveBeenCalledTimes(1);
      expect(warned).toHaveBeenCalledWith(expect.stringContaining("threads is 512"), { type: "ZSEWarning", code: "ZSE_MANY_THREADS" });
    } finally {
      warned.mockRestore();
    }
  });
  test("what a file says of itself is cut, but for its chat template", async () => {
    const long = "n".repeat(2 ** 20);
    const info = { name: long, architecture: long, description: long, chatTemplate: { source: "model" as const, name: "own", text: long } };
    const { model } = await openReady({ info });
    const { name, architecture, description, chatTemplate } = model.info!;
    for (const text of [name, architecture, description]) expect(text).toBe(`${"n".repeat(255)}…`);
    expect(chatTemplate.text).toBe(long);
  });
  test("a path, a file URL as object or string, or nothing for the demo model", () => {
    const addon = new FakeAddon();
    setNative(addon);
    expect(new ZSE("/a/b.gguf").path).toBe(resolve("/a/b.gguf")); // a drive's letter stands before it on Windows
    expect(new ZSE("b.gguf").path).toBe(join(process.cwd(), "b.gguf"));
    expect(new ZSE(pathToFileURL("/a/ü b.gguf")).path).toBe(resolve("/a/ü b.gguf"));
    expect(new ZSE(pathToFileURL("/a/ü b.gguf").href).path).toBe(resolve("/a/ü b.gguf"));
    expect(new ZSE().path).toMatch(/[\\/]models[\\/]demo[\\/]demo\.gguf$/);
    expect(new ZSE({ maxStreams: 2 }).path).toMatch(/demo\.gguf$/);
    expect(new ZSE({ max_streams: 2 }).path).toMatch(/demo\.gguf$/);
    expect(addon.model.engineOptions.maxStreams).toBe(2);
  });
  test.each([
    [["", undefined], "The model's path must be a file's path or file: URL"],
    [[new URL("http://a/b"), undefined], 'a file on this machine, or a model of Hugging Face ("hf:org/repo:Q4_K_M")'],
    [["https://huggingface.co/x.gguf", undefined], 'a file on this machine, or a model of Hugging Face ("hf:org/repo:Q4_K_M")'],
    [[new URL("ftp://a/b"), undefined], "The model's path must be a file: URL, or a plain path"],
    [[7, undefined], "new ZSE() takes a model's path or file: URL, its options, or nothing for the demo model; given 7"],
    [[null], "new ZSE() takes a model's path or file: URL, its options, or nothing for the demo model; given null"],
    [["a", 7], "The options of new ZSE() must be an object; given 7"],
    [[7, {}], "new ZSE() takes a path or file: URL first; given 7"],
    [["a", { maxStream: 1 }], "maxStream is not an option of new ZSE(). Did you mean maxStreams?"],
  ])("wrong arguments %o are refused before anything is opened", (args, message) => {
    const addon = new FakeAddon();
    setNative(addon);
    const open = () => new (ZSE as unknown as new (...args: unknown[]) => ZSE)(...args);
    expect(open).toThrow(ZSEError);
    expect(open).toThrow(message);
    expect(addon.models).toHaveLength(0);
  });
  test("onProgress hears how much is loaded", async () => {
    const onProgress = vi.fn();
    await openReady({}, { onProgress });
    expect(onProgress).toHaveBeenCalledWith(1, { type: "load", fraction: 1 });
  });
  test("a load failure is told by ready and by every call, with its code", async () => {
    const { model } = openFake({ load: { code: "BAD_MODEL", message: "not a GGUF file: /x" } });
    const early = rejection(model.chat(USER));
    const stream = rejection(readAll(model.chatStream(USER)));
    for (const error of [await early, await stream, await rejection(model.ready), await rejection(model.chat(USER))]) {
      expect(error).toMatchObject({ name: "ZSEError", code: "BAD_MODEL", message: "not a GGUF file: /x" });
    }
  });
  test("a load failure that nobody looks at is not an unhandled rejection", async () => {
    const unhandled = await unhandledDuring(async () => {
      const { model } = openFake({ load: { code: "BAD_MODEL", message: "x" } });
      model.chatStream(USER);
      await settle();
    });
    expect(unhandled).toEqual([]);
  });
  test("an addon whose constructor throws is a load failure", async () => {
    const addon = new FakeAddon();
    const broken = { ...addon, devices: () => [] };
    broken.Engine = class {
      constructor() {
        throw Object.assign(new Error("no such file: /x"), { code: "MODEL_NOT_FOUND" });
      }
    } as never;
    setNative(broken);
    const model = new ZSE("/x");
    expect(await rejection(model.ready)).toMatchObject({ code: "MODEL_NOT_FOUND" });
    await model.close();
  });
});

describe("calls", () => {
  test("chat, chatStream, completion and completionStream, in both forms", async () => {
    const { model, fake } = await openReady();
    expect((await model.chat(USER, { maxTokens: 2 })).text).toBe("Once upon");
    expect((await model.chat({ messages: USER, max_tokens: 2 })).finishReason).toBe("length");
    expect(await readAll(model.chatStream(USER))).toEqual(STORY);
    expect(await readAll(model.chatStream({ messages: USER }))).toEqual(STORY);
    expect((await model.completion("Once")).text).toBe(TEXT);
    expect((await model.completion({ prompt: "Once" })).text).toBe(TEXT);
    expect(await readAll(model.completionStream("Once"))).toEqual(STORY);
    expect(await readAll(model.completionStream({ prompt: "Once" }))).toEqual(STORY);
    const asked = fake.streams.map(({ request }) => request.messages ?? request.prompt);
    expect(asked).toEqual([...Array(4).fill(JSON.stringify(USER)), ...Array(4).fill("Once")]);
  });
  test("a wrong option throws at once from a stream call, rejects from a collected one, and queues nothing", async () => {
    const { model, fake } = await openReady();
    const wrong = { temperature: 9 };
    expect(() => model.chatStream(USER, wrong)).toThrow("temperature must be a number from 0 to 5; given 9.");
    expect(() => model.completionStream("x", wrong)).toThrow(ZSEError);
    expect(await rejection(model.chat(USER, wrong))).toMatchObject({ code: "BAD_OPTION", option: "temperature" });
    expect(await rejection(model.completion("x", wrong))).toMatchObject({ code: "BAD_OPTION" });
    expect(fake.streams).toHaveLength(0);
  });
  test("what submit throws reaches the consumer, not the caller", async () => {
    const { model } = await openReady({ script: endless }, { maxStreams: 1, maxQueue: 0 });
    model.chatStream(USER);
    const second = model.chatStream(USER);
    expect(await rejection(readAll(second))).toMatchObject({ name: "ZSEError", code: "OVERLOADED" });
  });
  test("streams of one batch do not mix", async () => {
    const { model } = await openReady({ script: (_, index) => Array.from({ length: 30 }, (_, i) => ` ${index}.${i}`) }, { maxStreams: 16 });
    const replies = await Promise.all(Array.from({ length: 16 }, () => model.chat(USER)));
    const expected = replies.map((_, index) => Array.from({ length: 30 }, (_, i) => ` ${index}.${i}`).join(""));
    expect(replies.map(({ text }) => text)).toEqual(expected);
  });
  test("an unknown code of the engine's is ENGINE_FAILED", async () => {
    const { model } = await openReady({ script: () => [{ error: { code: "WEIRD", message: "m" } }] });
    expect(await rejection(model.chat(USER))).toMatchObject({ code: "ENGINE_FAILED", message: "m" });
  });
  test("tokenize waits for the model", async () => {
    const { model } = openFake();
    expect(await model.tokenize("ab")).toEqual([97, 98]);
    expect(await rejection(model.tokenize(5 as never))).toMatchObject({ code: "BAD_OPTION" });
  });
  test("tokenize gives a long text's ids in order, and leaves the event loop its turns", async () => {
    const { model, fake } = await openReady();
    const tokens = Int32Array.from({ length: 1_000_000 }, (_, i) => i);
    fake.ask = (question) => void setImmediate(() => fake.onEvents([0, NativeEventKind.Answer, { question, tokens }, 0]));
    let turns = 0;
    let done = false;
    const count = () => {
      turns += 1;
      if (!done) setImmediate(count);
    };
    setImmediate(count);
    const ids = await model.tokenize("a");
    done = true;
    expect(turns).toBeGreaterThan(10);
    expect(Array.isArray(ids)).toBe(true);
    expect(ids.length).toBe(1_000_000);
    expect(ids.every((id, i) => id === i)).toBe(true);
  });
  test("tokenize refuses what is longer than any prompt", async () => {
    const { model } = await openReady();
    const error = await rejection(model.tokenize("x".repeat(2 ** 26 + 1)));
    expect(error).toMatchObject({ code: "BAD_OPTION", option: "text" });
    expect((error as Error).message).toBe("text may have up to 67108864 characters; given 67108865.");
  });
  test("devices are the addon's", () => {
    setNative(new FakeAddon());
    expect(ZSE.devices()).toEqual([expect.objectContaining({ kind: "cpu", backend: "CPU" })]);
  });
});

describe("close", () => {
  test("calls after it fail with CLOSED", async () => {
    const { model } = await openReady();
    expect(model.closed).toBe(false);
    await model.close();
    expect(model.closed).toBe(true);
    expect(await rejection(model.chat(USER))).toMatchObject({ name: "ZSEError", code: "CLOSED" });
    expect(await rejection(readAll(model.chatStream(USER)))).toMatchObject({ code: "CLOSED" });
    expect(await rejection(model.tokenize("x"))).toMatchObject({ code: "CLOSED" });
    expect(model.stats()).toMatchObject({ decoding: 0, freeSlots: 0 });
  });
  test("twice is once", async () => {
    const { model, fake } = await openReady();
    expect(model.close()).toBe(model.close());
    await model.close();
    await model.close();
    expect(fake.closes).toBe(1);
  });
  test("with streams running: each ends with CLOSED, after the text that it already had", async () => {
    const { model } = await openReady({ script: endless });
    const unread = model.chatStream(USER, { highWaterMark: 2 });
    const replies = [rejection(model.chat(USER)), rejection(readAll(model.chatStream(USER)))];
    const left = model.chatStream(USER);
    for await (const _ of left) break;
    await settle(20);
    await model.close();
    for (const reply of replies) expect(await reply).toMatchObject({ code: "CLOSED" });
    const iterator = unread[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toBe(" 0");
    expect((await iterator.next()).value).toBe(" 1");
    expect(await rejection(iterator.next())).toMatchObject({ code: "CLOSED" });
    expect((await left.result).finishReason).toBe("cancelled");
  });
  test("a reply that is complete can still be read", async () => {
    const { model } = await openReady();
    const stream = model.chatStream(USER);
    await settle(20);
    await model.close();
    expect(await readAll(stream)).toEqual(STORY);
  });
  test("while the model loads: ready and the calls that wait fail with CLOSED", async () => {
    const { model, fake } = openFake({ load: "manual" });
    const reply = rejection(model.chat(USER));
    const closed = model.close();
    fake.becomeReady();
    expect(await reply).toMatchObject({ code: "CLOSED" });
    expect(await rejection(model.ready)).toMatchObject({ code: "CLOSED" });
    await closed;
    expect(fake.streams).toHaveLength(0);
  });
  test("after a load that failed", async () => {
    const { model } = openFake({ load: { code: "BAD_MODEL", message: "x" } });
    await rejection(model.ready);
    await model.close();
    expect(await rejection(model.chat(USER))).toMatchObject({ code: "CLOSED" });
  });
  test("at the end of an await using block", async () => {
    let fake: FakeEngine;
    {
      const opened = await openReady();
      await using model = opened.model;
      fake = opened.fake;
      expect((await model.chat(USER)).text).toBe(TEXT);
    }
    expect(fake.closes).toBe(1);
  });
  test("from within a callback of its own stream", async () => {
    const { model } = await openReady({ script: endless });
    const streamCallback = () => void model.close();
    expect(await rejection(model.chat(USER, { streamCallback }))).toMatchObject({ code: "CLOSED" });
  });
  test("an engine that ends on its own fails its streams", async () => {
    const { model, fake } = await openReady({ script: endless });
    const reply = rejection(model.chat(USER));
    await settle();
    fake.onEvents([0, NativeEventKind.Closed, undefined, 0]);
    expect(await reply).toMatchObject({ code: "ENGINE_FAILED" });
    expect(await rejection(model.chat(USER))).toMatchObject({ code: "ENGINE_FAILED" });
    await model.close();
  });
  test("happens by itself to a model that was dropped, once its streams have ended", async () => {
    const collect = exposeGc();
    const { fake, reply } = await (async () => {
      const { model, fake } = await openReady({ manualSteps: true });
      return { fake, reply: model.chat(USER) };
    })();
    await vi.waitFor(async () => {
      for (let i = 0; i < 5; i++) {
        collect();
        await settle();
      }
      expect(fake.closes).toBe(0);
    }, 8000);
    while (fake.step());
    expect((await reply).text).toBe(TEXT);
    await vi.waitFor(async () => {
      collect();
      await settle();
      expect(fake.closes).toBe(1);
    }, 8000);
  });
});

test.each([
  ["null", null],
  ["a Map", new Map()],
  ["a Date", new Date(0)],
  ["a number", 7],
])("%s in place of a path is refused, and does not open the demo model", (_, given) => {
  expect(() => new ZSE(given as never)).toThrow(expect.objectContaining({ code: "BAD_OPTION" }));
});
test("a path with a NUL, which the system would cut off, is refused", () => {
  expect(() => new ZSE("model.gguf\0.txt")).toThrow(expect.objectContaining({ code: "BAD_OPTION", option: "path" }));
});
