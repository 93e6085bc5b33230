// Tools, structured output and thoughts over real sockets, by the helpers that clients have for them: first with replies that a script
// says, so that every shape comes, then with the demo model.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { HumanMessage } from "@langchain/core/messages";
import { tool as langchainTool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { Output, stepCountIs, streamObject, streamText, tool } from "ai";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { callOf, type FakeOptions, type ScriptItem } from "../unit/fake-native.js";
import { json, post, serveApp, stream } from "./helpers.js";
import { serveFake, serveScript, serveScriptApp } from "./scripted.js";

const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
} as const;
const ASKED = { model: "qwen-7b", messages: [{ role: "user", content: "What is the weather in Paris?" }] } as const;
const person = z.object({ name: z.string(), age: z.int() });

const CALLS = [callOf("get_weather", { city: "Paris" }), ["It is ", "clear."]];
const openai = (base: string) => new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 });
const aiSdk = (base: string) =>
  createOpenAICompatible({ name: "zstream", baseURL: `${base}/v1`, includeUsage: true, supportsStructuredOutputs: true })("qwen-7b");
const langchain = (base: string) =>
  new ChatOpenAI({ model: "qwen-7b", apiKey: "none", temperature: 0, maxRetries: 0, configuration: { baseURL: `${base}/v1` } });

describe("the shapes on the wire", () => {
  test("a call's first delta has id, type and name, and no arguments; thoughts are reasoning_content, and in usage", async () => {
    const { url } = await serveScript([
      { reasoning: "hm" },
      ...callOf("get_weather", { city: "Paris" }, 0, "c1"),
      ...callOf("get_weather", { city: "Rome" }, 1, "c2"),
    ]);
    const { chunks } = await stream(url, { ...ASKED, tools: [WEATHER] });
    const choices = chunks.map((chunk) => chunk.choices[0] as unknown as { delta: object; finish_reason: string | null });
    const head = (index: number, id: string) => ({
      tool_calls: [{ index, id, type: "function", function: { name: "get_weather", arguments: "" } }],
    });
    const more = (index: number, text: string) => ({ tool_calls: [{ index, function: { arguments: text } }] });
    expect(choices.map(({ delta }) => delta)).toEqual([
      { role: "assistant", content: "" },
      { reasoning_content: "hm" },
      head(0, "c1"),
      ...[more(0, '{"city":'), more(0, '"Paris"}')],
      head(1, "c2"),
      ...[more(1, '{"city"'), more(1, ':"Rome"}')],
      {},
    ]);
    expect(choices.at(-1)!.finish_reason).toBe("tool_calls");
    expect(chunks.at(-1)!.usage).toMatchObject({ completion_tokens_details: { reasoning_tokens: 1 } });
  });
  test("a reply that begins with a call has no content, as OpenAI's has none; one that begins with text has", async () => {
    const call = callOf("get_weather", { city: "Paris" }, 0, "c1");
    const { url } = await serveScript(call, ["Well", ...call]);
    for (const content of [null, ""]) {
      const { chunks } = await stream(url, { ...ASKED, tools: [WEATHER] });
      expect(chunks[0]!.choices[0]!.delta).toEqual({ role: "assistant", content });
    }
  });
  test("the same in one piece, and in a stream that is resumed", async () => {
    const said = [{ reasoning: "hm" }, ...callOf("get_weather", { city: "Paris" }, 0, "c1")];
    const { base, url } = await serveScript(said, said);
    const whole = await json(await post(url, { ...ASKED, tools: [WEATHER] }));
    const call = { id: "c1", type: "function", function: { name: "get_weather", arguments: '{"city":"Paris"}' } };
    expect(whole.choices[0]).toMatchObject({
      finish_reason: "tool_calls",
      message: { content: null, reasoning_content: "hm", tool_calls: [call] },
    });
    const response = await post(url, { ...ASKED, tools: [WEATHER], stream: true, stream_options: { resumable: true } });
    const text = await response.text();
    const id = /"id":"(chatcmpl-[^"]+)"/.exec(text)![1]!;
    const again = await fetch(`${base}/v1/streams/${id}`, { headers: { "last-event-id": "2" } });
    expect(await again.text()).toBe(text.slice(text.indexOf("id: 3\n")));
    expect(text).toContain('"tool_calls":[{"index":0,"id":"c1"');
  });
});

test.each<[string, object]>([
  ["include_reasoning", { include_reasoning: false }],
  ["reasoning.exclude", { reasoning: { exclude: true } }],
])("with %s thoughts are not told, streamed and whole, chats and responses, and are in usage", async (_, field) => {
  const said = [{ reasoning: "hm" }, "It", " is"];
  const { base, url } = await serveScript(said, said, said);
  const whole = await json(await post(url, { ...ASKED, ...field }));
  expect(whole.choices[0]!.message).toEqual({ role: "assistant", content: "It is", refusal: null });
  expect(whole.usage).toMatchObject({ completion_tokens_details: { reasoning_tokens: 1 } });
  const { chunks, texts } = await stream(url, { ...ASKED, ...field });
  expect(JSON.stringify(chunks)).not.toContain("hm");
  expect(texts).toEqual(["It is"]);
  if ("reasoning" in field) return;
  const response = await json(await post(`${base}/v1/responses`, { model: "qwen-7b", input: "x", ...field }));
  expect((response.output as { type: string }[]).map(({ type }) => type)).toEqual(["message"]);
});

describe("calls that are none", () => {
  const half = callOf("get_weather", { city: "Paris" }).slice(0, -1);
  test.each<[string, FakeOptions, string]>([
    ["a stop string within a call", { script: () => half, finish: { reason: "stop", stopString: "}" } }, "stop"],
    ["max_tokens within a call", { script: () => half, finish: { reason: "length" } }, "length"],
    ["what only looks like a call", { script: () => ["<c>f", { malformedCall: { text: "<c>f", reason: "no" } }] }, "stop"],
  ])("%s is never finish_reason tool_calls", async (_, options, reason) => {
    const { url } = await serveFake(options);
    const asked = { ...ASKED, tools: [WEATHER] };
    const { choices } = await json(await post(url, asked));
    expect(choices[0]!.finish_reason).toBe(reason);
    expect(JSON.stringify(choices[0])).not.toMatch(/incomplete|malformed/);
    const { chunks } = await stream(url, asked);
    expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe(reason);
  });
});

describe("fields of a body reach the engine", () => {
  const chat = { messages: [{ role: "user", content: "x" }] };
  const schema = { type: "object", properties: { a: { type: "integer" } } };
  const enforced = JSON.stringify({ type: "object", properties: { a: { type: "integer" } }, required: [], additionalProperties: false });
  test.each<[string, object, object]>([
    ["no tools", { tools: [], tool_choice: "auto" }, {}],
    ["tool_choice", { tools: [WEATHER], tool_choice: { type: "function", function: { name: "get_weather" } } }, { toolChoice: "required" }],
    [
      "allowed_tools",
      {
        tools: [{ type: "function", function: { name: "other" } }, WEATHER],
        tool_choice: {
          type: "allowed_tools",
          allowed_tools: { mode: "required", tools: [{ type: "function", function: { name: "get_weather" } }] },
        },
      },
      { toolChoice: "required" },
    ],
    ["parallel_tool_calls", { tools: [WEATHER], parallel_tool_calls: false }, { parallelToolCalls: false }],
    ["response_format", { response_format: { type: "json_schema", json_schema: { name: "x", schema } } }, { jsonSchema: enforced }],
    ["json_schema", { json_schema: schema }, { jsonSchema: enforced }],
    ["guided_json", { guided_json: JSON.stringify(schema) }, { jsonSchema: enforced }],
    ["structured_outputs", { structured_outputs: { json: schema } }, { jsonSchema: enforced }],
    ["grammar", { grammar: 'root ::= "a"' }, { grammar: 'root ::= "a"' }],
    ["guided_choice", { guided_choice: ["a", '"'] }, { grammar: 'root ::= "\\U00000061" | "\\U00000022"' }],
    ["reasoning_effort", { reasoning_effort: "low" }, { thinking: true, templateArguments: '{"reasoning_effort":"low"}' }],
    ["reasoning_effort none", { reasoning_effort: "none" }, { thinking: false }],
    ["reasoning", { reasoning: { max_tokens: 50 } }, { reasoningBudget: 50 }],
    ["enable_thinking", { enable_thinking: false }, { thinking: false }],
    ["chat_template_kwargs", { chat_template_kwargs: { enable_thinking: true, x: 1 } }, { thinking: true, templateArguments: '{"x":1}' }],
    ["thinking", { thinking: { type: "enabled", budget_tokens: 9 } }, { reasoningBudget: 9 }],
    [
      "continue_final_message",
      { messages: [...chat.messages, { role: "assistant", content: "So" }], continue_final_message: true, add_generation_prompt: false },
      { continueFinalMessage: true },
    ],
  ])("%s", async (_, body, expected) => {
    const { url, fake } = await serveScript(["x"]);
    const response = await post(url, { ...chat, ...body });
    expect(response.status, await response.clone().text()).toBe(200);
    const { tools: _tools, ...reply } = fake.streams[0]!.request.reply!;
    expect(reply).toMatchObject(expected);
    if (Object.keys(expected).length === 0) expect(reply).toEqual({});
  });
  test("fields of tools, of their choice and of a format that no one here knows are let pass, and named in the log", async () => {
    const { base, fake, lines } = await serveScriptApp({}, ["x"], ["x"], ["x"]);
    const newer = { ...WEATHER, cache_control: {}, execute: 5, function: { ...WEATHER.function, schema: {}, deferred: true } };
    const body = { ...chat, model: "qwen-7b" };
    const name = { name: "get_weather", since: 2 };
    for (const tool_choice of [
      { type: "function", function: name, x: 1 },
      { type: "allowed_tools", y: 2, allowed_tools: { z: 3, tools: [{ type: "function", function: name }] } },
    ])
      expect((await post(`${base}/v1/chat/completions`, { ...body, tools: [newer], tool_choice })).status).toBe(200);
    const response_format = { type: "json_schema", v: 1, json_schema: { schema, version: 2 } };
    expect((await post(`${base}/v1/chat/completions`, { ...body, response_format })).status).toBe(200);
    const [first, second, third] = fake.streams.map(({ request }) => request.reply!);
    expect(JSON.parse(first!.tools!)).toEqual(JSON.parse(second!.tools!));
    expect(JSON.parse(first!.tools!)[0].function).toHaveProperty("parameters.properties.city");
    expect(third!.jsonSchema).toBe(enforced);
    const ofTools = ["tools[].cache_control", "tools[].execute", "tools[].function.schema", "tools[].function.deferred"];
    expect(lines.map(({ ignored }) => ignored)).toEqual([
      [...ofTools, "tool_choice.x", "tool_choice.function.since"],
      [...ofTools, "tool_choice.y", "tool_choice.allowed_tools.z", "tool_choice.allowed_tools.tools[].function.since"],
      ["response_format.v", "response_format.json_schema.version"],
    ]);
  });
  test("a completion takes a schema", async () => {
    const { base, fake } = await serveScript(['{"a":1}']);
    expect((await post(`${base}/v1/completions`, { prompt: "x", response_format: { type: "json_object" } })).status).toBe(200);
    expect(fake.streams[0]!.request.reply).toEqual({ jsonSchema: '{"type":"object"}' });
  });
  test.each<[object, string]>([
    [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
    [{ tools: "x" }, "tools"],
    [{ tool_choice: "required" }, "tool_choice"],
    [{ tools: [WEATHER], tool_choice: { type: "function", function: { name: "x" } } }, "tool_choice"],
    [{ response_format: { type: "json_schema", json_schema: { name: "x", schema: { not: {} } } } }, "response_format.json_schema.schema"],
    [{ response_format: { type: "xml" } }, "response_format.type"],
    [{ response_format: { type: "json_object" }, grammar: "x" }, "grammar"],
    [{ grammar: "x", guided_json: {} }, "guided_json"],
    [{ structured_outputs: { regex: "x" } }, "structured_outputs.regex"],
    [{ guided_choice: [5] }, "guided_choice"],
    [{ guided_json: "{" }, "guided_json"],
    [{ reasoning_effort: "much" }, "reasoning_effort"],
    [{ reasoning: { exclude: 5 } }, "reasoning.exclude"],
    [{ include_reasoning: "no" }, "include_reasoning"],
    [{ include_reasoning: true, reasoning: { exclude: true } }, "include_reasoning"],
    [{ thinking: { type: "x" } }, "thinking"],
    [{ enable_thinking: "yes" }, "enable_thinking"],
    [{ chat_template_kwargs: [] }, "chat_template_kwargs"],
    [{ continue_final_message: true }, "continue_final_message"],
    [{ add_generation_prompt: false }, "add_generation_prompt"],
    [
      {
        messages: [
          { role: "user", content: "x" },
          { role: "assistant", content: "So" },
        ],
        continue_final_message: true,
        add_generation_prompt: true,
      },
      "add_generation_prompt",
    ],
    [{ regex: "a+" }, "regex"],
    [{ ebnf: 'root ::= "a"' }, "ebnf"],
    [{ stop_regex: ["a+"] }, "stop_regex"],
    [{ return_token_ids: true }, "return_token_ids"],
    [{ custom_logit_processor: "x" }, "custom_logit_processor"],
    [{ prompt: "x", messages: undefined, tools: [WEATHER] }, "tools"],
  ])("%j is a 400 that names %s", async (body, param) => {
    const { base } = await serveScript(["x"]);
    const path = "prompt" in body ? "completions" : "chat/completions";
    const response = await post(`${base}/v1/${path}`, { ...chat, ...body });
    expect(response.status).toBe(400);
    expect((await json(response)).error.param).toBe(param);
  });
  test.each<[object, string]>([
    [{ guided_json: { not: {} } }, "guided_json"],
    [{ structured_outputs: { json: { type: "x" } } }, "structured_outputs.json"],
    [{ json_schema: { type: "x" } }, "json_schema"],
    [{ grammar: 5 }, "grammar"],
    [{ grammar: "root ::= a", tools: [WEATHER] }, "grammar"],
    [{ guided_grammar: "%llguidance {}" }, "guided_grammar"],
  ])("%j is a 400 whose sentence begins with %s, and knows no other name for it", async (body, field) => {
    const { url } = await serveScript(["x"]);
    const { message, param } = (await json(await post(url, { ...chat, ...body }))).error;
    expect(param).toBe(field);
    expect(message.startsWith(`${field} `), message).toBe(true);
    expect(message).not.toMatch(/response_?format/i);
  });
  test.each<[object, string, string]>([
    [{ reasoning_effort: "none", reasoning: { enabled: true } }, 'reasoning_effort "none"', "reasoning.enabled true"],
    [{ enable_thinking: false, reasoning: { effort: "high" } }, "enable_thinking false", 'reasoning.effort "high"'],
    [{ enable_thinking: true, chat_template_kwargs: { enable_thinking: false } }, "enable_thinking true", "kwargs.enable_thinking false"],
    [{ chat_template_kwargs: { thinking: true }, reasoning_effort: "none" }, "kwargs.thinking true", 'reasoning_effort "none"'],
    [{ reasoning_effort: "low", reasoning: { effort: "high" } }, 'reasoning_effort "low"', 'reasoning.effort "high"'],
    [{ reasoning_budget: 5, reasoning: { max_tokens: 6 } }, "reasoning_budget 5", "reasoning.max_tokens 6"],
    [{ reasoning: { enabled: false, max_tokens: 6 } }, "reasoning.enabled false", "reasoning.max_tokens 6"],
    [{ thinking: { type: "disabled", budget_tokens: 6 } }, 'thinking.type "disabled"', "thinking.budget_tokens 6"],
  ])("%j is a 400 that names both", async (body, first, second) => {
    const { url, fake } = await serveScript(["x"]);
    const response = await post(url, { ...chat, ...body });
    expect(response.status).toBe(400);
    const { message } = (await json(response)).error;
    expect(message).toContain(first);
    expect(message).toContain(second);
    expect(fake.streams).toEqual([]);
  });
  test("fields of thinking that say the same, or go together, are let pass", async () => {
    const same = {
      reasoning_effort: "low",
      reasoning: { enabled: true, effort: "low", max_tokens: 9 },
      reasoning_budget: 9,
      enable_thinking: true,
    };
    const off = { reasoning_effort: "none", enable_thinking: false, reasoning_budget: 0, thinking: { type: "disabled" } };
    const { url, fake } = await serveScript(["x"], ["x"]);
    for (const body of [same, off]) expect((await post(url, { ...chat, ...body })).status).toBe(200);
    expect(fake.streams.map(({ request }) => request.reply)).toEqual([
      { thinking: true, reasoningBudget: 9, templateArguments: '{"reasoning_effort":"low"}' },
      { thinking: false },
    ]);
  });
});

describe("the openai SDK", () => {
  test("its stream helper puts calls together", async () => {
    const { base } = await serveScript(CALLS[0] as ScriptItem[]);
    const runner = openai(base).chat.completions.stream({ ...ASKED, messages: [...ASKED.messages], tools: [WEATHER] });
    const deltas: string[] = [];
    runner.on("tool_calls.function.arguments.delta", ({ arguments_delta }) => deltas.push(arguments_delta));
    const final = await runner.finalChatCompletion();
    expect(deltas.join("")).toBe('{"city":"Paris"}');
    expect(final.choices[0]!.message.tool_calls![0]).toMatchObject({
      type: "function",
      function: { name: "get_weather", arguments: '{"city":"Paris"}' },
    });
    expect(final.choices[0]!.finish_reason).toBe("tool_calls");
  });
  test.each([true, false])("runTools runs the function and ends with the answer (stream: %s)", async (streamed) => {
    const { base, fake } = await serveScript(...(CALLS as ScriptItem[][]));
    const seen: unknown[] = [];
    const fn = { ...WEATHER.function, parse: JSON.parse, function: (args: { city: string }) => seen.push(args) && "clear" };
    const body = { ...ASKED, messages: [...ASKED.messages], tools: [{ type: "function" as const, function: fn }] };
    const { completions } = openai(base).chat;
    const runner = streamed ? completions.runTools({ ...body, stream: true } as never) : completions.runTools(body as never);
    expect(await runner.finalContent()).toBe("It is clear.");
    expect(seen).toEqual([{ city: "Paris" }]);
    expect(JSON.parse(fake.streams[1]!.request.messages!)).toMatchObject([{}, { role: "assistant" }, { role: "tool", content: "clear" }]);
  });
  test("parse() gives the value of a zod schema, and of a tool's arguments", async () => {
    const { base } = await serveScript(['{"name":', '"Ann","age":4}'], CALLS[0] as ScriptItem[]);
    const client = openai(base);
    const reply = await client.chat.completions.parse({
      ...ASKED,
      messages: [...ASKED.messages],
      response_format: zodResponseFormat(person, "person"),
    });
    expect(reply.choices[0]!.message.parsed).toEqual({ name: "Ann", age: 4 });
    const tools = [zodFunction({ name: "get_weather", parameters: z.object({ city: z.string() }) })];
    const called = await client.chat.completions.parse({ ...ASKED, messages: [...ASKED.messages], tools });
    expect((called.choices[0]!.message.tool_calls![0] as { function: { parsed_arguments: unknown } }).function.parsed_arguments).toEqual({
      city: "Paris",
    });
  });
});

describe("Vercel's AI SDK", () => {
  const weather = () => ({
    get_weather: tool({
      description: "W",
      inputSchema: z.object({ city: z.string() }),
      execute: ({ city }) => Promise.resolve(`${city}: clear`),
    }),
  });
  test("streamText runs tools over several steps, and has the thought", async () => {
    const { base, fake } = await serveScript([{ reasoning: "hm" }, ...(CALLS[0] as ScriptItem[])], CALLS[1] as ScriptItem[]);
    const result = streamText({ model: aiSdk(base), prompt: "Paris?", tools: weather(), stopWhen: stepCountIs(3) });
    expect(await readText(result.textStream)).toBe("It is clear.");
    const [first] = await result.steps;
    expect(first!.reasoningText).toBe("hm");
    expect(first!.toolResults[0]!.output).toBe("Paris: clear");
    expect(await result.finishReason).toBe("stop");
    expect(fake.streams).toHaveLength(2);
  });
  test("streamObject and Output.object stream partial values of a schema", async () => {
    const said = ['{"na', 'me":"A', 'nn","age":', "4}"];
    const { base } = await serveScript(said, said);
    const object = streamObject({ model: aiSdk(base), prompt: "x", schema: person });
    const partials: unknown[] = [];
    for await (const partial of object.partialObjectStream) partials.push(partial);
    expect(partials).toContainEqual({ name: "A" });
    expect(await object.object).toEqual({ name: "Ann", age: 4 });
    const text = streamText({ model: aiSdk(base), prompt: "x", output: Output.object({ schema: person }) });
    await readText(text.textStream);
    expect(await text.output).toEqual({ name: "Ann", age: 4 });
  });
});

describe("LangChain", () => {
  const weather = () =>
    langchainTool(({ city }: { city: string }) => `${city}: clear`, {
      name: "get_weather",
      description: "W",
      schema: z.object({ city: z.string() }),
    });
  test("bindTools: calls in one piece, and streamed", async () => {
    const { base } = await serveScript(CALLS[0] as ScriptItem[], CALLS[0] as ScriptItem[]);
    const model = langchain(base).bindTools([weather()]);
    const call = { name: "get_weather", args: { city: "Paris" } };
    expect((await model.invoke([new HumanMessage("Paris?")])).tool_calls).toMatchObject([call]);
    let whole: Awaited<ReturnType<typeof model.invoke>> | undefined;
    for await (const chunk of await model.stream("Paris?")) whole = whole === undefined ? chunk : (whole as typeof chunk).concat(chunk);
    expect(whole!.tool_calls).toMatchObject([call]);
  });
  test("withStructuredOutput gives the value", async () => {
    const { base } = await serveScript(['{"name":"Ann","age":4}']);
    expect(await langchain(base).withStructuredOutput(person, { method: "jsonSchema", name: "person" }).invoke("x")).toEqual({
      name: "Ann",
      age: 4,
    });
  });
});

describe("the demo model behind zse serve", () => {
  test("calls a tool, by runTools", async () => {
    const { base } = await serveApp();
    const seen: unknown[] = [];
    const fn = { ...WEATHER.function, parse: JSON.parse, function: (args: { city: string }) => seen.push(args) && '{"sky":"clear"}' };
    const runner = openai(base).chat.completions.runTools({
      ...ASKED,
      messages: [...ASKED.messages],
      temperature: 0,
      max_tokens: 100,
      tools: [{ type: "function", function: fn }],
    } as never);
    expect((await runner.finalContent())!.length).toBeGreaterThan(0);
    expect(seen).toEqual([{ city: expect.any(String) as unknown }]);
  });
  test("holds to a schema, whatever the seed and at temperature 1.5 (a thought before it has no bound but the context)", async () => {
    const { base } = await serveApp();
    const schema = z.object({
      name: z.string().max(12),
      born: z.iso.date(),
      tags: z.array(z.enum(["a", "b"])).max(3),
      n: z.int().min(-5).max(5),
    });
    for (const seed of [1, 2, 3]) {
      const { choices } = await openai(base).chat.completions.parse({
        ...ASKED,
        messages: [...ASKED.messages],
        temperature: 1.5,
        reasoning_effort: "none",
        seed,
        response_format: zodResponseFormat(schema, "x"),
      });
      expect(choices[0]!.finish_reason).toBe("stop");
      expect(schema.safeParse(choices[0]!.message.parsed).success).toBe(true);
    }
  });
  test("streamText of the AI SDK and LangChain's bindTools call it too", async () => {
    const { base } = await serveApp();
    const tools = {
      get_weather: tool({
        description: WEATHER.function.description,
        inputSchema: z.object({ city: z.string() }),
        execute: () => Promise.resolve("clear"),
      }),
    };
    const result = streamText({
      model: aiSdk(base),
      prompt: ASKED.messages[0].content,
      temperature: 0,
      maxOutputTokens: 100,
      tools,
      stopWhen: stepCountIs(2),
    });
    await readText(result.textStream);
    expect((await result.steps)[0]!.toolCalls[0]).toMatchObject({ toolName: "get_weather" });
    const { tool_calls } = await langchain(base).bindTools([WEATHER]).invoke(ASKED.messages[0].content);
    expect(tool_calls![0]).toMatchObject({ name: "get_weather" });
  });
});

async function readText(source: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const piece of source) text += piece;
  return text;
}
