// Larger clients, each from its own package: Vercel's AI SDK and LangChain stream, count and cancel as they do against OpenAI.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, streamText } from "ai";
import { describe, expect, test } from "vitest";

import { GREEDY, idle, serveApp, stream, until } from "./helpers.js";

describe("Vercel's AI SDK", () => {
  const provider = (base: string) => createOpenAICompatible({ name: "zstream", baseURL: `${base}/v1`, includeUsage: true });
  const prompt = "Tell me a story";

  test("streamText streams the reply, its usage and its finish reason", async () => {
    const { base, url } = await serveApp();
    const expected = await stream(url, GREEDY);
    const result = streamText({ model: provider(base)("qwen-7b"), prompt, temperature: 0, maxOutputTokens: 40 });
    const parts: string[] = [];
    for await (const text of result.textStream) parts.push(text);
    expect(parts.join("")).toBe(expected.texts[0]);
    expect(parts.length).toBeGreaterThan(3);
    expect(await result.finishReason).toBe(expected.finishReasons[0]);
    const usage = await result.usage;
    const { prompt_tokens, completion_tokens } = expected.chunks.at(-1)!.usage!;
    expect([usage.inputTokens, usage.outputTokens]).toEqual([prompt_tokens, completion_tokens]);
  });

  test("generateText gives the same reply whole", async () => {
    const { base, url } = await serveApp();
    const { text } = await generateText({ model: provider(base)("qwen-7b"), prompt, temperature: 0, maxOutputTokens: 40 });
    expect(text).toBe((await stream(url, GREEDY)).texts[0]);
  });

  test("its abortSignal cancels on the server", async () => {
    const { base, model, lines } = await serveApp({ maxStreams: 1, contextSize: 2048 });
    const leaving = new AbortController();
    // Endless, by a way that this provider has for what it does not know.
    const providerOptions = { zstream: { ignore_eos: true } };
    const result = streamText({ model: provider(base)("qwen-7b"), prompt, abortSignal: leaving.signal, providerOptions });
    const reading = (async () => {
      for await (const text of result.textStream) if (text !== "") leaving.abort();
    })();
    await reading.catch(() => {});
    await until(() => idle(model, 1), "the slot is free");
    await until(() => lines.length > 0, "its line in the log");
    expect(lines[0]).toMatchObject({ msg: "cancelled", status: 499 });
  });

  test("an error of the server is an error of the stream", async () => {
    const { base } = await serveApp();
    const errors: unknown[] = [];
    const result = streamText({ model: provider(base)("other"), prompt, maxRetries: 0, onError: ({ error }) => void errors.push(error) });
    for await (const _ of result.textStream);
    expect(errors[0]).toMatchObject({ statusCode: 404 });
  });
});

describe("LangChain's ChatOpenAI", () => {
  const chat = (base: string, more: object = {}) =>
    new ChatOpenAI({
      model: "qwen-7b",
      apiKey: "not-needed",
      temperature: 0,
      maxTokens: 40,
      maxRetries: 0,
      configuration: { baseURL: `${base}/v1` },
      ...more,
    });

  test("streams the reply and its usage", async () => {
    const { base, url } = await serveApp();
    const expected = await stream(url, GREEDY);
    let text = "";
    let tokens: number | undefined;
    for await (const chunk of await chat(base).stream([new HumanMessage("Tell me a story")])) {
      text += chunk.content as string;
      tokens = chunk.usage_metadata?.output_tokens ?? tokens;
    }
    expect(text).toBe(expected.texts[0]);
    expect(tokens).toBe(expected.chunks.at(-1)!.usage!.completion_tokens);
  });

  test("invoke gives the same reply whole", async () => {
    const { base, url } = await serveApp();
    const { content } = await chat(base).invoke("Tell me a story");
    expect(content).toBe((await stream(url, GREEDY)).texts[0]);
  });

  test("leaving the loop, or an AbortSignal, cancels on the server", async () => {
    const { base, model, lines } = await serveApp({ maxStreams: 1, contextSize: 2048 });
    const endless = chat(base, { maxTokens: undefined, modelKwargs: { ignore_eos: true } });
    const leaving = new AbortController();
    const reading = (async () => {
      for await (const chunk of await endless.stream("Tell me a story", { signal: leaving.signal })) if (chunk.content) leaving.abort();
    })();
    await reading.catch(() => {});
    await until(() => idle(model, 1), "the slot is free");
    await until(() => lines.length > 0, "its line in the log");
    expect(lines[0]).toMatchObject({ msg: "cancelled", status: 499 });
  });
});
