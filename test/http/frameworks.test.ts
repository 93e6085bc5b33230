// The adapter under Express (with compression in front), Fastify, Hono and Next's kind of route: the examples, started and called.

import { request, type Server } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import compression from "compression";
import express from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import OpenAI from "openai";
import { afterEach, describe, expect, test } from "vitest";
import { createHandler, nodeHandler } from "../../lib/http/index.js";
import { start } from "../addon/helpers.js";
import { GREEDY, idle, LONG, listen, open, pieceByPiece, post, STORY, stream, until } from "./helpers.js";
import { parseStrictly } from "./strict-sse.js";

const children: { kill(): void; ended: Promise<unknown> }[] = [];
afterEach(async () => {
  for (const { kill, ended } of children.splice(0)) {
    kill();
    await ended.catch(() => {});
  }
});

/** Starts an example, which prints the URL of its route. */
async function startExample(name: string): Promise<string> {
  const { child, ended } = start([`examples/${name}.mjs`], { env: { ...process.env, PORT: "0" }, timeoutMs: 170_000 });
  children.push({ kill: () => child.kill("SIGKILL"), ended });
  let out = "";
  child.stdout!.on("data", (text: string) => {
    out += text;
  });
  await until(() => out.includes("/completions\n"), `${name} listens`, 30_000);
  return out.trim();
}

describe.each(["express", "fastify", "hono", "node-http"])("examples/%s.mjs", (name) => {
  // The examples take as many threads as there are cores, which is slow beside other work: few tokens, much time.
  test("streams, answers whole, and refuses", { timeout: 180_000 }, async () => {
    const url = await startExample(name);
    const short = { ...STORY, max_tokens: 4, temperature: 0 };
    const { texts, done } = await stream(url, short);
    expect(done).toBe(true);
    const whole = (await (await post(url, short)).json()) as { choices: { message: { content: string } }[] };
    expect(whole.choices[0]!.message.content).toBe(texts[0]);
    expect((await post(url, { ...short, top_p: 7 })).status).toBe(400);
  });
});

test("examples/next/route.mjs is a route that answers Requests", async () => {
  const { POST } = (await import(`../../examples/next/${"route"}.mjs`)) as { POST: (request: Request) => Promise<Response> };
  const ask = () =>
    POST(
      new Request("http://app.test/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...STORY, max_tokens: 12, stream: true }),
      }),
    );
  expect(parseStrictly(await (await ask()).text()).done).toBe(true);
  // A reader that leaves ends the reply.
  const reader = (await ask()).body!.getReader();
  await reader.read();
  await reader.cancel();
  const { model } = globalThis as unknown as { model: Awaited<ReturnType<typeof open>> };
  await until(() => idle(model, 4), "the slot is free");
  await model.close();
});

describe("Express", () => {
  test("its compression in front does not hold a stream back", async () => {
    const parts: string[] = [];
    const model = pieceByPiece(["Once ", "upon ", "a time"], (piece) => parts.join("").includes(piece));
    const app = express();
    app.use(compression({ threshold: 0 }));
    app.post("/v1/chat/completions", nodeHandler(model, { model: "qwen-7b" }));
    const url = `${await listen(app)}/v1/chat/completions`;
    const encoding = await new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json", "accept-encoding": "gzip" };
      const message = request(url, { method: "POST", headers }, (response) => {
        response.setEncoding("utf8").on("data", (text: string) => parts.push(text));
        response.on("end", () => resolve(response.headers["content-encoding"]));
      });
      message.on("error", reject).end(JSON.stringify({ ...GREEDY, stream: true }));
    });
    expect(encoding).toBe(undefined);
    expect(parseStrictly(parts.join(""))).toMatchObject({ done: true, texts: ["Once upon a time"] });
  });

  test("a body that express.json() has parsed is taken as it is", async () => {
    const model = await open();
    const app = express();
    app.use(express.json());
    app.post("/v1/chat/completions", nodeHandler(model, { model: "qwen-7b" }));
    const url = `${await listen(app)}/v1/chat/completions`;
    expect((await stream(url, GREEDY)).done).toBe(true);
  });
});

describe("a body that something in front has read", () => {
  test.each([
    ["express.json()", express.json()],
    ["express.text()", express.text({ type: "*/*" })],
    ["express.raw()", express.raw({ type: "*/*" })],
    ["a parser of another type, which leaves {} as Express 4 did", leave((request) => ({ body: request.headers.cookie ?? {} }))],
    ["rawBody alone", readThen((body) => ({ rawBody: body }))],
    ["rawBody as text", readThen((body) => ({ rawBody: body.toString() }))],
  ])("is taken as it is: %s", async (_, middleware) => {
    const app = express();
    app.use(middleware);
    app.post("/", nodeHandler(await open(), { model: "qwen-7b", maxBodyBytes: 2000 }));
    const url = await listen(app);
    expect((await stream(url, GREEDY)).done).toBe(true);
    expect((await post(url, "{nope")).status).toBe(400);
    expect((await post(url, "")).status).toBe(400);
  });

  test("is bounded and UTF-8 as any other", async () => {
    const app = express();
    app.use(express.raw({ type: "*/*" }));
    app.post("/", nodeHandler(await open(), { maxBodyBytes: 1000 }));
    const url = await listen(app);
    expect((await post(url, { ...GREEDY, user: "x".repeat(1000) })).status).toBe(413);
    expect(await (await post(url, "", { body: Buffer.of(0x22, 0xc3, 0x22) })).json()).toMatchObject({
      error: { message: "The body is not valid UTF-8." },
    });
  });

  test("is found behind Koa's request, and Koa leaves the reply alone", async () => {
    const handler = nodeHandler(await open(), { model: "qwen-7b" });
    const contexts: { respond?: boolean }[] = [];
    const url = await listen(async (req, res) => {
      const ctx = {};
      contexts.push(ctx);
      const text = (await req.setEncoding("utf8").toArray()).join("");
      await handler({ req, ctx, body: JSON.parse(text), rawBody: text } as never, { res, ctx } as never);
    });
    expect((await stream(url, GREEDY)).done).toBe(true);
    expect(contexts).toEqual([{ respond: false }]);
  });

  test("and is nowhere to be found is a 500 that says what to do, told to onError, and tried once", async () => {
    const told: unknown[] = [];
    const app = express();
    app.use(readThen(() => ({})));
    app.post("/v1/chat/completions", nodeHandler(await open(), { onError: (error) => told.push(error) }));
    const base = await listen(app);
    const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "k" });
    const failed = client.chat.completions.create({ ...GREEDY, messages: [...GREEDY.messages] });
    await expect(failed).rejects.toMatchObject({ status: 500, code: "body_used", message: expect.stringContaining("`request.body`") });
    expect(told).toEqual([expect.objectContaining({ code: "body_used" })]);
  });

  test.each(["used", "locked"])("of a Request that is %s is a 500 that says what to do, told to onError", async (how) => {
    const told: unknown[] = [];
    const handler = createHandler(await open(), { model: "qwen-7b", onError: (error) => told.push(error) });
    const ask = () =>
      new Request("http://x/", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(GREEDY) });
    const request = ask();
    if (how === "used") await request.json();
    else request.body!.getReader();
    const response = await handler(request);
    expect([response.status, response.headers.get("x-should-retry")]).toEqual([500, "false"]);
    expect(await response.json()).toMatchObject({ error: { code: "body_used", message: expect.stringContaining("request.clone()") } });
    expect(told).toEqual([expect.objectContaining({ code: "body_used" })]);
    const copied = ask();
    const copy = copied.clone();
    await copied.json();
    expect((await handler(copy)).status).toBe(200);
  });

  test("by Hono's c.req.json() is told in the same way", async () => {
    const told: unknown[] = [];
    const handler = createHandler(await open(), { model: "qwen-7b", onError: (error) => told.push(error) });
    const app = new Hono();
    app.post("/used", async (c) => {
      await c.req.json();
      return handler(c.req.raw);
    });
    app.post("/again", async (c) =>
      handler(new Request(c.req.raw.url, { ...c.req.raw, method: "POST", headers: c.req.raw.headers, body: await c.req.text() })),
    );
    const base = await listen(createAdaptorServer({ fetch: app.fetch }) as Server);
    expect((await post(`${base}/used`, GREEDY)).status).toBe(500);
    expect(told.length).toBe(1);
    expect((await post(`${base}/again`, GREEDY)).status).toBe(200);
  });
});

/** Middleware that sets fields of the request. */
function leave(fields: (request: express.Request) => object): express.RequestHandler {
  return (request, _, next) => {
    Object.assign(request, fields(request));
    next();
  };
}

/** Middleware that reads the body and sets fields of the request. */
function readThen(fields: (body: Buffer) => object): express.RequestHandler {
  return (request, _, next) => {
    const parts: Buffer[] = [];
    request
      .on("data", (part) => parts.push(part))
      .on("end", () => {
        Object.assign(request, fields(Buffer.concat(parts)));
        next();
      });
  };
}

test("zstream/sse loads neither the addon nor an HTTP library", async () => {
  const program = `
    await import("zstream/sse");
    const native = process.report.getReport().sharedObjects.filter((path) => path.endsWith(".node"));
    const http = process.moduleLoadList.filter((name) => /NativeModule https?$/.test(name));
    console.log(JSON.stringify({ native, http }));`;
  const { ended } = start(["--input-type=module", "-e", program]);
  const { stdout, stderr } = await ended;
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({ native: [], http: [] });
});

test("HTTP/2: nothing is sent that it forbids", async () => {
  const model = await open();
  const handler = nodeHandler(model, { model: "qwen-7b" });
  const server = createHttp2Server((request, response) => void handler(request as never, response as never));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  try {
    const call = client.request({ ":method": "POST", ":path": "/v1/chat/completions", "content-type": "application/json" });
    let text = "";
    call.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    call.end(JSON.stringify({ ...GREEDY, stream: true }));
    await new Promise((resolve) => call.once("end", resolve));
    expect(parseStrictly(text).done).toBe(true);
    // A client that resets its stream, on a connection that lives on.
    const second = client.request({ ":method": "POST", ":path": "/", "content-type": "application/json" });
    second.on("error", () => {});
    second.end(JSON.stringify({ ...LONG, stream: true }));
    await new Promise((resolve) => second.once("data", resolve));
    second.close();
    await until(() => idle(model, 4), "the slot is free");
  } finally {
    client.destroy();
    server.close();
  }
});

test("Fastify: headers that its hooks and plugins set are those of streams and of refusals, too", async () => {
  const app = Fastify({ forceCloseConnections: true });
  app.addHook("onRequest", async (_, reply) => void reply.header("access-control-allow-origin", "http://page.test"));
  app.post("/v1/chat/completions", nodeHandler(await open()));
  const address = await app.listen({ port: 0, host: "127.0.0.1" });
  try {
    for (const body of [{ ...GREEDY, stream: true }, GREEDY, { ...GREEDY, top_p: 7 }]) {
      const { headers } = await post(`${address}/v1/chat/completions`, body);
      expect(headers.get("access-control-allow-origin")).toBe("http://page.test");
      expect(headers.get("content-type")).toMatch("stream" in body ? "text/event-stream" : "application/json");
    }
  } finally {
    await app.close();
  }
});

test("Fastify: a client that leaves cancels its stream", async () => {
  const model = await open({ maxStreams: 1 });
  const app = Fastify({ forceCloseConnections: true });
  app.post("/v1/chat/completions", nodeHandler(model));
  const address = await app.listen({ port: 0, host: "127.0.0.1" });
  try {
    const leaving = new AbortController();
    const response = await post(`${address}/v1/chat/completions`, { ...LONG, stream: true }, { signal: leaving.signal });
    await response.body!.getReader().read();
    leaving.abort();
    await until(() => idle(model, 1), "the slot is free");
  } finally {
    await app.close();
  }
});

describe("handlers at paths that are not theirs", () => {
  const inits = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ input: "hi", messages: [] }) };
  async function doors(): Promise<((path: string, init?: RequestInit) => Promise<Response>)[]> {
    const model = await open();
    const handler = createHandler(model);
    const base = await listen(nodeHandler(model));
    return [
      (path, init) => handler(new Request(`http://app.test${path}`, { ...inits, ...init })),
      (path, init) => fetch(`${base}${path}`, { ...inits, ...init }),
    ];
  }

  test("answer 404 where zse serve has another route, and guess by the body elsewhere", async () => {
    for (const ask of await doors()) {
      const others = ["/v1/embeddings", "/llm/embeddings?x=1", "/v1/rerank", "/v1/reranking", "/v1/chat/prepare"];
      for (const path of [...others, "/tokenize", "/detokenize/", "/apply-template", "/v1/models/load", "/v1/models/unload"]) {
        const response = await ask(path);
        expect(response.status, path).toBe(404);
        expect(((await response.json()) as { error: object }).error).toMatchObject({ code: "not_found" });
      }
      for (const path of ["/", "/api/chat", "/my-embeddings", "/api/ask"]) {
        const response = await ask(path, { body: JSON.stringify({ input: "hi", max_output_tokens: 2 }) });
        expect(response.status, path).toBe(200);
        expect(await response.json()).toMatchObject({ object: "response" });
      }
    }
  });
});
