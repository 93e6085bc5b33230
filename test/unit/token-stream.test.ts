import { describe, expect, test, vi } from "vitest";

import type { StreamEvent } from "../../lib/types.js";
import { type ScriptItem, STORY } from "./fake-native.js";
import { endless, exposeGc, openFake, openReady, readAll, rejection, settle, USER, unhandledDuring } from "./helpers.js";

const TEXT = STORY.join("");
const script = (...items: ScriptItem[]) => ({ script: () => items });

describe("for await", () => {
  test("gives every piece in order, then ends", async () => {
    const { model } = await openReady();
    expect(await readAll(model.chatStream(USER))).toEqual(STORY);
  });
  test("a call before the model is loaded waits for it", async () => {
    const { model, fake } = openFake({ load: "manual" });
    const text = readAll(model.chatStream(USER));
    await settle();
    expect(fake.streams).toHaveLength(0);
    fake.becomeReady();
    expect(await text).toEqual(STORY);
  });
  test("break cancels the reply, and result is what was read", async () => {
    const { model, fake } = await openReady({ script: endless });
    const stream = model.chatStream(USER);
    for await (const text of stream) if (text === " 2") break;
    expect(fake.cancels).toEqual([1]);
    expect(await stream.result).toMatchObject({ text: " 0 1 2", finishReason: "cancelled", usage: { promptTokens: 7 } });
    expect(fake.streams[0]!.state).toBe("ended");
  });
  test("takenTokens is what the consumer has taken, pieces of several tokens and what it does not want included", async () => {
    const items: ScriptItem[] = ["a", { text: "bcd", tokens: 3 }, { reasoning: "hm", tokens: 2 }, "e"];
    const { model } = await openReady({ script: () => items });
    const stream = model.chatStream(USER);
    const taken: number[] = [stream.takenTokens];
    for await (const _ of stream) taken.push(stream.takenTokens);
    expect(taken).toEqual([0, 1, 4, 7]);
    expect(stream.takenTokens).toBe((await stream.result).usage.completionTokens);
  });
  test("an error in the loop's body cancels the reply", async () => {
    const { model, fake } = await openReady({ script: endless });
    const error = new Error("mine");
    const loop = async () => {
      for await (const _ of model.chatStream(USER)) throw error;
    };
    expect(await rejection(loop())).toBe(error);
    expect(fake.cancels).toEqual([1]);
  });
  test("return() ends it: a read that waits gets done, as does every later one", async () => {
    const { model, fake } = await openReady({ manualSteps: true });
    const iterator = model.chatStream(USER)[Symbol.asyncIterator]();
    const waiting = iterator.next();
    expect(await iterator.return!()).toEqual({ done: true, value: undefined });
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(fake.cancels).toEqual([1]);
  });
  test("throw() cancels and gives the error back, once", async () => {
    const { model, fake } = await openReady({ script: endless });
    const stream = model.chatStream(USER);
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    const error = new Error("mine");
    expect(await rejection(iterator.throw!(error))).toBe(error);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(await rejection(stream.result)).toBe(error);
    expect(fake.cancels).toEqual([1]);
  });
  test("several reads at once are answered in order", async () => {
    const { model } = await openReady(script("a", "b"));
    const iterator = model.chatStream(USER)[Symbol.asyncIterator]();
    const results = await Promise.all([iterator.next(), iterator.next(), iterator.next(), iterator.next()]);
    expect(results.map((one) => one.value as unknown)).toEqual(["a", "b", undefined, undefined]);
    expect(results.map((one) => one.done)).toEqual([false, false, true, true]);
  });
  test("text that came before an error is read before it; the error comes once, then done", async () => {
    const { model } = await openReady(script("a", "b", { error: { code: "ENGINE_FAILED", message: "out of memory" } }));
    const stream = model.chatStream(USER);
    await settle();
    const iterator = stream[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toBe("a");
    expect((await iterator.next()).value).toBe("b");
    expect(await rejection(iterator.next())).toMatchObject({ name: "ZSEError", code: "ENGINE_FAILED", message: "out of memory" });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });
});

describe("one stream, one consumer", () => {
  test("a second one is a clear error, whichever it is", async () => {
    const { model } = await openReady();
    const stream = model.chatStream(USER);
    stream[Symbol.asyncIterator]();
    const again = /already read by a for await loop; a stream has one consumer/;
    expect(() => stream[Symbol.asyncIterator]()).toThrow(again);
    expect(() => stream.events()).toThrow(again);
    expect(() => stream.toReadableStream()).toThrow(again);
  });
  test("a stream with a callback cannot be read as well", async () => {
    const { model } = await openReady();
    const stream = model.chatStream(USER, { streamCallback: () => {} });
    expect(() => stream[Symbol.asyncIterator]()).toThrow(/already read by streamCallback/);
    expect((await stream.result).text).toBe(TEXT);
  });
  test("a stream that result reads cannot be read as well", async () => {
    const { model } = await openReady();
    const stream = model.chatStream(USER);
    void stream.result;
    await settle();
    expect(() => stream.events()).toThrow(/already read by result/);
  });
});

describe("result", () => {
  test("can be awaited alone", async () => {
    const { model } = await openReady({ finish: { stopString: "END" } });
    expect(await model.chatStream(USER, { seed: 5 }).result).toEqual({
      text: TEXT,
      toolCalls: [],
      finishReason: "stop",
      stopString: "END",
      seed: 5,
      usage: { promptTokens: 7, completionTokens: 9, totalTokens: 16, cachedTokens: 0 },
      timings: expect.objectContaining({ tokensPerSecond: 100 }) as unknown,
    });
  });
  test("can be asked for before, while and after the stream is read", async () => {
    const { model } = await openReady();
    const stream = model.chatStream(USER);
    const before = stream.result;
    for await (const _ of stream) expect(stream.result).toBe(before);
    expect((await stream.result).text).toBe(TEXT);
  });
  test("can be asked for only after the stream was read", async () => {
    const { model } = await openReady();
    const stream = model.chatStream(USER);
    await readAll(stream);
    expect((await stream.result).text).toBe(TEXT);
  });
  test("is not an unhandled rejection when nobody looks at it", async () => {
    const { model } = await openReady(script({ error: { code: "STALLED", message: "x" } }));
    const unhandled = await unhandledDuring(async () => {
      const stream = model.chatStream(USER);
      void stream.result;
      model.chatStream(USER).abort();
      const failed = model.chatStream(USER, { streamCallback: () => {} });
      await settle();
      expect(failed).toBeDefined();
    });
    expect(unhandled).toEqual([]);
  });
  test("rejects while the consumer still has text to read, when the stream has failed", async () => {
    const { model } = await openReady(script("a", "b", { error: { code: "STALLED", message: "too slow" } }));
    const stream = model.chatStream(USER);
    await stream[Symbol.asyncIterator]().next();
    expect(await rejection(stream.result)).toMatchObject({ code: "STALLED" });
  });
});

describe("abort", () => {
  test("is seen at once: what was not read is dropped, the engine is told", async () => {
    const { model, fake } = await openReady({ script: endless });
    const stream = model.chatStream(USER);
    const iterator = stream[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toBe(" 0");
    await settle();
    stream.abort();
    expect(fake.cancels).toEqual([1]);
    expect(await rejection(iterator.next())).toMatchObject({ name: "ZSEError", code: "ABORTED" });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    expect(await rejection(stream.result)).toMatchObject({ code: "ABORTED" });
  });
  test("a read that waits rejects with the reason given", async () => {
    const { model } = await openReady({ manualSteps: true });
    const stream = model.chatStream(USER);
    const waiting = rejection(stream[Symbol.asyncIterator]().next());
    const reason = new Error("enough");
    stream.abort(reason);
    expect(await waiting).toBe(reason);
  });
  test("the id is kept until the engine's terminal event, whose finish changes nothing", async () => {
    const { model, fake } = await openReady({ manualSteps: true });
    const stream = model.chatStream(USER);
    fake.step();
    stream.abort();
    expect(await rejection(readAll(stream))).toMatchObject({ code: "ABORTED" });
    fake.step();
    expect(fake.streams[0]!.state).toBe("ended");
    expect(await rejection(stream.result)).toMatchObject({ code: "ABORTED" });
  });
  test("of a stream that waits for the model is never submitted", async () => {
    const { model, fake } = openFake({ load: "manual" });
    const stream = model.chatStream(USER);
    stream.abort();
    expect(await rejection(readAll(stream))).toMatchObject({ code: "ABORTED" });
    fake.becomeReady();
    await settle();
    expect(fake.streams).toHaveLength(0);
    expect(fake.cancels).toEqual([]);
  });
  test("after the end changes nothing", async () => {
    const { model, fake } = await openReady();
    const stream = model.chatStream(USER);
    await readAll(stream);
    stream.abort();
    stream.abort();
    expect((await stream.result).finishReason).toBe("stop");
    expect(fake.cancels).toEqual([]);
  });
  test("after the engine is done, but before all was read, still stops the consumer", async () => {
    const { model, fake } = await openReady();
    const stream = model.chatStream(USER);
    await settle(20);
    expect(fake.streams[0]!.state).toBe("ended");
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    stream.abort();
    expect(await rejection(iterator.next())).toMatchObject({ code: "ABORTED" });
    expect(fake.cancels).toEqual([]);
  });
});

describe("AbortSignal", () => {
  test("already aborted: rejects with the signal's reason and queues nothing", async () => {
    const { model, fake } = await openReady();
    const reason = new Error("too late");
    expect(await rejection(model.chat(USER, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(await rejection(readAll(model.chatStream(USER, { signal: AbortSignal.abort() })))).toMatchObject({ name: "AbortError" });
    expect(fake.streams).toHaveLength(0);
  });
  test.each(["loading", "queued", "decoding", "parked"])("aborted while %s: rejects with the signal's reason", async (stage) => {
    const { model, fake } = openFake({ load: "manual", script: endless }, { maxStreams: 1 });
    if (stage !== "loading") fake.becomeReady();
    if (stage === "queued") model.chatStream(USER);
    const controller = new AbortController();
    const stream = model.chatStream(USER, { signal: controller.signal, highWaterMark: 3 });
    const iterator = stream[Symbol.asyncIterator]();
    if (stage === "decoding") await iterator.next();
    await settle(20);
    if (stage === "parked") expect(model.stats().parked).toBe(1);
    if (stage === "queued") expect(model.stats().queued).toBe(1);
    const reason = new Error(`while ${stage}`);
    controller.abort(reason);
    expect(await rejection(iterator.next())).toBe(reason);
    expect(await rejection(stream.result)).toBe(reason);
    await settle();
    expect(fake.streams.filter((one) => one.state !== "ended").length).toBe(stage === "queued" ? 1 : 0);
  });
  test.each([
    ["is read to its end", async (stream: AsyncIterable<string>) => void (await readAll(stream))],
    [
      "is left",
      async (stream: AsyncIterable<string>) => {
        for await (const _ of stream) break;
      },
    ],
  ])("is let go of when the stream %s", async (_, use) => {
    const { model } = await openReady();
    const { signal } = new AbortController();
    const add = vi.spyOn(signal, "addEventListener");
    const remove = vi.spyOn(signal, "removeEventListener");
    await use(model.chatStream(USER, { signal }));
    expect(add).toHaveBeenCalledTimes(1);
    expect(remove).toHaveBeenCalledWith("abort", add.mock.calls[0]![1]);
  });
});

describe("await using", () => {
  test("cancels at the end of the block", async () => {
    const { model, fake } = await openReady({ script: endless });
    {
      await using stream = model.chatStream(USER);
      await stream[Symbol.asyncIterator]().next();
    }
    expect(fake.cancels).toEqual([1]);
  });
  test("leaves a stream that has ended alone", async () => {
    const { model, fake } = await openReady();
    {
      await using stream = model.chatStream(USER);
      await readAll(stream);
    }
    expect(fake.cancels).toEqual([]);
  });
});

describe("events()", () => {
  test("progress, text, then finish with usage and timings; nothing after it", async () => {
    const progress = { processedTokens: 3, promptTokens: 7, cachedTokens: 0 };
    const { model } = await openReady(script({ progress }, "a", "b"));
    const events = await readAll(model.chatStream(USER, { seed: 1 }).events());
    expect(events).toEqual([
      { type: "progress", ...progress },
      { type: "text", text: "a" },
      { type: "text", text: "b" },
      expect.objectContaining({
        type: "finish",
        reason: "stop",
        seed: 1,
        usage: expect.anything() as unknown,
        timings: expect.anything() as unknown,
      }),
    ]);
  });
  test("progress is not text: other consumers do not see it", async () => {
    const progress = { processedTokens: 3, promptTokens: 7, cachedTokens: 0 };
    const { model } = await openReady(script({ progress }, "a"));
    expect(await readAll(model.chatStream(USER))).toEqual(["a"]);
    expect((await model.chat(USER)).text).toBe("a");
  });
  test("text is grouped there too, and the last group comes before finish", async () => {
    const { model } = await openReady(script("a", "b", "c"));
    const events: StreamEvent[] = await readAll(model.chatStream(USER, { chunkSize: 2 }).events());
    expect(events.map((one) => (one.type === "text" ? one.text : one.type))).toEqual(["ab", "c", "finish"]);
  });
  test("break cancels", async () => {
    const { model, fake } = await openReady({ script: endless });
    for await (const event of model.chatStream(USER).events()) if (event.type === "text") break;
    expect(fake.cancels).toEqual([1]);
  });
  test("an abort gives no finish event", async () => {
    const { model } = await openReady({ script: endless });
    const stream = model.chatStream(USER);
    const seen: string[] = [];
    const loop = async () => {
      for await (const event of stream.events()) {
        seen.push(event.type);
        if (seen.length === 3) stream.abort();
      }
    };
    expect(await rejection(loop())).toMatchObject({ code: "ABORTED" });
    expect(seen).toEqual(["text", "text", "text"]);
  });
});

describe("toReadableStream()", () => {
  test("is a web stream of the text", async () => {
    const { model } = await openReady();
    const web = model.chatStream(USER).toReadableStream();
    expect(web).toBeInstanceOf(ReadableStream);
    expect(await readAll(web)).toEqual(STORY);
  });
  test("reads only on demand: an unread one parks at highWaterMark", async () => {
    const { model, fake } = await openReady({ script: endless });
    const web = model.chatStream(USER, { highWaterMark: 4 }).toReadableStream();
    await settle(30);
    expect(fake.streams[0]!.delivered).toBe(4);
    await web.cancel();
    expect(fake.cancels).toEqual([1]);
  });
  test("fails with the stream's error", async () => {
    const { model } = await openReady(script("a", { error: { code: "STALLED", message: "x" } }));
    expect(await rejection(readAll(model.chatStream(USER).toReadableStream()))).toMatchObject({ code: "STALLED" });
  });
});

describe("streamCallback", () => {
  test("sees every chunk, and the reply follows", async () => {
    const { model } = await openReady();
    const seen: string[] = [];
    const reply = await model.chat(USER, { streamCallback: (text) => seen.push(text) });
    expect(seen).toEqual(STORY);
    expect(reply.text).toBe(TEXT);
  });
  test("a callback that throws ends the stream with that error, and cancels", async () => {
    const { model, fake } = await openReady({ script: endless });
    const error = new Error("mine");
    let calls = 0;
    const streamCallback = () => {
      if (++calls === 3) throw error;
    };
    expect(await rejection(model.chat(USER, { streamCallback }))).toBe(error);
    await settle();
    expect(calls).toBe(3);
    expect(fake.cancels).toEqual([1]);
    expect(fake.streams[0]!.state).toBe("ended");
  });
  test("a promise that rejects ends the stream with that error, and cancels", async () => {
    const { model, fake } = await openReady({ script: endless });
    const error = new Error("mine");
    expect(await rejection(model.chat(USER, { streamCallback: () => Promise.reject(error) }))).toBe(error);
    expect(fake.cancels).toEqual([1]);
  });
  test("a promise that it returns is awaited before the next call, and that is backpressure", async () => {
    const { model, fake } = await openReady({ script: endless });
    const releases: (() => void)[] = [];
    const streamCallback = () => new Promise<void>((resolve) => releases.push(resolve));
    const stream = model.chatStream(USER, { streamCallback, highWaterMark: 4 });
    await settle(30);
    expect(releases).toHaveLength(1);
    expect(fake.streams[0]!.delivered).toBeLessThanOrEqual(5);
    releases[0]!();
    await settle(30);
    expect(releases).toHaveLength(2);
    stream.abort();
    expect(await rejection(stream.result)).toMatchObject({ code: "ABORTED" });
  });
  test("the reply resolves only after the last promise", async () => {
    const { model } = await openReady(script("a"));
    let done = false;
    const streamCallback = async () => {
      await settle(20);
      done = true;
    };
    await model.chat(USER, { streamCallback });
    expect(done).toBe(true);
  });
  test("may abort its own stream", async () => {
    const { model } = await openReady({ script: endless });
    const controller = new AbortController();
    const seen: string[] = [];
    const streamCallback = (text: string) => {
      seen.push(text);
      controller.abort(new Error("enough"));
    };
    expect(await rejection(model.chat(USER, { streamCallback, signal: controller.signal }))).toMatchObject({ message: "enough" });
    expect(seen).toEqual([" 0"]);
  });
  test("gets its text in chunks when asked to", async () => {
    const { model } = await openReady();
    const seen: string[] = [];
    await model.chat({ messages: USER, stream_callback: (text) => seen.push(text), chunk_by: "word" });
    expect(seen).toEqual(["Once", " upon", " a", " time,", " a", " fox", " ran."]);
  });
});

describe("credits", () => {
  test.each([1, 2, 3, 5, 64])(
    "highWaterMark %i: a stream that is read never stops, one that is not is never further ahead",
    async (highWaterMark) => {
      const pieces = Array.from({ length: 200 }, (_, i) => ` ${i}`);
      const { model, fake } = await openReady({ script: () => pieces });
      const stream = model.chatStream(USER, { highWaterMark });
      await settle(100);
      expect(fake.streams[0]!.delivered).toBe(highWaterMark);
      expect(await readAll(stream)).toEqual(pieces);
      expect(fake.streams[0]!.maxOutstanding).toBeLessThanOrEqual(highWaterMark);
    },
  );
  test("are given back in portions, not one by one", async () => {
    const pieces = Array.from({ length: 320 }, (_, i) => ` ${i}`);
    const { model, fake } = await openReady({ script: () => pieces });
    await readAll(model.chatStream(USER));
    expect(fake.acks).toHaveLength(10);
    expect(fake.acks.every((one) => one.tokens === 32)).toBe(true);
  });
  test("a sentence longer than highWaterMark does not stop its own stream", async () => {
    const words = Array.from({ length: 50 }, () => " word");
    const { model } = await openReady({ script: () => [...words, ". ", "Next", " one."] });
    expect(await readAll(model.chatStream(USER, { chunkBy: "sentence", highWaterMark: 2 }))).toEqual([`${words.join("")}. `, "Next one."]);
  });
  test("a piece of more tokens than highWaterMark passes", async () => {
    const { model } = await openReady(script({ text: "👨‍👩‍👧", tokens: 9 }, { text: "!", tokens: 1 }, "."));
    expect(await readAll(model.chatStream(USER, { highWaterMark: 1 }))).toEqual(["👨‍👩‍👧", "!", "."]);
  });
});

describe("chunkMaxDelayMs", () => {
  test("held text is given out after the delay", async () => {
    const { model, fake } = await openReady({ manualSteps: true, script: () => ["Once", " upon", " a time."] });
    const iterator = model.chatStream(USER, { chunkBy: "sentence", chunkMaxDelayMs: 20 })[Symbol.asyncIterator]();
    const first = iterator.next();
    fake.step();
    fake.step();
    expect((await first).value).toBe("Once upon");
    const second = iterator.next();
    fake.step();
    expect((await second).value).toBe(" a time.");
    fake.step();
    expect((await iterator.next()).done).toBe(true);
  });
  test("works with a callback, too", async () => {
    const { model, fake } = await openReady({ manualSteps: true, script: () => ["Once", " upon"] });
    const seen: string[] = [];
    const reply = model.chat(USER, { chunkBy: "sentence", chunkMaxDelayMs: 10, streamCallback: (text) => seen.push(text) });
    fake.step();
    await vi.waitFor(() => expect(seen).toEqual(["Once"]));
    fake.step();
    fake.step();
    expect((await reply).text).toBe("Once upon");
  });
  test("is off by default: held text waits for its group", async () => {
    const { model, fake } = await openReady({ manualSteps: true, script: () => ["Once", " upon"] });
    const seen: string[] = [];
    void model.chat(USER, { chunkBy: "sentence", streamCallback: (text) => seen.push(text) });
    fake.step();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(seen).toEqual([]);
  });
});

describe("a stream that is dropped unread", () => {
  test("is cancelled when it is collected; one that is waited for is not", async () => {
    const collect = exposeGc();
    const { model, fake } = await openReady({ script: endless });
    (() => void model.chatStream(USER))();
    (() => void model.chatStream(USER)[Symbol.asyncIterator]().next())();
    const kept = model.chatStream(USER);
    const result = model.chat(USER, { maxTokens: 500, streamCallback: () => new Promise((resolve) => setTimeout(resolve, 1)) });
    await vi.waitFor(
      async () => {
        collect();
        await settle();
        expect(fake.cancels.toSorted()).toEqual([1, 2]);
      },
      { timeout: 5000 },
    );
    expect((await result).finishReason).toBe("length");
    kept.abort();
  });
});
