// zstream/langchain on the fake engine: what LangChain's messages and options become, and what its chunks are.

import {
  AIMessage,
  type AIMessageChunk,
  type BaseMessage,
  ChatMessage,
  FunctionMessage,
  HumanMessage,
  SystemMessage,
  ToolMessage,
} from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { concat } from "@langchain/core/utils/stream";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { NativeRequest } from "../../lib/addon/contract.js";
import { ChatZSE, type ChatZSECallOptions, type ChatZSEFields } from "../../lib/providers/langchain/index.js";
import { callOf, type ScriptItem } from "./fake-native.js";
import { endless, openReady, readAll, rejection, settle } from "./helpers.js";

const script = (...items: ScriptItem[]) => ({ script: () => items });
const weather = tool(() => "clear", { name: "get_weather", description: "The weather", schema: z.object({ city: z.string() }) });

async function open(items?: ScriptItem[], fields: Partial<ChatZSEFields> = {}) {
  const { model, fake } = await openReady(items === undefined ? {} : script(...items));
  return { model, fake, chat: new ChatZSE({ model, ...fields }) };
}
/** What the engine is asked. */
async function asked(
  input: string | BaseMessage[] = "Hi",
  options: Partial<ChatZSECallOptions> = {},
  fields: Partial<ChatZSEFields> = {},
): Promise<NativeRequest> {
  const { chat, fake } = await open(undefined, fields);
  await chat.invoke(input, options);
  return fake.streams[0]!.request;
}
const messagesFor = async (messages: BaseMessage[]) => JSON.parse((await asked(messages)).messages!) as unknown;
const text = (...texts: string[]) => texts.map((one) => ({ type: "text", text: one }));

describe("chunks", () => {
  test("are plain text as long as there is nothing else", async () => {
    const { chat } = await open(["Once", " upon"]);
    const chunks = await readAll(await chat.stream("Hi"));
    expect(chunks.map(({ content }) => content)).toEqual(["Once", " upon", ""]);
    expect(chunks.at(-1)).toMatchObject({
      response_metadata: { model: "fake", model_provider: "zstream", finish_reason: "stop", timings: { ttftMs: expect.any(Number) } },
    });
  });
  test("with thoughts and calls come to standard blocks, text and tool_calls", async () => {
    const items = [{ reasoning: "hm" }, { reasoning: " so" }, "Let", " me", ...callOf("get_weather", { city: "Rome" }, 0, "a")];
    const { chat } = await open([...items, ...callOf("get_weather", { city: "Oslo" }, 1, "b")]);
    const chunks = await readAll(await chat.stream("Hi", { tools: [weather] }));
    const whole = chunks.reduce((a, b) => concat(a, b));
    const calls = [
      { type: "tool_call", id: "a", name: "get_weather", args: { city: "Rome" } },
      { type: "tool_call", id: "b", name: "get_weather", args: { city: "Oslo" } },
    ];
    expect(whole.text).toBe("Let me");
    expect(whole.tool_calls).toEqual(calls);
    expect(whole.contentBlocks).toMatchObject([{ type: "reasoning", reasoning: "hm so" }, { type: "text", text: "Let me" }, ...calls]);
    expect(whole.response_metadata.finish_reason).toBe("tool_calls");
    expect(chunks.flatMap(({ tool_call_chunks }) => tool_call_chunks ?? []).map(({ args }) => args)).toEqual([
      "",
      '{"city"',
      ':"Rome"}',
      "",
      '{"city"',
      ':"Oslo"}',
    ]);
    // A message of the same reply in one piece.
    const { chat: again } = await open([...items]);
    const message = await again.invoke("Hi", { tools: [weather] });
    expect(AIMessage.isInstance(message)).toBe(true);
    expect(message.tool_calls).toEqual(calls.slice(0, 1));
    expect(message.contentBlocks.map(({ type }) => type)).toEqual(["reasoning", "text", "tool_call"]);
  });
  test("streamEvents() has text, thoughts and calls apart", async () => {
    const { chat } = await open([{ reasoning: "hm" }, "Let", " me", ...callOf("get_weather", { city: "Rome" }, 0, "a")]);
    const message = await chat.streamEvents("Hi", { tools: [weather] });
    expect(message.contentBlocks).toMatchObject([
      { type: "reasoning", reasoning: "hm" },
      { type: "text", text: "Let me" },
      { type: "tool_call", id: "a", args: { city: "Rome" } },
    ]);
  });
  test("outputVersion v1 has standard blocks as its content", async () => {
    const { chat } = await open([{ reasoning: "hm" }, "Well"], { outputVersion: "v1" });
    expect((await chat.invoke("Hi")).content).toMatchObject([
      { type: "reasoning", reasoning: "hm" },
      { type: "text", text: "Well" },
    ]);
  });
  test("the last one tells what was cached and thought", async () => {
    const usage = { promptTokens: 10, completionTokens: 9, totalTokens: 19, cachedTokens: 4, reasoningTokens: 3 };
    const { model } = await openReady({ finish: { usage } });
    expect((await new ChatZSE({ model }).invoke("Hi")).usage_metadata).toEqual({
      input_tokens: 10,
      output_tokens: 9,
      total_tokens: 19,
      input_token_details: { cache_read: 4 },
      output_token_details: { reasoning: 3 },
    });
  });
  test("log-probabilities are in the metadata", async () => {
    const { chat } = await open([{ text: "Once", tokens: 1, logprobs: [{ id: 1, bytes: "Once", logprob: -0.5, top: [] }] }]);
    expect((await chat.invoke("Hi", { logprobs: true })).response_metadata.logprobs).toMatchObject([{ id: 1, token: "Once" }]);
  });
  test("callbacks hear each token, of invoke() where streaming is asked for", async () => {
    for (const streaming of [false, true]) {
      const { chat } = await open(["Once", " upon"], { streaming });
      const tokens: string[] = [];
      await chat.invoke("Hi", { callbacks: [{ handleLLMNewToken: (token: string) => void tokens.push(token) }] });
      expect(tokens).toEqual(streaming ? ["Once", " upon", ""] : []);
    }
  });
});

describe("leaving", () => {
  test("breaking out of the loop cancels the reply", async () => {
    const { model, fake } = await openReady({ script: endless });
    for await (const _ of await new ChatZSE({ model }).stream("Hi")) break;
    await settle();
    expect(fake.streams[0]!.state).toBe("ended");
  });
  test("an abort ends it with the signal's reason", async () => {
    const { model, fake } = await openReady({ script: endless });
    const abort = new AbortController();
    const reading = (async () => {
      for await (const _ of await new ChatZSE({ model }).stream("Hi", { signal: abort.signal })) abort.abort(new Error("enough"));
    })();
    expect(await rejection(reading)).toMatchObject({ message: "enough" });
    await settle();
    expect(fake.streams[0]!.state).toBe("ended");
  });
  test("a reply that takes longer than its timeout ends", async () => {
    const { model, fake } = await openReady({ script: endless, manualSteps: true });
    expect(await rejection(new ChatZSE({ model, timeout: 20 }).invoke("Hi"))).toMatchObject({ name: "TimeoutError" });
    fake.step();
    await settle();
    expect(fake.streams[0]!.state).toBe("ended");
  });
  test("a reader that stops parks the stream, and it goes on when the reader does", async () => {
    const { model, fake } = await openReady({ script: endless });
    const iterator = (await new ChatZSE({ model, highWaterMark: 8 }).stream("Hi"))[Symbol.asyncIterator]();
    await iterator.next();
    await settle(50);
    expect(model.stats().parked).toBe(1);
    const before = fake.streams[0]!.delivered;
    expect(before).toBeLessThan(16);
    for (let i = 0; i < 30; i++) await iterator.next();
    expect(fake.streams[0]!.delivered).toBeGreaterThan(before);
    await iterator.return!();
  });
});

describe("messages", () => {
  test("of every kind are read", async () => {
    const messages = await messagesFor([
      new SystemMessage("Be brief"),
      new SystemMessage({ content: "Be kind", additional_kwargs: { __openai_role__: "developer" } }),
      new HumanMessage({ content: "What is the weather?", name: "anna" }),
      new AIMessage({
        content: [
          { type: "reasoning", reasoning: "hm" },
          { type: "text", text: "I look" },
          { type: "tool_use", id: "a", name: "get_weather", input: {} },
        ],
        tool_calls: [{ type: "tool_call", id: "a", name: "get_weather", args: { city: "Rome" } }],
        invalid_tool_calls: [{ type: "invalid_tool_call", id: "b", name: "get_weather", args: "no json" }],
      }),
      new ToolMessage({ content: "clear", tool_call_id: "a", name: "get_weather" }),
      new ToolMessage({ content: text("no", "city"), tool_call_id: "b" }),
      new ChatMessage("Thanks", "user"),
      new AIMessage({ content: "You are welcome", additional_kwargs: { reasoning_content: "polite" } }),
      new HumanMessage("Bye"),
    ]);
    expect(messages).toEqual([
      { role: "system", content: text("Be brief") },
      { role: "developer", content: text("Be kind") },
      { role: "user", content: text("What is the weather?"), name: "anna" },
      {
        role: "assistant",
        content: text("I look"),
        reasoning_content: "hm",
        tool_calls: [
          { id: "a", type: "function", function: { name: "get_weather", arguments: '{"city":"Rome"}' } },
          { id: "b", type: "function", function: { name: "get_weather", arguments: '{"arguments":"no json"}' } },
        ],
      },
      { role: "tool", content: text("clear"), tool_call_id: "a", name: "get_weather" },
      { role: "tool", content: text("no", "city"), tool_call_id: "b", name: "get_weather" },
      { role: "user", content: text("Thanks") },
      { role: "assistant", content: text("You are welcome"), reasoning_content: "polite" },
      { role: "user", content: text("Bye") },
    ]);
  });
  test("a tool's error is told to the model as one, once", async () => {
    const failed = (content: string | ReturnType<typeof text>) =>
      new ToolMessage({ content: content as never, tool_call_id: "a", status: "error" });
    const calls = new AIMessage({ content: "", tool_calls: [{ name: "f", args: {}, id: "a", type: "tool_call" }] });
    const told: [string | ReturnType<typeof text>, string[]][] = [
      ["no such city", ["Error: no such city"]],
      ["Error: no such city", ["Error: no such city"]],
      [text("no", "city"), ["Error: no", "city"]],
      ["", ["Error: "]],
    ];
    for (const [content, texts] of told) {
      const messages = (await messagesFor([new HumanMessage("Hi"), calls, failed(content)])) as unknown[];
      expect(messages.at(-1)).toMatchObject({ role: "tool", content: text(...texts) });
    }
  });
  test("a function's result of before there were tools is one", async () => {
    const call = new AIMessage({ content: "", tool_calls: [{ name: "f", args: {}, id: "a", type: "tool_call" }] });
    expect(await messagesFor([new HumanMessage("Hi"), call, new FunctionMessage({ content: "1", name: "f" })])).toMatchObject([
      {},
      {},
      { role: "tool", content: "1", name: "f" },
    ]);
  });
  test.each([
    [{ type: "text-plain", mimeType: "text/plain", text: "a note" }, "a note"],
    [{ type: "text-plain", mimeType: "text/plain", data: btoa("a note") }, "a note"],
    [{ type: "file", mimeType: "application/json", data: new TextEncoder().encode("[1]") }, "[1]"],
    [{ type: "file", source_type: "base64", mime_type: "text/csv", data: btoa("1,2") }, "1,2"],
    [{ type: "file", source_type: "url", url: `data:text/plain;base64,${btoa("hello")}` }, "hello"],
    [{ type: "file", source_type: "url", url: "data:text/plain,hello%20you" }, "hello you"],
    [{ type: "file", source_type: "text", text: "hello" }, "hello"],
  ])("a file that is text is read: %j", async (block, content) => {
    expect(await messagesFor([new HumanMessage({ content: [block as never] })])).toEqual([{ role: "user", content: text(content) }]);
  });
  test.each([
    [{ type: "image", mimeType: "image/png", data: "AAAA" }, 'messages[0].content[0] is a block of type "image"'],
    [{ type: "image_url", image_url: "http://x/" }, 'messages[0].content[0] is a block of type "image_url"'],
    [{ type: "file", mimeType: "application/pdf", data: "AAAA" }, 'messages[0].content[0] is a file of type "application/pdf"'],
    [{ type: "file", mimeType: "text/plain", url: "http://x/" }, "messages[0].content[0] is a file behind a URL"],
    [{ type: "file", mimeType: "text/plain", url: "data:text/plain,%zz" }, "messages[0].content[0].url must be a data: URL"],
    [{ type: "text" }, "messages[0].content[0].text must be a string"],
  ])("refuses %j by its place", async (block, message) => {
    const { chat, fake } = await open();
    const error = (await rejection(chat.invoke([new HumanMessage({ content: [block as never] })]))) as Error;
    expect([error.name, error.message]).toEqual(["ZSEError", expect.stringContaining(message)]);
    expect(fake.streams).toHaveLength(0);
  });
  test("their tokens are counted by the model's own tokenizer, without the network", async () => {
    const { chat, model } = await open();
    const expected = (await model.tokenize("Grüße, Anna")).length;
    expect(await chat.getNumTokens("Grüße, Anna")).toBe(expected);
    expect(await chat.getNumTokens(["Grüße", ", Anna"].map((text) => ({ type: "text", text })))).toBe(expected);
    expect(await chat.getNumTokens("")).toBe((await model.tokenize("")).length);
    const madeUp = { chatStream: model.chatStream.bind(model) };
    expect(await new ChatZSE({ model: madeUp }).getNumTokens("12345")).toBe(2);
    expect(await rejection(chat.getNumTokens([{ type: "image_url", image_url: "http://x/" }]))).toMatchObject({ code: "UNSUPPORTED" });
  });
  test("refuses roles that there are not", async () => {
    const { chat } = await open();
    expect(await rejection(chat.invoke([new ChatMessage("Hi", "robot")]))).toMatchObject({ code: "BAD_OPTION", option: "messages[0]" });
  });
});

describe("options", () => {
  test("of the model and of the call reach the engine, in either spelling; the call's go before", async () => {
    const request = await asked(
      "Hi",
      { temperature: 0.5, min_p: 0.2, stop: ["END"] },
      { temperature: 1, topK: 3, dry_multiplier: 1, minP: 0.9 },
    );
    expect(request).toMatchObject({ temperature: 0.5, minP: 0.2, topK: 3, dryMultiplier: 1, stop: ["END"] });
  });
  test("stopSequences is stop", async () => {
    expect((await asked("Hi", {}, { stopSequences: ["END"] })).stop).toEqual(["END"]);
  });
  test.each([
    ["auto", "auto"],
    ["any", "required"],
    ["required", "required"],
    ["get_weather", "required"],
    [{ type: "function", function: { name: "get_weather" } }, "required"],
  ])("tool_choice %j", async (tool_choice, native) => {
    expect((await asked("Hi", { tools: [weather], tool_choice })).reply).toMatchObject({ toolChoice: native });
  });
  test("with tool_choice none the model is shown no tools", async () => {
    expect((await asked("Hi", { tools: [weather], tool_choice: "none" })).reply?.tools).toBeUndefined();
  });
  test("bindTools() takes LangChain's tools, OpenAI's definitions and bare schemas", async () => {
    const { chat, fake } = await open();
    const parameters = { type: "object", properties: { a: { type: "integer" } } };
    const bound = chat.bindTools([
      weather,
      { type: "function", function: { name: "add", parameters } },
      { name: "stop", description: "Stops", schema: z.object({}) },
    ]);
    await bound.invoke("Hi");
    const tools = JSON.parse(fake.streams[0]!.request.reply!.tools!) as { function: { name: string } }[];
    expect(tools.map((one) => one.function.name)).toEqual(["get_weather", "add", "stop"]);
  });
  test.each([
    [{ temprature: 1 }, "temprature"],
    [{ model: undefined }, "model"],
    [{ model: {} }, "model"],
  ])("new ChatZSE(%j) is refused by its name", async (fields, option) => {
    const { model } = await openReady();
    expect(() => new ChatZSE({ model, ...fields } as never)).toThrow(expect.objectContaining({ code: "BAD_OPTION", option }));
    expect(() => new ChatZSE(undefined as never)).toThrow(expect.objectContaining({ code: "BAD_OPTION" }));
  });
  test("an option out of its range is refused by its name before anything is queued", async () => {
    const { chat, fake } = await open(undefined, { temperature: 9 });
    expect(await rejection(chat.invoke("Hi"))).toMatchObject({ code: "BAD_OPTION", option: "temperature" });
    expect(fake.streams).toHaveLength(0);
  });
  test("models of other files and options have other keys in LangChain's cache", async () => {
    const keyOf = async (fields: Partial<ChatZSEFields>) =>
      (await open(undefined, fields)).chat._getSerializedCacheKeyParametersForCall({} as never);
    const keys = new Set([await keyOf({}), await keyOf({ temperature: 1 }), await keyOf({ modelName: "other" }), await keyOf({ seed: 1 })]);
    expect(keys.size).toBe(4);
  });
});

describe("withStructuredOutput()", () => {
  const Person = z.object({ name: z.string(), age: z.int() });
  const ANNA = { name: "Anna", age: 31 };
  test("calls a function that takes the value, by default", async () => {
    const { chat, fake } = await open(callOf("person", ANNA, 0, "a"));
    expect(await chat.withStructuredOutput(Person, { name: "person" }).invoke("Hi")).toEqual(ANNA);
    expect(fake.streams[0]!.request.reply).toMatchObject({ toolChoice: "required" });
  });
  test("jsonSchema holds the text, and includeRaw has the message too", async () => {
    const { chat, fake } = await open([JSON.stringify(ANNA)]);
    const { raw, parsed } = await chat.withStructuredOutput(Person, { method: "jsonSchema", includeRaw: true }).invoke("Hi");
    expect(parsed).toEqual(ANNA);
    expect((raw as AIMessageChunk).text).toBe(JSON.stringify(ANNA));
    expect(fake.streams[0]!.request.reply!.jsonSchema).toContain('"age"');
  });
  test.each(["jsonSchema", "jsonMode", "functionCalling"] as const)("%s takes a plain JSON Schema", async (method) => {
    const items = method === "functionCalling" ? callOf("extract", ANNA, 0, "a") : [JSON.stringify(ANNA)];
    const { chat } = await open(items);
    const schema = { type: "object", properties: { name: { type: "string" }, age: { type: "integer" } } };
    expect(await chat.withStructuredOutput(schema, { method }).invoke("Hi")).toEqual(ANNA);
  });
  test("what does not fit the schema rejects", async () => {
    const { chat } = await open([JSON.stringify({ name: 1 })]);
    expect(await rejection(chat.withStructuredOutput(Person, { method: "jsonSchema" }).invoke("Hi"))).toMatchObject({
      message: expect.stringContaining("Failed to parse"),
    });
  });
  test("a method that there is not, or no schema, is refused", async () => {
    const { chat } = await open();
    expect(() => chat.withStructuredOutput(Person, { method: "magic" as never })).toThrow(expect.objectContaining({ option: "method" }));
    expect(() => chat.withStructuredOutput(1 as never)).toThrow(expect.objectContaining({ option: "schema" }));
  });
});
