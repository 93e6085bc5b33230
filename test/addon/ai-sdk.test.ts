// zstream/ai-sdk under the AI SDK itself (version 6; 7 wants Node 22, and is in test/http/node22.test.ts), on the demo model.

import { generateObject, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { zse } from "../../lib/providers/ai-sdk/index.js";
import { ENDLESS, openReady, sleep, until } from "./helpers.js";

const weather = tool({
  description: "The weather of a city, now",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => ({ city, sky: "clear", celsius: 20 }),
});
const question = "What is the weather in Paris?";

async function open(options = {}) {
  const model = await openReady(options);
  return { model, provided: zse(model, { specification: "v3" }) };
}

describe("the AI SDK", () => {
  test("streams the text that the model says", async () => {
    const { model, provided } = await open();
    const { textStream, usage, finishReason, response } = streamText({ model: provided, prompt: "Tell me a story", temperature: 0 });
    const texts: string[] = [];
    for await (const text of textStream) texts.push(text);
    const expected = await model.chat([{ role: "user", content: "Tell me a story" }], { temperature: 0 });
    expect(texts.join("")).toBe(expected.text);
    expect(texts.length).toBeGreaterThan(10);
    expect(await usage).toMatchObject({ inputTokens: expected.usage.promptTokens, outputTokens: expected.usage.completionTokens });
    expect(await finishReason).toBe("stop");
    expect((await response).modelId).toBe(model.info!.name);
  });
  test("runs a tool, and goes on with what it returned", async () => {
    const { provided } = await open();
    const { fullStream, steps, text } = streamText({
      model: provided,
      prompt: question,
      tools: { get_weather: weather },
      stopWhen: stepCountIs(3),
      temperature: 0,
    });
    const kinds = new Set<string>();
    for await (const part of fullStream) kinds.add(part.type);
    expect([...kinds]).toEqual(
      expect.arrayContaining(["tool-input-start", "tool-input-delta", "tool-input-end", "tool-call", "tool-result"]),
    );
    const [first, second] = await steps;
    expect(first!.toolCalls).toMatchObject([{ toolName: "get_weather", input: { city: "Paris" } }]);
    expect(first!.finishReason).toBe("tool-calls");
    expect(second!.text).toBe(await text);
    expect((await text).length).toBeGreaterThan(5);
    expect(second!.usage.inputTokenDetails.cacheReadTokens).toBeGreaterThan(0);
  });
  test("holds an object to its schema", async () => {
    const { provided } = await open();
    const Person = z.object({ name: z.string().max(20), age: z.int().min(0).max(120), from: z.enum(["Paris", "Rome"]) });
    const prompt = "Give me JSON for a person named Anna, aged 31, from Paris.";
    const settings = { model: provided, prompt, temperature: 0, seed: 1 } as const;
    const { object } = await generateObject({ ...settings, schema: Person });
    expect(Person.parse(object)).toEqual(object);
    const { output } = await generateText({ ...settings, output: Output.object({ schema: Person }) });
    expect(output).toEqual(object);
    const partial = streamText({ ...settings, output: Output.object({ schema: Person }) });
    let last: unknown;
    for await (const one of partial.partialOutputStream) last = one;
    expect(last).toEqual(object);
  });
  test("is told the thoughts apart from the text", async () => {
    const { provided } = await open();
    const { reasoningText, text, usage } = await generateText({ model: provided, prompt: "Think first: what is 7 + 5?", temperature: 0 });
    expect(reasoningText!.length).toBeGreaterThan(0);
    expect(text).toContain("12");
    expect(text).not.toContain(reasoningText!);
    expect(usage.outputTokenDetails.reasoningTokens).toBeGreaterThan(0);
  });
  test("leaves, and the slot is free", async () => {
    const { model, provided } = await open({ maxStreams: 1 });
    const abort = new AbortController();
    const options = { zstream: { ignoreEos: true } };
    const { textStream } = streamText({ model: provided, prompt: question, abortSignal: abort.signal, providerOptions: options });
    for await (const _ of textStream) {
      abort.abort();
    }
    await until(() => model.stats().freeSlots === 1, "the slot is free");
  });
  test("a reader that stops parks the stream in the engine, and it goes on with the reader", async () => {
    const { model } = await open();
    const provided = zse(model, { options: { ...ENDLESS, highWaterMark: 8, maxTokens: 200 } });
    const { stream } = await provided.doStream({ prompt: [{ role: "user", content: [{ type: "text", text: "Tell me a story" }] }] });
    const reader = stream.getReader();
    await reader.read();
    await until(() => model.stats().parked === 1, "it is parked");
    const { generatedTokens } = model.stats();
    await sleep(100);
    expect(model.stats()).toMatchObject({ parked: 1, generatedTokens });
    expect(generatedTokens).toBeLessThan(30);
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (next.value.type === "finish") expect(next.value.usage.outputTokens.total).toBe(200);
    }
    expect(model.stats()).toMatchObject({ parked: 0, decoding: 0 });
  });
});
