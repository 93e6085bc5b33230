// The wire format: chunk shapes, usage forms, headers, errors; every stream is read by the strict parser.

import { describe, expect, test } from "vitest";
import { ZSEError } from "../../lib/errors.js";
import { createHandler, nodeHandler, toResponse } from "../../lib/http/index.js";
import { GREEDY, idle, json, LONG, listen, open, post, STORY, serveModel, stream, until } from "./helpers.js";
import { parseStrictly } from "./strict-sse.js";

describe("a chat stream", () => {
  test("has the seed's exact shape: role, pieces, then finish_reason and usage together", async () => {
    const { url } = await serveModel();
    const { chunks, texts, finishReasons, pings } = await stream(url, GREEDY);
    expect(chunks[0]).toEqual({
      id: chunks[0]!.id,
      object: "chat.completion.chunk",
      created: chunks[0]!.created,
      model: "qwen-7b",
      choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }],
    });
    expect(chunks[1]!.choices[0]!.delta).toEqual({ content: expect.stringMatching(/./) });
    const last = chunks.at(-1)!;
    expect(last.choices[0]).toEqual({ index: 0, delta: {}, finish_reason: finishReasons[0] });
    const { prompt_tokens, completion_tokens, total_tokens } = last.usage!;
    expect(total_tokens).toBe(prompt_tokens + completion_tokens);
    expect(completion_tokens).toBeGreaterThan(0);
    expect(chunks.slice(0, -1).every((chunk) => !("usage" in chunk))).toBe(true);
    expect(texts[0]!.length).toBeGreaterThan(0);
    expect(pings).toBe(0);
    expect(Math.abs(chunks[0]!.created - Date.now() / 1000)).toBeLessThan(60);
  });

  test("has the headers that proxies and compression heed, and none that HTTP/2 forbids", async () => {
    const { url } = await serveModel();
    const response = await post(url, { ...GREEDY, stream: true });
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(response.headers.get("cache-control")).toBe("no-cache, no-transform");
    expect(response.headers.get("x-accel-buffering")).toBe("no");
    await response.arrayBuffer();
    const web = await createHandler(await open())(
      new Request("http://x/", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...GREEDY, stream: true }),
      }),
    );
    expect([...web.headers.keys()].sort()).toEqual(["cache-control", "content-type", "x-accel-buffering"]);
    await web.arrayBuffer();
  });

  test("include_usage: true is OpenAI's form, false is none", async () => {
    const { url } = await serveModel();
    const { chunks } = await stream(url, { ...GREEDY, stream_options: { include_usage: true } });
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: expect.any(Number) } });
    const none = await stream(url, { ...GREEDY, stream_options: { include_usage: false } });
    expect(none.chunks.every((chunk) => !("usage" in chunk))).toBe(true);
  });

  test.each([{ chunk_size: 5 }, { chunk_by: "word" }, { chunk_by: "sentence" }, { chunk_by: "word", chunk_size: 3 }])(
    "%o groups the chunks and does not change the text",
    async (stream_options) => {
      const { url } = await serveModel();
      const plain = await stream(url, GREEDY);
      const grouped = await stream(url, { ...GREEDY, stream_options });
      expect(grouped.texts).toEqual(plain.texts);
      expect(grouped.chunks.length).toBeLessThan(plain.chunks.length);
    },
  );

  test("chunk_by: word gives a word at a time, chunk_by: sentence a sentence", async () => {
    const { url } = await serveModel();
    const contents = async (chunk_by: string) =>
      (await stream(url, { ...GREEDY, stream_options: { chunk_by } })).chunks.flatMap((one) => one.choices[0]?.delta?.content || []);
    for (const word of await contents("word")) expect(word).toMatch(/^\s*\S+\s*$/);
    for (const sentence of (await contents("sentence")).slice(0, -1)) expect(sentence).toMatch(/[.!?\n]["”']?\s*$/);
  });

  test("equals the whole reply of stream: false for the same seed", async () => {
    const { url } = await serveModel();
    const body = { ...STORY, max_tokens: 40, temperature: 1, seed: 7 };
    const reply = await json(await post(url, body));
    const { texts, finishReasons, chunks } = await stream(url, body);
    expect(reply).toMatchObject({ object: "chat.completion", model: "qwen-7b", choices: [{ index: 0, finish_reason: finishReasons[0] }] });
    expect(reply.choices[0]!.message).toEqual({ role: "assistant", content: texts[0], refusal: null });
    // A prompt that was read before may come from the cache: that is no part of the comparison.
    const { prompt_tokens, completion_tokens, total_tokens } = chunks.at(-1)!.usage!;
    expect(reply.usage).toMatchObject({ prompt_tokens, completion_tokens, total_tokens });
  });

  test("finish_reason is length at max_tokens and stop at a stop string, which never shows", async () => {
    const { url } = await serveModel();
    const whole = (await stream(url, GREEDY)).texts[0]!;
    const limited = await stream(url, { ...GREEDY, max_tokens: undefined, max_completion_tokens: 3 });
    expect(limited.finishReasons).toEqual(["length"]);
    expect(limited.chunks.at(-1)!.usage!.completion_tokens).toBe(3);
    const stop = whole.slice(10, 15);
    const stopped = await stream(url, { ...GREEDY, stop: [stop, "never"] });
    expect(stopped).toMatchObject({ finishReasons: ["stop"], texts: [whole.slice(0, whole.indexOf(stop))] });
  });

  test("n choices are told apart by their index, and the usage counts all", async () => {
    const { url } = await serveModel({ maxStreams: 4 });
    const body = { ...STORY, max_tokens: 20, temperature: 1, seed: 3 };
    const many = await stream(url, { ...body, n: 3 });
    const alone = await stream(url, body);
    expect(many.texts.length).toBe(3);
    expect(many.texts[0]).toBe(alone.texts[0]);
    expect(new Set(many.texts).size).toBeGreaterThan(1);
    const { prompt_tokens, completion_tokens } = many.chunks.at(-1)!.usage!;
    expect(prompt_tokens).toBe(alone.chunks.at(-1)!.usage!.prompt_tokens);
    expect(completion_tokens).toBeGreaterThan(20);
    const whole = await json(await post(url, { ...body, n: 3 }));
    expect(whole.choices.map(({ message }) => message.content)).toEqual(many.texts);
  });

  test.each([4, 2])("n choices share one prefill, which is not told as cached, on %i slots", async (maxStreams) => {
    const { url, model } = await serveModel({ maxStreams });
    const messages = [{ role: "user", content: "one two three four five six seven eight nine ten ".repeat(10) }];
    const { chunks, texts } = await stream(url, { messages, max_tokens: 5, temperature: 1, seed: 3, n: 4 });
    const { prompt_tokens, prompt_tokens_details } = chunks.at(-1)!.usage!;
    expect(texts.length).toBe(4);
    expect(prompt_tokens).toBeGreaterThan(100);
    expect(model.stats().prefilledTokens).toBeLessThan(1.2 * prompt_tokens);
    expect(prompt_tokens_details).toEqual({ cached_tokens: 0 });
  });

  test("fields that mean nothing here are let pass, and null is as good as absent", async () => {
    const { url } = await serveModel();
    const plain = await stream(url, GREEDY);
    const more = {
      user: "me",
      metadata: { a: "b" },
      store: false,
      top_p: null,
      stop: null,
      tools: [],
      response_format: { type: "text" },
      logprobs: false,
    };
    expect((await stream(url, { ...GREEDY, ...more, some_new_field: 1 })).texts).toEqual(plain.texts);
  });
});

test("a request that bans every token is a 400 that names logit_bias, streamed or whole", async () => {
  const { url, model } = await serveModel();
  const all = Object.fromEntries(Array.from({ length: model.info!.vocabularySize }, (_, id) => [id, -100]));
  for (const stream of [false, true]) {
    const response = await post(url, { ...GREEDY, stream, logit_bias: all });
    expect(response.status).toBe(400);
    const { error } = await json(response);
    expect(error).toMatchObject({ type: "invalid_request_error", param: "logit_bias", code: "invalid_value" });
    expect(error.message).toMatch(/^logit_bias bans all \d+ tokens/);
  }
  const { 300: _, ...butOne } = all;
  expect((await post(url, { ...GREEDY, logit_bias: butOne, max_tokens: 3 })).status).toBe(200);
  await expect(model.chat([{ role: "user", content: "Hi" }], { logitBias: all })).rejects.toMatchObject({ option: "logitBias" });
});

test("samplers, in llama.cpp's spelling too, and their options reach the sampler; min_tokens holds", async () => {
  const { url } = await serveModel();
  const plain = (await stream(url, GREEDY)).texts[0]!;
  const hot = { ...GREEDY, temperature: 5, min_p: 0, top_k: 1, seed: 3 };
  expect((await stream(url, { ...hot, samplers: ["temperature", "top_k"] })).texts[0]).toBe(plain);
  expect((await stream(url, { ...hot, samplers: ["temp", "typ_p"] })).texts[0]).not.toBe(plain);
  expect((await stream(url, { ...hot, samplers: ["top-k", "XTC"], xtc_probability: 1 })).texts[0]).toBe(plain);
  expect((await stream(url, { ...hot, top_k: 0, mirostat: 2, mirostat_tau: 0, mirostat_eta: 0 })).texts[0]).toBe(plain);
  const short = { ...GREEDY, messages: [{ role: "user", content: "Hello!" }], max_tokens: 80 };
  const [few, more] = [await stream(url, short), await stream(url, { ...short, min_tokens: 60 })];
  expect(few.chunks.at(-1)!.usage!.completion_tokens).toBeLessThan(60);
  expect(more.chunks.at(-1)!.usage!.completion_tokens).toBeGreaterThanOrEqual(60);
});

test("a request whose tokens are all banned but those that end it, which may not, is a 400", async () => {
  const { url, model } = await serveModel();
  const [end] = await model.tokenize("<|im_end|>", { special: true });
  const all = Object.fromEntries(Array.from({ length: model.info!.vocabularySize }, (_, id) => [id, -100]));
  const { [end!]: _, ...kept } = all;
  for (const more of [{ min_tokens: 2 }, { ignore_eos: true }]) {
    for (const stream of [false, true]) {
      const response = await post(url, { ...GREEDY, stream, logit_bias: kept, ...more });
      expect(response.status).toBe(400);
      const { error } = await json(response);
      expect(error).toMatchObject({
        param: "logit_bias",
        message: expect.stringMatching(/^logit_bias bans all that ignore_eos or min_tokens leaves/),
      });
    }
  }
});

test("logit_bias, penalties, top_p and top_n_sigma reach the sampler", async () => {
  const { url, model } = await serveModel();
  const plain = (await stream(url, GREEDY)).texts[0]!;
  const first = (await model.tokenize(plain))[0]!;
  expect((await stream(url, { ...GREEDY, logit_bias: { [first]: -100 } })).texts[0]).not.toBe(plain);
  const hot = { ...GREEDY, temperature: 5, min_p: 0, top_k: 0 };
  expect((await stream(url, { ...hot, top_p: 0.0001 })).texts[0]).toBe(plain);
  expect((await stream(url, { ...hot, top_n_sigma: 1e-6 })).texts[0]).toBe(plain);
  expect((await stream(url, { ...GREEDY, max_tokens: 120, frequency_penalty: 2, presence_penalty: 2 })).texts[0]).not.toContain(plain);
});

test("a completion streams text_completion objects", async () => {
  const { url } = await serveModel();
  const body = { model: "qwen-7b", prompt: "Once upon a time", temperature: 0, max_tokens: 12 };
  const { chunks, texts } = await stream(url, body);
  expect(chunks[0]).toMatchObject({ object: "text_completion", choices: [{ index: 0, logprobs: null, finish_reason: null }] });
  expect(chunks.at(-1)).toMatchObject({ choices: [{ text: "", finish_reason: "length" }], usage: { completion_tokens: 12 } });
  const whole = await json(await post(url, body));
  expect(whole).toMatchObject({
    object: "text_completion",
    choices: [{ text: texts[0], index: 0, logprobs: null, finish_reason: "length" }],
  });
});

describe("while there is nothing to say", () => {
  test("headers go out at once, heartbeats follow, in queued and prefilling streams", async () => {
    const { url, model } = await serveModel({ maxStreams: 1, promptCache: { ram: 0 } }, { heartbeatMs: 40 });
    const busy = model.chatStream(STORY.messages, { ignoreEos: true, highWaterMark: 1 }); // parked; without RAM its slot is not lent
    await until(() => model.stats().parked === 1, "the slot is taken");
    const response = await post(url, { ...GREEDY, stream: true });
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    let seen = "";
    while (seen.split('"delta":{"content":""}').length <= 3) seen += decoder.decode((await reader.read()).value);
    expect(seen).toContain('"delta":{"role":"assistant","content":""}'); // the first heartbeat
    expect(seen).not.toMatch(/"content":"[^"]|^:/m);
    expect(model.stats().queued).toBe(1);
    busy.abort();
    await reader.cancel().catch(() => {});
  });
});

describe("errors", () => {
  test("in the middle of a stream are an event without [DONE]", async () => {
    const { url, model } = await serveModel();
    const response = await post(url, { ...LONG, stream: true });
    const parts: Buffer[] = [];
    for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) {
      parts.push(Buffer.from(part));
      if (parts.length === 4) void model.close();
    }
    const { error, done, chunks } = parseStrictly(Buffer.concat(parts));
    expect(error).toMatchObject({ type: "server_error", code: "closed" });
    expect(done).toBe(false);
    expect(chunks.length).toBeGreaterThan(1);
    const after = await post(url, GREEDY);
    expect([after.status, after.headers.get("retry-after"), after.headers.get("retry-after-ms")]).toEqual([503, "1", "1000"]);
  });

  test.each([
    ["no body", "", 400, null],
    ["bad JSON", "{", 400, null],
    ["an array", [], 400, null],
    ["no messages", {}, 400, "messages"],
    ["empty messages", { messages: [] }, 400, "messages"],
    ["a bad role", { messages: [{ role: "boss", content: "x" }] }, 400, "messages[0].role"],
    ["a bad type", { ...STORY, temperature: "hot" }, 400, "temperature"],
    ["out of range", { ...STORY, top_p: 2 }, 400, "top_p"],
    ["a bad stream", { ...STORY, stream: "yes" }, 400, "stream"],
    ["too many choices", { ...STORY, n: 99 }, 400, "n"],
    ["max_tokens: 0", { ...STORY, max_tokens: 0 }, 400, "max_tokens"],
    ["a bad chunk_by", { ...STORY, stream: true, stream_options: { chunk_by: "page" } }, 400, "chunk_by"],
    ["an unknown stream option", { ...STORY, stream: true, stream_options: { chunks: 1 } }, 400, "stream_options.chunks"],
    ["stream_options without stream", { ...STORY, stream: false, stream_options: {} }, 400, "stream_options"],
    ["functions", { ...STORY, functions: [{ name: "f" }] }, 400, "functions"],
    ["a prompt that is too long", { messages: [{ role: "user", content: "story ".repeat(3000) }] }, 400, "messages"],
  ])("%s: told as JSON before the headers, naming the field", async (_, body, status, param) => {
    const { url } = await serveModel();
    for (const more of [{}, { stream: true }]) {
      const response = await post(url, typeof body === "string" || Array.isArray(body) ? body : { ...more, ...body });
      expect(response.status).toBe(status);
      expect(response.headers.get("content-type")).toContain("application/json");
      const { error } = await json(response);
      expect(Object.keys(error)).toEqual(["message", "type", "param", "code"]);
      expect(error).toMatchObject({ type: "invalid_request_error", param });
    }
  });

  test("another content type is 415, a large body 413, another method 405", async () => {
    const { url } = await serveModel({}, { maxBodyBytes: 1000 });
    expect((await post(url, GREEDY, { headers: { "content-type": "text/plain" } })).status).toBe(415);
    expect((await post(url, { ...GREEDY, user: "x".repeat(2000) })).status).toBe(413);
    const wrong = await fetch(url);
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
    const nothing = await fetch(url.replace("chat/completions", "streams/x"), { method: "PUT" });
    expect([nothing.status, nothing.headers.get("allow")]).toEqual([405, "GET, DELETE, POST"]);
    expect((await post(url, GREEDY, { headers: { "content-type": "application/json; charset=utf-8" } })).status).toBe(200);
  });

  test("a full queue is 429 with retry-after and retry-after-ms", async () => {
    const { url, model } = await serveModel({ maxStreams: 1, maxQueue: 1 });
    const busy = [1, 2].map(() => model.chatStream(STORY.messages, { ignoreEos: true, highWaterMark: 1 }));
    await until(() => model.stats().parked + model.stats().queued === 2, "slot and queue are taken");
    for (const body of [GREEDY, { ...GREEDY, stream: true }]) {
      const response = await post(url, body);
      expect(response.status).toBe(429);
      expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
      expect(Number(response.headers.get("retry-after-ms"))).toBeGreaterThan(0);
      expect(await json(response)).toMatchObject({ error: { type: "rate_limit_error", code: "rate_limit_exceeded" } });
    }
    for (const one of busy) one.abort();
  });

  test("of the engine do not tell clients of the server's files, but tell who runs it, once", async () => {
    const error = new ZSEError("BAD_MODEL", "/secret/model.gguf is broken");
    const chatStream = () => {
      throw error;
    };
    const told: unknown[] = [];
    const model = { chatStream, completionStream: chatStream };
    const base = await listen(nodeHandler(model as never, { onError: (one) => told.push(one) }));
    for (let i = 0; i < 2; i++) {
      const response = await post(base, GREEDY);
      expect(response.status).toBe(503);
      expect(await response.text()).not.toContain("secret");
    }
    await post(base, { messages: "none" }); // the client's own mistake
    expect(told).toEqual([error]);
  });

  test("of a stream that fails in the middle reach onError, too", async () => {
    const told: unknown[] = [];
    async function* events() {
      yield { type: "text", text: "a" } as const;
      throw new TypeError("a mistake in a program");
    }
    const stream = () => ({ events });
    const base = await listen(nodeHandler({ chatStream: stream, completionStream: stream }, { onError: (one) => told.push(one) }));
    const text = await (await post(base, { ...GREEDY, stream: true })).text();
    expect(text).toContain("internal_error");
    expect(text).not.toContain("mistake");
    expect(told).toEqual([new TypeError("a mistake in a program")]);
  });

  test("of an adapter that was called wrongly are thrown at once, naming what was given", async () => {
    const stream = () => ({ async *events() {} });
    const model = { chatStream: stream, completionStream: stream };
    const wrong: [() => unknown, string, string][] = [
      [() => nodeHandler("demo.gguf" as never), "model", 'given "demo.gguf"'],
      [() => createHandler(undefined as never), "model", "createHandler() takes a model first"],
      [() => createHandler(model, { foo: 1 } as never), "foo", "foo is not an option of createHandler()"],
      [() => createHandler(model, { heartbeatMs: "x" } as never), "heartbeatMs", 'given "x"'],
      [() => nodeHandler(model, { maxChoices: -1 }), "maxChoices", "from 1 to"],
      [() => nodeHandler(model, { resumable: { keepms: 1 } } as never), "keepms", "Did you mean keepMs?"],
      [() => toResponse(undefined as never), "stream", "toResponse() takes a stream first"],
      [() => toResponse(stream(), { kind: "chatty" } as never), "kind", 'given "chatty"'],
    ];
    for (const [call, option, words] of wrong) {
      expect(call).toThrow(expect.objectContaining({ code: "BAD_OPTION", option, message: expect.stringContaining(words) }));
    }
  });

  test("of a model that was closed name no file", async () => {
    const { model, url } = await serveModel();
    const begun = await post(url, { ...LONG, stream: true });
    await model.close();
    for (const text of [await begun.text(), await (await post(url, GREEDY)).text()]) {
      expect(text).toContain('"code":"closed"');
      expect(text).not.toContain("demo.gguf");
    }
  });
});

test("a Request whose client has left already is answered with nothing, and nothing is computed on", async () => {
  const model = await open({ maxStreams: 1 });
  const handler = createHandler(model);
  const ask = (body: object) =>
    handler(
      new Request("http://x/", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.abort(),
      }),
    );
  expect((await json(await ask({ ...LONG }))).error).toMatchObject({ code: "aborted" });
  const streamed = await (await ask({ ...LONG, stream: true })).text();
  expect(streamed).not.toContain("[DONE]");
  await until(() => idle(model, 1), "the slot is free");
});

test("a TokenStream becomes a Response in one call", async () => {
  const model = await open();
  const response = toResponse(model.chatStream(STORY.messages, { maxTokens: 10, includeUsage: true }), { model: "mine" });
  const { chunks, done } = parseStrictly(new Uint8Array(await response.arrayBuffer()));
  expect(done).toBe(true);
  expect(chunks.at(-1)).toMatchObject({ model: "mine", choices: [], usage: { completion_tokens: 10 } });
});
