// The life of streams and models: aborting at every stage, parking, stalling, closing; slots and memory come back.

import { describe, expect, test } from "vitest";

import { ZSE } from "../../lib/zse.js";
import { ask, DEMO, ENDLESS, openModel, openReady, readAll, rejection, sleep, until } from "./helpers.js";

const LONG = "word ".repeat(300);

describe("abort frees the slot, at every stage", () => {
  const free = (model: ZSE) => until(() => model.stats().freeSlots === model.info!.maxStreams && model.stats().queued === 0, "free slots");
  const alive = async (model: ZSE) => expect((await model.chat(ask("Hi"), { maxTokens: 3 })).usage.completionTokens).toBeGreaterThan(0);

  test("loading", async () => {
    const model = openModel({ maxStreams: 1 });
    const stream = model.chatStream(ask("Hi"), ENDLESS);
    stream.abort();
    expect(await rejection(readAll(stream))).toMatchObject({ code: "ABORTED" });
    await model.ready;
    expect(model.stats()).toMatchObject({ queued: 0, freeSlots: 1 });
    await alive(model);
  });
  test("queued", async () => {
    // The first one never parks: a parked stream's slot would be lent to the second.
    const model = await openReady({ maxStreams: 1, contextSize: 4096 });
    const first = model.chatStream(ask("Hi"), { ...ENDLESS, highWaterMark: 65_536 });
    await until(() => model.stats().freeSlots === 0, "the first stream's slot");
    const second = model.chatStream(ask("Hi"), ENDLESS);
    await until(() => model.stats().queued === 1, "the second stream in the queue");
    second.abort();
    expect(await rejection(readAll(second))).toMatchObject({ code: "ABORTED" });
    await until(() => model.stats().queued === 0, "an empty queue");
    first.abort();
    await free(model);
    await alive(model);
  });
  test("prefilling", async () => {
    const model = await openReady({ maxStreams: 2, contextSize: 4096 });
    const controllers = Array.from({ length: 6 }, () => new AbortController());
    const replies = controllers.map(({ signal }) => rejection(model.chat(ask(LONG.repeat(4)), { signal })));
    await until(() => model.stats().prefilling > 0, "a stream that prefills");
    for (const controller of controllers) controller.abort();
    for (const reply of replies) expect(await reply).toMatchObject({ name: "AbortError" });
    await free(model);
    await alive(model);
  });
  test("decoding", async () => {
    const model = await openReady({ maxStreams: 2 });
    const stream = model.chatStream(ask("Hi"), ENDLESS);
    let count = 0;
    const loop = async () => {
      for await (const _ of stream) if (++count === 5) stream.abort(new Error("enough"));
    };
    expect(await rejection(loop())).toMatchObject({ message: "enough" });
    await free(model);
    await alive(model);
  });
  test("decoding, by break: what was read is the reply", async () => {
    const model = await openReady({ maxStreams: 1 });
    const stream = model.chatStream(ask("Hi"), ENDLESS);
    let text = "";
    for await (const piece of stream) {
      text += piece;
      if (text.length > 20) break;
    }
    expect(await stream.result).toMatchObject({ text, finishReason: "cancelled" });
    await free(model);
    await alive(model);
  });
  test("parked", async () => {
    const model = await openReady({ maxStreams: 1 });
    const stream = model.chatStream(ask("Hi"), { ...ENDLESS, highWaterMark: 4 });
    await until(() => model.stats().parked === 1, "a parked stream");
    stream.abort();
    expect(await rejection(readAll(stream))).toMatchObject({ code: "ABORTED" });
    await free(model);
    await alive(model);
  });
  test("many at random moments, over and over", async () => {
    const model = await openReady({ maxStreams: 4, maxQueue: 100 });
    for (let round = 0; round < 5; round++) {
      const streams = Array.from({ length: 20 }, (_, i) =>
        model.chatStream(ask(i % 3 === 0 ? LONG.slice(0, 800) : "Hi"), { ...ENDLESS, maxTokens: 30 }),
      );
      const ends = streams.map((stream) => stream.result.then(() => "whole").catch((error: { code: string }) => error.code));
      for (const stream of streams) {
        if (Math.random() < 0.7) setTimeout(() => stream.abort(), Math.random() * 60);
      }
      for (const end of await Promise.all(ends)) expect(["whole", "ABORTED"]).toContain(end);
      await free(model);
    }
    await alive(model);
  });
});

describe("a consumer that stops reading", () => {
  test("parks its stream at highWaterMark while the others go on", async () => {
    const model = await openReady({ maxStreams: 2 });
    const idle = model.chatStream(ask("Hi"), { ...ENDLESS, highWaterMark: 8 });
    await until(() => model.stats().parked === 1, "the idle stream's parking");
    expect(model.stats().generatedTokens).toBeGreaterThanOrEqual(8);
    expect(model.stats().generatedTokens).toBeLessThanOrEqual(9);
    const other = await model.chat(ask("Hi"), { ...ENDLESS, maxTokens: 100 });
    expect(other.usage.completionTokens).toBe(100);
    expect(model.stats()).toMatchObject({ parked: 1 });
    expect(model.stats().generatedTokens).toBeLessThanOrEqual(109);
    idle.abort();
  });
  test("goes on where it was, and loses nothing", async () => {
    const model = await openReady({ maxStreams: 1, deterministic: true });
    const options = { ...ENDLESS, maxTokens: 60 };
    const whole = (await model.chat(ask("Tell me a story"), options)).text;
    for (const highWaterMark of [1, 2, 5]) {
      const stream = model.chatStream(ask("Tell me a story"), { ...options, highWaterMark });
      let text = "";
      for await (const piece of stream) {
        text += piece;
        // However slow the machine is: more tokens are to come than may be unread.
        if (text.length % 3 === 0 && stream.takenTokens < 50) await until(() => model.stats().parked === 1, "the stream's parking");
      }
      expect(text).toBe(whole);
      expect((await stream.result).timings.pausedMs).toBeGreaterThan(0);
    }
  });
  test("for longer than stallTimeoutMs ends its stream with STALLED, after the text that it had", async () => {
    const model = await openReady({ maxStreams: 1 });
    const stream = model.chatStream(ask("Hi"), { ...ENDLESS, highWaterMark: 3, stallTimeoutMs: 100 });
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    expect(await rejection(stream.result)).toMatchObject({ code: "STALLED" });
    await until(() => model.stats().freeSlots === 1, "the slot");
    expect((await iterator.next()).value).not.toBe("");
    const rest = async () => {
      while (!(await iterator.next()).done);
    };
    expect(await rejection(rest())).toMatchObject({ code: "STALLED" });
  });
});

describe("close", () => {
  test("with streams in every state: each ends with CLOSED", async () => {
    const model = await openReady({ maxStreams: 2, contextSize: 2048 });
    const parked = model.chatStream(ask("Hi"), { ...ENDLESS, highWaterMark: 2 });
    await until(() => model.stats().parked === 1, "a parked stream");
    const replies = [ask("Hi"), ask(LONG), ask("Hi")].map((messages) => rejection(model.chat(messages, ENDLESS)));
    await sleep(20);
    await model.close();
    for (const reply of replies) expect(await reply).toMatchObject({ code: "CLOSED" });
    expect(await rejection(readAll(parked))).toMatchObject({ code: "CLOSED" });
    expect(await rejection(model.chat(ask("Hi")))).toMatchObject({ code: "CLOSED" });
    await model.close();
  });
  test("while loading", async () => {
    for (let i = 0; i < 10; i++) {
      const model = new ZSE(DEMO, { contextSize: 256, threads: 1 });
      const reply = rejection(model.chat(ask("Hi")));
      await sleep(i);
      await model.close();
      const error = (await reply.catch(() => undefined)) as { code?: string } | undefined;
      if (error !== undefined) expect(error.code).toBe("CLOSED");
    }
  });
  test("right after aborting", async () => {
    const model = await openReady({ maxStreams: 1 });
    const stream = model.chatStream(ask("Hi"), ENDLESS);
    await until(() => model.stats().decoding === 1, "a decoding stream");
    stream.abort();
    await model.close();
  });
});

test("several models at once do not know of each other", async () => {
  const models = await Promise.all(Array.from({ length: 3 }, () => openReady({ threads: 1, maxStreams: 2 })));
  const alone = (await models[0]!.chat(ask("Tell me a story"), { temperature: 0, maxTokens: 40 })).text;
  const replies = models.map((model) => model.chat(ask("Tell me a story"), { temperature: 0, maxTokens: 40 }));
  const closed = rejection(replies[1]!);
  await models[1]!.close();
  expect(await closed).toMatchObject({ code: "CLOSED" });
  expect((await replies[0])!.text).toBe(alone);
  expect((await replies[2])!.text).toBe(alone);
});

test("200 open/close cycles do not grow memory", async () => {
  const cycle = async () => {
    const model = new ZSE(DEMO, { contextSize: 256, maxStreams: 1, threads: 1 });
    await model.chat(ask("Hi"), { maxTokens: 2 });
    await model.close();
  };
  const memory = () => {
    (globalThis as { gc?: () => void }).gc?.();
    return process.memoryUsage().rss / 2 ** 20;
  };
  for (let i = 0; i < 40; i++) await cycle();
  const before = memory();
  for (let i = 0; i < 160; i++) await cycle();
  const grown = memory() - before;
  // One leaked model would be 3 MB of weights or more, a cycle: 160 of them are hundreds.
  expect(grown).toBeLessThan(60);
}, 180_000);
