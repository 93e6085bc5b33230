// Chats of pages (zstream/react, and the AI SDK's useChat() over it) against a real server: whole texts over lost connections and reloads, stops that
// reach the engine, errors by their code. The hook itself is used in Chromium, in test/browser.

import { AbstractChat, type ChatState as AiState, type ChatStatus, type UIMessage } from "ai";
import { describe, expect, test, vi } from "vitest";
import { ZStreamTransport } from "../../lib/react/ai-sdk.js";
import { ChatStore } from "../../lib/react/chat-store.js";
import { modelSource, type ReplyPiece, type ReplySource, sseSource } from "../../lib/react/index.js";
import { randomOf } from "../random-schemas.js";
import { idle, open, serveModel, sleep, until } from "./helpers.js";

const STORY = [{ role: "user", content: "Tell me a story" }] as const;
const BODY = { temperature: 0, max_tokens: 60 } as const;
const LONG = { ignore_eos: true, seed: 1 } as const;

function keeper() {
  const kept = new Map<string, string>();
  const store = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  };
  return { kept, store };
}

async function textOf(source: ReplySource, signal = new AbortController().signal): Promise<string> {
  let text = "";
  for await (const piece of source.open(STORY, signal)) if (piece.type === "text") text += piece.text;
  return text;
}

/** Lets so many bytes of a body through, then loses the connection. */
function cutting(next: () => number): typeof fetch {
  return async (url, init) => {
    const response = await fetch(url, init);
    let left = next();
    const cut = new TransformStream<Uint8Array, Uint8Array>({
      transform(bytes, controller) {
        controller.enqueue(bytes.subarray(0, left));
        left -= bytes.length;
        if (left < 0) controller.error(new TypeError("network error"));
      },
    });
    return new Response(response.body === null ? null : response.body.pipeThrough(cut), response);
  };
}

describe("a server's replies", () => {
  test("are whole, wherever the connection is lost", async () => {
    const seed = Number(process.env.ZSE_TEST_SEED ?? Date.now() % 1e6);
    console.log(`ZSE_TEST_SEED=${seed}`);
    const random = randomOf(seed);
    const { url, base, model } = await serveModel();
    const plain = await textOf(sseSource({ url, body: BODY, resumable: false }));
    expect(plain).toBe((await model.chat(STORY, { temperature: 0, maxTokens: 60 })).text);
    for (let i = 0; i < 4; i++) {
      // A quarter of them before the first event is whole.
      const source = sseSource({ url, streamsUrl: `${base}/v1/streams`, body: BODY, fetch: cutting(() => 400 + random.below(2500)) });
      expect(await textOf(source)).toBe(plain);
    }
    await until(() => idle(model, 4), "all slots are free");
  });

  test("that are lost before they have a name, or too often, fail by the code `network`", async () => {
    const { url } = await serveModel();
    const once = sseSource({ url, body: BODY, fetch: cutting(() => 10) });
    await expect(textOf(once)).rejects.toMatchObject({ code: "network" });
    let calls = 0;
    const answer: typeof fetch = (...given) => (calls++ === 0 ? cutting(() => 600)(...given) : Promise.reject(new TypeError("down")));
    let error: unknown;
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    textOf(sseSource({ url, body: BODY, fetch: answer })).catch((reason: unknown) => (error = reason));
    while (error === undefined) {
      await new Promise(setImmediate);
      await vi.advanceTimersByTimeAsync(1000);
    }
    vi.useRealTimers();
    expect(error).toMatchObject({ code: "network" });
    expect(calls).toBe(7);
  });

  test("are refused by the server's code, with its status and when to try again", async () => {
    const { url, model } = await serveModel({ maxStreams: 1, maxQueue: 0 });
    await expect(textOf(sseSource({ url, body: { temperature: 9 } }))).rejects.toMatchObject({ code: "invalid_value", status: 400 });
    const running = model.chatStream(STORY, { ignoreEos: true }).events();
    await running.next();
    const full = { code: "rate_limit_exceeded", status: 429, retryAfterMs: expect.any(Number) };
    await expect(textOf(sseSource({ url, body: BODY }))).rejects.toMatchObject(full);
    await running.return!();
  });

  test("are not taken from the network before they are read", async () => {
    let sent = 0;
    const bytes = (text: string) => new TextEncoder().encode(text);
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          sent += 1;
          controller.enqueue(bytes(`id: ${sent}\ndata: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n`));
        },
      },
      { highWaterMark: 0 },
    );
    const source = sseSource({ url: "/v1/chat/completions", fetch: async () => new Response(body) });
    const pieces = source.open(STORY, new AbortController().signal)[Symbol.asyncIterator]();
    for (let i = 0; i < 10; i++) await pieces.next();
    await sleep(20);
    expect(sent).toBeLessThan(16);
    await pieces.return!();
  });
});

describe("a chat", () => {
  const settled = (chat: ChatStore) => until(() => !["waiting", "streaming"].includes(chat.state().status), "the reply is over");

  test("grows by the reply, and says how it was", async () => {
    const { url, model } = await serveModel({ contextSize: 1024 });
    const chat = new ChatStore({ source: sseSource({ url, body: { ...LONG, max_tokens: 400 } }) });
    const seen: string[] = [];
    chat.subscribe(() => seen.push(`${chat.state().status} ${chat.state().messages.length}`));
    chat.send("Tell me a story");
    chat.send("ignored while one is on its way");
    await settled(chat);
    const { messages, figures, status } = chat.state();
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant"]);
    expect(messages[1]!.content).toBe((await model.chat(STORY, { seed: 1, ignoreEos: true, maxTokens: 400 })).text);
    expect(status).toBe("ready");
    expect(figures).toMatchObject({ finishReason: expect.stringMatching(/stop|length/), usage: { promptTokens: expect.any(Number) } });
    const { firstTokenMs, longestGapMs, tokensPerSecond } = figures!;
    for (const figure of [firstTokenMs, longestGapMs, tokensPerSecond]) expect(figure).toBeGreaterThan(0);
    expect(messages.map((one) => one.figures)).toEqual([undefined, figures]);
    expect(seen[0]).toBe("waiting 1");
    expect(seen).toContain("streaming 2");
    chat.retry();
    await settled(chat);
    expect(chat.state().messages.map(({ content }) => content)).toEqual(messages.map(({ content }) => content));
  });

  test("stops at the engine, too, and keeps what had come", async () => {
    const { url, model } = await serveModel();
    const chat = new ChatStore({ source: sseSource({ url, body: LONG }) });
    chat.send("Tell me a story");
    await until(() => (chat.state().messages[1]?.content.length ?? 0) > 10, "it streams");
    chat.stop();
    const { messages, status } = chat.state();
    expect(status).toBe("stopped");
    expect(messages[1]!.content.length).toBeGreaterThan(10);
    await until(() => idle(model, 4), "its slot is free");
    expect(chat.state().messages).toBe(messages);
  });

  test("goes on after a reload, whole and once, as often as one likes", async () => {
    const { url, model } = await serveModel({ contextSize: 1024 });
    const expected = (await model.chat(STORY, { seed: 1, ignoreEos: true, maxTokens: 900 })).text;
    const { store, kept } = keeper();
    const source = sseSource({ url, body: { ...LONG, max_tokens: 900 } });
    let chat = new ChatStore({ source, keep: { store, key: "k" } });
    chat.send("Tell me a story");
    for (let i = 0; i < 3; i++) {
      await until(() => (chat.state().messages[1]?.content.length ?? 0) > 5, "it streams");
      chat.leave();
      await sleep(20);
      chat = new ChatStore({ source, keep: { store, key: "k" } });
      expect(chat.state().messages).toHaveLength(1);
      chat.start();
      chat.start(); // as React's StrictMode does
    }
    await settled(chat);
    expect(chat.state().messages[1]!.content).toBe(expected);
    // This page was not there at its beginning, and knows no times of it.
    expect(chat.state().figures).toMatchObject({ firstTokenMs: undefined, longestGapMs: undefined, usage: { completionTokens: 900 } });
    const again = new ChatStore({ source, keep: { store, key: "k" } });
    again.start();
    expect(again.state()).toMatchObject({ status: "ready", messages: [{ role: "user" }, { content: expected }] });
    kept.set("k", JSON.stringify({ messages: [{ role: "user", content: "x" }], name: "chatcmpl-gone" }));
    const late = new ChatStore({ source, keep: { store, key: "k" } });
    late.start();
    await settled(late);
    expect(late.state()).toMatchObject({ status: "failed", error: { code: "stream_not_found" }, messages: [{ content: "x" }] });
  });

  test("has what had come of a reply when the page was left, where the reply is not found again", async () => {
    const { url } = await serveModel({ contextSize: 1024 }, { resumable: { keepMs: 50 } });
    const { store } = keeper();
    const source = sseSource({ url, body: LONG });
    const before = new ChatStore({ source, keep: { store, key: "k" } });
    before.send("Tell me a story");
    await until(() => (before.state().messages[1]?.content.length ?? 0) > 5, "it streams");
    before.leave();
    const { content } = before.state().messages[1]!;
    await sleep(300);
    const late = new ChatStore({ source, keep: { store, key: "k" } });
    late.start();
    expect(late.state().messages).toHaveLength(1);
    await settled(late);
    expect(late.state()).toMatchObject({ status: "failed", error: { code: "stream_not_found" } });
    expect(late.state().messages.map((one) => one.content)).toEqual(["Tell me a story", content]);
    const again = new ChatStore({ source, keep: { store, key: "k" } });
    expect(again.state().messages).toHaveLength(2);
  });

  test("begins anew where what was kept is none of its own", () => {
    const { store, kept } = keeper();
    const source: ReplySource = { open: () => expect.unreachable() as never, resume: () => expect.unreachable() as never };
    for (const junk of ["", "{", "7", "null", "[]", '{"messages":5}', '{"messages":[null]}', '{"messages":[{"role":1}],"name":"x"}']) {
      kept.set("k", junk);
      const chat = new ChatStore({ source, keep: { store, key: "k" } });
      chat.start();
      expect(chat.state()).toEqual({ messages: [], status: "ready", error: undefined, figures: undefined });
    }
  });

  test("goes on after a reply that was cut within a call of a tool", async () => {
    const asked: unknown[] = [];
    const reply = async function* (): AsyncGenerator<ReplyPiece> {
      yield { type: "toolCall", index: 0, id: "a", name: "f", argumentsDelta: "{}" };
      yield { type: "toolCall", index: 1, id: "b", name: "f", argumentsDelta: '{"city": "Par' };
      yield { type: "finish", reason: "length", usage: undefined };
    };
    const open = (messages: unknown) => {
      asked.push(messages);
      return reply();
    };
    const source = { open, resume: reply } as unknown as ReplySource;
    const chat = new ChatStore({ source });
    chat.send("x");
    await settled(chat);
    chat.send("y");
    await settled(chat);
    const [, before] = asked[1] as { tool_calls?: { id: string }[] }[];
    expect(before!.tool_calls!.map(({ id }) => id)).toEqual(["a"]);
    expect(chat.state().status).toBe("ready");
  });

  test("works over a model of the page's own, and ends its streams when the page goes", async () => {
    const model = await open();
    const chat = new ChatStore({ source: modelSource(model, { temperature: 0, maxTokens: 60 }) });
    chat.send("Tell me a story");
    await settled(chat);
    expect(chat.state().messages[1]!.content).toBe((await model.chat(STORY, { temperature: 0, maxTokens: 60 })).text);
    const endless = new ChatStore({ source: modelSource(model, { ignoreEos: true }) });
    endless.send("Tell me a story");
    await until(() => endless.state().status === "streaming", "it streams");
    endless.leave();
    await until(() => idle(model, 4), "its slot is free");
    const failing = new ChatStore({ source: modelSource(model, { maxTokens: -1 }) });
    failing.send("x");
    await settled(failing);
    expect(failing.state()).toMatchObject({ status: "failed", error: { code: "BAD_OPTION" } });
  });
});

/** What useChat() is, without React. */
class Chat extends AbstractChat<UIMessage> {
  constructor(transport: ZStreamTransport, id = "c", messages: UIMessage[] = []) {
    const state: AiState<UIMessage> = {
      status: "ready" as ChatStatus,
      error: undefined,
      messages,
      pushMessage: (message) => void (state.messages = [...state.messages, message]),
      popMessage: () => void (state.messages = state.messages.slice(0, -1)),
      replaceMessage: (index, message) => void (state.messages = state.messages.with(index, message)),
      snapshot: (value) => structuredClone(value),
    };
    super({ id, transport, state });
  }

  get text(): string {
    return this.messages
      .at(-1)!
      .parts.map((part) => (part.type === "text" ? part.text : ""))
      .join("");
  }
}

describe("the AI SDK's useChat()", () => {
  test("streams, stops, and takes a conversation with calls of tools", async () => {
    const { url, model } = await serveModel();
    const { store } = keeper();
    const chat = new Chat(new ZStreamTransport({ url, store, body: BODY }));
    await chat.sendMessage({ text: "Tell me a story" });
    expect(chat.error).toBeUndefined();
    expect(chat.text).toBe((await model.chat(STORY, { temperature: 0, maxTokens: 60 })).text);
    const stopped = new Chat(new ZStreamTransport({ url, store, body: LONG }));
    const sent = stopped.sendMessage({ text: "Tell me a story" });
    await until(() => stopped.messages.length > 1 && stopped.text.length > 5, "it streams");
    await stopped.stop();
    await sent;
    expect(stopped.status).toBe("ready");
    await until(() => idle(model, 4), "its slot is free");

    const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
    const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
    const calling = new Chat(new ZStreamTransport({ url, store, body: { ...BODY, max_tokens: 100, tools } }));
    await calling.sendMessage({ text: "What is the weather in Paris?" });
    const call = calling.messages.at(-1)!.parts.find(({ type }) => type === "dynamic-tool") as { toolCallId: string; input: unknown };
    expect(call).toMatchObject({ toolName: "get_weather", state: "input-available", input: { city: "Paris" } });
    await calling.addToolOutput({ tool: "get_weather" as never, toolCallId: call.toolCallId, output: "sunny" as never });
    await calling.sendMessage({ text: "Thanks" });
    expect(calling.error).toBeUndefined();
  });

  test("takes a reply up again after a reload", async () => {
    const { url, model } = await serveModel({ contextSize: 1024 });
    const expected = (await model.chat(STORY, { seed: 1, ignoreEos: true, maxTokens: 300 })).text;
    const { store } = keeper();
    const transport = new ZStreamTransport({ url, store, body: { ...LONG, max_tokens: 300 } });
    const before = new Chat(transport);
    void before.sendMessage({ text: "Tell me a story" });
    await until(() => before.messages.length > 1 && before.text.length > 5, "it streams");
    const after = new Chat(transport, "c", [before.messages[0]!]);
    await after.resumeStream();
    expect(after.text).toBe(expected);
    await new Chat(transport, "c", []).resumeStream();
  });

  test("tells errors, and works over a model of the page's own", async () => {
    const { url, model } = await serveModel();
    const { store } = keeper();
    const wrong = new Chat(new ZStreamTransport({ url, store, body: { temperature: 9 } }));
    await wrong.sendMessage({ text: "x" });
    expect(wrong.error?.message).toMatch(/^invalid_value: .*temperature/);
    const own = new Chat(new ZStreamTransport({ model, store, options: { temperature: 0, maxTokens: 60 } }));
    await own.sendMessage({ text: "Tell me a story" });
    expect(own.text).toBe((await model.chat(STORY, { temperature: 0, maxTokens: 60 })).text);
    expect(() => new ZStreamTransport({})).toThrow(/url and model/);
  });
});
