// OpenAI's Responses by the clients that speak them, each from its own package: first with replies that a script says, then with the demo model.

import { createOpenResponses } from "@ai-sdk/open-responses";
import { createOpenAI } from "@ai-sdk/openai";
import { ChatOpenAI } from "@langchain/openai";
import { Agent, tool as agentTool, OpenAIProvider, Runner, setTracingDisabled } from "@openai/agents";
import { Output, stepCountIs, streamObject, streamText, type ToolSet, tool } from "ai";
import OpenAI from "openai";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { callOf, type ScriptItem } from "../unit/fake-native.js";
import { endlessFetch, idle, serveApp, until } from "./helpers.js";
import { serveScript } from "./scripted.js";

const WEATHER = {
  type: "function",
  name: "get_weather",
  description: "The weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
  strict: true,
} as const;
const ASKED = { model: "qwen-7b", input: "What is the weather in Paris?" } as const;
const CALL: ScriptItem[] = callOf("get_weather", { city: "Paris" }, 0, "c1");
const ANSWER: ScriptItem[] = ["It is ", "clear."];
const person = z.object({ name: z.string(), age: z.int() });

const openai = (base: string) => new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 });

describe("the openai SDK", () => {
  test("responses.stream: text as it comes, and the final response", async () => {
    const { base } = await serveScript([{ reasoning: "hm" }, ...ANSWER]);
    const stream = openai(base).responses.stream({ ...ASKED });
    const pieces: string[] = [];
    stream.on("response.output_text.delta", ({ delta, snapshot }) => pieces.push(delta) && expect(snapshot).toBe(pieces.join("")));
    const final = await stream.finalResponse();
    expect(pieces).toEqual(["It is ", "clear."]);
    expect(final.output_text).toBe("It is clear.");
    expect(final.output[0]).toMatchObject({ type: "reasoning", content: [{ type: "reasoning_text", text: "hm" }] });
    expect(final.usage!.output_tokens_details.reasoning_tokens).toBe(1);
  });
  test("a loop of calls: items go back as they came, and the model gets call and result", async () => {
    const { base, fake } = await serveScript([{ reasoning: "hm" }, ...CALL], ANSWER);
    const client = openai(base);
    const input: OpenAI.Responses.ResponseInput = [{ role: "user", content: ASKED.input }];
    const first = await client.responses.stream({ ...ASKED, input, tools: [WEATHER] }).finalResponse();
    input.push(...(first.output as OpenAI.Responses.ResponseInputItem[]), { type: "function_call_output", call_id: "c1", output: "clear" });
    const second = await client.responses.create({ ...ASKED, input, tools: [WEATHER] });
    expect(second.output_text).toBe("It is clear.");
    expect(JSON.parse(fake.streams[1]!.request.messages!)).toMatchObject([
      { role: "user", content: ASKED.input },
      { role: "assistant", reasoning_content: "hm", tool_calls: [{ id: "c1", function: { name: "get_weather" } }] },
      { role: "tool", tool_call_id: "c1", content: "clear" },
    ]);
  });
  test("responses.parse gives the value of a zod schema, and of a call's arguments", async () => {
    const { base } = await serveScript(['{"name":', '"Ann","age":4}'], CALL);
    const client = openai(base);
    const reply = await client.responses.parse({ ...ASKED, text: { format: zodTextFormat(person, "person") } });
    expect(reply.output_parsed).toEqual({ name: "Ann", age: 4 });
    const tools = [zodResponsesFunction({ name: "get_weather", parameters: z.object({ city: z.string() }) })];
    const called = await client.responses.parse({ ...ASKED, tools });
    expect(called.output[0]).toMatchObject({ type: "function_call", parsed_arguments: { city: "Paris" } });
  });
  test("a loop of calls of a custom tool: its text comes in pieces, and goes back as it came", async () => {
    const { base, fake } = await serveScript(callOf("patch", { input: 'say "hi"\n' }, 0, "c1"), ANSWER);
    const client = openai(base);
    const tools = [{ type: "custom", name: "patch", description: "Changes a file." }] as const;
    const input: OpenAI.Responses.ResponseInput = [{ role: "user", content: ASKED.input }];
    const stream = client.responses.stream({ ...ASKED, input, tools: [...tools] });
    let text = "";
    stream.on("response.custom_tool_call_input.delta", ({ delta }) => {
      text += delta;
    });
    const first = await stream.finalResponse();
    expect(text).toBe('say "hi"\n');
    expect(first.output).toMatchObject([{ type: "custom_tool_call", call_id: "c1", name: "patch", input: text }]);
    input.push(first.output[0] as OpenAI.Responses.ResponseCustomToolCall, {
      type: "custom_tool_call_output",
      call_id: "c1",
      output: "ok",
    });
    expect((await client.responses.create({ ...ASKED, input, tools: [...tools] })).output_text).toBe("It is clear.");
    expect(JSON.parse(fake.streams[1]!.request.messages!)).toMatchObject([
      { role: "user" },
      { role: "assistant", tool_calls: [{ id: "c1", function: { name: "patch" } }] },
      { role: "tool", tool_call_id: "c1", content: "ok" },
    ]);
  });
  test("an error within the stream is thrown, with its code", async () => {
    const { base } = await serveScript(["It", { error: { code: "ENGINE_FAILED", message: "x" } }]);
    const reading = (async () => {
      for await (const _ of await openai(base).responses.create({ ...ASKED, stream: true }));
    })();
    await expect(reading).rejects.toMatchObject({ code: "engine_failed" });
  });
});

test("the AI SDK's custom tool of @ai-sdk/openai gets its text, streamed", async () => {
  const { base } = await serveScript(callOf("patch", { input: 'say "hi"' }, 0, "c1"));
  const provider = createOpenAI({ baseURL: `${base}/v1`, apiKey: "none" });
  const tools = { patch: provider.tools.customTool({ name: "patch", description: "Changes a file." }) };
  const result = streamText({ model: provider("qwen-7b"), prompt: "x", tools: tools as ToolSet }); // versions of provider-utils differ in its type
  expect(await result.toolCalls).toMatchObject([{ toolCallId: "c1", toolName: "patch", input: 'say "hi"' }]);
  expect(await result.finishReason).toBe("tool-calls");
});

describe.each<[string, (base: string, more?: object) => ReturnType<ReturnType<typeof createOpenAI>>]>([
  ["@ai-sdk/openai", (base, more) => createOpenAI({ baseURL: `${base}/v1`, apiKey: "none", ...more })("qwen-7b")],
  [
    "@ai-sdk/open-responses",
    (base, more) => createOpenResponses({ name: "zstream", url: `${base}/v1/responses`, apiKey: "none", ...more })("qwen-7b"),
  ],
])("the AI SDK with %s", (name, model) => {
  const weather = () => ({
    get_weather: tool({
      description: "W",
      inputSchema: z.object({ city: z.string() }),
      execute: ({ city }) => Promise.resolve(`${city}: clear`),
    }),
  });
  test("streamText runs tools over several steps, and the model gets what it thought", async () => {
    const { base, fake } = await serveScript([{ reasoning: "hm" }, ...CALL], ANSWER);
    const providerOptions = { openai: { reasoningSummary: "auto", forceReasoning: true } };
    const result = streamText({ model: model(base), prompt: "Paris?", tools: weather(), stopWhen: stepCountIs(3), providerOptions });
    expect(await readText(result.textStream)).toBe("It is clear.");
    const [first] = await result.steps;
    expect(first!.reasoningText).toBe("hm");
    expect(first!.toolResults[0]!.output).toBe("Paris: clear");
    expect(await result.finishReason).toBe("stop");
    expect(JSON.parse(fake.streams[1]!.request.messages!)).toMatchObject([
      { role: "user" },
      { role: "assistant", tool_calls: [{ function: { name: "get_weather" } }] },
      { role: "tool", content: "Paris: clear" },
    ]);
    if (name === "@ai-sdk/openai") expect(fake.streams[1]!.request.messages).toContain('"reasoning_content":"hm"');
  });
  test("streamObject and Output.object stream partial values of a schema", async () => {
    const said = ['{"na', 'me":"A', 'nn","age":', "4}"];
    const { base } = await serveScript(said, said);
    const object = streamObject({ model: model(base), prompt: "x", schema: person });
    const partials: unknown[] = [];
    for await (const partial of object.partialObjectStream) partials.push(partial);
    expect(partials).toContainEqual({ name: "A" });
    expect(await object.object).toEqual({ name: "Ann", age: 4 });
    const text = streamText({ model: model(base), prompt: "x", output: Output.object({ schema: person }) });
    await readText(text.textStream);
    expect(await text.output).toEqual({ name: "Ann", age: 4 });
  });
  test("usage and finish reason; an error of the server is the reason that the stream ends with", async () => {
    const { base } = await serveScript(ANSWER, ["It", { error: { code: "ENGINE_FAILED", message: "x" } }]);
    const whole = streamText({ model: model(base), prompt: "x" });
    await readText(whole.textStream);
    expect(await whole.usage).toMatchObject({ inputTokens: 7, outputTokens: 2 });
    const errors: unknown[] = [];
    const broken = streamText({ model: model(base), prompt: "x", maxRetries: 0, onError: ({ error }) => void errors.push(error) });
    await readText(broken.textStream);
    expect(await broken.finishReason).toBe("error");
    expect(errors).toHaveLength(name === "@ai-sdk/openai" ? 1 : 0); // the other one tells it by the finish reason alone
  });
  test("its abortSignal cancels on the server", async () => {
    const { base, model: zse, lines } = await serveApp({ maxStreams: 1, contextSize: 4096 });
    const leaving = new AbortController();
    const result = streamText({ model: model(base, { fetch: endlessFetch }), prompt: "Tell me a story", abortSignal: leaving.signal });
    await (async () => {
      for await (const text of result.textStream) if (text !== "") leaving.abort();
    })().catch(() => {});
    await until(() => idle(zse, 1), "the slot is free");
    await until(() => lines.length > 0, "its line in the log");
    expect(lines[0]).toMatchObject({ msg: "cancelled", status: 499 });
  });
});

describe("@openai/agents", () => {
  setTracingDisabled(true);
  const weather = (seen: unknown[]) =>
    agentTool({
      name: "get_weather",
      description: "W",
      parameters: z.object({ city: z.string() }),
      execute: (args) => {
        seen.push(args);
        return Promise.resolve("clear");
      },
    });
  test.each([true, false])("an agent's tool runs, and the answer comes (stream: %s)", async (stream) => {
    const { base, fake } = await serveScript(CALL, ANSWER);
    const seen: unknown[] = [];
    const agent = new Agent({ name: "A", instructions: "Be brief.", model: "qwen-7b", tools: [weather(seen)] });
    const runner = new Runner({ modelProvider: new OpenAIProvider({ openAIClient: openai(base) as never }) });
    const result = stream ? await runner.run(agent, "Paris?", { stream: true }) : await runner.run(agent, "Paris?");
    if ("completed" in result) await result.completed;
    expect(result.finalOutput).toBe("It is clear.");
    expect(seen).toEqual([{ city: "Paris" }]);
    expect(JSON.parse(fake.streams[1]!.request.messages!)).toMatchObject([
      { role: "system", content: "Be brief." },
      { role: "user", content: "Paris?" },
      { role: "assistant", tool_calls: [{ id: "c1" }] },
      { role: "tool", content: "clear" },
    ]);
  });
});

describe("LangChain's ChatOpenAI with useResponsesApi", () => {
  const chat = (base: string) =>
    new ChatOpenAI({ model: "qwen-7b", apiKey: "none", maxRetries: 0, useResponsesApi: true, configuration: { baseURL: `${base}/v1` } });
  test("streams the text and its usage; a call comes in one piece, and streamed", async () => {
    const { base } = await serveScript(ANSWER, CALL, CALL);
    let text = "";
    let tokens: number | undefined;
    for await (const chunk of await chat(base).stream("x")) {
      text += chunk.text;
      tokens = chunk.usage_metadata?.output_tokens ?? tokens;
    }
    expect([text, tokens]).toEqual(["It is clear.", 2]);
    const model = chat(base).bindTools([WEATHER]);
    const call = { name: "get_weather", args: { city: "Paris" }, id: "c1" };
    expect((await model.invoke("Paris?")).tool_calls).toMatchObject([call]);
    let whole: Awaited<ReturnType<typeof model.invoke>> | undefined;
    for await (const chunk of await model.stream("Paris?")) whole = whole === undefined ? chunk : (whole as typeof chunk).concat(chunk);
    expect(whole!.tool_calls).toMatchObject([call]);
  });
});

async function readText(source: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const piece of source) text += piece;
  return text;
}
