// Ollama's API over real sockets: the lines by hand, then ollama-js, as editors use it. Replies are a script's where a certain shape must come, and
// the demo model's elsewhere.

import { Ollama } from "ollama";
import { describe, expect, test } from "vitest";
import { callOf, type ScriptItem } from "../unit/fake-native.js";
import { idle, post, serveApp, until } from "./helpers.js";
import { serveScriptApp } from "./scripted.js";

interface Line {
  model: string;
  created_at: string;
  message?: { role: string; content: string; thinking?: string; tool_calls?: { function: { name: string; arguments: object } }[] };
  response?: string;
  thinking?: string;
  done: boolean;
  done_reason?: string;
  error?: string;
  [field: string]: unknown;
}

const STORY = { model: "qwen-7b", messages: [{ role: "user", content: "Tell me a story" }], options: { temperature: 0, num_predict: 40 } };
const WEATHER = {
  type: "function",
  function: { name: "get_weather", description: "W", parameters: { type: "object", properties: { city: { type: "string" } } } },
};

async function lines(url: string, body: object): Promise<Line[]> {
  const response = await post(url, body);
  expect(response.status, await response.clone().text()).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/x-ndjson");
  const text = await response.text();
  expect(text.endsWith("\n")).toBe(true);
  return text
    .slice(0, -1)
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}
const whole = async (url: string, body: object) => (await (await post(url, { ...body, stream: false })).json()) as Line;

describe("the lines", () => {
  const SAID: ScriptItem[] = [
    { reasoning: "hm" },
    "I look.",
    ...callOf("get_weather", { city: "Paris" }, 0, "c1"),
    ...callOf("get_weather", { city: "Rome" }, 1, "c2"),
  ];
  test("a chat streams text and thoughts as they come, and each call whole; the last line has counts and durations", async () => {
    const { base } = await serveScriptApp({}, SAID);
    const all = await lines(`${base}/api/chat`, { ...STORY, tools: [WEATHER] });
    const call = (city: string, index: number) => ({ function: { index, name: "get_weather", arguments: { city } } });
    expect(all.map(({ message }) => message)).toMatchObject([
      { role: "assistant", content: "", thinking: "hm" },
      { role: "assistant", content: "I look." },
      { role: "assistant", content: "", tool_calls: [call("Paris", 0)] },
      { role: "assistant", content: "", tool_calls: [call("Rome", 1)] },
      { role: "assistant", content: "" },
    ]);
    expect(all.map(({ done }) => done)).toEqual([false, false, false, false, true]);
    const number = expect.any(Number) as unknown;
    expect(all.at(-1)).toMatchObject({ model: "qwen-7b", done_reason: "stop", eval_count: number, prompt_eval_count: number });
    for (const field of ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"])
      expect(Number.isInteger(all.at(-1)![field]), field).toBe(true);
  });

  test("the same in one piece", async () => {
    const { base } = await serveScriptApp({}, SAID);
    const { message, done } = await whole(`${base}/api/chat`, { ...STORY, tools: [WEATHER] });
    expect(done).toBe(true);
    expect(message).toMatchObject({ content: "I look.", thinking: "hm", tool_calls: [{ function: { arguments: { city: "Paris" } } }, {}] });
  });

  test("an error on the way is a line, and no line that is done follows", async () => {
    const { base } = await serveScriptApp({}, ["Once", { error: { code: "ENGINE_FAILED", message: "/secret broke" } }]);
    const all = await lines(`${base}/api/chat`, STORY);
    expect(all.at(-1)).toEqual({ error: expect.stringMatching(/engine failed/) as unknown });
    expect(JSON.stringify(all)).not.toMatch(/secret|"done":true/);
  });

  test("a silence is broken by lines that say nothing", async () => {
    const { base, model } = await serveApp({ maxStreams: 1, promptCache: { ram: 0 } }, { heartbeatMs: 20 });
    const busy = model.chatStream([{ role: "user", content: "Tell me a story" }], { ignoreEos: true, highWaterMark: 1 });
    await until(() => model.stats().parked === 1, "the slot is taken");
    const response = await post(`${base}/api/chat`, STORY);
    let text = "";
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      text += piece;
      if (text.split("\n").length > 3) busy.abort();
    }
    expect((JSON.parse(text.slice(0, text.indexOf("\n"))) as Line).message).toEqual({ role: "assistant", content: "" });
    expect(text).toContain('"done":true');
  });
});

describe("fields of a body", () => {
  test.each<[string, object, object]>([
    ["format json", { format: "json" }, { jsonSchema: '{"type":"object"}' }],
    [
      "a schema",
      { format: { type: "object", properties: {}, additionalProperties: false } },
      { jsonSchema: expect.any(String) as unknown },
    ],
    ["think false", { think: false }, { thinking: false }],
    ["think true", { think: true }, { thinking: true }],
    ["think low", { think: "low" }, { thinking: true, templateArguments: '{"reasoning_effort":"low"}' }],
    ["tools", { tools: [WEATHER] }, { toolChoice: "auto" }],
  ])("%s", async (_, body, expected) => {
    const { base, fake } = await serveScriptApp({}, ["x"]);
    await lines(`${base}/api/chat`, { ...STORY, ...body });
    expect(fake.streams[0]!.request.reply).toMatchObject(expected);
  });

  test("options are the library's; those of how a model is opened are named in the log", async () => {
    const { base, fake, lines: log } = await serveScriptApp({}, ["x"]);
    const options = {
      num_predict: 7,
      temperature: 0.3,
      top_k: 5,
      min_p: 0.1,
      seed: 9,
      repeat_penalty: 1.2,
      stop: ["x"],
      num_ctx: 8192,
      num_thread: 2,
    };
    await lines(`${base}/api/chat`, { ...STORY, options, keep_alive: "5m" });
    const { sampling, ...request } = fake.streams[0]!.request as unknown as { sampling?: object };
    expect({ ...request, ...sampling }).toMatchObject({
      maxTokens: 7,
      temperature: 0.3,
      topK: 5,
      minP: 0.1,
      seed: 9,
      repeatPenalty: 1.2,
      stop: ["x"],
    });
    await until(() => log.length > 0, "its line in the log");
    expect(log[0]).toMatchObject({ ignored: ["options.num_ctx", "options.num_thread"] });
  });

  test("messages are Ollama's: calls with arguments as objects, results by a tool's name, thoughts", async () => {
    const { base, fake } = await serveScriptApp({}, ["x"]);
    await lines(`${base}/api/chat`, {
      ...STORY,
      messages: [
        { role: "user", content: "Paris?", images: [] },
        {
          role: "assistant",
          content: "",
          thinking: "hm",
          tool_calls: [{ function: { index: 0, name: "get_weather", arguments: { city: "Paris" } } }],
        },
        { role: "tool", content: "clear", tool_name: "get_weather" },
      ],
    });
    expect(JSON.parse(fake.streams[0]!.request.messages!)).toMatchObject([
      { role: "user", content: "Paris?" },
      { role: "assistant", reasoning_content: "hm", tool_calls: [{ function: { name: "get_weather", arguments: '{"city":"Paris"}' } }] },
      { role: "tool", content: "clear", name: "get_weather" },
    ]);
  });

  test.each<[string, object, string]>([
    ["chat", { messages: "x" }, "messages"],
    ["chat", { messages: [{ role: "user", content: "x", images: ["eA=="] }] }, "images"],
    ["chat", { options: 5 }, "options"],
    ["chat", { options: { num_predict: "5" } }, "options.num_predict"],
    ["chat", { options: { seed: 1.5 } }, "options.seed"],
    ["chat", { options: { temperature: 9 } }, "temperature"],
    ["chat", { options: { tfs_z: 0.5 } }, "options.tfs_z"],
    ["chat", { format: "xml" }, "format"],
    ["chat", { think: "much" }, "think"],
    ["chat", { stream: "no" }, "stream"],
    ["chat", { tools: {} }, "tools"],
    ["generate", { prompt: 5 }, "prompt"],
    ["generate", { prompt: "x", suffix: "y" }, "suffix"],
    ["generate", { prompt: "x", template: "y" }, "template"],
    ["generate", { prompt: "x", context: [1] }, "context"],
    ["generate", { prompt: "x", raw: true, system: "y" }, "system"],
  ])("%s with %j is a 400 that names %s", async (path, body, name) => {
    const { base } = await serveScriptApp({}, ["x"]);
    const response = await post(`${base}/api/${path}`, path === "chat" ? { ...STORY, ...body } : body);
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: string }).error).toContain(name);
  });
});

describe("the demo model", () => {
  test("says the same streamed, whole, raw or not, as OpenAI's formats", async () => {
    const { base } = await serveApp();
    const streamed = await lines(`${base}/api/chat`, STORY);
    const text = streamed.map(({ message }) => message!.content).join("");
    expect((await whole(`${base}/api/chat`, STORY)).message!.content).toBe(text);
    expect(streamed.at(-1)).toMatchObject({ done_reason: "length", eval_count: 40, prompt_eval_count: 12 });
    const body = { ...STORY, temperature: 0, max_tokens: 40 };
    const chat = (await (await post(`${base}/v1/chat/completions`, body)).json()) as { choices: { message: { content: string } }[] };
    expect(chat.choices[0]!.message.content).toBe(text);
    const { options } = STORY;
    expect((await whole(`${base}/api/generate`, { prompt: "Tell me a story", options })).response).toBe(text);
    const raw = await lines(`${base}/api/generate`, { prompt: "Once upon a time", raw: true, options });
    const completion = (await (
      await post(`${base}/v1/completions`, { prompt: "Once upon a time", temperature: 0, max_tokens: 40 })
    ).json()) as {
      choices: { text: string }[];
    };
    expect(raw.map(({ response }) => response).join("")).toBe(completion.choices[0]!.text);
  });

  test("log-probabilities stand beside the text", async () => {
    const { base } = await serveApp();
    const { logprobs } = await whole(`${base}/api/generate`, {
      prompt: "Hello",
      logprobs: true,
      top_logprobs: 2,
      options: { num_predict: 3 },
    });
    expect(logprobs).toHaveLength(3);
    expect(logprobs).toMatchObject([{ token: expect.any(String) as unknown, top_logprobs: [{}, {}] }, {}, {}]);
  });

  test("refusals are in Ollama's shape, whoever refuses; a full server says when to come back", async () => {
    const { base, model } = await serveApp({ maxStreams: 1, maxQueue: 0, promptCache: { ram: 0 } }, { apiKeys: ["sk-1"] });
    const error = { error: expect.any(String) as unknown };
    const ask = async (path: string, init: RequestInit = {}) => {
      const headers = { "content-type": "application/json", authorization: "Bearer sk-1" };
      const response = await fetch(`${base}${path}`, { headers, ...init });
      return [response.status, await response.json(), response.headers.get("retry-after")] as const;
    };
    const send = (body: object) => ({ method: "POST", body: JSON.stringify(body) });
    expect(await ask("/api/tags", { headers: {} })).toMatchObject([401, error, null]);
    expect(await ask("/api/other")).toMatchObject([404, error, null]);
    expect(await ask("/api/chat", send({ ...STORY, model: "other" }))).toMatchObject([404, error, null]);
    expect(await ask("/api/show", send({ model: "other" }))).toMatchObject([404, error, null]);
    expect(await ask("/api/show", send({}))).toMatchObject([400, error, null]);
    const busy = model.chatStream([{ role: "user", content: "Tell me a story" }], { ignoreEos: true, highWaterMark: 1 });
    await until(() => model.stats().parked === 1, "the slot is taken");
    expect(await ask("/api/chat", send(STORY))).toMatchObject([429, error, expect.stringMatching(/^[1-9]/) as unknown]);
    busy.abort();
  });
});

describe("ollama-js", () => {
  const client = (base: string) => new Ollama({ host: base });

  test("finds the server's model and what it can do", async () => {
    const { base } = await serveApp({}, { aliases: ["other"] });
    const ollama = client(base);
    expect((await ollama.version()).version).toMatch(/^\d+\.\d+\.\d+$/);
    const { models } = await ollama.list();
    expect(models.map(({ name }) => name)).toEqual(["qwen-7b", "other"]);
    expect(models[0]).toMatchObject({ details: { format: "gguf", quantization_level: "Q8_0", parameter_size: "2.8M" } });
    expect(models[0]!.size).toBeGreaterThan(1e6);
    const { capabilities, model_info } = await ollama.show({ model: "qwen-7b:latest" });
    expect(capabilities).toEqual(["completion", "tools"]);
    const info = model_info as unknown as Record<string, unknown>;
    expect(info[`${String(info["general.architecture"])}.context_length`]).toBe(512);
    expect((await ollama.ps()).models).toHaveLength(2);
  });

  test("chat and generate, streamed and whole, and a request that only loads", async () => {
    const { base } = await serveApp();
    const ollama = client(base);
    const { options } = STORY;
    const reply = await ollama.chat({ ...STORY });
    let text = "";
    for await (const part of await ollama.chat({ ...STORY, stream: true })) text += part.message.content;
    expect(text).toBe(reply.message.content);
    let generated = "";
    for await (const part of await ollama.generate({ model: "qwen-7b", prompt: "Tell me a story", stream: true, options }))
      generated += part.response;
    expect(generated).toBe(text);
    expect(await ollama.generate({ model: "qwen-7b", prompt: "" })).toMatchObject({ response: "", done: true, done_reason: "load" });
  });

  test("tools: the call, its result, the answer", async () => {
    const { base, fake } = await serveScriptApp({}, callOf("get_weather", { city: "Paris" }, 0, "c1"), ["It is clear."]);
    const ollama = client(base);
    const messages: Parameters<typeof ollama.chat>[0]["messages"] = [{ role: "user", content: "Paris?" }];
    const { message } = await ollama.chat({ model: "qwen-7b", messages, tools: [WEATHER] });
    expect(message.tool_calls).toMatchObject([{ function: { name: "get_weather", arguments: { city: "Paris" } } }]);
    messages.push(message, { role: "tool", content: "clear", tool_name: "get_weather" });
    expect((await ollama.chat({ model: "qwen-7b", messages, tools: [WEATHER] })).message.content).toBe("It is clear.");
    expect(JSON.parse(fake.streams[1]!.request.messages!)).toMatchObject([{}, { tool_calls: [{}] }, { role: "tool", content: "clear" }]);
  });

  test("abort cancels on the server, and errors are the server's words", async () => {
    const { base, model, lines: log } = await serveApp({ maxStreams: 1, contextSize: 2048 });
    const stream = await client(base).chat({ ...STORY, stream: true, options: { ignore_eos: true } as never });
    const reading = (async () => {
      for await (const part of stream) if (part.message.content !== "") stream.abort();
    })();
    await expect(reading).rejects.toThrow(/abort/i);
    await until(() => idle(model, 1), "the slot is free");
    await until(() => log.length > 0, "its line in the log");
    expect(log[0]).toMatchObject({ msg: "cancelled", status: 499 });
    await expect(client(base).chat({ ...STORY, model: "other" })).rejects.toThrow(/There is no model "other"/);
  });
});
