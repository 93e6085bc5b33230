// Resumable streams: whatever is dropped wherever, the text is that of an undisturbed stream, byte for byte.

import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";

import { createHandler } from "../../lib/http/index.js";
import type { EngineOptions } from "../../lib/types.js";
import { GREEDY, idle, json, LONG, listen, open, post, serveApp, serveModel, sleep, stream, until } from "./helpers.js";
import { parseStrictly } from "./strict-sse.js";

const RESUMABLE = { stream: true, stream_options: { resumable: true } };

/** A client that is cut off at given numbers of bytes and comes back each time. Returns all that it took as whole events. */
async function readWithDrops(base: string, body: object, cuts: number[], pauseMs = 0): Promise<string> {
  let taken = "";
  let lastId: string | undefined;
  let id: string | undefined;
  for (let attempt = 0; ; attempt++) {
    const leaving = new AbortController();
    const { signal } = leaving;
    const response =
      id === undefined
        ? await post(`${base}/v1/chat/completions`, { ...RESUMABLE, ...body }, { signal })
        : await fetch(`${base}/v1/streams/${id}`, { signal, headers: lastId === undefined ? {} : { "last-event-id": lastId } });
    expect(response.status).toBe(200);
    let text = "";
    const limit = cuts[attempt] ?? Number.POSITIVE_INFINITY;
    try {
      const decoder = new TextDecoder();
      for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
        // Only so many bytes "arrive": the rest is lost with the connection.
        text += decoder.decode(bytes, { stream: true });
        if (text.length >= limit) {
          text = text.slice(0, limit);
          leaving.abort();
          break;
        }
      }
    } catch {
      // our own abort
    }
    // An SSE client takes whole events and forgets the rest.
    const whole = text.slice(0, text.lastIndexOf("\n\n") + 2 || 0).replace(/(?<!^id: \d+\n)^data: .*"content":"".*\n\n/gm, "");
    taken += text.includes("\n\n") ? whole : "";
    if (taken.endsWith("data: [DONE]\n\n")) return taken;
    if (attempt > cuts.length) throw new Error(`read to its end, the stream has none: ${taken.slice(-300)}`);
    const ids = [...taken.matchAll(/^id: (\d+)$/gm)];
    lastId = ids.at(-1)?.[1];
    id ??= /"id":"(chatcmpl-\w+)"/.exec(text)?.[1];
    if (id === undefined) throw new Error("the first connection was cut before the stream's id was there");
    await sleep(pauseMs);
  }
}

test("events are numbered from 1, also the last ones, and the rest is the same stream", async () => {
  const { url } = await serveModel();
  const plain = await stream(url, GREEDY);
  const { ids, texts, chunks } = await stream(url, { ...GREEDY, ...RESUMABLE }, { ids: true });
  expect(ids).toEqual(Array.from({ length: chunks.length + 1 }, (_, i) => i + 1));
  expect(texts).toEqual(plain.texts);
});

describe("dropped at any place", () => {
  test("the text is byte for byte that of an undisturbed stream", async () => {
    const { url, base } = await serveApp({}, { heartbeatMs: 5 });
    const plain = await stream(url, { ...GREEDY, ...RESUMABLE }, { ids: true });
    for (const cuts of [[300], [300, 1, 1, 1], [251, 500, 1000, 17, 400], [2000, 0, 3000], Array.from({ length: 30 }, () => 450)]) {
      const taken = await readWithDrops(base, GREEDY, cuts);
      const { ids, texts } = parseStrictly(taken, { ids: true });
      expect(ids).toEqual(plain.ids);
      expect(texts).toEqual(plain.texts);
    }
  });

  test("also at random places, as often as it likes, while others are read", async () => {
    const seed = Number(process.env.ZSE_TEST_SEED ?? Date.now() % 1e6);
    console.log(`ZSE_TEST_SEED=${seed}`);
    let random = (seed % 2_147_483_646) + 1;
    const next = (most: number) => Math.floor(((random = (random * 48_271) % 2_147_483_647) / 2_147_483_647) * most);
    const { url, base, model } = await serveApp({ deterministic: true }, { heartbeatMs: 3, resumable: { maxEvents: 64, maxUnread: 12 } });
    const body = { ...LONG, max_tokens: 150 };
    const plain = await stream(url, { ...body, ...RESUMABLE }, { ids: true });
    const reading = Array.from({ length: 12 }, async () => {
      const cuts = [300 + next(500), ...Array.from({ length: next(60) }, () => next(next(2) === 0 ? 40 : 3000))];
      const { ids, texts } = parseStrictly(await readWithDrops(base, body, cuts, next(3)), { ids: true });
      expect(ids).toEqual(plain.ids);
      expect(texts).toEqual(plain.texts);
    });
    await Promise.all(reading);
    await until(() => idle(model, 4), "all slots are free");
  });

  test("also long after the reply's end, and again from the beginning", async () => {
    const { url, base, model } = await serveApp();
    const plain = await stream(url, { ...GREEDY, ...RESUMABLE }, { ids: true });
    const id = plain.chunks[0]!.id;
    await until(() => idle(model, 4), "it is over");
    const again = await fetch(`${base}/v1/streams/${id}`);
    expect(again.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(parseStrictly(await again.text(), { ids: true }).texts).toEqual(plain.texts);
    const end = await fetch(`${base}/v1/streams/${id}`, { headers: { "last-event-id": String(plain.ids.at(-1)) } });
    expect(await end.text()).toBe("");
  });

  test("n choices, too", async () => {
    const { base } = await serveApp();
    const body = { ...GREEDY, n: 2, temperature: 1, seed: 5 };
    const { ids, texts } = parseStrictly(await readWithDrops(base, body, [600, 700, 800]), { ids: true });
    expect(texts.length).toBe(2);
    expect(ids).toEqual(ids.map((_, i) => i + 1));
  });
});

async function begin(url: string, body: object): Promise<{ id: string; leave: () => void }> {
  const leaving = new AbortController();
  const response = await post(url, { ...RESUMABLE, ...body }, { signal: leaving.signal });
  const { value } = await response.body!.getReader().read();
  return { id: /"id":"(chatcmpl-\w+)"/.exec(new TextDecoder().decode(value))![1]!, leave: () => leaving.abort() };
}

describe("a client that leaves", () => {
  test("does not cancel; the reply goes on to its end, and DELETE cancels", async () => {
    const { url, base, model } = await serveApp({ maxStreams: 2 });
    const first = await begin(url, { ...LONG, max_tokens: 100 });
    first.leave();
    await until(() => idle(model, 2), "it has ended by itself");
    const rest = parseStrictly(await (await fetch(`${base}/v1/streams/${first.id}`)).text(), { ids: true });
    expect(rest.chunks.at(-1)!.usage!.completion_tokens).toBe(100);

    const second = await begin(url, LONG);
    second.leave();
    const gone = await fetch(`${base}/v1/streams/${second.id}`, { method: "DELETE" });
    expect(await json(gone)).toMatchObject({ id: second.id, deleted: true });
    await until(() => idle(model, 2), "it is cancelled");
    expect((await fetch(`${base}/v1/streams/${second.id}`)).status).toBe(404);
    expect((await fetch(`${base}/v1/streams/${second.id}`, { method: "DELETE" })).status).toBe(404);
  });

  test("for longer than streams are kept finds it cancelled and gone", async () => {
    const { url, base, model } = await serveApp({ maxStreams: 1 }, { resumable: { keepMs: 100, maxEvents: 64 } });
    const { id, leave } = await begin(url, LONG);
    leave();
    await until(() => idle(model, 1), "it is cancelled");
    expect((await fetch(`${base}/v1/streams/${id}`)).status).toBe(404);
  });
});

describe("bounds", () => {
  test("the reply parks when the buffer is full and nobody reads, and goes on when someone does", async () => {
    const { url, base, model } = await serveApp({ maxStreams: 1 }, { resumable: { maxEvents: 64 } });
    const { id, leave } = await begin(url, { ...LONG, max_tokens: 300 });
    leave();
    await until(() => model.stats().parked === 1, "it parks");
    // It may park before the buffer is full, too, while this thread is slow to read.
    for (let before = -1; before !== model.stats().generatedTokens; await sleep(200)) before = model.stats().generatedTokens;
    expect(model.stats()).toMatchObject({ parked: 1 });
    expect(model.stats().generatedTokens).toBeLessThan(300);
    // It read the first events; what was behind them is still there.
    const rest = await fetch(`${base}/v1/streams/${id}`);
    const { done, chunks } = parseStrictly(await rest.text(), { ids: true });
    expect(done).toBe(true);
    expect(chunks.at(-1)!.usage!.completion_tokens).toBe(300);
  });

  test("events that are no longer kept are a 410, numbers that never were a 400", async () => {
    const { url, base } = await serveApp({}, { resumable: { maxEvents: 8 } });
    const { chunks } = await stream(url, { ...LONG, max_tokens: 400, ...RESUMABLE }, { ids: true });
    const { id } = chunks[0]!;
    expect((await fetch(`${base}/v1/streams/${id}`)).status).toBe(410);
    for (const bad of ["100000", "x", "-1"]) {
      expect((await fetch(`${base}/v1/streams/${id}`, { headers: { "last-event-id": bad } })).status).toBe(400);
    }
  });

  test("only so many streams are kept; ended ones make room", async () => {
    const { url, lines } = await serveApp({}, { resumable: { maxStreams: 1 } });
    for (let i = 0; i < 3; i++) await stream(url, { ...GREEDY, ...RESUMABLE }, { ids: true });
    await begin(url, LONG);
    expect((await post(url, { ...GREEDY, ...RESUMABLE })).status).toBe(429);
    expect(lines.at(-1)).toMatchObject({ status: 429, msg: "refused" });
    expect((await post(url, GREEDY)).status).toBe(200);
  });
});

test("heartbeatMs: 0 is never, for a resumable stream too", async () => {
  const { url, model } = await serveApp({ maxStreams: 1 }, { heartbeatMs: 0 });
  const first = await begin(url, LONG); // it has the only slot
  const waiting = new AbortController();
  const response = await post(url, { ...RESUMABLE, ...GREEDY }, { signal: waiting.signal });
  let text = "";
  const reading = (async () => {
    for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) text += new TextDecoder().decode(bytes);
  })().catch(() => {});
  await sleep(200);
  first.leave();
  waiting.abort();
  await reading;
  expect(text).toContain('"role":"assistant"');
  expect(text).not.toMatch(/(?<!^id: \d+\n)^data: /m);
  await model.close();
});

describe("replies whose clients have left", () => {
  const crowd = async (promptCache: EngineOptions["promptCache"]) => {
    const { url, base, model } = await serveApp({
      maxStreams: 4,
      contextSize: 4096,
      ...(promptCache === undefined ? {} : { promptCache }),
    });
    const begun = await Promise.all(Array.from({ length: 8 }, () => begin(url, { ...LONG, n: 8 })));
    begun[0]!.leave();
    await sleep(100); // the server sees it leave before the others
    for (const one of begun) one.leave();
    return { url, base, model, begun };
  };

  test.each([
    ["whose slots are lent", undefined],
    ["whose slots cannot be lent", { ram: 0 }],
  ])("and of which one holds 8 streams of 4,096 tokens, %s, do not keep an honest one waiting", async (_, promptCache) => {
    const { url, base, model, begun } = await crowd(promptCache);
    const before = model.stats().generatedTokens;
    expect((await post(url, { ...GREEDY, max_tokens: 1 })).status).toBe(200);
    // What one client may hold comes first, for a few credits each; all of it would be 64 times 4,096.
    expect(model.stats().generatedTokens - before).toBeLessThan(promptCache === undefined ? 8 * 1024 : 4 * 4096 * 4);
    // Whoever comes back is told, after what there was.
    const first = await fetch(`${base}/v1/streams/${begun[0]!.id}`);
    expect(parseStrictly(await first.text(), { ids: true })).toMatchObject({ done: false, error: { code: "gave_way" } });
  });

  test("run to their end while nobody waits", async () => {
    const { url, base, model } = await serveApp({ maxStreams: 4, contextSize: 512 });
    const begun = await Promise.all(Array.from({ length: 4 }, () => begin(url, { ...LONG, max_tokens: 200 })));
    for (const one of begun) one.leave();
    await until(() => idle(model, 4), "they have ended");
    for (const { id } of begun) {
      const { done, chunks } = parseStrictly(await (await fetch(`${base}/v1/streams/${id}`)).text(), { ids: true });
      expect([done, chunks.at(-1)!.usage!.completion_tokens]).toEqual([true, 200]);
    }
  });
});

test("two readers of one stream: the newer one has it", async () => {
  const { url, base } = await serveApp();
  const leaving = new AbortController();
  const first = await post(url, { ...RESUMABLE, ...LONG, max_tokens: 200 }, { signal: leaving.signal });
  const reader = first.body!.getReader();
  const { value } = await reader.read();
  const id = /"id":"(chatcmpl-\w+)"/.exec(new TextDecoder().decode(value))![1]!;
  const second = await fetch(`${base}/v1/streams/${id}`);
  expect(parseStrictly(await second.text(), { ids: true }).done).toBe(true);
  // The older one is told: a stream that just ends would look whole.
  const rest = await readOn(reader, value!);
  expect(parseStrictly(rest, { ids: true })).toMatchObject({ done: false, error: { code: "stream_taken_over" } });
});

test("HEAD says that a stream is there, and takes it from nobody", async () => {
  const { url, base } = await serveApp();
  const response = await post(url, { ...RESUMABLE, ...LONG, max_tokens: 200 });
  const reader = response.body!.getReader();
  const { value } = await reader.read();
  const { id } = /"id":"(?<id>chatcmpl-\w+)"/.exec(new TextDecoder().decode(value))!.groups!;
  const head = await fetch(`${base}/v1/streams/${id}`, { method: "HEAD" });
  expect([head.status, head.headers.get("content-type")]).toEqual([200, "text/event-stream; charset=utf-8"]);
  expect((await fetch(`${base}/v1/streams/none`, { method: "HEAD" })).status).toBe(404);
  expect(parseStrictly(await readOn(reader, value!), { ids: true }).done).toBe(true);
});

describe("a stream that has ended", () => {
  test.each(["nodeHandler", "createHandler", "zse serve"])("is a 204 to who has had its last event (%s)", async (door) => {
    const { url, ask } = await doorOf(door);
    const { chunks, ids } = await stream(url, { ...GREEDY, ...RESUMABLE }, { ids: true });
    const { id } = chunks[0]!;
    const ended = await ask(id, ids.at(-1));
    expect([ended.status, await ended.text(), ended.headers.get("content-type")]).toEqual([204, "", null]);
    const last = await ask(id, ids.at(-2));
    expect([last.status, await last.text()]).toEqual([200, `id: ${ids.at(-1)}\ndata: [DONE]\n\n`]);
  });

  test("is kept for its time alone, however often it is looked at", async () => {
    const { url, base } = await serveApp({}, { resumable: { keepMs: 400 } });
    const { chunks, ids } = await stream(url, { ...GREEDY, ...RESUMABLE }, { ids: true });
    const began = performance.now();
    const statuses = new Set<number>();
    for (let i = 0; i < 40; i++) {
      const headers: Record<string, string> = i % 2 === 0 ? { "last-event-id": `${ids.at(-1)}` } : {};
      const response = await fetch(`${base}/v1/streams/${chunks[0]!.id}`, { headers });
      await response.text();
      statuses.add(response.status);
      if (response.status === 404) break;
      await sleep(50);
    }
    expect([...statuses].sort()).toEqual([200, 204, 404]);
    expect(performance.now() - began).toBeGreaterThan(300);
  });

  /** A server of the kind, and going on with a stream of its. */
  async function doorOf(door: string) {
    const headers = (after: number | undefined) => ({ "last-event-id": `${after}` });
    if (door !== "createHandler") {
      const { url, base } = await (door === "zse serve" ? serveApp() : serveModel());
      return { url, ask: (id: string, after?: number) => fetch(`${base}/v1/streams/${id}`, { headers: headers(after) }) };
    }
    const handler = createHandler(await open());
    const base = await listen((request, response) => {
      const init = { method: "POST", headers: { "content-type": "application/json" }, body: Readable.toWeb(request), duplex: "half" };
      void handler(new Request("http://x/", init as RequestInit)).then(async (answer) => response.end(await answer.text()));
    });
    return { url: base, ask: (id: string, after?: number) => handler(new Request(`http://x/streams/${id}`, { headers: headers(after) })) };
  }
});

test("DELETE tells the reader of the stream, which would take what it has for all of it", async () => {
  const { url, base, model } = await serveApp({ maxStreams: 1 });
  const response = await post(url, { ...RESUMABLE, ...LONG });
  const reader = response.body!.getReader();
  const { value } = await reader.read();
  const id = /"id":"(chatcmpl-\w+)"/.exec(new TextDecoder().decode(value))![1]!;
  expect((await fetch(`${base}/v1/streams/${id}`, { method: "DELETE" })).status).toBe(200);
  expect(parseStrictly(await readOn(reader, value!), { ids: true }).error).toMatchObject({ code: "stream_deleted" });
  await until(() => idle(model, 1), "it is cancelled");
});

test("a reader that takes nothing is cut off after stallTimeoutMs, and the stream is kept for its time alone", async () => {
  const model = await open({ maxStreams: 1 });
  const handler = createHandler(model, { stallTimeoutMs: 100, resumable: { keepMs: 300 } });
  const ask = (body: object) =>
    handler(new Request("http://x/", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }));
  const response = await ask({ ...RESUMABLE, ...GREEDY });
  const reader = response.body!.getReader();
  const { value } = await reader.read();
  const id = /"id":"(chatcmpl-\w+)"/.exec(new TextDecoder().decode(value))![1]!;
  const there = async () => (await handler(new Request(`http://x/streams/${id}`))).status;
  await sleep(200);
  await expect(reader.read()).rejects.toThrow("did not read");
  await sleep(500);
  expect(await there()).toBe(404);
});

/** The whole of a stream of which `begun` was read already. */
async function readOn(reader: ReadableStreamDefaultReader<Uint8Array>, begun: Uint8Array): Promise<string> {
  const decoder = new TextDecoder();
  let text = decoder.decode(begun, { stream: true });
  for (let part = await reader.read(); !part.done; part = await reader.read()) text += decoder.decode(part.value, { stream: true });
  return text;
}
