// `zse serve`: routes, refusals that name the field, keys, metrics, logs, a full queue, and going down in good order.

import { spawn } from "node:child_process";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { describe, expect, test } from "vitest";

import { ROOT, start, zse } from "../addon/helpers.js";
import { GREEDY, idle, json, LONG, post, STORY, serveApp, sleep, stream, until } from "./helpers.js";
import { parseStrictly } from "./strict-sse.js";

describe("routes", () => {
  test("chat and completions stream, and answer whole, like the adapter alone", async () => {
    const { url, base } = await serveApp();
    const chat = await stream(url, GREEDY);
    expect(chat.texts[0]!.length).toBeGreaterThan(0);
    expect((await json(await post(url, GREEDY))).choices[0]!.message.content).toBe(chat.texts[0]);
    const completion = { model: "qwen-7b", prompt: "Once upon a time", temperature: 0, max_tokens: 8 };
    const { texts } = await stream(`${base}/v1/completions`, completion);
    expect((await json(await post(`${base}/v1/completions`, completion))).choices[0]!.text).toBe(texts[0]);
  });

  test("streams have the headers of WIRE.md and a request id", async () => {
    const { url } = await serveApp();
    const response = await post(url, { ...GREEDY, stream: true });
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(response.headers.get("cache-control")).toBe("no-cache, no-transform");
    expect(response.headers.get("x-accel-buffering")).toBe("no");
    expect(response.headers.get("x-request-id")).toMatch(/^req_/);
    parseStrictly(await response.text());
  });

  test("models, health and what is not there", async () => {
    const { base } = await serveApp({ maxStreams: 2 });
    const models = await new OpenAI({ baseURL: `${base}/v1`, apiKey: "x" }).models.list();
    expect(models.data).toMatchObject([{ id: "qwen-7b", object: "model" }]);
    expect(await json(await fetch(`${base}/v1/models/qwen-7b`))).toMatchObject({ id: "qwen-7b" });
    expect((await fetch(`${base}/v1/models/other`)).status).toBe(404);
    expect(await json(await fetch(`${base}/health`))).toMatchObject({ status: "ok", freeSlots: 2 });
    const nothing = await fetch(`${base}/v1/nothing`);
    expect(nothing.status).toBe(404);
    expect((await json(nothing)).error.code).toBe("not_found");
  });
});

describe("paths as clients write them", () => {
  test.each(["/models", "//v1/models", "/v1//models", "/v1/models/", "/models/", "//models//"])("GET %s lists the models", async (path) => {
    const { base, lines } = await serveApp();
    expect(await json(await fetch(base + path))).toMatchObject({ data: [{ id: "qwen-7b" }] });
    expect(lines.at(-1)).toMatchObject({ path: "/v1/models" });
  });

  test.each(["/chat/completions", "/completions", "//v1/chat/completions", "/v1/completions/", "/chat/completions/"])(
    "POST %s is answered, and counted as a request for a reply",
    async (path) => {
      const { base } = await serveApp();
      const body = { ...GREEDY, max_tokens: 2, ...(path.includes("chat") ? {} : { messages: undefined, prompt: "Once" }) };
      expect(await json(await post(base + path, body))).toHaveProperty("choices");
      expect(await (await fetch(`${base}/metrics/`)).text()).toMatch(/zstream_requests_total\{finished_reason="\w+".*\} 1/);
    },
  );

  test("need a key as the others do", async () => {
    const { base } = await serveApp({}, { apiKeys: ["k"] });
    for (const path of [
      "/models",
      "/models/qwen-7b",
      "//v1/models",
      "//models",
      "/v1/models/",
      "/streams/x",
      "/%76%31/models",
      "/v1/../models",
    ]) {
      expect((await fetch(base + path)).status, path).toBe(401);
    }
    for (const path of ["/chat/completions", "/completions/", "//completions"])
      expect((await post(base + path, GREEDY)).status, path).toBe(401);
    expect((await fetch(`${base}//health/`)).status).toBe(200);
    expect((await fetch(`${base}/nothing/`)).status).toBe(404);
  });

  test("resumable streams, too", async () => {
    const { url, base } = await serveApp();
    const { chunks } = await stream(url, { ...GREEDY, stream_options: { resumable: true } }, { ids: true });
    expect(parseStrictly(await (await fetch(`${base}/streams/${chunks[0]!.id}/`)).text(), { ids: true }).done).toBe(true);
  });
});

test("a model answers to its aliases: all are listed, and replies carry the one that was asked for", async () => {
  const { base, url } = await serveApp({}, { aliases: ["gpt-4o", "org/model", "qwen-7b"] });
  const { data } = (await json(await fetch(`${base}/v1/models`))) as unknown as { data: { id: string }[] };
  expect(data.map(({ id }) => id)).toEqual(["qwen-7b", "gpt-4o", "org/model"]);
  expect(await json(await fetch(`${base}/v1/models/org/model`))).toMatchObject({ id: "org/model" });
  expect(await json(await post(url, { ...GREEDY, model: "gpt-4o" }))).toMatchObject({ model: "gpt-4o" });
  expect((await stream(url, { ...GREEDY, model: "org/model" })).chunks[0]!.model).toBe("org/model");
  expect(await json(await post(url, { ...GREEDY, model: undefined }))).toMatchObject({ model: "qwen-7b" });
  const refused = await post(url, { ...GREEDY, model: "gpt-4" });
  expect([refused.status, (await json(refused)).error.message]).toEqual([404, expect.stringContaining('"qwen-7b", "gpt-4o", "org/model"')]);
  expect(await json(await fetch(`${base}/health`))).toMatchObject({ model: "qwen-7b" });
});

describe("a method that a path does not have", () => {
  test.each([
    ["GET", "/v1/chat/completions", "POST"],
    ["PUT", "/v1/completions", "POST"],
    ["POST", "/v1/models", "GET, HEAD"],
    ["DELETE", "/v1/models/qwen-7b", "GET, HEAD"],
    ["POST", "/v1/streams/x", "GET, HEAD, DELETE"],
    ["POST", "/health", "GET, HEAD"],
    ["OPTIONS", "/metrics", "GET, HEAD"],
  ])("is a 405 that says which it has: %s %s", async (method, path, allow) => {
    const { base, url, lines } = await serveApp();
    const response = await fetch(`${base}${path}`, { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, allow]);
    expect((await json(response)).error.code).toBe("method_not_allowed");
    expect(lines.at(-1)).toMatchObject({ method, path, status: 405 });
    expect((await fetch(url.replace("chat", "no-chat"), { method })).status).toBe(404);
  });

  test("is a 401 to who has no key", async () => {
    const { base } = await serveApp({}, { apiKeys: ["k"] });
    expect((await fetch(`${base}/v1/completions`)).status).toBe(401);
  });
});

describe("HTTP/1.0", () => {
  /** The request's bytes, and all that comes until the connection is closed. */
  const exchange = (base: string, head: string, body = "") =>
    new Promise<string>((resolve, reject) => {
      const socket = connect(Number(new URL(base).port), "127.0.0.1");
      let text = "";
      socket.setEncoding("utf8").on("error", reject);
      socket.on("data", (part) => {
        text += part;
      });
      socket.on("close", () => resolve(text));
      socket.write(`${head}\r\n\r\n${body}`);
    });

  test("without a Host, as health checks speak it, is answered on every route", async () => {
    const { base } = await serveApp();
    for (const path of ["/health", "/metrics", "/v1/models"]) {
      expect(await exchange(base, `GET ${path} HTTP/1.0`), path).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n[\s\S]+/);
    }
    expect(await exchange(base, "GET /v1/nothing HTTP/1.0")).toMatch(/^HTTP\/1\.1 404 [\s\S]*"code":"not_found"/);
    const body = JSON.stringify({ ...GREEDY, stream: true });
    const head = `POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
    const [answer, events] = (await exchange(base, head, body)).split("\r\n\r\n") as [string, string];
    expect(answer).not.toMatch(/transfer-encoding/i);
    expect(parseStrictly(events)).toMatchObject({ done: true });
  });

  test("alone may leave it out: HTTP/1.1 may not", async () => {
    const { base } = await serveApp();
    expect(await exchange(base, "GET /health HTTP/1.1")).toMatch(/^HTTP\/1\.1 400 [\s\S]*Host header/);
  });
});

describe("refusals name the field", () => {
  test.each([
    ["an unknown model", { ...GREEDY, model: "gpt-4" }, 404, "model"],
    ["a model that is no string", { ...GREEDY, model: 4 }, 400, "model"],
    ["messages of a wrong type", { messages: "hello" }, 400, "messages"],
    ["no messages", { model: "qwen-7b" }, 400, "messages"],
    ["too many messages", { messages: Array.from({ length: 1025 }, () => STORY.messages[0]) }, 400, "messages"],
    ["a bad role", { messages: [...STORY.messages, { role: "boss", content: "x" }] }, 400, "messages[1].role"],
    ["content of a wrong type", { messages: [{ role: "user", content: 1 }] }, 400, "messages[0].content"],
    ["an image", { messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] }, 400, "messages[0].content"],
    ["temperature", { ...GREEDY, temperature: "1" }, 400, "temperature"],
    ["top_p", { ...GREEDY, top_p: -1 }, 400, "top_p"],
    ["n", { ...GREEDY, n: 0 }, 400, "n"],
    ["max_tokens", { ...GREEDY, max_tokens: 1.5 }, 400, "max_tokens"],
    ["max_completion_tokens", { ...GREEDY, max_completion_tokens: "1" }, 400, "max_completion_tokens"],
    ["seed", { ...GREEDY, seed: 1.5 }, 400, "seed"],
    ["stop", { ...GREEDY, stop: 5 }, 400, "stop"],
    ["presence_penalty", { ...GREEDY, presence_penalty: 3 }, 400, "presence_penalty"],
    ["frequency_penalty", { ...GREEDY, frequency_penalty: "x" }, 400, "frequency_penalty"],
    ["logit_bias", { ...GREEDY, logit_bias: { 5: 101 } }, 400, "logit_bias.5"],
    ["stream", { ...GREEDY, stream: 1 }, 400, "stream"],
    ["stream_options", { ...GREEDY, stream: true, stream_options: { chunk_size: 0 } }, 400, "stream_options.chunk_size"],
    ["stream_options of a wrong type", { ...GREEDY, stream: true, stream_options: 1 }, 400, "stream_options"],
    ["include_usage", { ...GREEDY, stream: true, stream_options: { include_usage: "yes" } }, 400, "stream_options.include_usage"],
    ["chunk_by", { ...GREEDY, stream: true, stream_options: { chunk_by: "page" } }, 400, "stream_options.chunk_by"],
    [
      "chunk_max_delay_ms",
      { ...GREEDY, stream: true, stream_options: { chunk_max_delay_ms: -1 } },
      400,
      "stream_options.chunk_max_delay_ms",
    ],
    ["resumable", { ...GREEDY, stream: true, stream_options: { resumable: 1 } }, 400, "stream_options.resumable"],
    ["stream_options without stream", { ...GREEDY, stream_options: { chunk_size: 2 } }, 400, "stream_options"],
    ["top_k", { ...GREEDY, top_k: -2 }, 400, "top_k"],
    ["min_p", { ...GREEDY, min_p: 2 }, 400, "min_p"],
    ["typical_p", { ...GREEDY, typical_p: "x" }, 400, "typical_p"],
    ["top_n_sigma", { ...GREEDY, top_n_sigma: -0.5 }, 400, "top_n_sigma"],
    ["xtc_probability", { ...GREEDY, xtc_probability: 1.5 }, 400, "xtc_probability"],
    ["dry_base", { ...GREEDY, dry_base: 0 }, 400, "dry_base"],
    ["dry_sequence_breakers", { ...GREEDY, dry_sequence_breakers: ["a", ""] }, 400, "dry_sequence_breakers[1]"],
    ["mirostat", { ...GREEDY, mirostat: 3 }, 400, "mirostat"],
    ["a sampler that there is none of", { ...GREEDY, samplers: ["top_k", "best"] }, 400, "samplers[1]"],
    ["a sampler twice", { ...GREEDY, samplers: ["typ_p", "typical_p"] }, 400, "samplers[1]"],
    ["min_tokens beyond max_tokens", { ...GREEDY, min_tokens: 41 }, 400, "min_tokens"],
    ["repeat_penalty", { ...GREEDY, repeat_penalty: 0 }, 400, "repeat_penalty"],
    ["too many stops", { ...GREEDY, stop: Array.from({ length: 17 }, (_, i) => `${i}`) }, 400, "stop"],
    ["a stop that is no string", { ...GREEDY, stop: ["a", 1] }, 400, "stop"],
    ["a token that is no number", { ...GREEDY, logit_bias: { the: 1 } }, 400, "logit_bias.the"],
    ["ignore_eos", { ...GREEDY, ignore_eos: "no" }, 400, "ignore_eos"],
    ["user", { ...GREEDY, user: 5 }, 400, "user"],
    ["too many choices", { ...GREEDY, n: 9 }, 400, "n"],
    ["empty messages", { messages: [] }, 400, "messages"],
    ["a message that is none", { messages: ["Hello"] }, 400, "messages[0]"],
    ["content that is missing", { messages: [{ role: "user" }] }, 400, "messages[0].content"],
    ["functions", { ...GREEDY, functions: [{ name: "f" }] }, 400, "functions"],
    ["response_format", { ...GREEDY, response_format: { type: "xml" } }, 400, "response_format.type"],
    ["logprobs", { ...GREEDY, logprobs: 2 }, 400, "logprobs"],
    ["top_logprobs", { ...GREEDY, logprobs: true, top_logprobs: 21 }, 400, "top_logprobs"],
    ["top_logprobs without logprobs", { ...GREEDY, top_logprobs: 2 }, 400, "top_logprobs"],
    ["an unknown stream option", { ...GREEDY, stream: true, stream_options: { chunk: 1 } }, 400, "stream_options.chunk"],
    ["a prompt that is too long", { messages: [{ role: "user", content: "story ".repeat(3000) }] }, 400, "messages"],
  ])("%s", async (_, body, status, param) => {
    const { url } = await serveApp();
    const response = await post(url, body);
    expect(response.status).toBe(status);
    const { error } = await json(response);
    expect(error).toMatchObject({ type: "invalid_request_error", param });
    expect(error.message.length).toBeGreaterThan(10);
  });

  test("null is as good as left out, and seeds are 64-bit integers", async () => {
    const { url } = await serveApp();
    const fields = [
      "model",
      "stream",
      "stream_options",
      "n",
      "max_completion_tokens",
      "seed",
      "stop",
      "top_p",
      "top_k",
      "logit_bias",
      "user",
    ];
    const nulls = Object.fromEntries(fields.map((name) => [name, null]));
    expect((await post(url, { ...GREEDY, ...nulls })).status).toBe(200);
    expect((await post(url, JSON.stringify(GREEDY).replace("{", '{"seed":9223372036854775807,'))).status).toBe(200);
    expect((await post(url, { ...GREEDY, seed: 1e300 })).status).toBe(400);
  });

  test.each([
    ["stop", 5, "a string of 1 to 256 characters, or an array of up to 16 of them"],
    ["messages", [{ role: "user", content: 5 }], "a string or an array of { type"],
  ])("%s of no fitting type: the message says what is allowed", async (name, value, allowed) => {
    const { url } = await serveApp();
    expect((await json(await post(url, { ...GREEDY, [name]: value }))).error.message).toContain(allowed);
  });

  test("an empty body, bad JSON, another content type, a large body", async () => {
    const { url } = await serveApp({}, { maxBodyBytes: 2000 });
    expect((await post(url, "")).status).toBe(400);
    expect((await post(url, "{nope")).status).toBe(400);
    expect((await post(url, "null")).status).toBe(400);
    expect((await post(url, GREEDY, { headers: { "content-type": "text/plain" } })).status).toBe(415);
    expect((await post(url, { ...GREEDY, user: "x".repeat(3000) })).status).toBe(413);
    // What is not UTF-8 is not guessed at.
    const [before, after] = JSON.stringify(GREEDY).split("story");
    const broken = Buffer.concat([Buffer.from(before!), Buffer.of(0xc3), Buffer.from(after!)]);
    const answer = await post(url, "", { body: broken });
    expect([answer.status, (await json(answer)).error.message]).toEqual([400, "The body is not valid UTF-8."]);
    // … also where the length is not known beforehand.
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new TextEncoder().encode("[".repeat(1000))) });
    const chunked = await post(url, "", { body: endless, duplex: "half" } as RequestInit).catch(() => undefined);
    expect([undefined, 413]).toContain(chunked?.status);
    expect((await post(url, GREEDY)).status).toBe(200);
  });
});

describe("keys", () => {
  test("without one of them there is nothing under /v1; health stays open", async () => {
    const { url, base } = await serveApp({}, { apiKeys: ["first", "second"] });
    const ask = (authorization?: string) =>
      post(url, GREEDY, { headers: { "content-type": "application/json", ...(authorization === undefined ? {} : { authorization }) } });
    for (const bad of [undefined, "first", "Bearer", "Bearer ", "Bearer third", "Bearer first2", "Basic first"]) {
      const response = await ask(bad);
      expect(response.status, String(bad)).toBe(401);
      expect(await json(response)).toMatchObject({ error: { code: "invalid_api_key" } });
    }
    for (const good of ["Bearer first", "Bearer second", "bearer second"]) expect((await ask(good)).status).toBe(200);
    expect((await fetch(`${base}/v1/models`)).status).toBe(401);
    expect((await fetch(`${base}/health`)).status).toBe(200);
  });
});

describe("a server on loopback without keys", () => {
  /** With a Host of our own, which fetch does not allow. */
  const ask = async (base: string, host: string, path = "/health") => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(`${base}${path}`, { headers: { host } }, resolve).on("error", reject).end();
    });
    const body = (await response.setEncoding("utf8").toArray()).join("");
    return { status: response.statusCode, body: JSON.parse(body) as { error: { code: string; message: string } } };
  };

  test("answers to this machine's names alone: a page whose name was pointed at it gets a 403", async () => {
    const { base, lines } = await serveApp({}, { allowedHosts: ["My-Proxy.example"] });
    const own = ["localhost", "LOCALHOST:8000", "app.localhost:1", "localhost.", "127.0.0.1", "127.0.0.1:80", "[::1]:8000", "192.168.1.7"];
    for (const host of [...own, hostname(), `${hostname()}.local:8000`, "my-proxy.example:8000"]) {
      expect((await ask(base, host)).status, host).toBe(200);
    }
    const foreign = [
      "evil.example",
      "evil.example:8000",
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "evillocalhost",
      "proxy.example",
    ];
    for (const host of foreign) {
      for (const path of ["/health", "/v1/models", "/nothing"]) {
        const { status, body } = await ask(base, host, path);
        expect([status, body.error.code], host).toEqual([403, "forbidden_host"]);
        expect(body.error.message).toContain(`--allow-host ${host.replace(/:\d+$/, "")}`);
      }
    }
    expect(lines.filter(({ status }) => status === 403).length).toBe(3 * foreign.length);
  });

  test("does not ask for a name where there are keys, or where others may connect", async () => {
    const keys = await serveApp({}, { apiKeys: ["k"] });
    expect((await ask(keys.base, "evil.example")).status).toBe(200);
    const everyone = await serveApp({}, {}, { host: "0.0.0.0" });
    expect((await ask(everyone.base.replace("0.0.0.0", "127.0.0.1"), "evil.example")).status).toBe(200);
  });
});

describe("browsers of other origins", () => {
  test("are not let in unless asked", async () => {
    const preflight = { method: "OPTIONS", headers: { origin: "http://page.test", "access-control-request-method": "POST" } };
    const closed = await serveApp();
    expect((await fetch(closed.url, preflight)).headers.get("access-control-allow-origin")).toBe(null);
    const opened = await serveApp({}, { corsOrigins: ["http://page.test"], apiKeys: ["k"] });
    expect((await fetch(opened.url, preflight)).headers.get("access-control-allow-origin")).toBe("http://page.test");
    // … of which a page can also read what went wrong.
    const refused = await post(opened.url, GREEDY, { headers: { origin: "http://page.test" } });
    expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([401, "http://page.test"]);
    const other = { ...preflight, headers: { ...preflight.headers, origin: "http://other.test" } };
    expect((await fetch(opened.url, other)).headers.get("access-control-allow-origin")).toBe(null);
  });
});

test("pages of apps, subdomains and ports that --cors names are let in; sandboxed ones are not", async () => {
  const { base } = await serveApp({}, { corsOrigins: ["app://obsidian.md", "https://*.example.com", "http://localhost:*"] });
  const allowed = async (origin: string) =>
    (await fetch(`${base}/v1/models`, { headers: { origin } })).headers.get("access-control-allow-origin");
  for (const good of ["app://obsidian.md", "https://a.example.com", "http://localhost:5173"]) expect(await allowed(good)).toBe(good);
  for (const bad of ["null", "https://example.com", "app://other", "http://localhost.test"]) expect(await allowed(bad), bad).toBe(null);
});

test("the openai SDK works from a page of an allowed origin: the preflight allows every header that it sends", async () => {
  const { base } = await serveApp({}, { corsOrigins: ["http://page.test"] });
  let sent: string[] = [];
  const client = new OpenAI({
    baseURL: `${base}/v1`,
    apiKey: "k",
    fetch: (url, init) => {
      sent = [...new Headers(init?.headers).keys()];
      return fetch(url, init);
    },
  });
  await client.models.list();
  expect(sent.length).toBeGreaterThan(4);
  const asked = {
    origin: "http://page.test",
    "access-control-request-method": "POST",
    "access-control-request-headers": [...sent, "last-event-id"].join(","),
  };
  const preflight = await fetch(`${base}/v1/chat/completions`, { method: "OPTIONS", headers: asked });
  const allowed = preflight.headers.get("access-control-allow-headers")!.split(/, */);
  expect([...sent, "last-event-id"].filter((name) => !allowed.includes(name))).toEqual([]);
});

describe("metrics and logs", () => {
  test("count what happened", async () => {
    const { url, base, model, lines } = await serveApp({ maxStreams: 2 });
    await stream(url, GREEDY);
    await post(url, { ...GREEDY, top_p: 9 });
    await post(`${base}/v1/embeddings`, GREEDY); // no request for a reply
    const leaving = new AbortController();
    const response = await post(url, { ...LONG, stream: true }, { signal: leaving.signal });
    await response.body!.getReader().read();
    leaving.abort();
    await until(() => idle(model, 2), "cancelled");
    await until(() => lines.length >= 4, "four lines");
    const text = await (await fetch(`${base}/metrics`)).text();
    const value = (name: string) => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(text)?.[1]);
    expect(value("gen_ai_server_time_to_first_token_seconds_count")).toBe(1);
    expect(value("gen_ai_server_time_per_output_token_seconds_count")).toBe(1);
    expect(value("zstream_request_queue_time_seconds_count")).toBe(1);
    expect(value("zstream_generation_tokens_total")).toBeGreaterThan(10);
    expect(value("zstream_prompt_tokens_total")).toBeGreaterThan(5);
    expect(value("zstream_num_requests_running")).toBe(0);
    expect(value("zstream_slots_free")).toBe(2);
    expect(value("zstream_num_requests_spilled")).toBe(0);
    expect(value("zstream_prompt_cache_disk_bytes")).toBe(0);
    const ended = [...text.matchAll(/^zstream_requests_total\{finished_reason="(\w+)".*\} (\d+)$/gm)].map(([, reason, count]) => [
      reason,
      count,
    ]);
    expect(Object.fromEntries(ended)).toMatchObject({ cancelled: "1", rejected: "1" });
    expect(ended.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(3);
  });

  test("prefix-cache hits, parked streams and tokens of cancelled replies are counted", async () => {
    const { url, base, model } = await serveApp({ maxStreams: 2 });
    const read = async (name: string) => {
      await sleep(110); // the text of the last 100 ms is given again
      const text = await (await fetch(`${base}/metrics`)).text();
      return Number(new RegExp(`^zstream_${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(text)?.[1]);
    };
    const body = { ...GREEDY, messages: [{ role: "user", content: "one two three four five six seven eight nine ten ".repeat(10) }] };
    await stream(url, { ...body, n: 2 });
    const prompt = (await stream(url, body)).chunks.at(-1)!.usage!.prompt_tokens;
    expect(await read("prefix_cache_queries_total")).toBe(3 * prompt);
    // The second choice took the first one's prompt over.
    expect(await read("prefix_cache_hits_total")).toBeGreaterThan(0.8 * prompt);
    // A prompt of several choices is one.
    expect(await read("prompt_tokens_total")).toBe(2 * prompt);
    const busy = model.chatStream(STORY.messages, { ignoreEos: true, highWaterMark: 8 });
    await until(() => model.stats().parked === 1, "parked");
    expect([await read("num_requests_parked"), await read("num_requests_running"), await read("slots_free")]).toEqual([1, 0, 1]);
    busy.abort();
    await until(() => idle(model, 2), "cancelled");
    expect(await read("generation_tokens_total")).toBe(model.stats().generatedTokens);
    expect(await read("num_requests_parked")).toBe(0);
  });

  test("a request is one line of JSON without what was said, unless asked for", async () => {
    const secret = "xylophone";
    const body = { ...GREEDY, messages: [{ role: "user", content: secret }], frobnicate: 1 };
    const { url, lines } = await serveApp();
    await stream(url, body);
    expect(lines.length).toBe(1);
    expect(lines[0]).toMatchObject({ method: "POST", path: "/v1/chat/completions", status: 200, stream: true, ignored: ["frobnicate"] });
    expect(lines[0]!.completionTokens).toBeGreaterThan(0);
    expect(lines[0]!.prefix).toEqual({ brokeAt: expect.any(Number), reason: expect.any(String) });
    expect(JSON.stringify(lines)).not.toContain(secret);
    // … nor what is wrong with it.
    for (const content of [5, { secret }, [{ type: "text", text: { secret } }]]) await post(url, { messages: [{ role: "user", content }] });
    expect(lines.map(({ status }) => status)).toEqual([200, 400, 400, 400]);
    expect(JSON.stringify(lines)).not.toContain(secret);
    const open = await serveApp({}, { logPrompts: true });
    await stream(open.url, body);
    expect(JSON.stringify(open.lines)).toContain(secret);
  });
});

describe("a full server", () => {
  test("says when to come back from what replies of either route took, not from a guess", async () => {
    const { base, model } = await serveApp({ maxStreams: 1, maxQueue: 0 });
    const completion = { prompt: "Once", max_tokens: 5, temperature: 0 };
    expect((await post(`${base}/v1/completions`, completion)).status).toBe(200);
    const leaving = new AbortController();
    await post(`${base}/v1/completions`, { ...LONG, messages: undefined, prompt: "Once", stream: true }, { signal: leaving.signal });
    const refused = await post(`${base}/v1/completions`, completion);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after-ms"))).not.toBe(1000); // what is said where nothing is known
    leaving.abort();
    await until(() => idle(model, 1), "the slot is free");
  });

  test("turns a burst of 1,000 away, says when to come back, and keeps its streams running", async () => {
    const { url, model } = await serveApp({ maxStreams: 8, maxQueue: 16, contextSize: 4096 });
    let read = 0;
    const streams = Array.from({ length: 24 }, (_, seed) => model.chatStream(STORY.messages, { ignoreEos: true, seed }));
    for (const stream of streams) {
      void (async () => {
        for await (const text of stream) read += text.length;
      })().catch(() => {});
    }
    await until(() => model.stats().freeSlots === 0 && model.stats().queued === 16, "slots and queue are taken");
    const before = read;
    const began = performance.now();
    const refused = await Promise.all(Array.from({ length: 1000 }, () => refusedPost(url)));
    const ms = performance.now() - began;
    expect(refused.every(({ statusCode }) => statusCode === 429)).toBe(true);
    for (const { headers } of refused) {
      expect(Number(headers["retry-after-ms"])).toBeGreaterThan(0);
      expect(headers["retry-after"]).toMatch(/^\d+$/);
    }
    // How fast is the benchmark's to say, on a quiet machine; here: the streams went on meanwhile, up to their readers.
    expect(read).toBeGreaterThan(before);
    console.log(`1,000 requests refused in ${ms.toFixed(0)} ms, their client included`);
    for (const stream of streams) stream.abort();
    await until(() => idle(model, 8), "all slots are free");
  });

  /** By node:http, which has no limit on the time to connect: the client works in this process, too. */
  function refusedPost(url: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const message = request(url, { method: "POST", agent: false, headers: { "content-type": "application/json" } }, (response) => {
        response.resume().on("end", () => resolve(response));
      });
      message.on("error", reject).end(JSON.stringify(GREEDY));
    });
  }
});

describe("going down", () => {
  test("new requests are refused, running ones come to their end", async () => {
    const { url, server, model } = await serveApp();
    const response = await post(url, { ...LONG, stream: true, max_tokens: 80 });
    const draining = server.drain(30_000);
    await expect(post(url, GREEDY).then(({ status }) => status)).rejects.toThrow();
    const { finishReasons, done } = parseStrictly(await response.text());
    expect([finishReasons, done]).toEqual([["length"], true]);
    await draining;
    expect(idle(model, 4)).toBe(true);
  });

  test("after --drain-timeout what still runs ends with an error event", async () => {
    const { url, server, model } = await serveApp({ contextSize: 2048 });
    const response = await post(url, { ...LONG, stream: true });
    const draining = server.drain(50);
    const { error, done } = parseStrictly(await response.text());
    expect(error).toMatchObject({ type: "server_error", code: "closed" });
    expect(done).toBe(false);
    await draining;
    await until(() => idle(model, 4), "slots are free");
  });
});

describe("zse serve", () => {
  const started = (...args: string[]) => startedWith({}, ...args);
  const startedWith = async (env: Record<string, string>, ...args: string[]) => {
    const main = join(ROOT, "dist", "cli", "main.js");
    const { child, ended } = start([main, "serve", "--port", "0", "--threads", "1", ...args], { env: { ...process.env, ...env } });
    let out = "";
    child.stdout!.on("data", (text: string) => {
      out += text;
    });
    await until(() => out.includes("\n\ncurl ") && out.endsWith("\n\n"), "the ready lines", 30_000);
    return { child, ended, out, curl: /^curl .*$/m.exec(out)![0] };
  };

  test("says what it serves and where; its curl line works when pasted; SIGTERM ends it with 0", async () => {
    const { child, ended, out, curl } = await started("--name", "it's mine");
    expect(out).toMatch(/^it's mine \(qwen2, 2\.76 M parameters, 2\.8 MiB\) listens on http:\/\/127\.0\.0\.1:\d+\n/);
    const shell = spawn("bash", ["-c", curl.replace("curl -N", "curl -sN")]);
    let text = "";
    shell.stdout.on("data", (chunk) => {
      text += chunk;
    });
    await new Promise((resolve) => shell.on("close", resolve));
    expect(parseStrictly(text)).toMatchObject({ done: true, finishReasons: ["stop"] });
    child.kill("SIGTERM");
    const { code, stderr } = await ended;
    expect(code).toBe(0);
    expect(stderr).toMatch(/"path":"\/v1\/chat\/completions".*"status":200/);
  });

  test("has a page at its address, and none with --no-ui", async () => {
    const { child, ended, out } = await started("--name", "qwen-7b");
    const [, url] = /^(http:\S+) is a page to chat with it\.$/m.exec(out)!;
    expect(await (await fetch(url!)).text()).toContain('<div id="page">');
    child.kill("SIGTERM");
    expect((await ended).code).toBe(0);
    const bare = await started("--name", "qwen-7b", "--no-ui");
    expect(bare.out).not.toContain("page");
    expect((await fetch(`${/http:[\d.:/]+\d/.exec(bare.out)![0]}/`)).status).toBe(404);
    bare.child.kill("SIGTERM");
    expect((await bare.ended).code).toBe(0);
  });

  test("SIGTERM: what still runs after --drain-timeout ends with an error event; 0", async () => {
    const { child, ended, out } = await started("--name", "qwen-7b", "--drain-timeout", "0", "--context-size", "4096");
    const url = `${/http:\S+/.exec(out)![0]}/v1/chat/completions`;
    const response = await post(url, { ...LONG, stream: true });
    child.kill("SIGTERM");
    const { error, done } = parseStrictly(await response.text());
    expect([error, done]).toEqual([expect.objectContaining({ code: "closed" }), false]);
    expect((await ended).code).toBe(0);
  });

  test("the first --name is the model's, and more are aliases", async () => {
    const { child, ended, out } = await started("--name", "qwen-7b", "--name", "gpt-4o");
    expect(out).toMatch(/^qwen-7b \(/);
    const { data } = (await json(await fetch(`${/http:\S+/.exec(out)![0]}/v1/models`))) as unknown as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(["qwen-7b", "gpt-4o"]);
    child.kill("SIGTERM");
    expect((await ended).code).toBe(0);
  });

  test("keys come from several --api-key and from ZSE_API_KEY, and none of them is in the log", async () => {
    const { child, ended, out, curl } = await startedWith(
      { ZSE_API_KEY: "third, fourth" },
      "--name",
      "qwen-7b",
      "--api-key",
      "first",
      "--api-key",
      "second",
    );
    const url = `${/http:\S+/.exec(out)![0]}/v1/chat/completions`;
    const status = async (key: string) =>
      (await post(url, { ...GREEDY, max_tokens: 2 }, { headers: { "content-type": "application/json", authorization: `Bearer ${key}` } }))
        .status;
    for (const key of ["first", "second", "third", "fourth"]) expect(await status(key), key).toBe(200);
    for (const key of ["fifth", "first,second", "third, fourth", ""]) expect(await status(key), key).toBe(401);
    expect(curl).toContain("$ZSE_API_KEY");
    child.kill("SIGTERM");
    const { code, stderr } = await ended;
    expect(code).toBe(0);
    for (const key of ["first", "second", "third", "fourth"]) expect(stderr + out).not.toContain(key);
  });

  test.each([
    ["an empty key", {}, ["--api-key", ""], "--api-key"],
    ["a variable without a key in it", { ZSE_API_KEY: " , " }, [], "ZSE_API_KEY"],
    ["a key that no client can send", {}, ["--api-key", "schlüssel"], "ASCII"],
    ["an origin that no browser sends", {}, ["--cors", "https://example.com/"], "did you mean https://example.com?"],
    ["an origin that no page has", {}, ["--cors", "http://a*.example.com"], "https://*.example.com (its subdomains)"],
    ["a host with a port", {}, ["--allow-host", "my-pc:8000"], "--allow-host must be a name"],
    ["an empty name", {}, ["--name", ""], "--name"],
  ])("%s is refused before anything listens", async (_, env, args, said) => {
    const main = join(ROOT, "dist", "cli", "main.js");
    const { code, stderr, stdout } = await start([main, "serve", "--port", "0", ...args], { env: { ...process.env, ...env } }).ended;
    expect([code, stdout, stderr]).toEqual([2, "", expect.stringContaining(said)]);
    expect(stderr).not.toContain("schlüssel");
  });

  test("a SIGTERM that comes twice at once, to the process and to its group, is one", async () => {
    const { child, ended, out } = await started("--name", "qwen-7b", "--context-size", "4096");
    const url = `${/http:\S+/.exec(out)![0]}/v1/chat/completions`;
    const response = await post(url, { ...LONG, max_tokens: 1000, stream: true });
    const heard = new Promise<void>((resolve) =>
      child.stderr!.on("data", (text: string) => /no new requests; running ones have 30 s/.test(text) && resolve()),
    );
    child.kill("SIGTERM");
    await heard;
    child.kill("SIGTERM");
    expect(parseStrictly(await response.text())).toMatchObject({ done: true, finishReasons: ["length"] });
    expect((await ended).code).toBe(0);
  });

  test("more choices than it could ever hold are a 400, not a 429 that the SDKs try again", async () => {
    const { child, ended, out } = await started("--name", "qwen-7b", "--max-streams", "1", "--max-queue", "1");
    const url = `${/http:\S+/.exec(out)![0]}/v1/chat/completions`;
    const refused = await post(url, { ...GREEDY, n: 3 });
    expect([refused.status, (await json(refused)).error.param]).toEqual([400, "n"]);
    expect((await post(url, { ...GREEDY, n: 2 })).status).toBe(200);
    child.kill("SIGTERM");
    expect((await ended).code).toBe(0);
  });

  test("listening for everyone is said loudly", async () => {
    const { child, ended } = await started("--host", "0.0.0.0");
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
    expect((await ended).stderr).toMatch(/WARNING.*0\.0\.0\.0/);
    expect((await ended).stderr).toMatch(/^zse: closing; no new requests$/m); // nothing runs that would have time left
  });

  test("a port that is taken, and wrong flags, are one sentence", async () => {
    const { child, ended, out } = await started();
    const port = /:(\d+)\n/.exec(out)![1]!;
    const second = await zse("serve", "--port", port, "--threads", "1").ended;
    expect([second.code, second.stderr]).toEqual([1, expect.stringMatching(/^zse: .* is in use already.*\n$/)]);
    const wrong = await zse("serve", "--max-queue", "many").ended;
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining("--max-queue must be a whole number")]);
    child.kill("SIGTERM");
    expect((await ended).code).toBe(0);
  });
});
