// Real clients, each from its own package, over real sockets: what they read is what the engine says, and leaving cancels.

import { spawn } from "node:child_process";
import { createParser } from "eventsource-parser";
import OpenAI from "openai";
import { describe, expect, test } from "vitest";

import { nodeHandler } from "../../lib/http/index.js";
import { GREEDY, idle, LONG, listen, pieceByPiece, post, STORY, serveApp, serveModel, stream, until } from "./helpers.js";
import { parseStrictly } from "./strict-sse.js";

const CHAT = { ...GREEDY, messages: [{ role: "user" as const, content: "Tell me a story" }] };

function sdk(base: string, more: ConstructorParameters<typeof OpenAI>[0] = {}): OpenAI {
  return new OpenAI({ baseURL: `${base}/v1`, apiKey: "not-needed", ...more });
}

describe("the openai SDK", () => {
  test("streams with stream: true, usage included", async () => {
    const { base, url } = await serveModel();
    const expected = await stream(url, GREEDY);
    let text = "";
    let tokens = 0;
    for await (const chunk of await sdk(base).chat.completions.create({ ...CHAT, stream: true })) {
      text += chunk.choices[0]?.delta?.content || "";
      tokens = chunk.usage?.completion_tokens ?? tokens;
    }
    expect(text).toBe(expected.texts[0]);
    expect(tokens).toBe(expected.chunks.at(-1)!.usage!.completion_tokens);
  });

  test("its .stream() helper puts the final completion together", async () => {
    const { base, url } = await serveModel();
    const expected = await stream(url, GREEDY);
    const runner = sdk(base).chat.completions.stream({ ...CHAT, stream_options: { include_usage: true } });
    const deltas: string[] = [];
    runner.on("content", (delta) => deltas.push(delta));
    const final = await runner.finalChatCompletion();
    expect(deltas.join("")).toBe(expected.texts[0]);
    expect(final.choices[0]!.message.content).toBe(expected.texts[0]);
    expect(final.usage!.total_tokens).toBeGreaterThan(0);
    expect(await runner.finalContent()).toBe(expected.texts[0]);
  });

  test("its plain call and its completions call work, too", async () => {
    const { base, url } = await serveModel();
    const reply = await sdk(base).chat.completions.create({ ...CHAT });
    expect(reply.choices[0]!.message.content).toBe((await stream(url, GREEDY)).texts[0]);
    let text = "";
    const completion = { model: "qwen-7b", prompt: "Once", max_tokens: 8, temperature: 0, stream: true } as const;
    for await (const chunk of await sdk(base).completions.create(completion)) text += chunk.choices[0]!.text;
    expect(text.length).toBeGreaterThan(0);
  });

  test.each([
    ["nodeHandler", serveModel],
    ["zse serve", serveApp],
  ])("sends a reply's message back as it got it, and the conversation goes on: %s", async (_, serve) => {
    const client = sdk((await serve()).base, { maxRetries: 0 });
    const messages: OpenAI.Chat.ChatCompletionMessageParam[] = [{ role: "user", content: "Tell me a story" }];
    const whole = await client.chat.completions.create({ ...GREEDY, messages });
    messages.push(whole.choices[0]!.message, { role: "user", content: "Tell me a story" });
    const streamed = await client.chat.completions.stream({ ...GREEDY, messages }).finalMessage();
    messages.push(streamed, { role: "user", content: "Tell me a story" });
    // openai-python's model_dump() writes every field of a message.
    const nulls = { refusal: null, audio: null, function_call: null, tool_calls: null, annotations: null, name: null };
    messages.push({ role: "assistant", content: "Yes", ...nulls } as never, { role: "user", content: "Tell me a story" });
    const third = await client.chat.completions.create({ ...GREEDY, messages });
    expect(third.choices[0]!.message.content!.length).toBeGreaterThan(0);
    expect(third.usage!.prompt_tokens).toBeGreaterThan(whole.usage!.prompt_tokens + 80); // all of it was read
  });

  test("break and abort() cancel the stream on the server", async () => {
    const { base, model } = await serveModel({ maxStreams: 2 });
    const body = { ...CHAT, max_tokens: undefined, ignore_eos: true, stream: true } as const;
    for await (const chunk of await sdk(base).chat.completions.create(body)) if (chunk.choices[0]?.delta.content) break;
    await until(() => idle(model, 2), "break frees the slot");
    const second = await sdk(base).chat.completions.create(body);
    for await (const chunk of second) if (chunk.choices[0]?.delta.content) second.controller.abort();
    await until(() => idle(model, 2), "abort frees the slot");
  });

  test("sees an error inside a stream as an APIError, and one before it with its status", async () => {
    const { base, model } = await serveModel();
    const client = sdk(base, { maxRetries: 0 });
    const reading = (async () => {
      const body = { ...CHAT, max_tokens: undefined, ignore_eos: true, stream: true } as const;
      for await (const chunk of await client.chat.completions.create(body)) if (chunk.choices[0]?.delta.content) void model.close();
    })();
    await expect(reading).rejects.toMatchObject({ code: "closed", type: "server_error" });
    await expect(client.chat.completions.create({ ...CHAT, temperature: 9 })).rejects.toMatchObject({ status: 400, param: "temperature" });
  });

  test("retries on 429 as long as retry-after-ms says, and then gets its reply", async () => {
    const { base, model } = await serveModel({ maxStreams: 1, maxQueue: 1 });
    const busy = [1, 2].map(() => model.chatStream(STORY.messages, { ignoreEos: true, highWaterMark: 1 }));
    await until(() => model.stats().parked + model.stats().queued === 2, "full");
    let refused = 0;
    const watching: typeof fetch = async (...args) => {
      const response = await fetch(...args);
      if (response.status === 429 && ++refused === 1) for (const one of busy) one.abort();
      return response;
    };
    const reply = await sdk(base, { fetch: watching, maxRetries: 5 }).chat.completions.create({ ...CHAT });
    expect(refused).toBeGreaterThan(0);
    expect(reply.choices[0]!.message.content!.length).toBeGreaterThan(0);
  });
});

test("the seed's fetch code, as it stands there, prints the reply", async () => {
  const { url } = await serveModel();
  const expected = (await stream(url, STORY_GREEDY)).texts[0];
  let out = "";
  const process = { stdout: { write: (text: string) => (out += text) } };
  async function streamWithFetch() {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        model: "qwen-7b",
        messages: [{ role: "user", content: "Tell me a story" }],
        stream: true,
        temperature: 0, // so that the test knows what comes
      }),
    });
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    while (true) {
      const { done, value } = await reader.read();
      if (done) break;
      const text = decoder.decode(value);
      const lines = text.split("\n").filter((line) => line.startsWith("data: "));
      for (const line of lines) {
        const data = line.slice(6);
        if (data === "[DONE]") return;
        const chunk = JSON.parse(data);
        const content = chunk.choices[0]?.delta?.content || "";
        process.stdout.write(content);
      }
    }
  }
  await streamWithFetch();
  expect(out).toBe(expected);
});
const STORY_GREEDY = { ...STORY, temperature: 0 };

test("eventsource-parser reads the stream, comments aside, also byte by byte", async () => {
  const { url } = await serveModel({}, { heartbeatMs: 1 });
  const bytes = new Uint8Array(await (await post(url, { ...GREEDY, stream: true })).arrayBuffer());
  const { texts, chunks } = parseStrictly(bytes);
  const events: string[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event.data), onError: (error) => expect(error).toBe(undefined) });
  const decoder = new TextDecoder();
  for (const byte of bytes) parser.feed(decoder.decode(Uint8Array.of(byte), { stream: true }));
  expect(events.length).toBe(chunks.length + 1);
  expect(events.at(-1)).toBe("[DONE]");
  const text = events.slice(0, -1).map((data) => JSON.parse(data).choices[0].delta.content ?? "");
  expect(text.join("")).toBe(texts[0]);
});

describe("curl -N", () => {
  const curl = (url: string, body: object) =>
    spawn("curl", ["-sN", url, "-H", "Content-Type: application/json", "-d", JSON.stringify({ stream: true, ...body })]);

  test("prints what the engine says", async () => {
    const { url } = await serveModel();
    let out = "";
    const child = curl(url, GREEDY);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    await new Promise((resolve) => child.on("close", resolve));
    expect(parseStrictly(out).texts).toEqual((await stream(url, GREEDY)).texts);
  });

  test("prints each piece as it comes, before there is another", async () => {
    let out = "";
    const model = pieceByPiece(["Once ", "upon ", "a time"], (piece) => out.includes(piece));
    const child = curl(await listen(nodeHandler(model)), GREEDY);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    await new Promise((resolve) => child.on("close", resolve));
    expect(parseStrictly(out).texts).toEqual(["Once upon a time"]);
  });

  test("killed, it cancels its stream", async () => {
    const { url, model } = await serveModel({ maxStreams: 1 });
    const child = curl(url, LONG);
    await new Promise((resolve) => child.stdout.once("data", resolve));
    await until(() => model.stats().freeSlots === 0, "it runs");
    child.kill("SIGKILL");
    await until(() => idle(model, 1), "the slot is free");
  });
});

test("a client that leaves cancels its request in every state: queued, streaming, parked, and waiting for a whole reply", async () => {
  const { url, model } = await serveModel({ maxStreams: 1 });
  // Waiting for a whole reply.
  const whole = new AbortController();
  const reply = post(url, LONG, { signal: whole.signal }).catch(() => {});
  await until(() => model.stats().decoding === 1, "decoding");
  // Queued behind it.
  const queued = new AbortController();
  const waiting = await post(url, { ...LONG, stream: true }, { signal: queued.signal });
  await until(() => model.stats().queued === 1, "queued");
  queued.abort();
  await until(() => model.stats().queued === 0, "no longer queued");
  expect(waiting.status).toBe(200);
  whole.abort();
  await reply;
  await until(() => idle(model, 1), "the slot is free");
  // Streaming.
  const streaming = new AbortController();
  const response = await post(url, { ...LONG, stream: true }, { signal: streaming.signal });
  await response.body!.getReader().read();
  streaming.abort();
  await until(() => idle(model, 1), "the slot is free");
});

test("a server that is asked by 20 clients at once gives each its own whole reply", async () => {
  const { url, model } = await serveModel({ maxStreams: 4, maxQueue: 64 });
  const alone = (await stream(url, GREEDY)).texts[0];
  const all = await Promise.all(Array.from({ length: 20 }, () => stream(url, GREEDY)));
  expect(all.map(({ texts }) => texts[0])).toEqual(all.map(() => alone));
  expect(idle(model, 4)).toBe(true);
});
