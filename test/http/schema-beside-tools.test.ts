// A schema beside tools, by the clients that send the two together: the text is held to the schema, and calls are still made.

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { Agent, tool as agentTool, OpenAIProvider, Runner, setTracingDisabled } from "@openai/agents";
import { generateText, Output, tool } from "ai";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { expect, test } from "vitest";
import { z } from "zod";

import { post, serveApp } from "./helpers.js";

const Answer = z.object({ answer: z.string().max(20), n: z.int().min(0).max(99) });
const Loose = z.object({ answer: z.string(), n: z.number() });
const City = z.object({ city: z.string() });
const weather = { name: "get_weather", description: "The weather in a city", parameters: z.toJSONSchema(City) as Record<string, unknown> };
const forText = "Give me JSON about a dog.";
const forCall = "What is the weather in Paris?";
const asked = { model: "qwen-7b", temperature: 0 } as const;

test("openai's parse of chats: the object, or the call", async () => {
  const { base } = await serveApp();
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "x" });
  const ask = async (content: string, forced = false) => {
    const { choices } = await client.chat.completions.parse({
      ...asked,
      ...(forced ? { tool_choice: "required" as const } : {}),
      messages: [{ role: "user", content }],
      tools: [{ type: "function", function: { ...weather, strict: true } }],
      response_format: zodResponseFormat(Answer, "answer"),
    });
    return choices[0]!;
  };
  const text = await ask(forText);
  expect(Answer.parse(text.message.parsed)).toEqual(text.message.parsed);
  const call = await ask(forCall);
  expect(call.finish_reason).toBe("tool_calls");
  expect(JSON.parse(call.message.tool_calls![0]!.function.arguments)).toEqual({ city: "Paris" });
  const forced = await ask("Hello", true); // a text before it would not parse
  expect(forced.message.tool_calls).toHaveLength(1);
});

test("openai's parse of responses: the object, or the call", async () => {
  const { base } = await serveApp();
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "x" });
  const ask = (input: string) =>
    client.responses.parse({
      ...asked,
      input,
      tools: [{ type: "function", ...weather, strict: true }],
      text: { format: zodTextFormat(Answer, "answer") },
    });
  const text = await ask(forText);
  expect(Answer.parse(text.output_parsed)).toEqual(text.output_parsed);
  const { output } = await ask(forCall);
  expect(output.map(({ type }) => type)).toEqual(["function_call"]);
});

test("@anthropic-ai/sdk's parse: the object, or the call", async () => {
  const { base } = await serveApp();
  const client = new Anthropic({ baseURL: base, apiKey: "x" });
  const ask = (content: string) =>
    client.messages.parse({
      ...asked,
      max_tokens: 200,
      messages: [{ role: "user", content }],
      tools: [{ name: weather.name, description: weather.description, input_schema: { ...weather.parameters, type: "object" } }],
      output_config: { format: zodOutputFormat(Loose) }, // the package leaves bounds out of what it sends
    });
  const text = await ask(forText);
  expect(Loose.parse(text.parsed_output)).toEqual(text.parsed_output);
  const call = await ask(forCall);
  expect(call.stop_reason).toBe("tool_use");
  expect(call.content.at(-1)).toMatchObject({ type: "tool_use", input: { city: "Paris" } });
});

test("Ollama's chat with a format and tools: the object, or the call", async () => {
  const { base } = await serveApp();
  const ask = async (content: string) => {
    const body = {
      model: "qwen-7b",
      messages: [{ role: "user", content }],
      stream: false,
      options: { temperature: 0 },
      format: z.toJSONSchema(Answer),
      tools: [{ type: "function", function: weather }],
    };
    return ((await (await post(`${base}/api/chat`, body)).json()) as { message: { content: string; tool_calls?: unknown[] } }).message;
  };
  expect(Answer.safeParse(JSON.parse((await ask(forText)).content)).success).toBe(true);
  expect((await ask(forCall)).tool_calls).toMatchObject([{ function: { name: "get_weather", arguments: { city: "Paris" } } }]);
});

test.each([
  [
    "@ai-sdk/openai-compatible",
    (base: string) => createOpenAICompatible({ name: "z", baseURL: `${base}/v1`, supportsStructuredOutputs: true })("qwen-7b"),
  ],
  ["@ai-sdk/openai", (base: string) => createOpenAI({ baseURL: `${base}/v1`, apiKey: "x" })("qwen-7b")],
])("the AI SDK's output beside tools, by %s", async (_, model) => {
  const { base } = await serveApp();
  const ask = (prompt: string) =>
    generateText({
      model: model(base),
      prompt,
      temperature: 0,
      tools: { get_weather: tool({ description: weather.description, inputSchema: City }) },
      output: Output.object({ schema: Answer }),
    });
  const { output } = await ask(forText);
  expect(Answer.parse(output)).toEqual(output);
  const { toolCalls } = await ask(forCall);
  expect(toolCalls).toMatchObject([{ toolName: "get_weather", input: { city: "Paris" } }]);
});

test("an agent of @openai/agents with a type of output and a tool", async () => {
  setTracingDisabled(true);
  const { base } = await serveApp();
  const ran: unknown[] = [];
  const execute = (given: unknown) => {
    ran.push(given);
    return "sunny";
  };
  const agent = new Agent({
    name: "teller",
    model: "qwen-7b",
    modelSettings: { temperature: 0 },
    outputType: Answer,
    tools: [agentTool({ name: weather.name, description: weather.description, parameters: City, execute })],
  });
  const runner = new Runner({ modelProvider: new OpenAIProvider({ apiKey: "x", baseURL: `${base}/v1` }) });
  const { finalOutput } = await runner.run(agent, forText);
  expect(Answer.parse(finalOutput)).toEqual(finalOutput);
  await runner.run(agent, forCall, { maxTurns: 2 }).catch(() => {}); // the demo model may go on calling
  expect(ran[0]).toEqual({ city: "Paris" });
});
