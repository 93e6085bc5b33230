// Several models behind one server, over real sockets and by real clients: every route finds the model that is asked for, those that are not there are
// told in each API's shape, and models come and go under load with nothing lost.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { setNative } from "../../lib/addon/load.js";
import { createHandler, nodeHandler } from "../../lib/http/index.js";
import { ModelPool } from "../../lib/pool/model-pool.js";
import type { ModelPoolOptions } from "../../lib/pool/types.js";
import { App, type AppOptions } from "../../lib/server/app.js";
import { HttpServer } from "../../lib/server/http-server.js";
import { openLog } from "../../lib/server/log.js";
import type { ReplyOptions } from "../../lib/types.js";
import { ZSE } from "../../lib/zse.js";
import { DEMO } from "../addon/helpers.js";
import { makeRandomModel } from "../random-model.js";
import { randomOf } from "../random-schemas.js";
import { FakeAddon, type FakeOptions } from "../unit/fake-native.js";
import { json, listen, post, until } from "./helpers.js";
import { parseStrictly } from "./strict-sse.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-pools-"));
const FILES = { demo: DEMO, red: join(folder, "red.gguf"), blue: join(folder, "blue.gguf") };
beforeAll(async () => {
  await makeRandomModel(DEMO, FILES.red, 1);
  await makeRandomModel(DEMO, FILES.blue, 2);
});
afterAll(() => rmSync(folder, { recursive: true }));

const SMALL = { threads: 1, contextSize: 256, maxStreams: 2, deterministic: true } as const;
const NAMES = ["demo", "red", "blue"] as const;

function openPool(options: Partial<ModelPoolOptions> = {}): ModelPool {
  const models = Object.fromEntries(NAMES.map((name) => [name, { path: FILES[name], ...SMALL }]));
  const pool = new ModelPool({ models, ...options });
  onTestFinished(() => pool.close());
  return pool;
}

const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.drain(0)));
});

/** `zse serve`'s app over a pool. */
async function serve(pool: ModelPool, options: Partial<AppOptions> = {}) {
  const lines: Record<string, unknown>[] = [];
  const log = openLog("debug", { write: (line) => void lines.push(JSON.parse(line)) });
  const server = await HttpServer.listen(new App(pool, { log, ...options }), { port: 0, host: "127.0.0.1" });
  servers.push(server);
  return { base: server.address, url: `${server.address}/v1/chat/completions`, lines };
}

const states = (pool: ModelPool) => Object.fromEntries(pool.list().map(({ name, state }) => [name, state]));
const HI = [{ role: "user" as const, content: "Hi" }];
const GREEDY = { temperature: 0, max_tokens: 12, messages: HI };

/** What each model says by itself. */
const alone = new Map<string, Promise<string>>();
function said(name: keyof typeof FILES, content: string, maxTokens = 12, options: ReplyOptions = {}): Promise<string> {
  const key = JSON.stringify([name, content, maxTokens, options]);
  const known = alone.get(key) ?? saidBy(FILES[name], content, maxTokens, options);
  alone.set(key, known);
  return known;
}
async function saidBy(path: string, content: string, maxTokens: number, options: ReplyOptions): Promise<string> {
  const model = new ZSE(path, SMALL);
  try {
    return (await model.chat([{ role: "user", content }], { temperature: 0, maxTokens, ...options })).text;
  } finally {
    await model.close();
  }
}

describe("each route asks the model that it is told", () => {
  test("chats, completions, responses, messages and Ollama's, streamed and whole", async () => {
    const pool = openPool();
    const { base } = await serve(pool);
    const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: "x", maxRetries: 0 });
    const anthropic = new Anthropic({ baseURL: base, apiKey: "x", maxRetries: 0 });
    const ollama = new Ollama({ host: base });
    for (const model of NAMES) {
      const text = await said(model, "Hi");
      const chat = await openai.chat.completions.create({ model, ...GREEDY });
      expect([chat.model, chat.choices[0]!.message.content]).toEqual([model, text]);
      let streamed = "";
      for await (const chunk of await openai.chat.completions.create({ model, ...GREEDY, stream: true })) {
        expect(chunk.model).toBe(model);
        streamed += chunk.choices[0]?.delta.content ?? "";
      }
      expect(streamed).toBe(text);
      const response = await openai.responses.create({ model, input: "Hi", temperature: 0, max_output_tokens: 12 });
      expect([response.model, response.output_text]).toEqual([model, text]);
      const message = await anthropic.messages.create({ model, ...GREEDY });
      expect([message.model, message.content.map((part) => (part.type === "text" ? part.text : "")).join("")]).toEqual([
        model,
        await said(model, "Hi", 12, { reasoning: "off" }),
      ]);
      const told = await ollama.chat({ model: `${model}:latest`, messages: HI, options: { temperature: 0, num_predict: 12 } });
      expect(told.message.content).toBe(text);
      const generated = await ollama.generate({ model, prompt: "Hi", options: { temperature: 0, num_predict: 12 } });
      expect(generated.response).toBe(text);
      expect((await openai.completions.create({ model, prompt: "Once", max_tokens: 3 })).model).toBe(model);
    }
  });
  test("tokens, templates and counts; and each opens the model", async () => {
    const pool = openPool({ maxOpen: 1 });
    const { base } = await serve(pool);
    const { tokens } = (await json(await post(`${base}/tokenize`, { model: "red", content: "Once upon" }))) as unknown as {
      tokens: number[];
    };
    expect(tokens.length).toBeGreaterThan(0);
    expect(states(pool)).toMatchObject({ red: "open" });
    expect(await json(await post(`${base}/detokenize`, { model: "blue", tokens }))).toEqual({ content: "Once upon" });
    expect(states(pool)).toMatchObject({ red: "closed", blue: "open" });
    expect(await json(await post(`${base}/apply-template`, { model: "demo", messages: HI }))).toHaveProperty("prompt");
    expect(states(pool)).toMatchObject({ demo: "open", blue: "closed" });
    expect(await json(await post(`${base}/v1/messages/count_tokens`, { model: "red", messages: HI }))).toHaveProperty("input_tokens");
    expect(states(pool)).toMatchObject({ demo: "closed", red: "open" });
    // As with one model, what names none means the first.
    expect(await json(await post(`${base}/v1/chat/completions`, GREEDY))).toMatchObject({ model: "demo" });
  });
  test("a response is gone on from by another model", async () => {
    const { base } = await serve(openPool({ maxOpen: 1 }));
    const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: "x", maxRetries: 0 });
    const first = await openai.responses.create({ model: "demo", input: "Hi", max_output_tokens: 4 });
    const second = await openai.responses.create({ model: "red", input: "More", previous_response_id: first.id, max_output_tokens: 4 });
    expect(second).toMatchObject({ model: "red", previous_response_id: first.id, status: "incomplete" });
  });
});

describe("an unknown model is told in each API's shape", () => {
  test("to OpenAI's, Anthropic's and Ollama's clients, and opens none", async () => {
    const pool = openPool();
    const { base } = await serve(pool);
    const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: "x", maxRetries: 0 });
    const error = await openai.chat.completions.create({ model: "gpt-9", ...GREEDY }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(OpenAI.NotFoundError);
    expect(error).toMatchObject({ code: "model_not_found", param: "model", message: expect.stringContaining('"demo", "red", "blue"') });
    await expect(openai.responses.create({ model: "gpt-9", input: "Hi" })).rejects.toMatchObject({ status: 404, code: "model_not_found" });
    await expect(openai.models.retrieve("gpt-9")).rejects.toMatchObject({ status: 404, code: "model_not_found" });
    const anthropic = new Anthropic({ baseURL: base, apiKey: "x", maxRetries: 0 });
    const refused = await anthropic.messages.create({ model: "claude", ...GREEDY }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Anthropic.NotFoundError);
    expect(refused).toMatchObject({ error: { type: "error", error: { type: "not_found_error" } } });
    await expect(new Ollama({ host: base }).chat({ model: "llama", messages: HI })).rejects.toMatchObject({ status_code: 404 });
    for (const path of ["/tokenize", "/api/show"]) expect((await post(base + path, { model: "x", content: "Hi" })).status).toBe(404);
    expect((await post(`${base}/tokenize`, { model: 5, content: "Hi" })).status).toBe(400);
    expect(states(pool)).toEqual({ demo: "closed", red: "closed", blue: "closed" });
  });
});

describe("what is told of the models", () => {
  test("/v1/models tells which are open, under each name; Ollama's lists too", async () => {
    const models = { demo: { path: DEMO, aliases: ["gpt-4o"], ...SMALL }, red: { path: FILES.red, ...SMALL } };
    const pool = openPool({ models });
    const { base } = await serve(pool);
    const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: "x" });
    const listed = async () =>
      (await openai.models.list()).data.map((model) => [model.id, (model as unknown as { status: unknown }).status]);
    const value = (value: string) => ({ value });
    expect(await listed()).toEqual([
      ["demo", value("unloaded")],
      ["gpt-4o", value("unloaded")],
      ["red", value("unloaded")],
    ]);
    await openai.chat.completions.create({ model: "gpt-4o", ...GREEDY });
    expect(await listed()).toEqual([
      ["demo", value("loaded")],
      ["gpt-4o", value("loaded")],
      ["red", value("unloaded")],
    ]);
    expect(await openai.models.retrieve("gpt-4o")).toMatchObject({ max_model_len: 256 });
    const ollama = new Ollama({ host: base });
    expect((await ollama.list()).models.map(({ name }) => name)).toEqual(["demo", "gpt-4o", "red"]);
    expect((await ollama.ps()).models.map(({ name }) => name)).toEqual(["demo", "gpt-4o"]);
    expect(await json(await fetch(`${base}/health`))).toMatchObject({ status: "ok", open: ["demo"], queued: 0, freeSlots: 4 });
  });
  test("llama-server's routes of a router open a model and take it out of memory, unless it is used", async () => {
    const pool = openPool();
    const { base } = await serve(pool);
    const status = async () => {
      const { data } = (await json(await fetch(`${base}/models`))) as unknown as { data: { id: string; status: { value: string } }[] };
      return data.find(({ id }) => id === "red")!.status.value;
    };
    expect(await json(await post(`${base}/models/load`, { model: "red" }))).toEqual({ success: true });
    expect(["loading", "loaded"]).toContain(await status());
    await until(() => states(pool).red === "open", "red is open");
    expect(await status()).toBe("loaded");
    const lease = await pool.acquire("red");
    const used = await post(`${base}/models/unload`, { model: "red" });
    expect([used.status, (await json(used)).error.code]).toEqual([409, "model_in_use"]);
    lease.release();
    await until(() => pool.list()[1]!.uses === 0, "red is not used");
    expect(await json(await post(`${base}/v1/models/unload`, { model: "red" }))).toEqual({ success: true });
    expect(await status()).toBe("unloaded");
    for (const path of ["load", "unload"]) {
      expect((await post(`${base}/models/${path}`, { model: "green" })).status).toBe(404);
      expect((await post(`${base}/models/${path}`, { model: 5 })).status).toBe(400);
    }
  });
  test("a model that could not be opened says so, until it could", async () => {
    const path = join(folder, "later.gguf");
    const pool = openPool({ models: { demo: { path: DEMO, ...SMALL }, later: { path, ...SMALL } } });
    const { base, url, lines } = await serve(pool);
    const status = async () => ((await json(await fetch(`${base}/v1/models/later`))) as { status?: unknown }).status;
    expect((await post(url, { model: "later", ...GREEDY })).status).toBe(503);
    expect(await status()).toEqual({ value: "unloaded", failed: true });
    expect(lines.find((line) => line.status === 503)).toMatchObject({ error: expect.stringContaining("later.gguf") });
    expect((await post(url, { model: "demo", ...GREEDY })).status).toBe(200);
    await makeRandomModel(DEMO, path, 3);
    expect((await post(url, { model: "later", ...GREEDY })).status).toBe(200);
    expect(await status()).toEqual({ value: "loaded" });
  });
  test("keys are asked for there as elsewhere", async () => {
    const { base } = await serve(openPool(), { apiKeys: ["k"] });
    for (const path of ["/models/load", "/v1/models/unload", "/tokenize"])
      expect((await post(base + path, { model: "red" })).status).toBe(401);
  });
  test("Ollama's clients load a model by asking it nothing, and take it out of memory by a keep_alive of 0, unless it is used", async () => {
    const pool = openPool();
    const { base } = await serve(pool);
    const ollama = new Ollama({ host: base });
    expect(await ollama.generate({ model: "red", prompt: "", keep_alive: "5m" })).toMatchObject({ done_reason: "load" });
    expect(states(pool)).toMatchObject({ red: "open" });
    const lease = await pool.acquire("red");
    expect(await ollama.generate({ model: "red", prompt: "", keep_alive: 0 })).toMatchObject({ done_reason: "load" });
    expect(states(pool)).toMatchObject({ red: "open" });
    lease.release();
    for (const keep_alive of [0, "0", "0s"]) {
      await ollama.chat({ model: "red", messages: [] });
      expect(await ollama.chat({ model: "red", messages: [], keep_alive })).toMatchObject({ done_reason: "unload" });
      expect(states(pool)).toMatchObject({ red: "closed" });
    }
    // A time beside a question is the server's matter.
    await ollama.chat({ model: "red", messages: HI, options: { num_predict: 2 }, keep_alive: 0 });
    expect(states(pool)).toMatchObject({ red: "open", blue: "closed" });
  });
  test("metrics and log lines say which model", async () => {
    const pool = openPool();
    const { base, url, lines } = await serve(pool);
    await post(url, { model: "red", ...GREEDY });
    await post(url, { model: "nothing", ...GREEDY });
    const text = await (await fetch(`${base}/metrics`)).text();
    const value = (series: string) =>
      Number(
        text
          .split("\n")
          .find((line) => line.startsWith(`${series} `))
          ?.split(" ")[1],
      );
    expect(value('zstream_requests_total{finished_reason="length",model_name="red"}')).toBe(1);
    expect(value('zstream_requests_total{finished_reason="rejected",model_name=""}')).toBe(1);
    expect(value('gen_ai_server_time_to_first_token_seconds_count{model_name="red"}')).toBe(1);
    expect(value('gen_ai_server_time_to_first_token_seconds_count{model_name="blue"}')).toBe(0);
    expect(value('zstream_generation_tokens_total{model_name="red"}')).toBe(12);
    expect(value('zstream_slots_free{model_name="blue"}')).toBe(2);
    expect(NAMES.map((name) => value(`zstream_model_open{model_name="${name}"}`))).toEqual([0, 1, 0]);
    expect(lines.filter(({ path }) => path === "/v1/chat/completions").map(({ model, status }) => [model, status])).toEqual([
      ["red", 200],
      [undefined, 404],
    ]);
  });
});

describe("a model that takes its time", () => {
  /** Over a fake addon, whose loading is the test's. */
  function openFakes(options: Partial<ModelPoolOptions> = {}, fakes: FakeOptions = {}) {
    const addon = new FakeAddon({ load: "manual", ...fakes });
    setNative(addon);
    onTestFinished(() => setNative(undefined));
    return { addon, pool: openPool({ models: { slow: "slow.gguf", other: "other.gguf" }, ...options }) };
  }

  test("is waited for by a stream whose headers go out meanwhile, with signs of life, and which is whole in the end", async () => {
    const { addon, pool } = openFakes();
    const base = await listen(nodeHandler(pool, { earlyErrorMs: 20, heartbeatMs: 30 }));
    const response = await post(base, { model: "slow", messages: HI, stream: true });
    expect(response.status).toBe(200);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await reader.read()).value!;
    expect(text).toContain('"delta":{');
    await until(() => addon.models.length === 1, "the model is being opened");
    addon.model.becomeReady();
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    const { texts, done } = parseStrictly(text);
    expect([texts[0], done]).toEqual(["Once upon a time, a fox ran.", true]);
  });
  test("and cannot be opened in the end, is an error of the stream that has begun, and a 503 to others", async () => {
    const { addon, pool } = openFakes();
    const told: unknown[] = [];
    const base = await listen(nodeHandler(pool, { earlyErrorMs: 20, heartbeatMs: 30, onError: (error) => told.push(error) }));
    const response = await post(base, { model: "slow", messages: HI, stream: true });
    const whole = post(base, { model: "slow", messages: HI });
    await until(() => pool.list()[0]!.waiting === 2 && addon.models.length === 1, "both wait");
    addon.model.failLoad({ code: "BAD_MODEL", message: "no model" });
    expect(await response.text()).toMatch(/"code":"bad_model"/);
    expect([(await whole).status, (await json(await whole)).error.code]).toEqual([503, "bad_model"]);
    expect(told).toHaveLength(1);
    const other = post(base, { model: "other", messages: HI });
    await until(() => addon.models.length === 2, "the other one is opened");
    addon.model.becomeReady();
    expect((await other).status).toBe(200);
  });
  test("is not waited for by a client that leaves, streaming or not: nobody waits for it then", async () => {
    const { pool } = openFakes();
    const { url, lines } = await serve(pool);
    const base = await listen(nodeHandler(pool, { earlyErrorMs: 10, heartbeatMs: 20 }));
    const leaving = new AbortController();
    const { signal } = leaving;
    const whole = post(url, { model: "slow", messages: HI }, { signal }).catch((error: Error) => error.name);
    const early = post(url, { model: "slow", messages: HI, stream: true }, { signal }).catch((error: Error) => error.name);
    await until(() => pool.list()[0]!.waiting === 2, "both wait");
    const late = await post(base, { model: "slow", messages: HI, stream: true }, { signal });
    expect(pool.list()[0]).toMatchObject({ waiting: 3 });
    leaving.abort();
    expect([await whole, await early]).toEqual(["AbortError", "AbortError"]);
    await late.text().catch(() => {});
    await until(() => pool.list()[0]!.waiting === 0, "nobody waits");
    await until(() => lines.length === 2, "both lines");
    expect(lines.map(({ status }) => status)).toEqual([499, 499]);
  });
  test("has a queue of its own: when that is full others are answered, and its next client comes back later", async () => {
    const models = { slow: { path: "slow.gguf", maxStreams: 1, maxQueue: 1 }, other: { path: "other.gguf", maxStreams: 1, maxQueue: 1 } };
    const { addon, pool } = openFakes({ models });
    const { url } = await serve(pool, { maxQueue: 1 });
    const waiting = [post(url, { model: "slow", messages: HI }), post(url, { model: "slow", messages: HI })];
    await until(() => pool.list()[0]!.waiting === 2 && addon.models.length === 1, "both wait");
    const refused = await post(url, { model: "slow", messages: HI });
    expect([refused.status, (await json(refused)).error.code]).toEqual([429, "rate_limit_exceeded"]);
    expect(Number(refused.headers.get("retry-after-ms"))).toBeGreaterThan(0);
    const [slow] = addon.models;
    const other = post(url, { model: "other", messages: HI });
    await until(() => addon.models.length === 2, "the other one is opened");
    addon.model.becomeReady();
    expect((await other).status).toBe(200);
    slow!.becomeReady();
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200]);
  });
});

test("createHandler takes a pool, and routes by the body's model", async () => {
  const handler = createHandler(openPool({ maxOpen: 1 }));
  const call = async (body: object) =>
    await handler(
      new Request("http://x/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      }),
    );
  for (const model of ["red", "blue"] as const) {
    const { choices } = (await (await call({ model, ...GREEDY })).json()) as { choices: { message: { content: string } }[] };
    expect(choices[0]!.message.content).toBe(await said(model, "Hi"));
  }
  expect((await call({ model: "green", ...GREEDY })).status).toBe(404);
});

describe("models that are swapped under load", () => {
  const seed = Number(process.env.ZSE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

  test.each([1, 2])(
    `with room for %i of three: every stream is whole and right, and none is lost (ZSE_TEST_SEED=${seed})`,
    async (maxOpen) => {
      const random = randomOf(seed + maxOpen);
      const models = Object.fromEntries(NAMES.map((name) => [name, { path: FILES[name], ...SMALL }]));
      let most = 0;
      const pool = openPool({
        models,
        maxOpen,
        patienceMs: 100,
        onChange: () => {
          const inMemory = pool.list().filter(({ state }) => ["opening", "open", "closing"].includes(state));
          most = Math.max(most, inMemory.length);
        },
      });
      const { url, lines } = await serve(pool);
      const client = async () => {
        for (let i = 0; i < 6; i++) {
          const model = NAMES[random.below(3)]!;
          const content = ["Hi", "Tell me a story", "Count"][random.below(3)]!;
          const stream = random.chance(0.7);
          const body = { model, messages: [{ role: "user", content }], temperature: 0, max_tokens: 8 + random.below(3), stream };
          if (random.chance(0.15)) {
            const leaving = new AbortController();
            setTimeout(() => leaving.abort(), random.below(60));
            await post(url, body, { signal: leaving.signal })
              .then((response) => response.text())
              .catch(() => {});
            continue;
          }
          const response = await post(url, body);
          expect(response.status, await response.clone().text()).toBe(200);
          const text = stream ? parseStrictly(await response.text()).texts[0] : (await json(response)).choices[0]!.message.content;
          expect(text).toBe(await said(model, content, body.max_tokens));
        }
      };
      await Promise.all(Array.from({ length: 5 }, client));
      expect(most).toBe(maxOpen);
      expect(lines.filter(({ status }) => ![200, 499].includes(status as number))).toEqual([]);
      await until(() => pool.list().every(({ uses, waiting }) => uses === 0 && waiting === 0), "nothing is left");
    },
  );
});
