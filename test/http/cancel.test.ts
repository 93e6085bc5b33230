// Leaving: a client that hangs up ends its reply within one decode step, in every state, behind nodeHandler and under zse serve. Not
// "its slot comes free" alone, which it would some day anyhow: the engine's own counters say what was still computed.

import { channel } from "node:diagnostics_channel";
import { createServer } from "node:http";
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { nodeHandler } from "../../lib/http/index.js";
import type { EngineOptions, EngineStats } from "../../lib/types.js";
import type { ZSE } from "../../lib/zse.js";
import { idle, LONG, listen, open, post, STORY, serveApp, serveModel, sleep, until } from "./helpers.js";

const SERVERS: [string, (engine: EngineOptions, heartbeatMs?: number) => Promise<{ url: string; model: ZSE }>][] = [
  ["nodeHandler", (engine, heartbeatMs = 15_000) => serveModel(engine, { heartbeatMs })],
  ["zse serve", (engine, heartbeatMs = 15_000) => serveApp(engine, { heartbeatMs })],
];

/** Some 3,500 tokens: seven steps and more. */
const LONG_PROMPT = [{ role: "user", content: "one two three four five six seven ".repeat(500) }];
const ROOMY = { maxStreams: 1, contextSize: 4096 };

/** The engine's counters at the moment in which the server sees a connection close, before anybody is told. */
let atClose: EngineStats | undefined;
let watched: ZSE;
const onRequest = (message: unknown) => {
  (message as { socket: Socket }).socket.prependOnceListener("close", () => {
    atClose = watched.stats();
  });
};
function watch(model: ZSE): void {
  watched = model;
  atClose = undefined;
  channel("http.server.request.start").subscribe(onRequest);
}
afterEach(() => void channel("http.server.request.start").unsubscribe(onRequest));

/** The step that runs when the cancel arrives may come to its end, and one may have ended since the counters were read. */
const STEPS = 2;

async function left(model: ZSE, state: "queued" | "prefilling" | "decoding" | "parked"): Promise<EngineStats> {
  await until(() => atClose !== undefined, "the server sees it");
  await until(() => model.stats()[state] === 0, `nothing is ${state}`);
  const before = atClose!;
  const now = model.stats();
  await sleep(50);
  expect(model.stats()).toEqual(now); // and that was all
  return {
    ...now,
    steps: now.steps - before.steps,
    abortedSteps: now.abortedSteps - before.abortedSteps,
    generatedTokens: now.generatedTokens - before.generatedTokens,
    prefilledTokens: now.prefilledTokens - before.prefilledTokens,
  };
}

// Steps of this model take less than a millisecond: where other programs keep this thread from the processor for a few, more of them
// pass between "close" and the cancel that it makes. A server that is late by itself is so every time.
describe.each(SERVERS)("%s: a client that leaves", { retry: 4 }, (_, serve) => {
  test("while queued: nothing of its request is ever computed", async () => {
    const { url, model } = await serve({ maxStreams: 1, contextSize: 1024, promptCache: { ram: 0 } }); // a slot is not lent then
    const busy = model.chatStream(STORY.messages, { ignoreEos: true, highWaterMark: 1 });
    await until(() => model.stats().parked === 1, "the slot is taken");
    watch(model);
    const leaving = new AbortController();
    const response = await post(url, { ...LONG, stream: true }, { signal: leaving.signal });
    expect([response.status, model.stats().queued]).toEqual([200, 1]);
    leaving.abort();
    expect(await left(model, "queued")).toMatchObject({ steps: 0, generatedTokens: 0, prefilledTokens: 0, parked: 1 });
    busy.abort();
  });

  test.each([true, false])("while its prompt is read (stream: %s): within a step", async (streaming) => {
    const { url, model } = await serve(ROOMY);
    watch(model);
    const leaving = new AbortController();
    const reply = post(url, { messages: LONG_PROMPT, stream: streaming }, { signal: leaving.signal }).catch(() => undefined);
    await until(() => model.stats().prefilling === 1 && model.stats().prefilledTokens > 0, "its prompt is read");
    leaving.abort();
    const { steps, abortedSteps, prefilledTokens, generatedTokens } = await left(model, "prefilling");
    await reply;
    expect(steps + abortedSteps).toBeLessThanOrEqual(STEPS);
    expect(prefilledTokens).toBeLessThanOrEqual(STEPS * 512);
    expect(generatedTokens).toBe(0);
    expect(model.stats()).toMatchObject({ freeSlots: 1, decoding: 0 });
  });

  test.each([true, false])("while its reply is generated (stream: %s): within a step", async (streaming) => {
    const { url, model } = await serve(ROOMY);
    watch(model);
    const leaving = new AbortController();
    const reply = post(url, { ...LONG, stream: streaming }, { signal: leaving.signal }).catch(() => undefined);
    if (streaming) await reply;
    await until(() => model.stats().generatedTokens > 5, "some of it is there");
    leaving.abort();
    const { steps, generatedTokens } = await left(model, "decoding");
    await reply;
    expect(steps).toBeLessThanOrEqual(STEPS);
    expect(generatedTokens).toBeLessThanOrEqual(STEPS);
    expect(model.stats()).toMatchObject({ freeSlots: 1, parked: 0 });
  });

  test("one of n choices' prompts: all choices end", async () => {
    const { url, model } = await serve({ maxStreams: 2, contextSize: 1024 });
    watch(model);
    const leaving = new AbortController();
    await post(url, { ...LONG, n: 3, stream: true }, { signal: leaving.signal });
    await until(() => model.stats().generatedTokens > 5 && model.stats().queued === 1, "two run and one waits");
    leaving.abort();
    expect((await left(model, "decoding")).generatedTokens).toBeLessThanOrEqual(2 * STEPS);
    expect(model.stats()).toMatchObject({ freeSlots: 2, queued: 0 });
  });
});

describe.each(SERVERS)("%s: a client that waits", (_, serve) => {
  const reader = async (url: string, body: object) => {
    const leaving = new AbortController();
    const response = await post(url, { stream: true, ...body }, { signal: leaving.signal });
    const parts = response.body!.getReader();
    const decoder = new TextDecoder();
    const until = async (seen: (text: string) => boolean) => {
      let text = "";
      while (!seen(text)) text += decoder.decode((await parts.read()).value, { stream: true });
      return text;
    };
    return { until, leave: () => leaving.abort() };
  };
  const PING = '"delta":{"content":""}';
  const pings = (text: string) => text.split(PING).length - 1;

  test("in the queue has its headers, and then heartbeats, the first of which says the role", async () => {
    const { url, model } = await serve({ maxStreams: 1, promptCache: { ram: 0 } }, 40);
    const busy = model.chatStream(STORY.messages, { ignoreEos: true, highWaterMark: 1 });
    await until(() => model.stats().parked === 1, "the slot is taken");
    const waiting = await reader(url, LONG);
    const seen = await waiting.until((text) => pings(text) >= 3);
    expect(seen.startsWith('data: {"id":"chatcmpl-')).toBe(true);
    expect(seen.indexOf('"role":"assistant"')).toBeLessThan(seen.indexOf(PING));
    expect(seen).not.toMatch(/"content":"[^"]|^:/m);
    expect(model.stats()).toMatchObject({ queued: 1, prefilling: 0 });
    waiting.leave();
    busy.abort();
  });

  test("for its prompt to be read has heartbeats, the first of which says the role, until the first text", async () => {
    const { url, model } = await serve(ROOMY, 2);
    const waiting = await reader(url, { messages: LONG_PROMPT, max_tokens: 2, temperature: 0 });
    const seen = await waiting.until((text) => /"content":"[^"]/.test(text) || text.includes('"finish_reason":"'));
    const before = seen.slice(0, seen.search(/"content":"[^"]|"finish_reason":"/));
    expect(before.indexOf('"role":"assistant"')).toBeLessThan(before.indexOf(PING));
    expect(pings(before)).toBeGreaterThan(1);
    expect(model.stats().prefilledTokens).toBeGreaterThan(3000);
    waiting.leave();
  });
});

describe.each(SERVERS)("%s: requests that wait behind another one on their connection", (_, serve) => {
  const text = JSON.stringify({ ...LONG, stream: true });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}`;
  const REQUEST = `${head}\r\n\r\n${text}`;
  const connectTo = async (url: string, requests: number) => {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    socket.on("error", () => {}).on("data", () => {});
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.write(REQUEST.repeat(requests));
    return socket;
  };

  test.each<[string, (socket: Socket) => void]>([
    ["closed", (socket) => socket.destroy()],
    ["reset", (socket) => socket.resetAndDestroy()],
    ["closed in one direction", (socket) => socket.end()],
  ])("end with the connection: %s", async (_, close) => {
    const { url, model } = await serve({ maxStreams: 2, contextSize: 1024 });
    const socket = await connectTo(url, 6);
    await until(() => {
      const { queued, prefilling, decoding, parked } = model.stats();
      return queued + prefilling + decoding + parked >= 6;
    }, "all are open");
    close(socket);
    await until(() => idle(model, 2), "all slots are free");
    socket.destroy();
    expect((await post(url, { ...STORY, max_tokens: 1 })).status).toBe(200);
  });

  test("are answered one after the other while it is there", async () => {
    const { url, model } = await serve({ maxStreams: 2 });
    const short = JSON.stringify({ ...STORY, max_tokens: 3 });
    const socket = await connectTo(url, 0);
    let answers = "";
    socket.setEncoding("utf8").on("data", (part: string) => {
      answers += part;
    });
    socket.write(`${head.replace(/\d+$/, String(Buffer.byteLength(short)))}\r\n\r\n${short}`.repeat(20));
    await until(() => answers.split("HTTP/1.1 200").length === 21, "20 answers");
    socket.destroy();
    await until(() => idle(model, 2), "all slots are free");
  });
});

test("a server that closes its connections ends what waits in them", async () => {
  const model = await open({ maxStreams: 1 });
  const server = createServer(nodeHandler(model));
  const base = await listen(server);
  const { hostname, port } = new URL(base);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => {}).on("data", () => {});
  const text = JSON.stringify({ ...LONG, stream: true });
  socket.write(
    `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`.repeat(
      4,
    ),
  );
  await until(() => model.stats().queued + model.stats().parked + model.stats().decoding >= 4, "all are open");
  server.close();
  server.closeAllConnections();
  await until(() => idle(model, 1), "all slots are free");
});
