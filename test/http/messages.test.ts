// Anthropic's Messages over real sockets: the exact sequence of events by hand, then the clients that people have for it. Replies are a script's
// where a certain shape must come, and the demo model's elsewhere.

import { createAnthropic } from "@ai-sdk/anthropic";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { stepCountIs, streamObject, streamText, tool } from "ai";
import express from "express";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { createHandler, nodeHandler } from "../../lib/http/index.js";
import { callOf, type ScriptItem } from "../unit/fake-native.js";
import { endlessFetch, idle, json, listen, open, post, serveApp, serveModel, until } from "./helpers.js";
import { serveFake, serveScript, serveScriptApp, serveScriptWith } from "./scripted.js";

interface Event {
  event: string;
  data: { type: string } & Record<string, unknown>;
}

/** Every event with its name and one line of data, and nothing else: a client without one of them falls back to stream: false. */
function parse(text: string): Event[] {
  expect(text.endsWith("\n\n")).toBe(true);
  return text
    .slice(0, -2)
    .split("\n\n")
    .map((block) => {
      const match = /^event: (\w+)\n(?:id: \d+\n)?data: (.*)$/.exec(block);
      expect(match, block).not.toBeNull();
      const data = JSON.parse(match![2]!) as Event["data"];
      expect(data.type).toBe(match![1]);
      return { event: match![1]!, data };
    });
}

const HI = { model: "qwen-7b", max_tokens: 64, messages: [{ role: "user", content: "Hi" }] };
const STORY = { model: "qwen-7b", max_tokens: 40, temperature: 0, messages: [{ role: "user" as const, content: "Tell me a story" }] };
const WEATHER = {
  name: "get_weather",
  description: "The weather of a city",
  input_schema: { type: "object" as const, properties: { city: { type: "string" } }, required: ["city"] },
};
const url = (base: string) => `${base}/v1/messages`;
const events = async (base: string, body: object) => parse(await (await post(url(base), { ...HI, stream: true, ...body })).text());
const whole = async (base: string, body: object) => (await (await post(url(base), { ...HI, ...body })).json()) as Whole;

interface Whole {
  id: string;
  content: { type: string; text?: string }[];
  stop_reason: string;
  stop_sequence: string | null;
  usage: Record<string, number>;
}

const SAID: ScriptItem[] = [
  { progress: { processedTokens: 8, promptTokens: 12, cachedTokens: 4 } as never },
  { reasoning: "hm" },
  { reasoning: "." },
  "I will ",
  "look.",
  ...callOf("get_weather", { city: "Paris" }, 0, "c1"),
  ...callOf("get_weather", { city: "Rome" }, 1, "c2"),
];

describe("the sequence of events", () => {
  test("each block is begun, told and stopped, the message's usage and stop reason come before its end", async () => {
    const { base } = await serveScript(SAID);
    const [first, ...rest] = await events(base, { tools: [WEATHER], thinking: { type: "adaptive" } });
    expect(first!.data).toMatchObject({
      message: {
        id: expect.stringMatching(/^msg_/) as unknown,
        type: "message",
        role: "assistant",
        model: "qwen-7b",
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: 8, cache_read_input_tokens: 4, cache_creation_input_tokens: 0, output_tokens: 0 },
      },
    });
    const start = (index: number, content_block: object) => ({ type: "content_block_start", index, content_block });
    const delta = (index: number, delta: object) => ({ type: "content_block_delta", index, delta });
    const stop = (index: number) => ({ type: "content_block_stop", index });
    const call = (index: number, id: string, pieces: string[]) => [
      start(index, { type: "tool_use", id, name: "get_weather", input: {} }),
      ...pieces.map((partial_json) => delta(index, { type: "input_json_delta", partial_json })),
      stop(index),
    ];
    expect(rest.map(({ data }) => data)).toEqual([
      start(0, { type: "thinking", thinking: "", signature: "" }),
      delta(0, { type: "thinking_delta", thinking: "hm" }),
      delta(0, { type: "thinking_delta", thinking: "." }),
      delta(0, { type: "signature_delta", signature: expect.stringMatching(/./) as unknown }),
      stop(0),
      start(1, { type: "text", text: "" }),
      delta(1, { type: "text_delta", text: "I will " }),
      delta(1, { type: "text_delta", text: "look." }),
      stop(1),
      ...call(2, "c1", ['{"city":', '"Paris"}']),
      ...call(3, "c2", ['{"city"', ':"Rome"}']),
      {
        type: "message_delta",
        delta: { stop_reason: "tool_use", stop_sequence: null },
        usage: expect.objectContaining({ output_tokens_details: { thinking_tokens: 2 } }) as unknown,
      },
      { type: "message_stop" },
    ]);
  });

  test("a message in one piece has the same blocks", async () => {
    const { base } = await serveScript(SAID);
    expect(await whole(base, { tools: [WEATHER] })).toMatchObject({
      type: "message",
      role: "assistant",
      content: [
        { type: "thinking", thinking: "hm.", signature: expect.stringMatching(/./) as unknown },
        { type: "text", text: "I will look." },
        { type: "tool_use", id: "c1", name: "get_weather", input: { city: "Paris" } },
        { type: "tool_use", id: "c2", name: "get_weather", input: { city: "Rome" } },
      ],
      stop_reason: "tool_use",
    });
  });

  test("display: omitted announces a thought and does not tell it", async () => {
    const { base } = await serveScript(SAID, SAID);
    const thinking = { type: "adaptive", display: "omitted" };
    const told = (await events(base, { thinking })).filter(({ data }) => data.index === 0).map(({ data }) => data.type);
    expect(told).toEqual(["content_block_start", "content_block_delta", "content_block_stop"]);
    expect((await whole(base, { thinking })).content[0]).toMatchObject({ type: "thinking", thinking: "" });
  });

  test("arguments that max_tokens cuts off are an object of what is there, in one piece", async () => {
    const cutOff: ScriptItem[] = [{ toolCall: { index: 0, id: "c1", name: "get_weather", argumentsDelta: '{"city":"Pa' } }];
    const { base } = await serveFake({ script: () => cutOff, finish: { reason: "length" } });
    expect(await whole(base, { tools: [WEATHER] })).toMatchObject({ stop_reason: "max_tokens", content: [{ input: { city: "Pa" } }] });
  });

  test("an error on the way is an event of its own, and no message_stop follows", async () => {
    const { base } = await serveScriptWith({ onError: () => {} }, ["Once", { error: { code: "ENGINE_FAILED", message: "/secret broke" } }]);
    const all = await events(base, {});
    expect(all.at(-1)).toMatchObject({ event: "error", data: { type: "error", error: { type: "api_error" } } });
    expect(JSON.stringify(all)).not.toMatch(/secret|message_stop/);
  });

  test("heartbeats are pings", async () => {
    const { base, model } = await serveModel({ maxStreams: 1, promptCache: { ram: 0 } }, { heartbeatMs: 20 });
    const busy = model.chatStream([...STORY.messages], { ignoreEos: true, highWaterMark: 1 });
    await until(() => model.stats().parked === 1, "the slot is taken");
    const response = await post(url(base), { ...STORY, stream: true });
    let text = "";
    for await (const bytes of response.body!.pipeThrough(new TextDecoderStream())) {
      text += bytes;
      if (text.split("event: ping").length > 3) busy.abort();
    }
    const all = parse(text);
    expect(all.filter(({ event }) => event === "ping").length).toBeGreaterThan(2);
    expect(all.at(-1)!.event).toBe("message_stop");
  });

  test("a stream that asks for it can be resumed after any event", async () => {
    const { base } = await serveScript(SAID);
    const text = await (await post(url(base), { ...HI, stream: true, stream_options: { resumable: true } })).text();
    const id = /"id":"(msg_\w+)"/.exec(text)![1]!;
    const again = await fetch(`${base}/v1/streams/${id}`, { headers: { "last-event-id": "3" } });
    expect(await again.text()).toBe(text.slice(text.indexOf("event: content_block_delta\nid: 4\n")));
  });
});

describe("the demo model", () => {
  test("says the same streamed, whole and as OpenAI's; each stop reason is told", async () => {
    const { base } = await serveApp();
    const streamed = await events(base, STORY);
    const text = streamed.map(({ data }) => (data.delta as { text?: string } | undefined)?.text ?? "").join("");
    const { content, stop_reason, usage } = await whole(base, STORY);
    expect([content, stop_reason]).toEqual([[{ type: "text", text }], "max_tokens"]);
    expect(usage.output_tokens).toBe(40);
    const chat = (await (await post(`${base}/v1/chat/completions`, STORY)).json()) as { choices: { message: { content: string } }[] };
    expect(chat.choices[0]!.message.content).toBe(text);
    expect(await whole(base, { ...STORY, stop_sequences: ["zebra", " time"] })).toMatchObject({
      content: [{ text: "Once upon a" }],
      stop_reason: "stop_sequence",
      stop_sequence: " time",
    });
    expect(await whole(base, { ...STORY, messages: [{ role: "user", content: "Hello" }] })).toMatchObject({
      stop_reason: "end_turn",
      stop_sequence: null,
    });
  });

  test("what was cached is told, and content as an array with cache_control is the same prompt as a string", async () => {
    const { base } = await serveApp();
    const asked = "Tell me a story about a fox who lives in a forest with many trees and animals";
    const say = (content: unknown, system: unknown) => whole(base, { ...STORY, system, messages: [{ role: "user", content }] });
    const block = (text: string) => [{ type: "text", text, cache_control: { type: "ephemeral" } }];
    const first = await say(block(asked), block("You are a helpful assistant."));
    const second = await say(asked, "You are a helpful assistant.");
    expect(first.usage.cache_read_input_tokens).toBe(0);
    const sum = ({ usage }: Whole) => usage.input_tokens! + usage.cache_read_input_tokens!;
    expect(sum(second)).toBe(sum(first));
    expect(second.usage.input_tokens).toBe(1);
    expect(second.content).toEqual(first.content);
  });

  test("count_tokens is what the message then takes, beyond the context too, and leaves no stream behind", async () => {
    const { base, model } = await serveApp({ maxStreams: 2 });
    const count = async (body: object) => {
      const response = await post(`${url(base)}/count_tokens`, body);
      return (await response.json()) as { input_tokens: number };
    };
    const body = { model: "qwen-7b", messages: STORY.messages, system: "Be short.", tools: [WEATHER] };
    const { usage } = await whole(base, { ...body, max_tokens: 1 });
    const all = usage.input_tokens! + usage.cache_read_input_tokens!;
    expect([await count(body), await count(body)]).toEqual([{ input_tokens: all }, { input_tokens: all }]);
    expect((await count({ ...body, messages: [{ role: "user", content: "story ".repeat(600) }] })).input_tokens).toBeGreaterThan(512);
    await until(() => idle(model, 2), "both slots are free");
  });

  test("a last message of the assistant's is gone on with", async () => {
    const { base } = await serveApp();
    const messages = [...STORY.messages, { role: "assistant", content: [{ type: "text", text: "Once upon a time, a" }] }];
    const { content } = await whole(base, { ...STORY, messages });
    const { content: all } = await whole(base, STORY);
    expect(`Once upon a time, a${content[0]!.text}`.startsWith(all[0]!.text!)).toBe(true);
  });

  test("calls a tool that it must call", async () => {
    const { base } = await serveApp();
    const asked = [{ role: "user", content: "What is the weather in Paris?" }];
    const tool_choice = { type: "tool", name: "get_weather" };
    const { content, stop_reason } = await whole(base, { ...STORY, max_tokens: 100, messages: asked, tools: [WEATHER], tool_choice });
    expect(content.at(-1)).toMatchObject({ type: "tool_use", name: "get_weather", input: { city: expect.any(String) as unknown } });
    expect(stop_reason).toBe("tool_use");
  });

  test.each([
    ["nodeHandler", serveModel],
    ["zse serve", serveApp],
  ])("%s: a client that leaves cancels its message", async (_, serve) => {
    const { base, model } = await serve({ maxStreams: 1, contextSize: 2048 });
    const leaving = new AbortController();
    const body = { ...STORY, max_tokens: 2000, ignore_eos: true, stream: true };
    const response = await post(url(base), body, { signal: leaving.signal });
    await response.body!.getReader().read();
    leaving.abort();
    await until(() => idle(model, 1), "the slot is free");
    expect(model.stats().generatedTokens).toBeLessThan(body.max_tokens);
  });
});

describe("fields of a body", () => {
  const schema = { type: "object", properties: { a: { type: "integer" } }, required: ["a"], additionalProperties: false };
  test.each<[string, object, object]>([
    ["thinking is off where nothing asks for it", {}, { thinking: false }],
    ["thinking: enabled", { thinking: { type: "enabled", budget_tokens: 1024 } }, { reasoningBudget: 1024 }],
    [
      "thinking: adaptive, with effort",
      { thinking: { type: "adaptive" }, output_config: { effort: "max" } },
      { templateArguments: '{"reasoning_effort":"xhigh"}' },
    ],
    ["output_config.format", { output_config: { format: { type: "json_schema", schema } } }, { jsonSchema: JSON.stringify(schema) }],
    ["output_format", { output_format: { type: "json_schema", schema } }, { jsonSchema: JSON.stringify(schema) }],
    ["tool_choice any", { tools: [WEATHER], tool_choice: { type: "any" } }, { toolChoice: "required" }],
    [
      "one call at a time",
      { tools: [WEATHER], tool_choice: { type: "auto", disable_parallel_tool_use: true } },
      { parallelToolCalls: false },
    ],
  ])("%s", async (_, body, expected) => {
    const { base, fake } = await serveScript(["x"]);
    const response = await post(url(base), { ...HI, ...body });
    expect(response.status, await response.clone().text()).toBe(200);
    expect(fake.streams[0]!.request.reply).toMatchObject(expected);
  });
  test("with tool_choice none the model is shown no tools", async () => {
    const { base, fake } = await serveScript(["x"]);
    await post(url(base), { ...HI, tools: [WEATHER], tool_choice: { type: "none" } });
    expect(fake.streams[0]!.request.reply?.tools).toBeUndefined();
  });

  test("a conversation with calls, results, thoughts and a system message in the middle is the library's", async () => {
    const { base, fake } = await serveScript(["x"]);
    const cache_control = { type: "ephemeral" };
    const response = await post(url(base), {
      ...HI,
      system: [
        { type: "text", text: "One." },
        { type: "text", text: "Two.", cache_control },
      ],
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "text", text: "b", cache_control },
          ],
        },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "hm", signature: "s" },
            { type: "redacted_thinking", data: "x" },
            { type: "text", text: "I " },
            { type: "text", text: "look." },
            { type: "tool_use", id: "t1", name: "get_weather", input: { city: "Paris" } },
            { type: "tool_use", id: "t2", name: "get_weather", input: {} },
          ],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "clear" }], cache_control },
            { type: "tool_result", tool_use_id: "t2", content: "no city", is_error: true },
            { type: "text", text: "And now?" },
          ],
        },
        { role: "system", content: "Be short." },
        { role: "user", content: [{ type: "document", source: { type: "text", media_type: "text/plain", data: "text" }, title: "Paper" }] },
      ],
      tools: [{ ...WEATHER, input_examples: [{ city: "Oslo" }], cache_control, defer_loading: false }],
      metadata: { user_id: "u" },
      context_management: { edits: [{ type: "clear_thinking_20251015", keep: "all" }] },
      service_tier: "auto",
    });
    expect(response.status, await response.clone().text()).toBe(200);
    const { messages, reply } = fake.streams[0]!.request;
    const call = (id: string, args: object) => ({
      id,
      type: "function",
      function: { name: "get_weather", arguments: JSON.stringify(args) },
    });
    expect(JSON.parse(messages!)).toEqual([
      { role: "system", content: "One.\nTwo." },
      { role: "user", content: "a\nb" },
      { role: "assistant", content: "I look.", reasoning_content: "hm", tool_calls: [call("t1", { city: "Paris" }), call("t2", {})] },
      { role: "tool", content: "clear", tool_call_id: "t1", name: "get_weather" },
      { role: "tool", content: "Error: no city", tool_call_id: "t2", name: "get_weather" },
      { role: "user", content: "And now?" },
      { role: "system", content: "Be short." },
      { role: "user", content: "Paper\ntext" },
    ]);
    expect(JSON.parse(reply!.tools!)).toMatchObject([
      { function: { name: "get_weather", description: 'The weather of a city\nExample: {"city":"Oslo"}' } },
    ]);
  });

  test("the line of accounting that Claude Code puts first does not reach the prompt", async () => {
    const { base, fake } = await serveScript(["x"]);
    const system = [
      { type: "text", text: "x-anthropic-billing-header: cc_version=2; cch=abc;" },
      { type: "text", text: "Be short." },
    ];
    await post(url(base), { ...HI, system });
    expect(JSON.parse(fake.streams[0]!.request.messages!)).toMatchObject([{ role: "system", content: "Be short." }, {}]);
  });

  test("what is let pass without a meaning is named in the log", async () => {
    const { base, lines } = await serveScriptApp({}, ["x"]);
    await post(url(base), { ...HI, context_management: { edits: [] }, something_new: 1, metadata: {} });
    expect(lines[0]).toMatchObject({ ignored: ["something_new", "context_management"] });
  });

  test.each<[object, string]>([
    [{ messages: undefined }, "messages"],
    [{ messages: [] }, "messages"],
    [{ messages: [{ role: "tool", content: "x" }] }, "messages[0].role"],
    [{ messages: [{ role: "user", content: 5 }] }, "messages[0].content"],
    [{ messages: [{ role: "user", content: [{ type: "image", source: {} }] }] }, "messages[0].content[0].type"],
    [{ messages: [{ role: "user", content: [{ type: "document", source: { type: "base64" } }] }] }, "messages[0].content[0].source"],
    [{ messages: [{ role: "user", content: [{ type: "tool_result", content: "x" }] }] }, "messages[0].content[0].tool_use_id"],
    [
      { messages: [{ role: "assistant", content: [{ type: "tool_use", id: "a", name: "b", input: "{}" }] }] },
      "messages[0].content[0].input",
    ],
    [{ messages: [{ role: "assistant", content: [{ type: "server_tool_use" }] }] }, "messages[0].content[0].type"],
    [{ messages: [{ role: "system", content: "x", output_config: {} }] }, "messages[0].output_config"],
    [{ system: 5 }, "system"],
    [{ max_tokens: 0 }, "max_tokens"],
    [{ max_tokens: "5" }, "max_tokens"],
    [{ stream: "yes" }, "stream"],
    [{ temperature: 9 }, "temperature"],
    [{ top_p: 2 }, "top_p"],
    [{ stop_sequences: "x" }, "stop_sequences"],
    [{ stop_sequences: [""] }, "stop_sequences"],
    [{ thinking: { type: "enabled" } }, "thinking.budget_tokens"],
    [{ thinking: { type: "between_tools" } }, "thinking.type"],
    [{ thinking: { type: "adaptive", display: "x" } }, "thinking.display"],
    [{ output_config: { effort: "none" } }, "output_config.effort"],
    [{ output_config: { task_budget: { total: 5 } } }, "output_config.task_budget"],
    [{ output_config: { format: { type: "xml" } } }, "output_config.format"],
    [{ output_config: { format: { type: "json_schema", schema: { not: {} } } } }, "output_config.format.schema"],
    [{ tools: {} }, "tools"],
    [{ tools: [{ type: "web_search_20250305", name: "web_search" }] }, "web_search_20250305"],
    [{ tools: [{ ...WEATHER, name: "a b" }] }, "tools[0].name"],
    [{ tools: [{ ...WEATHER, input_schema: { type: "string" } }] }, "tools[0].input_schema"],
    [{ tools: [{ ...WEATHER, allowed_callers: ["code_execution_20250825"] }] }, "tools[0].allowed_callers"],
    [{ tool_choice: { type: "any" } }, "tool_choice"],
    [{ tool_choice: { type: "tool" } }, "tool_choice.name"],
    [{ tools: [WEATHER], tool_choice: { type: "tool", name: "other" } }, "tool_choice"],
    [{ mcp_servers: [{ url: "x" }] }, "mcp_servers"],
    [{ container: "c" }, "container"],
    [{ thread: { type: "create" } }, "thread"],
    [{ logprobs: true }, "logprobs"],
  ])("%j is a 400 that names %s", async (body, name) => {
    const { base } = await serveScript(["x"]);
    const response = await post(url(base), { ...HI, ...body });
    expect(response.status).toBe(400);
    const { type, error } = (await response.json()) as { type: string; error: { type: string; message: string } };
    expect([type, error.type]).toEqual(["error", "invalid_request_error"]);
    expect(error.message).toContain(name);
    expect(error.message).not.toContain(".function");
  });
});

describe("in an app of one's own", () => {
  test("handlers speak it at a path that ends in /v1/messages, and OpenAI's format at others", async () => {
    const model = await open();
    const handler = createHandler(model, { model: "qwen-7b" });
    const ask = async (path: string, body: object) => {
      const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
      return (await (await handler(new Request(`https://x${path}`, init))).json()) as Record<string, unknown>;
    };
    for (const path of ["/v1/messages", "/ai/v1/messages/?beta=true"]) expect(await ask(path, STORY)).toMatchObject({ type: "message" });
    expect(await ask("/ai/v1/messages/count_tokens?beta=true", STORY)).toEqual({ input_tokens: 16 });
    expect(await ask("/api/messages", STORY)).toMatchObject({ object: "chat.completion" });
    expect(await ask("/api/chat", STORY)).toMatchObject({ object: "chat.completion" });
    expect(await ask("/v1/messages", { messages: 5 })).toMatchObject({ type: "error", request_id: null });
  });

  test("a router of Express in front does not hide the path", async () => {
    const app = express();
    const router = express.Router();
    router.use("/v1/messages", nodeHandler(await open(), { model: "qwen-7b" }));
    const base = await listen(app.use("/ai", router));
    const client = new Anthropic({ baseURL: `${base}/ai`, apiKey: "none", maxRetries: 0 });
    expect(await client.messages.create(STORY)).toMatchObject({ type: "message", usage: { output_tokens: 40 } });
    expect(await client.messages.countTokens({ model: "qwen-7b", messages: STORY.messages })).toEqual({ input_tokens: 16 });
  });
});

describe("refusals are in Anthropic's shape, whoever refuses", () => {
  const shape = (type: string) => ({ type: "error", error: { type }, request_id: expect.stringMatching(/^req_/) as unknown });
  test("a wrong model, a wrong key, no JSON, a wrong method, another path below", async () => {
    const { base } = await serveApp({}, { apiKeys: ["sk-1"] });
    const headers = { "content-type": "application/json", "x-api-key": "sk-1" };
    const ask = async (init: RequestInit, path = "/v1/messages?beta=true") => {
      const response = await fetch(`${base}${path}`, { method: "POST", headers, body: JSON.stringify(HI), ...init });
      const body = (await response.json()) as { request_id: string };
      if (response.status !== 200) expect(body.request_id).toBe(response.headers.get("request-id"));
      return [response.status, body];
    };
    expect((await ask({}))[0]).toBe(200);
    expect((await ask({ headers: { ...headers, "x-api-key": "", authorization: "Bearer sk-1" } }))[0]).toBe(200);
    expect((await ask({}, "/messages"))[0]).toBe(200);
    expect(await ask({ headers: { ...headers, "x-api-key": "sk-2" } })).toMatchObject([401, shape("authentication_error")]);
    expect(await ask({ body: JSON.stringify({ ...HI, model: "other" }) })).toMatchObject([404, shape("not_found_error")]);
    expect(await ask({ body: "{" })).toMatchObject([400, shape("invalid_request_error")]);
    expect(await ask({ method: "PUT" })).toMatchObject([405, shape("invalid_request_error")]);
    expect(await ask({ body: "{}" }, "/v1/messages/count_tokens")).toMatchObject([400, shape("invalid_request_error")]);
    expect(await ask({}, "/v1/messages/batches")).toMatchObject([404, shape("not_found_error")]);
    // Of other paths, to its clients alone.
    const asIts = { method: "GET", headers: { ...headers, "anthropic-version": "2023-06-01" }, body: null };
    expect(await ask(asIts, "/v1/models/other")).toMatchObject([404, shape("not_found_error")]);
    for (const method of ["GET", "DELETE"]) {
      expect(await ask({ ...asIts, method }, "/v1/streams/other")).toMatchObject([404, shape("not_found_error")]);
    }
    const { error } = await json(await fetch(`${base}/v1/models/other`, { headers }));
    expect(error.code).toBe("model_not_found");
    expect((await json(await fetch(`${base}/v1/streams/other`, { headers }))).error.type).toBe("invalid_request_error");
  });

  test("handlers too: of a stream that there is not, and of batches", async () => {
    const model = await open();
    const handler = createHandler(model);
    const base = await listen(nodeHandler(model));
    const headers = { "content-type": "application/json", "anthropic-version": "2023-06-01" };
    const shape = { type: "error", error: { type: "not_found_error" } };
    for (const ask of [
      (path: string, init: RequestInit) => handler(new Request(`http://app.test${path}`, init)),
      (path: string, init: RequestInit) => fetch(`${base}${path}`, init),
    ]) {
      for (const method of ["GET", "DELETE"]) {
        expect(await (await ask("/v1/streams/other", { method, headers })).json()).toMatchObject(shape);
        expect(await (await ask("/v1/streams/other", { method })).json()).toMatchObject({ error: { param: "id" } });
      }
      const response = await ask("/ai/v1/messages/batches?x=1", {
        method: "POST",
        body: "{}",
        headers: { "content-type": headers["content-type"] },
      });
      expect([response.status, await response.json()]).toMatchObject([404, shape]);
      expect((await ask("/v1/messages/count_tokens", { method: "GET" })).status).toBe(405);
    }
  });

  test("a choice that needs tools is told in the client's words", async () => {
    const { base } = await serveApp();
    for (const tools of [undefined, []]) {
      const response = await post(`${base}/v1/messages`, { ...HI, tools, tool_choice: { type: "any" } });
      expect([response.status, await response.json()]).toMatchObject([
        400,
        { error: { message: 'tool_choice of type "any" needs tools, which are not given.' } },
      ]);
    }
  });

  test("a prompt that does not fit, in the words that Claude Code looks for, streamed or not", async () => {
    const { base } = await serveApp({ contextSize: 256 });
    for (const stream of [true, false]) {
      const response = await post(url(base), { ...HI, stream, messages: [{ role: "user", content: "story ".repeat(400) }] });
      expect(response.status).toBe(400);
      const { error } = (await response.json()) as { error: { message: string } };
      expect(error.message).toMatch(/^prompt is too long: \d+ tokens > 256 maximum$/);
    }
  });

  test("a full server, before and after the body is read", async () => {
    const { base, model } = await serveApp({ maxStreams: 1, maxQueue: 0, promptCache: { ram: 0 } });
    const busy = model.chatStream([...STORY.messages], { ignoreEos: true, highWaterMark: 1 });
    await until(() => model.stats().parked === 1, "the slot is taken");
    for (const path of ["/v1/messages", "/v1/messages?beta=true"]) {
      const response = await post(`${base}${path}`, HI);
      const request_id = response.headers.get("request-id");
      expect(request_id).toMatch(/^req_/);
      expect([response.status, await response.json()]).toMatchObject([
        429,
        { type: "error", error: { type: "rate_limit_error" }, request_id },
      ]);
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    }
    busy.abort();
  });
});

describe("@anthropic-ai/sdk", () => {
  const client = (base: string) => new Anthropic({ baseURL: base, apiKey: "none", maxRetries: 0 });

  test("messages.create, streamed and whole, and its stream helper say the same", async () => {
    const { base } = await serveApp();
    const { messages } = client(base);
    const reply = await messages.create(STORY);
    const text = (reply.content[0] as { text: string }).text;
    let streamed = "";
    for await (const event of await messages.create({ ...STORY, stream: true }))
      if (event.type === "content_block_delta" && event.delta.type === "text_delta") streamed += event.delta.text;
    const helper = messages.stream(STORY);
    let heard = "";
    helper.on("text", (piece) => {
      heard += piece;
    });
    const final = await helper.finalMessage();
    expect([streamed, heard, await helper.finalText()]).toEqual([text, text, text]);
    expect(final).toMatchObject({ stop_reason: "max_tokens", usage: { output_tokens: 40 } });
    expect(final.usage.input_tokens + final.usage.cache_read_input_tokens!).toBe(16);
    expect(await messages.countTokens({ model: "qwen-7b", messages: STORY.messages })).toEqual({ input_tokens: 16 });
  });

  test("models.list and models.retrieve have each name of the model", async () => {
    const { base } = await serveApp({}, { aliases: ["other"] });
    const { models } = client(base);
    const listed: { id: string }[] = [];
    for await (const model of models.list()) listed.push(model);
    expect(listed.map(({ id }) => id)).toEqual(["qwen-7b", "other"]);
    expect(await models.retrieve("other")).toMatchObject({ id: "other", type: "model", display_name: "other" });
  });

  test("its tool runner runs a zod tool and ends with the answer", async () => {
    const calls = [callOf("get_weather", { city: "Paris" }, 0, "c1"), ["It is ", "clear."]];
    for (const stream of [true, false]) {
      const { base, fake } = await serveScript(...calls);
      const seen: unknown[] = [];
      const weather = betaZodTool({
        name: "get_weather",
        description: "W",
        inputSchema: z.object({ city: z.string() }),
        run: (input) => `${String(seen.push(input))}: clear`,
      });
      const runner = client(base).beta.messages.toolRunner({ ...STORY, tools: [weather], stream } as never);
      const final = (await runner.runUntilDone()) as { content: unknown };
      expect(final.content).toMatchObject([{ type: "text", text: "It is clear." }]);
      expect(seen).toEqual([{ city: "Paris" }]);
      expect(JSON.parse(fake.streams[1]!.request.messages!)).toMatchObject([
        {},
        { tool_calls: [{ id: "c1" }] },
        { role: "tool", content: "1: clear" },
      ]);
    }
  });

  test("parse() gives the value of a zod schema", async () => {
    const { base } = await serveScript(['{"name":', '"Ann","age":4}']);
    const format = zodOutputFormat(z.object({ name: z.string(), age: z.number() }));
    const { parsed_output } = await client(base).messages.parse({ ...STORY, output_config: { format } });
    expect(parsed_output).toEqual({ name: "Ann", age: 4 });
  });

  test("abort cancels on the server, and errors have their classes", async () => {
    const { base, model, lines } = await serveApp({ maxStreams: 1, contextSize: 2048 });
    const stream = client(base).messages.stream({ ...STORY, max_tokens: 2000, ignore_eos: true } as never);
    stream.on("text", () => stream.abort());
    await expect(stream.done()).rejects.toThrow(Anthropic.APIUserAbortError);
    await until(() => idle(model, 1), "the slot is free");
    await until(() => lines.length > 0, "its line in the log");
    expect(lines[0]).toMatchObject({ msg: "cancelled", status: 499 });
    await expect(client(base).messages.create({ ...STORY, model: "other" })).rejects.toMatchObject({
      status: 404,
      type: "not_found_error",
      requestID: expect.stringMatching(/^req_/) as unknown,
    });
    const wrong = client(base).messages.create({ ...STORY, max_tokens: 0 });
    await expect(wrong).rejects.toThrow(Anthropic.BadRequestError);
  });
});

describe("the AI SDK's provider for Anthropic", () => {
  const model = (base: string, more = {}) => createAnthropic({ baseURL: `${base}/v1`, apiKey: "none", ...more })("qwen-7b");

  test("streamText runs tools over several steps, and sends the thought back", async () => {
    const said: ScriptItem[] = [{ reasoning: "hm" }, ...callOf("get_weather", { city: "Paris" }, 0, "c1")];
    const { base, fake } = await serveScript(said, ["It is ", "clear."]);
    const tools = {
      get_weather: tool({
        description: "W",
        inputSchema: z.object({ city: z.string() }),
        execute: ({ city }) => Promise.resolve(`${city}: clear`),
      }),
    };
    const providerOptions = { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } };
    const result = streamText({
      model: model(base),
      prompt: "Paris?",
      tools,
      stopWhen: stepCountIs(3),
      providerOptions,
      maxOutputTokens: 2000,
    });
    expect(await readText(result.textStream)).toBe("It is clear.");
    const [first] = await result.steps;
    expect(first!.reasoningText).toBe("hm");
    expect(first!.toolResults[0]!.output).toBe("Paris: clear");
    expect(await result.finishReason).toBe("stop");
    expect(JSON.parse(fake.streams[1]!.request.messages!)).toMatchObject([
      {},
      { reasoning_content: "hm" },
      { role: "tool", content: "Paris: clear" },
    ]);
  });

  test("streamObject gives the value of a schema", async () => {
    const { base } = await serveApp();
    const schema = z.object({ name: z.string(), age: z.number() });
    const prompt = "Give me JSON for a person named Anna, aged 31.";
    const result = streamObject({ model: model(base), prompt, schema, temperature: 0, maxOutputTokens: 200 });
    for await (const _ of result.partialObjectStream);
    expect(schema.safeParse(await result.object).success).toBe(true);
  });

  test("its usage has what was cached, and its abort cancels", async () => {
    const { base, model: engine, lines } = await serveApp({ maxStreams: 1, contextSize: 2048 });
    const ask = { model: model(base), prompt: "Tell me a story", temperature: 0, maxOutputTokens: 20 };
    for (const cached of [0, 15]) {
      const result = streamText(ask);
      await readText(result.textStream);
      expect(await result.usage).toMatchObject({ inputTokens: 16, outputTokens: 20, cachedInputTokens: cached });
    }
    const leaving = new AbortController();
    const endless = model(base, { fetch: endlessFetch });
    const result = streamText({ ...ask, model: endless, maxOutputTokens: 2000, abortSignal: leaving.signal });
    const reading = (async () => {
      for await (const text of result.textStream) if (text !== "") leaving.abort();
    })();
    await reading.catch(() => {});
    await until(() => lines.length === 3, "its line in the log");
    expect(lines[2]).toMatchObject({ msg: "cancelled", status: 499 });
    await until(() => idle(engine, 1), "the slot is free");
  });
});

async function readText(source: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const piece of source) text += piece;
  return text;
}
