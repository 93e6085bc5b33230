// Slow, dead and hostile clients: what they cost stays bounded, their slots come free, and the others do not notice.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { connect, type Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";

import { GREEDY, idle, json, LONG, post, serveApp, serveModel, sleep, stream, until } from "./helpers.js";
import { parseStrictly } from "./strict-sse.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** A bare connection that has sent `text`. */
async function raw(base: string, text = ""): Promise<Socket> {
  const { hostname, port } = new URL(base);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  if (text !== "") socket.write(text);
  return socket;
}

function asHttp(body: object, path = "/v1/chat/completions"): string {
  const text = JSON.stringify(body);
  return `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

/** All that comes until the other side closes. */
async function readAll(socket: Socket, timeoutMs = 20_000): Promise<string> {
  let text = "";
  socket.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  await Promise.race([new Promise((resolve) => socket.once("close", resolve).once("end", resolve)), sleep(timeoutMs)]);
  socket.destroy();
  return text;
}

describe("clients that stop reading", () => {
  test("park at highWaterMark once the socket takes no more, and nothing more is generated", async () => {
    // Behind the adapter, with a response that never drains: what a full socket looks like, without filling one.
    const { ServerResponse, IncomingMessage } = await import("node:http");
    const { Socket: NetSocket } = await import("node:net");
    const { nodeHandler } = await import("../../lib/http/index.js");
    const { open } = await import("./helpers.js");
    const model = await open({ maxStreams: 1 });
    const message = new IncomingMessage(new NetSocket());
    message.method = "POST";
    message.headers = { "content-type": "application/json" };
    const response = new ServerResponse(message);
    let written = 0;
    response.write = ((frame: string) => {
      written += frame.length;
      return false;
    }) as never;
    const handled = nodeHandler(model)(Object.assign(message, { body: { ...LONG, stream: true } }), response);
    await until(() => model.stats().parked === 1, "parked");
    const { generatedTokens } = model.stats();
    expect(generatedTokens).toBeLessThanOrEqual(64 + 3);
    await sleep(100);
    expect(model.stats().generatedTokens).toBe(generatedTokens);
    const before = written;
    response.emit("drain");
    await until(() => written > before, "a drain lets one more frame out");
    await sleep(50);
    expect(written - before).toBeLessThan(400);
    response.destroy();
    response.emit("close"); // no drain will come any more
    await handled;
    await until(() => idle(model, 1), "the slot is free");
  });

  test("are cut off after stallTimeoutMs, also through the Request/Response handler", async () => {
    const { createHandler } = await import("../../lib/http/index.js");
    const { open } = await import("./helpers.js");
    const model = await open({ maxStreams: 1 });
    const handler = createHandler(model, { stallTimeoutMs: 50 });
    const headers = { "content-type": "application/json" };
    const response = await handler(new Request("http://x/", { method: "POST", headers, body: JSON.stringify({ ...LONG, stream: true }) }));
    await until(() => idle(model, 1), "the slot is free, though nobody has read or left");
    await expect(response.text()).rejects.toThrow("did not read");
  });
});

describe("a client that takes nothing of a whole reply", () => {
  test("is disconnected after --stall-timeout, and nothing is kept for it", async () => {
    const { base } = await serveApp({}, { stallTimeoutMs: 300 });
    const closed = new Promise<void>((resolve) => {
      // The server's end of the connection: this one reads nothing, and so does not hear of it.
      const onSocket = (message: unknown) => {
        unsubscribe("net.server.socket", onSocket);
        (message as { socket: Socket }).socket.once("close", () => resolve());
      };
      subscribe("net.server.socket", onSocket);
    });
    const socket = await raw(base, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000)); // 20 MB, more than sockets hold
    await closed;
    socket.destroy();
  });

  test("is not one that waits for its reply to be made", async () => {
    const { url } = await serveApp({ contextSize: 2048 }, { stallTimeoutMs: 20 });
    const began = performance.now();
    const response = await post(url, { ...LONG, max_tokens: 400 });
    expect(performance.now() - began).toBeGreaterThan(40);
    expect((await json(response)).usage.completion_tokens).toBe(400);
  });
});

describe("clients that vanish", () => {
  test("300 connections dropped at random moments leave nothing behind, and a stream beside them is the same", {
    timeout: 180_000,
  }, async () => {
    const seed = Number(process.env.ZSE_TEST_SEED ?? Date.now() % 1e6);
    console.log(`ZSE_TEST_SEED=${seed}`);
    const { model, base, url, lines } = await serveApp({ maxStreams: 5, maxQueue: 32, deterministic: true, contextSize: 1024 });
    const beside = { ...LONG, seed: 9, max_tokens: 900 };
    const undisturbed = (await stream(url, beside)).texts[0];
    let random = (seed % 2_147_483_646) + 1;
    const next = () => (random = (random * 48_271) % 2_147_483_647) / 2_147_483_647;
    const text = asHttp({ ...LONG, stream: true });
    const round = async (count: number) => {
      for (let left = count; left > 0; left -= 20) {
        await Promise.all(
          Array.from({ length: 20 }, async () => {
            const cut = next() < 0.3 ? Math.floor(next() * text.length) : text.length; // some leave in the middle of their request
            const socket = await raw(base, text.slice(0, cut));
            await sleep(next() * 60);
            if (next() < 0.5) socket.resetAndDestroy();
            else socket.destroy();
          }),
        );
      }
    };
    const sockets = () => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
    const quiet = async () => {
      await until(() => idle(model, 5), "all slots are free", 60_000);
      await until(() => sockets() <= few, "all connections are closed");
      await sleep(100);
      collectGarbage();
      lines.length = 0;
      return process.memoryUsage().heapUsed;
    };
    const few = sockets(); // fetch's own, kept for the next request
    await round(60);
    const before = await quiet();
    const running = stream(url, beside);
    await until(() => model.stats().generatedTokens > 0, "one runs beside");
    await round(300);
    expect((await running).texts[0]).toBe(undisturbed);
    expect(((await quiet()) - before) / 1e6).toBeLessThan(8);
    expect((await stream(url, beside)).texts[0]).toBe(undisturbed);
    for (const signal of ["SIGTERM", "SIGINT", "exit"]) expect(process.listenerCount(signal)).toBeLessThan(3);
  });
});

describe("hostile clients get a 4xx or a closed connection, and the streams of others go on", () => {
  /** Streams that run from before until after what is done to the server: each is byte for byte the one without it. */
  async function beside(url: string, attack: () => Promise<void>): Promise<void> {
    const body = { ...LONG, max_tokens: 300 };
    const undisturbed = (await stream(url, body)).texts[0];
    let over = false;
    const running = (async () => {
      do expect((await stream(url, body)).texts[0]).toBe(undisturbed);
      while (!over);
    })();
    await attack();
    over = true;
    await running;
    expect((await post(url, GREEDY)).status).toBe(200);
  }
  /** No stream's rounding depends on others: what differs is the server's fault. */
  const ENGINE = { deterministic: true };

  test("headers that come byte by byte", async () => {
    const { base, url } = await serveApp(ENGINE, {}, { headersTimeoutMs: 500 });
    await beside(url, async () => {
      const socket = await raw(base, "POST /v1/chat/completions HTTP/1.1\r\n");
      const timer = setInterval(() => socket.write("x"), 50);
      const answer = await readAll(socket);
      clearInterval(timer);
      expect(answer === "" || answer.startsWith("HTTP/1.1 4")).toBe(true);
    });
  });

  test("bodies that never come to their end", async () => {
    const { base, url, model } = await serveApp(ENGINE, {}, { headersTimeoutMs: 300, requestTimeoutMs: 600 });
    await beside(url, async () => {
      const text = asHttp({ ...LONG, stream: true });
      const sockets = await Promise.all([10, 40, 80].map((less) => raw(base, text.slice(0, -less))));
      for (const answer of await Promise.all(sockets.map((socket) => readAll(socket)))) {
        expect(answer === "" || answer.startsWith("HTTP/1.1 4")).toBe(true);
      }
      expect(model.stats().queued).toBe(0);
    });
  });

  test("junk, and junk behind a good request", async () => {
    const { base, url } = await serveApp(ENGINE);
    await beside(url, async () => {
      const good = asHttp({ ...GREEDY, max_tokens: 3 });
      for (const text of ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "POST / HTTP/9.9\r\n\r\n", `${good}\x16\x03\x01 what\r\n\r\n`]) {
        const answer = await readAll(await raw(base, text));
        expect(answer).toMatch(/HTTP\/1\.1 400 Bad Request/);
      }
      const tooLarge = await readAll(await raw(base, `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(40_000)}\r\n\r\n`));
      expect(tooLarge).toMatch(/HTTP\/1\.1 431/);
    });
  });

  test.each([
    ["an address that is none", "GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400],
    ["an asterisk", "GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400],
    ["a backslash", "GET /\\evil HTTP/1.1\r\nHost: localhost\r\n\r\n", 400],
    ["a Host that is none", "GET /health HTTP/1.1\r\nHost: a b\r\n\r\n", 400],
    ["half an IPv6 address as Host", "GET /health HTTP/1.1\r\nHost: [::\r\n\r\n", 400],
    ["no HTTP", "\0\0\0\0\r\n\r\n", 400],
    [
      "a chunk that is none",
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      400,
    ],
    ["headers that are too large", `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(40_000)}\r\n\r\n`, 431],
    ["headers that do not come", "GET / HTTP/1.1\r\nHost: loc", 408],
    ["CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405],
    ["an unknown expectation", "GET /health HTTP/1.1\r\nHost: localhost\r\nExpect: foo\r\n\r\n", 417],
  ])("%s: an error in JSON, and the connection is closed", async (_, text, status) => {
    const { base } = await serveApp(ENGINE, {}, { headersTimeoutMs: 500 });
    const answer = await readAll(await raw(base, text), 5000);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [A-Z]`));
    expect(answer.toLowerCase()).toContain("\r\nconnection: close\r\n");
    expect(answer.toLowerCase()).toContain("\r\ncontent-type: application/json");
    const body = answer.slice(answer.indexOf("{"), answer.lastIndexOf("}") + 1);
    expect(JSON.parse(body)).toMatchObject({ error: { type: "invalid_request_error", code: expect.any(String) } });
  });

  test("requests with bytes changed, cut out and put in at random", async () => {
    const { base, url } = await serveApp(ENGINE, {}, { headersTimeoutMs: 500, requestTimeoutMs: 1000 });
    const seed = Number(process.env.ZSE_TEST_SEED ?? Date.now() % 1e6);
    console.log(`ZSE_TEST_SEED=${seed}`);
    let random = (seed % 2_147_483_646) + 1;
    const next = (most: number) => Math.floor(((random = (random * 48_271) % 2_147_483_647) / 2_147_483_647) * most);
    const good = Buffer.from(asHttp({ ...GREEDY, max_tokens: 2 }));
    const change = (): Buffer => {
      const bytes = Buffer.from(good);
      const [from, to] = [next(bytes.length), next(bytes.length)].sort((a, b) => a - b) as [number, number];
      const kind = next(4);
      if (kind === 0) return bytes.subarray(0, from);
      if (kind === 1) return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
      if (kind === 2) return Buffer.concat([bytes.subarray(0, from), Buffer.from([next(256), 13, 10, next(256)]), bytes.subarray(from)]);
      for (let i = 0; i <= next(4); i++) bytes[next(bytes.length)] = next(256);
      return bytes;
    };
    await beside(url, async () => {
      for (let round = 0; round < 8; round++) {
        const asked = Array.from({ length: 20 }, change);
        const answers = await Promise.all(
          asked.map(async (bytes) => {
            const socket = await raw(base);
            socket.write(bytes.subarray(0, bytes.length >> 1));
            socket.end(bytes.subarray(bytes.length >> 1));
            return readAll(socket);
          }),
        );
        for (const [i, answer] of answers.entries())
          expect(answer, JSON.stringify(asked[i]!.toString("latin1"))).not.toMatch(/^HTTP\/1\.1 5/);
      }
    });
  });

  test("200 requests pipelined in one connection are answered in their order", async () => {
    const { base, url } = await serveApp(ENGINE);
    await beside(url, async () => {
      const socket = await raw(base, asHttp({ ...GREEDY, top_p: 5 }).repeat(200));
      let text = "";
      socket.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      await until(() => text.split("HTTP/1.1 400").length === 201, "200 answers");
      socket.destroy();
    });
  });

  test("10 MB of nested JSON, a million tiny messages, and as much as the limit lets in", async () => {
    const { url } = await serveApp(ENGINE);
    await beside(url, async () => {
      const refused = async (body: string) => (await post(url, body).catch(() => ({ status: 413 }))).status;
      expect(await refused("[".repeat(10_000_000))).toBe(413);
      expect(await refused(`{"messages":[${'{"role":"user","content":"a"},'.repeat(1_000_000)}]}`)).toBe(413);
      expect(await refused(`{"messages":${"[".repeat(400_000)}${"]".repeat(400_000)}}`)).toBe(400);
      expect(await refused(`{"messages":[${'{"role":"user","content":"a"},'.repeat(30_000).slice(0, -1)}]}`)).toBe(400);
      expect(
        await refused(`{"messages":[{"role":"user","content":"a"}],"metadata":${'{"a":'.repeat(150_000)}1${"}".repeat(150_000)}}`),
      ).not.toBe(500);
      expect(await refused(`{"__proto__":{"stream":true},"constructor":1,"messages":[]}`)).toBe(400);
    });
  });
});

describe("what a request says is bounded before it is looked into, and quoted no further than it helps", () => {
  const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
  const huge = "k".repeat(1_000_000);
  const USER = '{"role":"user","content":"a"}';
  const calling = (args: string) =>
    `{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":${JSON.stringify(args)}}}]}`;
  const many = (unit: (i: number) => string) => Array.from({ length: 100_000 }, (_, i) => unit(i)).join();

  test.each([
    [
      "nests in a call's arguments",
      `{"messages":[${USER},${calling(deep(28_000))},${USER}]}`,
      "messages[1].tool_calls[0].function.arguments",
    ],
    ["nests in a content", `{"messages":[{"role":"user","content":${deep(28_000)}}]}`, "messages[0].content"],
    ["nests in modalities", `{"messages":[${USER}],"modalities":${deep(28_000)}}`, "modalities"],
    ["nests in tools", `{"messages":[${USER}],"tools":[{"parameters":${deep(28_000)}}]}`, "tools[0].parameters"],
    ["nests in metadata", `{"messages":[${USER}],"metadata":{"a":${deep(28_000)}}}`, "metadata.a"],
    ["nests in a field of no meaning", `{"messages":[${USER}],"whatever":${deep(28_000)}}`, "whatever"],
    ["a key of 1 MB", `{"messages":[${USER}],"stream":true,"stream_options":{"${huge}":1}}`, /^stream_options\.k+…$/],
    ["100,000 keys", `{"messages":[${USER}],"stream":true,"stream_options":{${many((i) => `"k${i}":1`)}}}`, "stream_options"],
    ["100,000 biases", `{"messages":[${USER}],"logit_bias":{${many((i) => `"x${i}":1`)}}}`, "logit_bias"],
    ["a bias for a name of 1 MB", `{"messages":[${USER}],"logit_bias":{"${huge}":1}}`, /^logit_bias\.k+…$/],
    ["a model's name of 1 MB", `{"messages":[${USER}],"model":"${huge}"}`, "model"],
    ["100,000 wrong parts", `{"messages":[{"role":"user","content":[${many(() => "{}")}]}]}`, "messages[0].content"],
    ["100,000 wrong calls", `{"messages":[{"role":"assistant","tool_calls":[${many(() => "{}")}]}]}`, "messages[0].tool_calls"],
    ["100,000 wrong messages", `{"messages":[${many(() => "0")}]}`, "messages"],
  ])("%s", async (_, body, param) => {
    const served = [await serveApp({}, { maxBodyBytes: 1 << 22 }), await serveModel({}, { maxBodyBytes: 1 << 22 })];
    for (const { url, model } of served) {
      const response = await post(url, body);
      const text = await response.text();
      const { error } = JSON.parse(text) as { error: { param: string; message: string } };
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(response.status, text).toBeLessThan(500);
      expect(text.length).toBeLessThan(1000);
      expect(error.message).not.toBe("");
      if (url.startsWith(served[0]!.base)) expect(error.param).toEqual(typeof param === "string" ? param : expect.stringMatching(param));
      expect((await post(url, { ...GREEDY, max_tokens: 1 })).status).toBe(200);
      await until(() => idle(model, 4), "nothing is left of it");
    }
    for (const line of (served[0] as Awaited<ReturnType<typeof serveApp>>).lines) expect(JSON.stringify(line).length).toBeLessThan(1500);
  });

  test("a long URL and a long Host make short log lines", async () => {
    const { base, lines } = await serveApp();
    const answer = await readAll(
      await raw(base, `GET /${"x".repeat(8000)} HTTP/1.1\r\nHost: ${"h".repeat(7000)}\r\nConnection: close\r\n\r\n`),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d/);
    expect(answer.length).toBeLessThan(1500);
    for (const line of lines) expect(JSON.stringify(line).length).toBeLessThan(1500);
  });
});

test("a client that leaves while its prompt is read frees its slot", async () => {
  const { url, model } = await serveModel({ maxStreams: 1, contextSize: 2048 });
  const leaving = new AbortController();
  const messages = [{ role: "user", content: "a b c d e f g ".repeat(120) }];
  const response = await post(url, { messages, stream: true }, { signal: leaving.signal });
  expect(response.status).toBe(200);
  leaving.abort();
  await until(() => idle(model, 1), "the slot is free");
  expect(parseStrictly(await (await post(url, { ...GREEDY, stream: true })).text()).done).toBe(true);
});
