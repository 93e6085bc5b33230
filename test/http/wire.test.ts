// What clients of OpenAI's API and of local servers take for granted, one promise a test. Each goes through both doors: the adapter's
// nodeHandler and the whole server, since they read bodies in their own ways.

import { describe, expect, test } from "vitest";

import { ZSEError } from "../../lib/errors.js";
import { createHandler, type ServedModel } from "../../lib/http/index.js";
import type { StreamEvent } from "../../lib/types.js";
import { GREEDY, json, post, STORY, serveApp, serveModel, sleep, until } from "./helpers.js";
import { type Chunk, parseStrictly } from "./strict-sse.js";

const DOORS = [
  ["nodeHandler", serveModel],
  ["zse serve", serveApp],
] as const;

describe.each(DOORS)("through %s", (_, serve) => {
  test("seed -1 draws a seed, a -1 turns top_k and top_n_sigma off, and seeds beyond 64 bits are a 400 that says the bound", async () => {
    const { url } = await serve();
    const hot = { ...STORY, temperature: 2, min_p: 0, max_tokens: 24 };
    const say = async (more: object) => (await json(await post(url, { ...hot, ...more }))).choices[0]!.message.content;
    expect(new Set(await Promise.all([1, 2, 3].map(() => say({ seed: -1 })))).size).toBeGreaterThan(1);
    expect(await say({ seed: 5, top_k: -1 })).toBe(await say({ seed: 5, top_k: 0 }));
    expect(await say({ seed: 5, top_n_sigma: -1 })).toBe(await say({ seed: 5 }));
    expect((await post(url, { ...GREEDY, seed: -(2 ** 63) })).status).toBe(200);
    for (const seed of [2 ** 64, 2 ** 70, -(2 ** 64), 1.5]) {
      const response = await post(url, { ...GREEDY, seed });
      expect(response.status, `${seed}`).toBe(400);
      expect((await json(response)).error).toMatchObject({ param: "seed", message: expect.stringContaining("9223372036854775807") });
    }
  });

  test.each(["", " ", null, undefined])("a call in the history with arguments %j goes on as one with {}", async (given) => {
    const { url } = await serve();
    const body = (args: unknown) => ({
      ...GREEDY,
      messages: [
        { role: "user", content: "What time is it?" },
        { role: "assistant", content: null, tool_calls: [{ id: "c1", type: "function", function: { name: "now", arguments: args } }] },
        { role: "tool", tool_call_id: "c1", content: "noon" },
      ],
    });
    const response = await post(url, body(given));
    expect(response.status).toBe(200);
    expect((await json(response)).usage.prompt_tokens).toBe((await json(await post(url, body("{}")))).usage.prompt_tokens);
  });

  test.each(["grammar", "guided_grammar", "structured_outputs"])("a grammar that cannot be read is a 400 that names %s", async (field) => {
    const { url } = await serve();
    const gbnf = "root ::= (";
    for (const stream of [false, true]) {
      const response = await post(url, { ...GREEDY, stream, [field]: field === "structured_outputs" ? { grammar: gbnf } : gbnf });
      expect(response.status).toBe(400);
      const { message, param } = (await json(response)).error;
      expect(param).toBe(field === "structured_outputs" ? "structured_outputs.grammar" : field);
      expect(message).toContain(`${param} cannot be read`);
    }
  });

  test("a call in the history that was cut is a 400 that names it, and no parser's sentence", async () => {
    const { url } = await serve();
    const calls = ["{}", '{"city":"Par'].map((args, i) => ({ id: `c${i}`, type: "function", function: { name: "now", arguments: args } }));
    const messages = [
      { role: "user", content: "x" },
      { role: "assistant", content: null, tool_calls: calls },
    ];
    const response = await post(url, { ...GREEDY, messages });
    expect(response.status).toBe(400);
    const { message, param } = (await json(response)).error;
    expect(param).toBe("messages[1].tool_calls[1].function.arguments");
    expect(message).toContain(`${param} must be the JSON text of an object`);
    expect(message).not.toMatch(/json\.exception|parse error|Failed to parse/);
  });

  test("a prompt that does not fit is told in the words that agents look for, by its own field, without advice to the owner", async () => {
    const { base } = await serve({ contextSize: 256 });
    const long = "story ".repeat(1000);
    for (const stream of [false, true]) {
      for (const [path, param, body] of [
        ["chat/completions", "messages", { messages: [{ role: "user", content: long }] }],
        ["completions", "prompt", { prompt: long }],
      ] as const) {
        const response = await post(`${base}/v1/${path}`, { ...body, stream });
        expect(response.status).toBe(400);
        const { error } = await json(response);
        expect(error).toMatchObject({ type: "invalid_request_error", param, code: "context_length_exceeded" });
        expect(error.message).toMatch(/maximum context length is 256 tokens.*resulted in (at least )?\d+ tokens.*reduce the length/);
        expect(error.message).not.toMatch(/contextSize|open the model/);
      }
    }
  });

  test("an empty prompt is a 400 of prompt", async () => {
    const { base } = await serve();
    const response = await post(`${base}/v1/completions`, { prompt: "" });
    expect([response.status, (await json(response)).error.param]).toEqual([400, "prompt"]);
  });

  test("logit_bias takes token ids of the vocabulary only, and says so", async () => {
    const { url, model } = await serve();
    const last = model.info!.vocabularySize - 1;
    expect((await post(url, { ...GREEDY, logit_bias: { [last]: 1 }, max_tokens: 2 })).status).toBe(200);
    for (const token of [last + 1, 999_999]) {
      for (const stream of [false, true]) {
        const response = await post(url, { ...GREEDY, stream, logit_bias: { [token]: 1 } });
        expect(response.status).toBe(400);
        const { error } = await json(response);
        expect(error).toMatchObject({ type: "invalid_request_error", param: "logit_bias", code: "invalid_value" });
        expect(error.message).toBe(`logit_bias names token ${token}; the token ids of this vocabulary are 0 to ${last}.`);
      }
    }
    const negative = await json(await post(url, { ...GREEDY, logit_bias: { "-1": 1 } }));
    expect(negative.error.message).toMatch(/token ids?.* \(?.*whole numbers? from 0/);
    expect(negative.error.param).toMatch(/^logit_bias/);
  });

  test("parameters that would change the answer and are not supported are a 400 that names them", async () => {
    const { url } = await serve();
    const asking = {
      functions: [{ name: "f" }],
      format: "json",
      guided_regex: "a+",
      stop_token_ids: [1],
      bad_words: ["story"],
      chat_template: "{{ messages }}",
      truncate_prompt_tokens: 10,
      prompt_logprobs: 1,
      use_beam_search: true,
      n_predict: 5,
    };
    for (const [name, value] of Object.entries(asking)) {
      const response = await post(url, { ...GREEDY, max_tokens: 2, [name]: value });
      expect(response.status, name).toBe(400);
      expect((await json(response)).error).toMatchObject({ param: name, code: "unsupported_parameter" });
    }
    const nothing = { grammar: "", stop_token_ids: [], min_tokens: 0, chat_template_kwargs: {}, use_beam_search: false, mirostat: 0 };
    expect((await post(url, { ...GREEDY, max_tokens: 2, ...nothing, continue_final_message: false, toString: 1 })).status).toBe(200);
  });

  test("repetition_penalty is repeat_penalty, and giving both is a 400", async () => {
    const { url } = await serve();
    const say = async (more: object) => (await json(await post(url, { ...GREEDY, ...more }))).choices[0]!.message.content;
    expect(await say({ repetition_penalty: 5 })).toBe(await say({ repeat_penalty: 5 }));
    expect(await say({ repetition_penalty: 5 })).not.toBe(await say({}));
    for (const wrong of [{ repetition_penalty: 5, repeat_penalty: 5 }, { repetition_penalty: 0 }, { repetition_penalty: "x" }]) {
      const response = await post(url, { ...GREEDY, ...wrong });
      expect([response.status, (await json(response)).error.param]).toEqual([400, "repetition_penalty"]);
    }
  });

  test.each([
    ["a chat", "chat/completions", { messages: STORY.messages }, '"choices":[{"index":0,"delta":{"content":""},"finish_reason":null}]'],
    ["a completion", "completions", { prompt: "Once" }, '"choices":[{"text":"","index":0,"logprobs":null,"finish_reason":null}]'],
    [
      "a resumable chat",
      "chat/completions",
      { messages: STORY.messages, stream_options: { resumable: true } },
      '"choices":[{"index":0,"delta":{"content":""},"finish_reason":null}]',
    ],
  ])(
    "heartbeats of %s are chunks that say nothing, and no token is lost to clients that split at blank lines",
    async (_, path, body, ping) => {
      const { base, model } = await serve({ maxStreams: 1, promptCache: { ram: 0 } }, { heartbeatMs: 20 });
      const busy = model.chatStream(STORY.messages, { ignoreEos: true, highWaterMark: 1 });
      await until(() => model.stats().parked === 1, "the slot is taken");
      const response = await post(`${base}/v1/${path}`, { ...body, temperature: 0, max_tokens: 8, stream: true });
      let text = "";
      const decoder = new TextDecoder();
      for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
        text += decoder.decode(bytes, { stream: true });
        if (text.split(ping).length > 3) busy.abort();
      }
      const { pings, texts } = parseStrictly(text, { ids: true });
      expect(pings).toBeGreaterThan(2);
      // A client that takes what lies between blank lines, and of it only what begins with "data: ".
      const blocks = text.split("\n\n").map((block) => block.replace(/^id: \d+\n/, ""));
      const chunks = blocks.filter((block) => block.startsWith("data: {")).map((block) => JSON.parse(block.slice(6)) as Chunk);
      expect(chunks.map(({ choices: [choice] }) => choice?.delta?.content ?? choice?.text ?? "").join("")).toBe(texts[0]);
      expect(texts[0]!.length).toBeGreaterThan(0);
    },
  );

  test.each([
    ["with the first token", {}],
    ["at once where earlyRole asks for it", { earlyRole: true }],
  ])("headers go out at once, the role chunk %s", async (_, options) => {
    const { url, model } = await serve({ maxStreams: 1, promptCache: { ram: 0 } }, options);
    const busy = model.chatStream(STORY.messages, { ignoreEos: true, highWaterMark: 1 });
    await until(() => model.stats().parked === 1, "the slot is taken");
    const response = await post(url, { ...GREEDY, stream: true }); // resolves with the headers
    expect([response.status, model.stats().queued]).toEqual([200, 1]);
    const reader = response.body!.getReader();
    const first = reader.read();
    const early = await Promise.race([first.then(() => true), new Promise((resolve) => setTimeout(() => resolve(false), 300))]);
    expect(early).toBe("earlyRole" in options);
    busy.abort();
    let text = new TextDecoder().decode((await first).value);
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += new TextDecoder().decode(part.value);
    const { chunks } = parseStrictly(text);
    expect(chunks[0]!.choices[0]!.delta).toEqual({ role: "assistant", content: "" });
    expect(chunks[1]!.choices[0]!.delta!.content).toMatch(/./);
  });
});

describe("a prompt that turns out too long only after a while", () => {
  const slow = (ms: number): ServedModel => {
    async function* events(): AsyncGenerator<StreamEvent> {
      await sleep(ms);
      yield* [];
      throw new ZSEError("CONTEXT_OVERFLOW", "the prompt has 300 tokens, and the context of a stream holds 256 including …");
    }
    return { info: { name: "m", contextSize: 256 }, chatStream: () => ({ events }), completionStream: () => ({ events }) };
  };
  const ask = (ms: number, prompt: string, options = {}) =>
    createHandler(
      slow(ms),
      options,
    )(
      new Request("http://x/", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ prompt, stream: true }),
      }),
    );

  test("is a 400 all the same, however busy the machine is", async () => {
    const response = await ask(500, "x".repeat(300));
    expect([response.status, (await json(response)).error.code]).toEqual([400, "context_length_exceeded"]);
    expect((await ask(500, "é".repeat(128))).status).toBe(400);
  });

  test("holds up the headers of no prompt that fits in any case, and of none for longer than earlyErrorMs", async () => {
    for (const [prompt, options] of [
      ["Hi", {}],
      ["x".repeat(300), { earlyErrorMs: 50 }],
    ] as const) {
      const began = performance.now();
      const response = await ask(2000, prompt, options);
      expect(performance.now() - began).toBeLessThan(1000);
      expect(response.status).toBe(200);
      await response.body!.cancel();
    }
  });
});
