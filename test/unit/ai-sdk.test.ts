// zstream/ai-sdk on the fake engine: what the AI SDK's prompts and settings become, and what its streams are told.

import type { LanguageModelV4CallOptions, LanguageModelV4Prompt } from "ai-sdk-provider-4";
import { describe, expect, test } from "vitest";
import type { NativeRequest } from "../../lib/addon/contract.js";
import { zse } from "../../lib/providers/ai-sdk/index.js";
import type { StreamPart } from "../../lib/providers/ai-sdk/specification.js";
import type { ReplyOptionsInput } from "../../lib/types.js";
import { callOf, type ScriptItem } from "./fake-native.js";
import { endless, openFake, openReady, readAll, rejection, settle } from "./helpers.js";

const PROMPT: LanguageModelV4Prompt = [{ role: "user", content: [{ type: "text", text: "Tell me a story" }] }];
const WEATHER = {
  type: "function",
  name: "get_weather",
  description: "The weather",
  inputSchema: { type: "object", properties: { city: { type: "string" } } },
} as const;
const script = (...items: ScriptItem[]) => ({ script: () => items });

/** What the engine is asked by a call. */
async function asked(call: Partial<LanguageModelV4CallOptions>, options?: ReplyOptionsInput): Promise<NativeRequest> {
  const { model, fake } = await openReady();
  await zse(model, { options }).doGenerate({ prompt: PROMPT, ...call });
  return fake.streams[0]!.request;
}
async function messagesFor(prompt: LanguageModelV4Prompt): Promise<unknown> {
  return JSON.parse((await asked({ prompt })).messages!);
}
async function partsOf(items: ScriptItem[], call: Partial<LanguageModelV4CallOptions> = {}): Promise<StreamPart[]> {
  const { model } = await openReady(script(...items));
  return readAll((await zse(model).doStream({ prompt: PROMPT, ...call })).stream);
}
const shapeOf = (parts: StreamPart[]) => parts.map((part) => ("delta" in part ? `${part.type} ${part.delta}` : part.type));

describe("doStream", () => {
  test("opens and closes a block for each stretch of thought, text and call", async () => {
    const parts = await partsOf(
      [{ reasoning: "hm" }, { reasoning: " so" }, "Let", " me", ...callOf("get_weather", { city: "Rome" }, 0, "call_1")],
      {
        tools: [WEATHER],
      },
    );
    expect(shapeOf(parts)).toEqual([
      "stream-start",
      "response-metadata",
      "reasoning-start",
      "reasoning-delta hm",
      "reasoning-delta  so",
      "reasoning-end",
      "text-start",
      "text-delta Let",
      "text-delta  me",
      "text-end",
      "tool-input-start",
      'tool-input-delta {"city"',
      'tool-input-delta :"Rome"}',
      "tool-input-end",
      "tool-call",
      "finish",
    ]);
    const ids = new Set(parts.flatMap((part) => ("id" in part && part.type.startsWith("text") ? [part.id] : [])));
    expect(ids.size).toBe(1);
    expect(parts.find((part) => part.type === "tool-call")).toMatchObject({
      toolCallId: "call_1",
      toolName: "get_weather",
      input: '{"city":"Rome"}',
    });
  });
  test("two calls are two blocks, and the finish says so", async () => {
    const calls = [...callOf("get_weather", { city: "Rome" }, 0, "a"), ...callOf("get_weather", {}, 1, "b")];
    const parts = await partsOf(calls, { tools: [WEATHER] });
    expect(parts.filter((part) => part.type === "tool-call")).toMatchObject([
      { toolCallId: "a", input: '{"city":"Rome"}' },
      { toolCallId: "b", input: "{}" },
    ]);
    expect(parts.at(-1)).toMatchObject({ finishReason: { unified: "tool-calls", raw: "toolCalls" } });
  });
  test("a call that is cut off in its arguments is none", async () => {
    const { model } = await openReady({ ...script(...callOf("get_weather", '{"city":"Ro')), finish: { reason: "length" } });
    const parts = await readAll((await zse(model).doStream({ prompt: PROMPT, tools: [WEATHER] })).stream);
    expect(shapeOf(parts).slice(-2)).toEqual(["tool-input-end", "finish"]);
    expect(parts.at(-1)).toMatchObject({ finishReason: { unified: "length" } });
  });
  test("a stop string behind a call leaves it a reply of calls", async () => {
    const { model } = await openReady({ ...script(...callOf("get_weather", {}, 0, "a")), finish: { reason: "stop", stopString: "\n" } });
    const result = await zse(model).doGenerate({ prompt: PROMPT, tools: [WEATHER] });
    expect(result.finishReason).toEqual({ unified: "tool-calls", raw: "stop" });
    expect(result.providerMetadata!.zstream.stopString).toBe("\n");
  });
  test("usage tells what was cached and what was thought", async () => {
    const usage = { promptTokens: 10, completionTokens: 9, totalTokens: 19, cachedTokens: 4, reasoningTokens: 3 };
    const { model } = await openReady({ finish: { usage } });
    const parts = await readAll((await zse(model).doStream({ prompt: PROMPT })).stream);
    expect(parts.at(-1)).toMatchObject({
      usage: {
        inputTokens: { total: 10, noCache: 6, cacheRead: 4, cacheWrite: undefined },
        outputTokens: { total: 9, text: 6, reasoning: 3 },
        raw: usage,
      },
      providerMetadata: { zstream: { seed: expect.any(Number), timings: { ttftMs: expect.any(Number) } } },
    });
  });
  test("a reply that fails in the middle ends with the error and a finish", async () => {
    const parts = await partsOf(["Once", { error: { code: "ENGINE_FAILED", message: "out of luck" } }]);
    expect(shapeOf(parts).slice(2)).toEqual(["text-start", "text-delta Once", "text-end", "error", "finish"]);
    expect(parts.at(-2)).toMatchObject({ error: { code: "ENGINE_FAILED" } });
    expect(parts.at(-1)).toMatchObject({ finishReason: { unified: "error" } });
  });
  test("what is refused before it begins rejects the call itself", async () => {
    const { model } = await openReady(script({ error: { code: "CONTEXT_OVERFLOW", message: "too long" } }));
    expect(await rejection(zse(model).doStream({ prompt: PROMPT }))).toMatchObject({ code: "CONTEXT_OVERFLOW" });
    const full = await openReady({ script: endless }, { maxStreams: 1, maxQueue: 0 });
    await zse(full.model).doStream({ prompt: PROMPT });
    expect(await rejection(zse(full.model).doStream({ prompt: PROMPT }))).toMatchObject({ code: "OVERLOADED" });
  });
  test("an abort ends the reply, and the reader is told the signal's own reason", async () => {
    const { model, fake } = await openReady({ script: endless });
    const abort = new AbortController();
    const { stream } = await zse(model).doStream({ prompt: PROMPT, abortSignal: abort.signal });
    const reader = stream.getReader();
    for (let i = 0; i < 5; i++) await reader.read();
    const reason = new Error("enough");
    abort.abort(reason);
    expect(await rejection(reader.read().then(() => reader.read()))).toBe(reason);
    await settle();
    expect(fake.streams[0]!.state).toBe("ended");
  });
  test("an aborted signal opens nothing", async () => {
    const { model, fake } = await openReady();
    expect(await rejection(zse(model).doStream({ prompt: PROMPT, abortSignal: AbortSignal.abort("no") }))).toBe("no");
    expect(fake.streams).toHaveLength(0);
  });
  test("cancelling the stream cancels the reply", async () => {
    const { model, fake } = await openReady({ script: endless });
    const { stream } = await zse(model).doStream({ prompt: PROMPT });
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel();
    expect(fake.cancels).toEqual([1]);
  });
  test("a reader that stops parks the stream, and it goes on when the reader does", async () => {
    const { model, fake } = await openReady({ script: endless });
    const { stream } = await zse(model, { options: { highWaterMark: 8 } }).doStream({ prompt: PROMPT });
    const reader = stream.getReader();
    await reader.read();
    await settle(50);
    expect(model.stats().parked).toBe(1);
    const before = fake.streams[0]!.delivered;
    expect(before).toBeLessThanOrEqual(9);
    for (let i = 0; i < 30; i++) await reader.read();
    expect(fake.streams[0]!.delivered).toBeGreaterThan(before);
    expect(fake.streams[0]!.maxOutstanding).toBeLessThanOrEqual(8);
    await reader.cancel();
  });
  test("raw chunks are the library's own events", async () => {
    const parts = await partsOf(["Once"], { includeRawChunks: true });
    expect(parts.filter((part) => part.type === "raw").map(({ rawValue }) => rawValue.type)).toEqual(["text", "finish"]);
  });
  test("log-probabilities go with their pieces", async () => {
    const logprobs = [{ id: 1, bytes: "Once", logprob: -0.5, top: [] }];
    const { model } = await openReady(script({ text: "Once", tokens: 1, logprobs }));
    const result = await zse(model).doGenerate({ prompt: PROMPT, providerOptions: { zstream: { logprobs: true } } });
    expect(result.providerMetadata!.zstream.logprobs).toMatchObject([{ id: 1, token: "Once", logprob: -0.5 }]);
  });
});

describe("doGenerate", () => {
  test("has the whole reply in its order", async () => {
    const { model } = await openReady(script({ reasoning: "hm" }, "Let", " me", ...callOf("get_weather", { city: "Rome" }, 0, "call_1")));
    const result = await zse(model).doGenerate({ prompt: PROMPT, tools: [WEATHER] });
    expect(result.content).toEqual([
      { type: "reasoning", text: "hm" },
      { type: "text", text: "Let me" },
      { type: "tool-call", toolCallId: "call_1", toolName: "get_weather", input: '{"city":"Rome"}' },
    ]);
    expect(result).toMatchObject({ finishReason: { unified: "tool-calls" }, warnings: [], response: { modelId: "fake" } });
  });
  test("rejects with what failed", async () => {
    const { model } = await openReady(script("Once", { error: { code: "ENGINE_FAILED", message: "out of luck" } }));
    expect(await rejection(zse(model).doGenerate({ prompt: PROMPT }))).toMatchObject({ code: "ENGINE_FAILED" });
  });
});

describe("a prompt", () => {
  test("has every kind of part that is text", async () => {
    const messages = await messagesFor([
      { role: "system", content: "Be brief" },
      {
        role: "user",
        content: [
          { type: "text", text: "Read this" },
          { type: "file", mediaType: "text/plain", data: { type: "data", data: new TextEncoder().encode("bytes, Grüße") } },
          { type: "file", mediaType: "application/json", data: { type: "data", data: btoa('{"a":1}') } },
          { type: "file", mediaType: "text", data: { type: "text", text: "inline" } },
        ],
      },
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "hm" },
          { type: "text", text: "I look" },
          { type: "tool-call", toolCallId: "c1", toolName: "get_weather", input: { city: "Rome" } },
          { type: "tool-call", toolCallId: "c2", toolName: "get_weather", input: "no json" },
        ],
      },
      {
        role: "tool",
        content: [
          { type: "tool-result", toolCallId: "c1", toolName: "get_weather", output: { type: "json", value: { sky: "clear" } } },
          { type: "tool-result", toolCallId: "c2", toolName: "get_weather", output: { type: "error-text", value: "no such city" } },
        ],
      },
    ]);
    expect(messages).toEqual([
      { role: "system", content: "Be brief" },
      { role: "user", content: ["Read this", "bytes, Grüße", '{"a":1}', "inline"].map((text) => ({ type: "text", text })) },
      {
        role: "assistant",
        content: [{ type: "text", text: "I look" }],
        reasoning_content: "hm",
        tool_calls: [
          { id: "c1", type: "function", function: { name: "get_weather", arguments: '{"city":"Rome"}' } },
          { id: "c2", type: "function", function: { name: "get_weather", arguments: '{"arguments":"no json"}' } },
        ],
      },
      { role: "tool", content: '{"sky":"clear"}', tool_call_id: "c1", name: "get_weather" },
      { role: "tool", content: "Error: no such city", tool_call_id: "c2", name: "get_weather" },
    ]);
  });
  test.each([
    [{ type: "text", value: "clear" }, "clear"],
    [{ type: "json", value: [1] }, "[1]"],
    [{ type: "error-json", value: [1] }, "Error: [1]"],
    [{ type: "error-text", value: "Error: no such city" }, "Error: no such city"],
    [{ type: "execution-denied" }, "Error: the call was denied"],
    [{ type: "execution-denied", reason: "not now" }, "Error: the call was denied: not now"],
    [{ type: "content", value: [{ type: "text", text: "clear" }] }, [{ type: "text", text: "clear" }]],
  ] as const)("a result %j is told", async (output, content) => {
    const messages = await messagesFor([
      ...PROMPT,
      { role: "assistant", content: [{ type: "tool-call", toolCallId: "c", toolName: "f", input: {} }] },
      { role: "tool", content: [{ type: "tool-result", toolCallId: "c", toolName: "f", output: output as never }] },
    ]);
    expect((messages as unknown[]).at(-1)).toMatchObject({ role: "tool", content });
  });
  test("a result that is no JSON is refused by its place", async () => {
    const { model } = await openReady();
    const output = { type: "json", value: { a: 1n } } as never;
    const prompt: LanguageModelV4Prompt = [
      ...PROMPT,
      { role: "tool", content: [{ type: "tool-result", toolCallId: "c", toolName: "f", output }] },
    ];
    expect(await rejection(zse(model).doStream({ prompt }))).toMatchObject({
      code: "BAD_OPTION",
      option: "prompt[1].content[0].output.value.a",
    });
  });
  test("a tool that another provider ran is told as a call and its result", async () => {
    const messages = await messagesFor([
      ...PROMPT,
      {
        role: "assistant",
        content: [
          { type: "tool-call", toolCallId: "c", toolName: "search", input: {}, providerExecuted: true },
          { type: "tool-result", toolCallId: "c", toolName: "search", output: { type: "text", value: "found" } },
          { type: "text", text: "So" },
        ],
      },
    ]);
    expect((messages as { role: string }[]).map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant"]);
  });
  test.each([
    [{ type: "file", mediaType: "image/png", data: { type: "data", data: "AAAA" } }, 'prompt[0].content[0] is a file of type "image/png"'],
    [
      { type: "file", mediaType: "text/plain", data: { type: "url", url: new URL("http://x/") } },
      "prompt[0].content[0] is a file behind a URL",
    ],
    [{ type: "file", mediaType: "text/plain", data: new URL("http://x/") }, "prompt[0].content[0] is a file behind a URL"],
    [{ type: "file", mediaType: "text/plain", data: { type: "reference", reference: {} } }, "behind a provider's reference"],
    [{ type: "custom", kind: "a.b" }, 'prompt[0].content[0] is a part of type "custom", which is for the provider'],
    [{ type: "hologram" }, 'prompt[0].content[0] is a part of type "hologram"'],
    [{ type: "text" }, "prompt[0].content[0].text must be a string; given nothing"],
  ])("refuses %j by its place", async (part, message) => {
    const { model, fake } = await openReady();
    const error = (await rejection(zse(model).doStream({ prompt: [{ role: "user", content: [part as never] }] }))) as Error;
    expect(error.name).toBe("ZSEError");
    expect(error.message).toContain(message);
    expect(fake.streams).toHaveLength(0);
  });
  test.each([["text"], [[null]], [[{ role: "robot", content: [] }]], [[{ role: "user", content: "text" }]]])(
    "%j is no prompt of the SDK's, and is told so",
    async (prompt) => {
      const { model } = await openReady();
      expect(await rejection(zse(model).doStream({ prompt: prompt as never }))).toMatchObject({ code: "BAD_OPTION" });
    },
  );
});

describe("settings", () => {
  test("every one of the SDK's reaches the engine", async () => {
    const request = await asked({
      maxOutputTokens: 7,
      temperature: 0.5,
      topP: 0.6,
      topK: 5,
      presencePenalty: 0.1,
      frequencyPenalty: 0.2,
      stopSequences: ["END"],
      seed: 3,
    });
    expect(request).toMatchObject({
      maxTokens: 7,
      temperature: 0.5,
      topP: 0.6,
      topK: 5,
      presencePenalty: 0.1,
      frequencyPenalty: 0.2,
      stop: ["END"],
      seed: 3,
    });
  });
  test("every sampler can be set by providerOptions.zstream, in either spelling, and goes before the SDK's", async () => {
    const zstream = { min_p: 0.2, dryMultiplier: 1, mirostat: 2, samplers: ["topK"], top_p: 0.1 };
    expect(await asked({ topP: 0.9, providerOptions: { zstream } })).toMatchObject({
      minP: 0.2,
      dryMultiplier: 1,
      mirostat: 2,
      topP: 0.1,
    });
  });
  test("a model's own options are for all calls, and a call's go before them", async () => {
    expect(await asked({ temperature: 0.5 }, { temperature: 1, min_p: 0.3 })).toMatchObject({ temperature: 0.5, minP: 0.3 });
  });
  test.each([
    [{ auto: { type: "auto" } }, "auto"],
    [{ required: { type: "required" } }, "required"],
    [{ tool: { type: "tool", toolName: "get_weather" } }, "required"],
  ])("toolChoice %j", async (choice, native) => {
    const toolChoice = Object.values(choice)[0] as LanguageModelV4CallOptions["toolChoice"];
    expect((await asked({ tools: [WEATHER], toolChoice })).reply).toMatchObject({ toolChoice: native });
  });
  test("with toolChoice none the model is shown no tools", async () => {
    expect((await asked({ tools: [WEATHER], toolChoice: { type: "none" } })).reply?.tools).toBeUndefined();
  });
  test("a JSON schema holds the text, and JSON without one is any object", async () => {
    const schema = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] } as const;
    expect((await asked({ responseFormat: { type: "json", schema } })).reply!.jsonSchema).toContain('"a"');
    expect((await asked({ responseFormat: { type: "json" } })).reply!.jsonSchema).toContain("object");
  });
  test("what no grammar enforces of a schema is left to the SDK, with a warning", async () => {
    const { model } = await openReady();
    const schema = { type: "object", properties: { a: { type: "array", items: {}, uniqueItems: true } } } as const;
    const { warnings } = await zse(model).doGenerate({ prompt: PROMPT, responseFormat: { type: "json", schema } });
    expect(warnings).toMatchObject([{ type: "compatibility", feature: "responseFormat", details: expect.stringContaining("uniqueItems") }]);
  });
  test("reasoning is the model's to do as its template can", async () => {
    expect((await asked({ reasoning: "none" })).reply).toMatchObject({ thinking: false });
    expect((await asked({ reasoning: "low" })).reply!.templateArguments).toContain('"low"');
    expect((await asked({ reasoning: "provider-default" })).reply).not.toHaveProperty("thinking");
    const { model } = await openReady();
    expect((await zse(model).doGenerate({ prompt: PROMPT, reasoning: "max" })).warnings).toMatchObject([{ feature: "reasoning" }]);
  });
  test("tools of a provider, and examples of input, are left out with a warning", async () => {
    const { model } = await openReady();
    const tools: LanguageModelV4CallOptions["tools"] = [
      { type: "provider", id: "openai.web_search", name: "search", args: {} },
      { ...WEATHER, inputExamples: [{ input: { city: "Rome" } }] },
    ];
    const { stream } = await zse(model).doStream({ prompt: PROMPT, tools });
    const [start] = await readAll(stream);
    expect(start).toMatchObject({
      type: "stream-start",
      warnings: [{ feature: "tool openai.web_search" }, { feature: "inputExamples of tool get_weather" }],
    });
  });
  test.each([
    [{ providerOptions: { zstream: { temprature: 1 } } }, "temprature"],
    [{ providerOptions: { zstream: { tools: [] } } }, "providerOptions.zstream.tools"],
    [{ providerOptions: { zstream: { on_step: 1 } } }, "providerOptions.zstream.on_step"],
    [{ providerOptions: { zstream: 1 as never } }, "providerOptions.zstream"],
    [{ temperature: 9 }, "temperature"],
    [{ seed: -1 }, "seed"],
    [{ toolChoice: { type: "required" as const } }, "toolChoice"],
  ])("%j is refused by its name", async (call, option) => {
    const { model, fake } = await openReady();
    expect(await rejection(zse(model).doGenerate({ prompt: PROMPT, ...call }))).toMatchObject({ code: "BAD_OPTION", option });
    expect(fake.streams).toHaveLength(0);
  });
});

describe("zse()", () => {
  test("is of the version that is asked for, by the model's name or a given one", async () => {
    const { model, fake } = openFake({ load: "manual" });
    expect(zse(model)).toMatchObject({ specificationVersion: "v4", provider: "zstream", modelId: "local", supportedUrls: {} });
    expect(zse(model, { specification: "v3", name: "mine" })).toMatchObject({ specificationVersion: "v3", modelId: "mine" });
    fake.becomeReady();
    await model.ready;
    expect(zse(model).modelId).toBe(model.info!.name);
  });
  test.each([
    [undefined, undefined, "model"],
    [{}, undefined, "model"],
    [{ chatStream: () => 1 }, { specification: "v5" }, "specification"],
    [{ chatStream: () => 1 }, { name: "" }, "name"],
    [{ chatStream: () => 1 }, { nam: "x" }, "nam"],
  ])("refuses %j with %j", (model, settings, option) => {
    expect(() => zse(model as never, settings as never)).toThrow(expect.objectContaining({ code: "BAD_OPTION", option }));
  });
});
