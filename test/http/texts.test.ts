// llama-server's /tokenize, /detokenize and /apply-template under zse serve, and prompts that are counted.

import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../addon/helpers.js";
import { json, LONG, post, serveApp, until } from "./helpers.js";

test("/tokenize gives the model's own tokens; control tokens are read unless parse_special is false", async () => {
  const { base, model } = await serveApp();
  const tokens = async (body: object) => (await json(await post(`${base}/tokenize`, body))).tokens;
  const text = "<|im_start|>Once upon a time";
  const [special, plain] = [await model.tokenize(text, { special: true }), await model.tokenize(text)];
  expect(special).not.toEqual(plain);
  expect(await tokens({ content: text })).toEqual(special);
  expect(await tokens({ content: text, parse_special: false })).toEqual(plain);
  expect(await tokens({ content: ["Once", 5, " upon"] })).toEqual([
    ...(await model.tokenize("Once")),
    5,
    ...(await model.tokenize(" upon")),
  ]);
  expect(await tokens({ content: "" })).toEqual([]);
});

test.each<[object, string]>([
  [{}, "content"],
  [{ content: 5 }, "content"],
  [{ content: [1.5] }, "content"],
  [{ content: "x", parse_special: 1 }, "parse_special"],
  [{ content: "x", add_special: 1 }, "add_special"],
  [{ content: "x", with_pieces: "yes" }, "with_pieces"],
])("/tokenize with %j is a 400 that names %s", async (body, param) => {
  const { base } = await serveApp();
  const response = await post(`${base}/tokenize`, body);
  expect([response.status, (await json(response)).error.param]).toEqual([400, param]);
});

test.each(["/tokenize", "/v1/embeddings", "/v1/rerank"])("a body of %s that is no object names no field", async (path) => {
  const { base } = await serveApp();
  const response = await post(`${base}${path}`, []);
  expect([response.status, (await json(response)).error]).toMatchObject([400, { param: null, code: "invalid_value" }]);
});

test("/tokenize puts the vocabulary's BOS before what comes first with add_special, and tells pieces with with_pieces", async () => {
  const { base, model } = await serveApp({}, {}, {}, join(ROOT, "test", "fixtures", "zse", "v2-mistral-int8.zse"));
  const asked = async (body: object) => (await json(await post(`${base}/tokenize`, body))).tokens;
  const [once, upon] = [await model.tokenize("Once"), await model.tokenize(" upon")];
  const [bos] = await model.tokenize("", { addSpecial: true });
  expect(await asked({ content: "Once", add_special: true })).toEqual([bos, ...once]);
  expect(await asked({ content: ["Once", " upon"], add_special: true })).toEqual([bos, ...once, ...upon]);
  expect(await asked({ content: [5, " upon"], add_special: true })).toEqual([5, ...upon]);
  const pieces = (await asked({ content: "Once 🙂", with_pieces: true })) as { id: number; piece: string | number[] }[];
  expect(pieces.map(({ id }) => id)).toEqual(await model.tokenize("Once 🙂"));
  const bytes = pieces.flatMap(({ piece }) => (typeof piece === "string" ? [...Buffer.from(piece)] : piece));
  expect(Buffer.from(bytes).toString()).toBe(" Once 🙂");
  expect(pieces.some(({ piece }) => Array.isArray(piece))).toBe(true);
});

test("/detokenize gives the text of /tokenize's tokens, control tokens included", async () => {
  const { base } = await serveApp();
  for (const content of ["Once upon a time", "<|im_start|>user\nHi 🙂<|im_end|>", ""]) {
    const { tokens } = await json(await post(`${base}/tokenize`, { content }));
    expect(await json(await post(`${base}/detokenize`, { tokens }))).toEqual({ content });
  }
});

test.each<[object, string]>([
  [{}, "tokens"],
  [{ tokens: "x" }, "tokens"],
  [{ tokens: [-1] }, "tokens"],
  [{ tokens: [1, "x"] }, "tokens"],
  [{ tokens: [1, 999_999] }, "tokens[1]"],
])("/detokenize with %j is a 400 that names %s", async (body, param) => {
  const { base } = await serveApp();
  const response = await post(`${base}/detokenize`, body);
  expect([response.status, (await json(response)).error.param]).toEqual([400, param]);
});

const TOOL = {
  name: "get_weather",
  description: "Weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } } },
};

test("/apply-template gives the prompt of a chat's body, tools and variables included", async () => {
  const { base, model } = await serveApp();
  const messages = [{ role: "user", content: "Hi" }] as const;
  const tools = [{ type: "function", function: TOOL }] as const;
  const { prompt } = await model.applyTemplate(messages, { tools });
  expect(await json(await post(`${base}/apply-template`, { messages, tools }))).toEqual({ prompt });
  expect(prompt).toContain("Weather of a city");
  for (const [body, param] of [
    [{}, "messages"],
    [{ prompt: "x" }, "messages"],
    [{ messages, temperature: 9 }, "temperature"],
    [{ messages: [{ role: "king", content: "x" }] }, "messages[0].role"],
  ] as const) {
    const response = await post(`${base}/apply-template`, body);
    expect([response.status, (await json(response)).error.param]).toEqual([400, param]);
  }
});

test("prompts are counted while every slot is taken, and are what their reply is told", async () => {
  const { base, model, url } = await serveApp({ maxStreams: 1, maxQueue: 0, contextSize: 1024 });
  const messages = [{ role: "user", content: "Tell me of Paris" }];
  const busy = await post(url, { ...LONG, stream: true });
  expect(busy.status).toBe(200);
  await until(() => model.stats().freeSlots === 0, "the slot is taken");
  const tool = { name: TOOL.name, description: TOOL.description };
  const anthropic = { messages, max_tokens: 1, tools: [{ ...tool, input_schema: TOOL.parameters }] };
  const response = { input: messages, max_output_tokens: 1, tools: [{ type: "function", ...tool, parameters: TOOL.parameters }] };
  const { input_tokens: ofMessage } = await json(await post(`${base}/v1/messages/count_tokens`, anthropic));
  const chat = { messages, max_tokens: 1, tools: response.tools.map(({ type, ...one }) => ({ type, function: one })) };
  const { input_tokens: ofChat } = await json(await post(`${base}/v1/chat/completions/input_tokens`, chat));
  const { input_tokens: ofResponse } = await json(await post(`${base}/v1/responses/input_tokens`, response));
  expect((await post(`${base}/v1/messages`, anthropic)).status).toBe(429);
  await busy.body!.cancel();
  await until(() => model.stats().freeSlots === 1, "the slot is free");
  type Usage = { usage: { input_tokens: number; cache_read_input_tokens?: number } };
  const { usage } = (await json(await post(url, chat))) as unknown as { usage: { prompt_tokens: number } };
  expect(usage.prompt_tokens).toBe(ofChat);
  const message = (await json(await post(`${base}/v1/messages`, anthropic))) as unknown as Usage;
  expect(message.usage.input_tokens + message.usage.cache_read_input_tokens!).toBe(ofMessage);
  expect(((await json(await post(`${base}/v1/responses`, response))) as unknown as Usage).usage.input_tokens).toBe(ofResponse);
});

test.each<[object, string]>([
  [{}, "messages"],
  [{ prompt: "x" }, "messages"],
  [{ messages: [{ role: "king", content: "x" }] }, "messages[0].role"],
])("a chat's prompt is not counted for %j: a 400 that names %s", async (body, param) => {
  const { base } = await serveApp();
  const response = await post(`${base}/chat/completions/input_tokens`, body);
  expect([response.status, (await json(response)).error.param]).toEqual([400, param]);
});

test.each(["/detokenize", "/apply-template", "/v1/chat/completions/input_tokens"])("%s needs a key where there are keys", async (path) => {
  const { base } = await serveApp({}, { apiKeys: ["sk-1"] });
  expect((await post(`${base}${path}`, { tokens: [1], messages: [] })).status).toBe(401);
});

test("/tokenize needs a key where there are keys, and a flood of it is told to come back while each answer stays right", async () => {
  const { base, model } = await serveApp({}, { apiKeys: ["sk-1"] });
  expect((await post(`${base}/tokenize`, { content: "x" })).status).toBe(401);
  const headers = { "content-type": "application/json", "x-api-key": "sk-1" };
  const content = "Once upon a time. ".repeat(100);
  const expected = await model.tokenize(content);
  const all = await Promise.all(Array.from({ length: 64 }, () => post(`${base}/tokenize`, { content }, { headers })));
  const answered = all.filter(({ status }) => status === 200);
  expect(answered.length).toBeGreaterThan(0);
  for (const response of answered) expect((await json(response)).tokens).toEqual(expected);
  for (const response of all)
    if (response.status !== 200) expect([response.status, response.headers.get("retry-after")]).toEqual([429, "1"]);
});

test("/v1/chat/prepare computes a chat's prompt ahead: the chat that follows finds it", async () => {
  const { base, url } = await serveApp({ contextSize: 2048 });
  const messages = [{ role: "user", content: "Tell me about the sea and the birds. ".repeat(30) }];
  const prepared = (await json(await post(`${base}/v1/chat/prepare`, { messages, prepare_key: "me" }))) as Record<string, unknown>;
  expect(prepared).toMatchObject({ object: "chat.prepared", cached_tokens: 0, ready_tokens: prepared.prompt_tokens });
  const { usage } = await json(await post(url, { model: "qwen-7b", messages, max_tokens: 2 }));
  expect(usage).toMatchObject({ prompt_tokens_details: { cached_tokens: (prepared.prompt_tokens as number) - 1 } });
  const response = await post(`${base}/v1/chat/prepare`, { messages, prepare_key: 5 });
  expect([response.status, (await json(response)).error.param]).toEqual([400, "prepare_key"]);
});
