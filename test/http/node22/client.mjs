// Owns what each client does under Node 22, and tells on stdout what it saw, as JSON. Run by ../node22.test.ts: client.mjs WHAT BASE-URL

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { embedMany, generateText, isStepCount, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const [, , what, base] = process.argv;
const baseURL = `${base}/v1`;
const model = "qwen-7b";
const prompt = "Tell me a story";
const messages = [{ role: "user", content: prompt }];
const values = ["a fox", "a river"];

const openai = new OpenAI({ baseURL, apiKey: "not-needed" });
const provider = createOpenAICompatible({ name: "zstream", baseURL, includeUsage: true });
const anthropic = createAnthropic({ baseURL, apiKey: "not-needed" });
/** Its replies have no end of their own, which the provider has no option for. */
const endless = createAnthropic({
  baseURL,
  apiKey: "not-needed",
  fetch: (url, { body, ...init }) => fetch(url, { ...init, body: JSON.stringify({ ...JSON.parse(body), ignore_eos: true }) }),
});
const langchain = (more = {}) =>
  new ChatOpenAI({ model, apiKey: "not-needed", temperature: 0, maxTokens: 40, maxRetries: 0, configuration: { baseURL }, ...more });

/** Reads to the end, or to the error that leaving makes. `leave` is called at the first text. */
async function read(texts, leave) {
  const parts = [];
  try {
    for await (const text of texts) {
      if (!text) continue;
      parts.push(text);
      if (leave?.() === "break") break;
    }
  } catch (error) {
    if (leave === undefined) throw error;
  }
  return { text: parts.join(""), pieces: parts.length };
}

async function* map(source, pick) {
  for await (const one of source) yield pick(one);
}

const programs = {
  async "openai streams"() {
    let usage;
    const body = { model, messages, temperature: 0, max_tokens: 40, stream: true, stream_options: { include_usage: true } };
    const chunks = await openai.chat.completions.create(body);
    const seen = await read(
      map(chunks, (chunk) => {
        usage = chunk.usage ?? usage;
        return chunk.choices[0]?.delta?.content;
      }),
    );
    return { ...seen, inputTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens };
  },
  async "openai's helper"() {
    const runner = openai.chat.completions.stream({ model, messages, temperature: 0, max_tokens: 40 });
    const { choices } = await runner.finalChatCompletion();
    return { text: choices[0].message.content, finishReason: choices[0].finish_reason };
  },
  async "openai leaves"() {
    const stream = await openai.chat.completions.create({ model, messages, stream: true, ignore_eos: true });
    return read(
      map(stream, (chunk) => chunk.choices[0]?.delta?.content),
      () => stream.controller.abort(),
    );
  },
  async "openai is refused"() {
    const error = await openai.chat.completions.create({ model: "other", messages, stream: true }).catch((caught) => caught);
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param };
  },

  async "openai embeds"() {
    const { data, usage } = await openai.embeddings.create({ model, input: values, dimensions: 8 });
    return { vectors: data.map(({ embedding }) => embedding), inputTokens: usage.prompt_tokens };
  },
  async "ai embeds"() {
    const { embeddings, usage } = await embedMany({
      model: provider.embeddingModel(model),
      values,
      providerOptions: { zstream: { dimensions: 8 } },
    });
    return { vectors: embeddings, inputTokens: usage.tokens };
  },
  async "ai's openai embeds"() {
    const openai = createOpenAI({ baseURL, apiKey: "not-needed" });
    const { embeddings, usage } = await embedMany({
      model: openai.embeddingModel(model),
      values,
      providerOptions: { openai: { dimensions: 8 } },
    });
    return { vectors: embeddings, inputTokens: usage.tokens };
  },
  async "langchain embeds"() {
    const embeddings = new OpenAIEmbeddings({ model, apiKey: "not-needed", dimensions: 8, maxRetries: 0, configuration: { baseURL } });
    return { vectors: await embeddings.embedDocuments(values) };
  },

  async "openai's responses streams"() {
    const runner = openai.responses.stream({ model, input: prompt, temperature: 0, max_output_tokens: 40 });
    const seen = await read(map(runner, (event) => (event.type === "response.output_text.delta" ? event.delta : "")));
    const { usage, output_text } = await runner.finalResponse();
    return { ...seen, whole: output_text, inputTokens: usage.input_tokens, outputTokens: usage.output_tokens };
  },
  async "ai's responses streams"() {
    const openai = createOpenAI({ baseURL, apiKey: "not-needed" });
    const result = streamText({ model: openai(model), prompt, temperature: 0, maxOutputTokens: 40 });
    const seen = await read(result.textStream);
    const { inputTokens, outputTokens } = await result.usage;
    return { ...seen, inputTokens, outputTokens, finishReason: await result.finishReason };
  },

  async "ai streams"() {
    const result = streamText({ model: provider(model), prompt, temperature: 0, maxOutputTokens: 40 });
    const seen = await read(result.textStream);
    const { inputTokens, outputTokens } = await result.usage;
    return { ...seen, inputTokens, outputTokens, finishReason: await result.finishReason };
  },
  async "ai whole"() {
    const { text } = await generateText({ model: provider(model), prompt, temperature: 0, maxOutputTokens: 40 });
    return { text };
  },
  async "ai leaves"() {
    const leaving = new AbortController();
    const providerOptions = { zstream: { ignore_eos: true } };
    const result = streamText({ model: provider(model), prompt, abortSignal: leaving.signal, providerOptions });
    return read(result.textStream, () => leaving.abort());
  },
  async "ai is refused"() {
    let refused;
    const result = streamText({ model: provider("other"), prompt, maxRetries: 0, onError: ({ error }) => void (refused = error) });
    for await (const _ of result.textStream);
    return { status: refused.statusCode };
  },

  async "anthropic streams"() {
    const result = streamText({ model: anthropic(model), prompt, temperature: 0, maxOutputTokens: 40 });
    const seen = await read(result.textStream);
    const { inputTokens, outputTokens } = await result.usage;
    return { ...seen, inputTokens, outputTokens, finishReason: await result.finishReason };
  },
  async "anthropic runs a tool"() {
    const tools = {
      get_weather: tool({ description: "W", inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `${city}: clear` }),
    };
    const result = streamText({ model: anthropic(model), prompt, tools, maxOutputTokens: 100, stopWhen: isStepCount(3) });
    const { text } = await read(result.textStream);
    const steps = await result.steps;
    return { text, output: steps[0].toolResults[0].output };
  },
  async "anthropic leaves"() {
    const leaving = new AbortController();
    const result = streamText({ model: endless(model), prompt, maxOutputTokens: 4000, abortSignal: leaving.signal });
    return read(result.textStream, () => leaving.abort());
  },

  async "langchain streams"() {
    let usage;
    const chunks = await langchain().stream(prompt);
    const seen = await read(
      map(chunks, (chunk) => {
        usage = chunk.usage_metadata ?? usage;
        return chunk.content;
      }),
    );
    return { ...seen, inputTokens: usage.input_tokens, outputTokens: usage.output_tokens };
  },
  async "langchain whole"() {
    return { text: (await langchain().invoke(prompt)).content };
  },
  async "langchain leaves"() {
    const leaving = new AbortController();
    const endless = langchain({ maxTokens: undefined, modelKwargs: { ignore_eos: true } });
    const chunks = await endless.stream(prompt, { signal: leaving.signal });
    return read(
      map(chunks, (chunk) => chunk.content),
      () => leaving.abort(),
    );
  },
  async "langchain breaks"() {
    const endless = langchain({ maxTokens: undefined, modelKwargs: { ignore_eos: true } });
    const chunks = await endless.stream(prompt);
    return read(
      map(chunks, (chunk) => chunk.content),
      () => "break",
    );
  },
};

console.log(JSON.stringify({ node: process.version, ...(await programs[what]()) }));
