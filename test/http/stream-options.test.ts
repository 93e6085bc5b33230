// What a request can ask of a stream beside its text, in OpenAI's formats: padding against reading lengths off the wire, and usage with every piece.

import { describe, expect, test } from "vitest";
import { callOf } from "../unit/fake-native.js";
import { GREEDY, json, post, serveApp, stream } from "./helpers.js";
import { responses } from "./responses-sse.js";
import { serveScript, serveScriptWith } from "./scripted.js";

const CHAT = { messages: [{ role: "user", content: "x" }], stream: true };
const SAID = ["a", "of", "the", "fox's", " häuser", "\u2028", '"\\"'];
const BLOCK = 64;

/** The events that have a piece of the text. */
async function pieces(url: string, body: object): Promise<string[]> {
  const text = await (await post(url, body)).text();
  return text
    .split(/(?<=\n\n)/)
    .filter((event) => /"delta":("|\{"content":"[^"])|"text":"[^"]/.test(event) && !/\.(done|completed)\n/.test(event));
}

const lengths = (events: readonly string[]) => events.map((event) => Buffer.byteLength(event));

describe("include_obfuscation", () => {
  const forms = (base: string): [string, object][] => [
    [`${base}/v1/chat/completions`, CHAT],
    [`${base}/v1/completions`, { prompt: "x", stream: true }],
    [responses(base), { input: "x", stream: true }],
  ];
  test("pads every piece to a multiple of 64 bytes, and changes nothing else", async () => {
    const { base } = await serveScript(...Array.from({ length: 6 }, () => SAID));
    for (const [url, body] of forms(base)) {
      const plain = await pieces(url, { ...body, stream_options: { include_obfuscation: false } });
      const padded = await pieces(url, { ...body, stream_options: { include_obfuscation: true } });
      expect(plain).toHaveLength(SAID.length);
      expect(new Set(lengths(plain)).size).toBeGreaterThan(3);
      expect(lengths(padded).map((length) => length % BLOCK)).toEqual(SAID.map(() => 0));
      const said = (events: string[]) => events.map((event) => withoutDrawn(event.replace(/,"obfuscation":"[a-z]*"/, "")));
      expect(said(padded)).toEqual(said(plain));
    }
  });
  test("short pieces are all of one length", async () => {
    const { base } = await serveScript(SAID, SAID, SAID);
    for (const [url, body] of forms(base)) {
      const padded = await pieces(url, { ...body, stream_options: { include_obfuscation: true } });
      // Near the end of a block some take one more: of what they say, that is all that is told.
      expect(new Set(lengths(padded)).size).toBeLessThanOrEqual(2);
    }
  });
  test("every event of a reply is padded: those that tell its text again at its end, calls and their names, and the last one", async () => {
    const call = callOf("get_weather", { city: "Llanfairpwllgwyngyll" });
    const said = [{ reasoning: "hm" }, "The fox", "'s house", ...call];
    const tool = { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } } } };
    const chat = { ...CHAT, tools: [{ type: "function", function: tool }] };
    const asked: [string, object][] = [
      ["/v1/chat/completions", chat],
      ["/v1/chat/completions", { ...chat, stream_options: { include_usage: true } }],
      ["/v1/completions", { prompt: "x", stream: true }],
      ["/v1/responses", { input: "x", stream: true, tools: [{ type: "function", ...tool }] }],
      ["/v1/responses", { input: "x", stream: true, reasoning: { summary: "auto" }, include: ["reasoning.encrypted_content"] }],
      ["/v1/messages", { ...CHAT, max_tokens: 50, tools: [{ name: "get_weather", input_schema: tool.parameters }] }],
    ];
    const { base } = await serveScriptWith({ obfuscation: true }, ...asked.map(() => said));
    for (const [path, body] of asked) {
      const text = await (await post(`${base}${path}`, body)).text();
      const events = text.split(/(?<=\n\n)/).filter((event) => !event.includes("[DONE]"));
      expect(events.length, path).toBeGreaterThan(2);
      expect(
        events.filter((event) => Buffer.byteLength(event) % BLOCK !== 0),
        path,
      ).toEqual([]);
    }
  });
  test("is off by default where only this machine reaches the server, and on where others do", async () => {
    const { base } = await serveApp();
    expect((await pieces(`${base}/v1/chat/completions`, { ...GREEDY, stream: true })).join("")).not.toContain("obfuscation");
    const open = await serveApp({}, {}, { host: "0.0.0.0" });
    const url = open.url.replace("0.0.0.0", "127.0.0.1");
    const padded = await pieces(url, { ...GREEDY, stream: true });
    expect(padded.every((event) => event.includes('"obfuscation":"'))).toBe(true);
    const asked = await pieces(url, { ...GREEDY, stream: true, stream_options: { include_obfuscation: false } });
    expect(asked.join("")).not.toContain("obfuscation");
  });
  test.each([true, false])("of Messages is as the request says, wherever the server listens: %s", async (include_obfuscation) => {
    const { base } = await serveScriptWith({ obfuscation: !include_obfuscation }, SAID);
    const body = { ...CHAT, max_tokens: 50, stream_options: { include_obfuscation, include_usage: true } };
    const events = (await (await post(`${base}/v1/messages`, body)).text()).split(/(?<=\n\n)/);
    expect(events.length).toBeGreaterThan(SAID.length);
    expect(events.every((event) => event.includes('"obfuscation":"'))).toBe(include_obfuscation);
    expect(events.some((event) => event.includes('"obfuscation":"'))).toBe(include_obfuscation);
  });
  test.each([
    [{ include_obfuscation: 1 }, "stream_options.include_obfuscation"],
    [{ resumable: "yes" }, "stream_options.resumable"],
    [{ include_usage: 1 }, "stream_options.include_usage"],
    [{ continuous_usage_stats: true }, "stream_options.continuous_usage_stats"],
    [{ chunk_size: 0 }, "chunk_size"],
    [{ chunk_by: "page" }, "chunk_by"],
    [{ chunk_max_delay_ms: -1 }, "chunk_max_delay_ms"],
  ])("Messages with stream_options %j is refused in the names of the body", async (stream_options, name) => {
    for (const { base } of [await serveScript(SAID), await serveApp()]) {
      const response = await post(`${base}/v1/messages`, { ...CHAT, max_tokens: 50, stream_options });
      const { error } = (await response.json()) as { error: { message: string } };
      expect(response.status).toBe(400);
      expect(error.message).toContain(name);
      expect(error.message).not.toMatch(/[a-z][A-Z]/);
    }
  });
  test("pads Anthropic's and Ollama's pieces too, where others reach the server", async () => {
    const open = await serveApp({}, {}, { host: "0.0.0.0" });
    const base = open.base.replace("0.0.0.0", "127.0.0.1");
    const asked = { ...GREEDY, max_tokens: 20, stream: true };
    const events = (await (await post(`${base}/v1/messages`, asked)).text()).split(/(?<=\n\n)/);
    const deltas = events.filter((event) => event.startsWith("event: content_block_delta"));
    expect(deltas.length).toBeGreaterThan(5);
    expect(lengths(deltas).map((length) => length % BLOCK)).toEqual(deltas.map(() => 0));
    const lines = (await (await post(`${base}/api/chat`, { messages: GREEDY.messages, options: { num_predict: 20 } })).text()).split(
      /(?<=\n)/,
    );
    expect(lines.length).toBeGreaterThan(5);
    expect(lengths(lines).map((length) => length % BLOCK)).toEqual(lines.map(() => 0));
    for (const line of lines) JSON.parse(line);
  });
  test("is an option of a handler", async () => {
    const { url } = await serveScriptWith({ obfuscation: true }, SAID);
    expect((await pieces(url, CHAT)).every((event) => event.includes('"obfuscation":"'))).toBe(true);
  });
});

function withoutDrawn(event: string): string {
  return event.replace(/"(id|item_id)":"[a-z]+[-_][0-9a-f]{32}"/g, '"$1":""').replace(/"created":\d+/, "");
}

describe("continuous_usage_stats", () => {
  test("every chunk has the usage up to it, and the last one has all", async () => {
    const { url } = await serveApp();
    const { chunks } = await stream(url, { ...GREEDY, stream_options: { include_usage: true, continuous_usage_stats: true } });
    const usages = chunks.flatMap(({ usage }) => usage ?? []);
    const last = chunks.at(-1)!.usage!;
    expect(usages.length).toBeGreaterThan(10);
    for (const usage of usages) expect(usage.prompt_tokens).toBe(last.prompt_tokens);
    const counts = usages.map(({ completion_tokens }) => completion_tokens);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(new Set(counts).size).toBeGreaterThan(10);
    // The first chunk with text is the first token's.
    expect(chunks.find(({ choices }) => choices[0]?.delta?.content)!.usage!.completion_tokens).toBe(1);
    for (const { prompt_tokens, completion_tokens, total_tokens } of usages) expect(total_tokens).toBe(prompt_tokens + completion_tokens);
  });
  test("is for include_usage: true", async () => {
    const { url } = await serveScript();
    const { error } = await json(await post(url, { ...CHAT, stream_options: { continuous_usage_stats: true } }));
    expect(error.param).toBe("stream_options.continuous_usage_stats");
  });
});
