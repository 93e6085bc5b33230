// What a full server says to who asks for a reply, however the request comes; everything else is answered as ever.

import { connect, type Socket } from "node:net";
import { describe, expect, test } from "vitest";

import type { ZSE } from "../../lib/zse.js";
import { GREEDY, post, STORY, serveApp, sleep, until } from "./helpers.js";

const BODY = JSON.stringify(GREEDY);
const request = (more = "", body = BODY) =>
  `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;
/** After it the server closes the connection. */
const lastRequest = () => request("Connection: close\r\n");

/** A stream that nobody holds is cancelled by the garbage collection, and the server is full no longer. */
const held: unknown[] = [];

/** All slots are taken by streams that nobody reads, and the queue is full. */
async function fillUp(model: ZSE): Promise<{ leave: () => void }> {
  const busy = [1, 2].map(() => model.chatStream(STORY.messages, { ignoreEos: true, highWaterMark: 1 }));
  held.push(busy);
  await until(() => {
    const { freeSlots, parked, queued } = model.stats();
    return freeSlots === 0 && parked === 1 && queued === 1;
  }, "full");
  return { leave: () => busy.forEach((one) => void one.abort()) };
}

/** Without room for what a slot holds: a slot that nobody reads is not lent after 50 ms, and the queue stays full. */
const FULL = { maxStreams: 1, maxQueue: 1, promptCache: { ram: 0 } };

async function raw(base: string): Promise<Socket> {
  const { hostname, port } = new URL(base);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  return socket;
}

/** Sends the parts one after the other, and reads what comes until the connection is closed. */
async function exchange(base: string, ...parts: string[]): Promise<string> {
  const socket = await raw(base);
  let text = "";
  socket.setEncoding("latin1").on("data", (part: string) => {
    text += part;
  });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  for (const part of parts) {
    socket.write(part);
    await sleep(5);
  }
  await Promise.race([closed, sleep(15_000)]);
  socket.destroy();
  return text;
}

const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));

describe("of a full server", () => {
  test("a refusal is a whole response: status, retry-after, an id of its own, OpenAI's body", async () => {
    const { base, model, lines } = await serveApp(FULL);
    await fillUp(model);
    const ids = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const text = await exchange(base, lastRequest());
      expect(statuses(text)).toEqual([429]);
      const [head, body] = text.split("\r\n\r\n") as [string, string];
      expect(head).toMatch(/^retry-after: \d+\r$/m);
      expect(head).toMatch(/^retry-after-ms: \d+\r$/m);
      expect(head).toContain(`content-length: ${body.length}\r`);
      expect(JSON.parse(body)).toMatchObject({ error: { type: "rate_limit_error", code: "rate_limit_exceeded", param: null } });
      ids.add(/^x-request-id: (req_\w+)\r?$/m.exec(head)![1]!);
    }
    expect(ids.size).toBe(3);
    expect(lines.filter(({ status }) => status === 429).length).toBe(3);
    expect(await (await fetch(`${base}/metrics`)).text()).toContain(
      'zstream_requests_total{finished_reason="rejected",model_name="qwen-7b"} 3',
    );
  });

  test("every other route is answered as ever, and a kept connection is refused and kept", async () => {
    const { base, model } = await serveApp(FULL);
    await fillUp(model);
    expect((await fetch(`${base}/health`)).status).toBe(200);
    expect((await fetch(`${base}/v1/models`)).status).toBe(200);
    expect((await fetch(`${base}/v1/nothing`, { method: "POST", body: "x" })).status).toBe(404);
    const get = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    const last = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    expect(statuses(await exchange(base, get, request(), request(), last))).toEqual([200, 429, 429, 200]);
  });

  test("a bad key is still a 401, and a good one a 429", async () => {
    const { base, url, model } = await serveApp(FULL, { apiKeys: ["good"] });
    await fillUp(model);
    const status = async (authorization: string) =>
      statuses(await exchange(base, request(`Authorization: ${authorization}\r\nConnection: close\r\n`)));
    expect(await status("Bearer bad")).toEqual([401]);
    expect(await status("Bearer good")).toEqual([429]);
    expect((await post(url, GREEDY)).status).toBe(401);
  });

  test("a name that is not this machine's is still a 403, on a new connection and on one that is there", async () => {
    const { base, model, lines } = await serveApp(FULL);
    await fillUp(model);
    const evil = request("Connection: close\r\n").replace("Host: x", "Host: evil.example");
    for (const parts of [[evil], ["GET /health HTTP/1.1\r\nHost: x\r\n\r\n", evil]]) {
      const text = await exchange(base, ...parts);
      expect(statuses(text).at(-1)).toBe(403);
      expect(text).toContain('"code":"forbidden_host"');
    }
    expect(lines.filter(({ status }) => status === 403).length).toBe(2);
  });

  test("a request is refused however its bytes come: body apart, head in pieces, in chunks, with 100-continue, from a browser", async () => {
    const { base, model } = await serveApp(FULL, { corsOrigins: ["*"] });
    await fillUp(model);
    const whole = lastRequest();
    const headEnd = whole.indexOf("\r\n\r\n") + 4;
    expect(statuses(await exchange(base, whole.slice(0, headEnd), whole.slice(headEnd)))).toEqual([429]);
    const closing = lastRequest();
    expect(statuses(await exchange(base, closing.slice(0, 10), closing.slice(10, 60), closing.slice(60)))).toEqual([429]);
    expect(statuses(await exchange(base, ...closing))).toEqual([429]);
    const head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n";
    const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;
    expect(statuses(await exchange(base, chunked))).toEqual([429]);
    expect(statuses(await exchange(base, request("Connection: close\r\nExpect: 100-continue\r\n"))).at(-1)).toBe(429);
    const browser = await exchange(base, request("Connection: close\r\nOrigin: http://page.test\r\n"));
    expect(statuses(browser)).toEqual([429]);
    expect(browser).toMatch(/access-control-allow-origin: \*/i);
    // Two in one packet: both are answered, in their order.
    expect(statuses(await exchange(base, request() + closing))).toEqual([429, 429]);
  });

  test("lengths that contradict each other are a 400, as ever", async () => {
    const { base, model } = await serveApp(FULL);
    await fillUp(model);
    const twice = request("Content-Length: 5\r\n");
    expect(statuses(await exchange(base, twice))).toEqual([400]);
    expect(statuses(await exchange(base, request("Transfer-Encoding: chunked\r\n")))).toEqual([400]);
  });

  test("who says nothing, or never ends, is disconnected; who hangs up leaves nothing behind", async () => {
    const { base, model } = await serveApp(FULL, {}, { headersTimeoutMs: 300, requestTimeoutMs: 300 });
    await fillUp(model);
    const answers = await Promise.all([exchange(base), exchange(base, request().slice(0, -5)), exchange(base, "POST /v1")]);
    for (const text of answers) expect(text === "" || /^HTTP\/1\.1 4/.test(text)).toBe(true);
    const gone = await Promise.all(Array.from({ length: 20 }, () => raw(base)));
    for (const [i, socket] of gone.entries()) {
      if (i % 2 === 0) socket.write(request().slice(0, 80 + i));
      socket.resetAndDestroy();
    }
    expect((await fetch(`${base}/health`)).status).toBe(200);
  });

  test("whose headers are whole when there is room again is answered", async () => {
    const { base, model } = await serveApp(FULL);
    const { leave } = await fillUp(model);
    const whole = lastRequest();
    const socket = await raw(base);
    let text = "";
    socket.setEncoding("latin1").on("data", (part: string) => {
      text += part;
    });
    socket.write(whole.slice(0, 60));
    await sleep(30);
    leave();
    await until(() => model.stats().freeSlots === 1, "there is room");
    socket.write(whole.slice(60));
    await new Promise((resolve) => socket.once("close", resolve));
    expect(statuses(text)).toEqual([200]);
    expect(text).toContain('"chat.completion"');
  });

  test("who has sent half a request does not keep a server from going down", async () => {
    const { base, model, server } = await serveApp(FULL);
    await fillUp(model);
    const sockets = await Promise.all([raw(base), raw(base)]);
    sockets[0]!.write(request().slice(0, -1));
    await sleep(30);
    await server.drain(0);
    for (const socket of sockets)
      expect(socket.destroyed || (await new Promise((resolve) => socket.resume().once("close", () => resolve(true))))).toBe(true);
  });
});

test.each(["/chat/completions", "//v1/completions", "/v1/chat/completions/"])("a full server refuses POST %s, too", async (path) => {
  const { base, model, lines } = await serveApp(FULL);
  await fillUp(model);
  const other = request().replace("/v1/chat/completions", path);
  const health = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
  const last = other.replace("Host: x", "Host: x\r\nConnection: close");
  expect(statuses(await exchange(base, last))).toEqual([429]);
  expect(statuses(await exchange(base, health, other, last))).toEqual([200, 429, 429]);
  expect(lines.filter(({ status }) => status === 429).length).toBe(3);
});
