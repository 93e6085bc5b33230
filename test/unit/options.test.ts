import { describe, expect, test } from "vitest";

import { ZSEError } from "../../lib/errors.js";
import { readChatCall, readCompletionCall, readEngineOptions } from "../../lib/options/options.js";
import { ENGINE_OPTIONS, RECOMMENDABLE, REPLY_OPTIONS } from "../../lib/options/table.js";
import { USER } from "./helpers.js";

/** The error that reading these options gives. */
function refusal(options: Record<string, unknown>): ZSEError {
  return caught(() => readChatCall("chat()", USER, options));
}
function caught(run: () => unknown): ZSEError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ZSEError);
    return error as ZSEError;
  }
  throw new Error("nothing was refused");
}

describe("defaults", () => {
  test("are those of the documentation", () => {
    const { request, ...rest } = readChatCall("chat()", USER, undefined);
    expect(request).toEqual({
      messages: JSON.stringify(USER),
      reply: {},
      maxTokens: 0,
      minTokens: 0,
      temperature: 0.8,
      topP: 0.95,
      topK: 40,
      minP: 0.05,
      typicalP: 1,
      topNSigma: 0,
      xtcProbability: 0,
      xtcThreshold: 0.1,
      dryMultiplier: 0,
      dryBase: 1.75,
      dryAllowedLength: 2,
      dryPenaltyLastN: 64,
      drySequenceBreakers: ["\n", ":", '"', "*"],
      dynatempRange: 0,
      dynatempExponent: 1,
      mirostat: 0,
      mirostatTau: 5,
      mirostatEta: 0.1,
      adaptiveTarget: -1,
      adaptiveDecay: 0.9,
      minKeep: 0,
      samplers: ["penalties", "dry", "topNSigma", "topK", "typicalP", "topP", "minP", "xtc", "temperature", "adaptiveP"],
      repeatLastN: 64,
      stop: [],
      presencePenalty: 0,
      frequencyPenalty: 0,
      repeatPenalty: 1,
      logitBias: [],
      ignoreEos: false,
      logprobs: false,
      topLogprobs: 0,
      highWaterMark: 64,
      stallTimeoutMs: 0,
      speculate: { tokens: 16, match: 4 },
    });
    expect(rest).toEqual({
      signal: undefined,
      chunkSize: 1,
      chunkBy: "token",
      chunkMaxDelayMs: 0,
      includeUsage: undefined,
      streamCallback: undefined,
      unsaid: RECOMMENDABLE,
      shape: { tools: [], object: undefined },
      steps: { most: 5, errors: "model", onStep: undefined },
    });
    expect(readEngineOptions(undefined).native).toEqual({
      contextSize: 0,
      maxStreams: 4,
      maxQueue: 64,
      threads: 0,
      gpuLayers: -1,
      device: "auto",
      kvType: "f16",
      latencyTargetMs: 150,
      promptCache: { enabled: true, ram: 256 * 2 ** 20, dir: "", disk: 4 * 2 ** 30, moved: false },
      deterministic: false,
      speculate: { tokens: 16, match: 4 },
    });
  });
  test("an option that is undefined is one that was not given", () => {
    expect(readChatCall("chat()", USER, { seed: undefined, temperature: undefined }).request).toMatchObject({ temperature: 0.8 });
  });
});

test("an engine runs in this process unless isolate asks for another one", () => {
  const isolation = (isolate: unknown) => readEngineOptions({ isolate }).isolation;
  expect(isolation(undefined)).toBeUndefined();
  expect(isolation(false)).toBeUndefined();
  expect(isolation(true)).toEqual({ recover: false, hangAfterMs: 10_000 });
  expect(isolation({ recover: true })).toEqual({ recover: true, hangAfterMs: 10_000 });
  expect(isolation({ hangAfterMs: 2000 })).toEqual({ recover: false, hangAfterMs: 2000 });
});

describe("spellings", () => {
  test("every option has its snake_case alias", () => {
    const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    for (const name of Object.keys({ ...REPLY_OPTIONS, ...ENGINE_OPTIONS })) {
      const isEngine = name in ENGINE_OPTIONS;
      const read = (key: string) =>
        isEngine ? readEngineOptions({ [key]: Symbol("x") }) : readChatCall("chat()", USER, { [key]: Symbol("x") });
      expect(caught(() => read(snake(name))).code, name).toBe("BAD_OPTION");
      expect(caught(() => read(snake(name))).message).not.toContain("is not an option");
    }
  });
  test("an alias means what the option means", () => {
    const callback = () => {};
    const settings = readChatCall("chat()", USER, {
      max_tokens: 5,
      top_p: 0.5,
      chunk_size: 2,
      chunk_by: "word",
      include_usage: true,
      stream_callback: callback,
      high_water_mark: 3,
    });
    expect(settings.request).toMatchObject({ maxTokens: 5, topP: 0.5, highWaterMark: 3 });
    expect(settings).toMatchObject({ chunkSize: 2, chunkBy: "word", includeUsage: true, streamCallback: callback });
  });
  test("one option in both spellings is refused", () => {
    expect(refusal({ maxTokens: 1, max_tokens: 2 }).message).toBe("maxTokens and max_tokens are the same option; give one of them.");
  });
});

describe("a refusal names the option, what was given and what is allowed", () => {
  test.each([
    [{ temperature: 9 }, "temperature must be a number from 0 to 5; given 9."],
    [{ temperature: "hot" }, 'temperature must be a number from 0 to 5; given "hot".'],
    [{ temperature: Number.NaN }, "temperature must be a number from 0 to 5; given NaN."],
    [{ top_p: 2 }, "top_p must be a number from 0 to 1; given 2."],
    [{ maxTokens: 1.5 }, "maxTokens must be a whole number from 0 to 2147483647 (0 means up to the end of the context); given 1.5."],
    [{ seed: -1 }, "seed must be a whole number from 0 to 4294967294 (leave it out to have one drawn); given -1."],
    [{ chunkBy: "line" }, 'chunkBy must be one of "token", "word", "sentence"; given "line".'],
    [{ chunkSize: 0 }, "chunkSize must be a whole number from 1 to 65536; given 0."],
    [{ highWaterMark: 0 }, "highWaterMark must be a whole number from 1 to 65536; given 0."],
    [{ stop: "" }, 'stop must be a string of 1 to 256 characters; given "".'],
    [{ stop: ["a", 7] }, "stop[1] must be a string of 1 to 256 characters; given 7."],
    [{ stop: Array(17).fill("x") }, "stop takes up to 16 strings; given 17."],
    [{ stop: { a: 1 } }, 'stop must be a string or an array of up to 16 strings; given {"a":1}.'],
    [{ logitBias: { "5": 101 } }, "logitBias[5] must be a number from -100 to 100; given 101."],
    [{ logitBias: { five: 1 } }, 'logitBias has token ids as its keys (whole numbers from 0); given "five".'],
    [{ signal: {} }, "signal must be an AbortSignal (new AbortController().signal); given {}."],
    [{ streamCallback: "print" }, 'streamCallback must be a function; given "print".'],
    [{ includeUsage: 1 }, "includeUsage must be true or false; given 1."],
    [{ logitBias: new Map([[5, -100]]) }, "logitBias must be an object { tokenId: bias }; given {}."],
    [{ seed: null }, "seed must be a whole number from 0 to 4294967294 (leave it out to have one drawn); given null."],
  ])("%o", (options, message) => {
    const error = refusal(options);
    expect(error).toMatchObject({ name: "ZSEError", code: "BAD_OPTION", message });
    expect(error.option).toBe(message.split(" ")[0]);
  });
  test("an unknown option: with a guess at what was meant", () => {
    expect(refusal({ temprature: 1 }).message).toContain("temprature is not an option of a reply. Did you mean temperature?");
    expect(refusal({ max_token: 1 }).message).toContain("Did you mean maxTokens?");
    expect(refusal({ zzzzzzzz: 1 }).message).not.toContain("Did you mean");
    expect(refusal({ toString: 1 }).message).toContain("is not an option");
  });
  test("engine options", () => {
    const message = (options: unknown) => caught(() => readEngineOptions(options)).message;
    expect(message({ maxStreams: 0 })).toBe("maxStreams must be a whole number from 1 to 256; given 0.");
    expect(message({ gpuLayers: "all" })).toBe('gpuLayers must be "auto" or a whole number from 0 to 65536; given "all".');
    expect(message({ device: "tpu" })).toContain('device must be one of "auto", "cpu", "cuda", "metal", "vulkan"');
    expect(message({ threads: -1 })).toContain("threads must be a whole number from 0 to 512");
    expect(message({ promptCache: { ram: -1 } })).toBe("promptCache.ram must be a number of bytes from 0 to 9007199254740991; given -1.");
    expect(message({ promptCache: { disk: 5 } })).toContain("promptCache.dir, which is not given");
    expect(message({ promptCache: { dir: 7 } })).toBe("promptCache.dir must be the path of a folder; given 7.");
    expect(message({ promptCache: { size: 1 } })).toContain("there are: ram, dir, disk, key");
    expect(message({ promptCache: { moved: 1 } })).toBe("promptCache.moved must be true or false; given 1.");
    expect(readEngineOptions({ promptCache: { moved: true } }).native.promptCache.moved).toBe(true);
    expect(message({ promptCache: { dir: "x", key: "secret" } })).toBe(
      'promptCache.key must be a Buffer or Uint8Array of 32 bytes; given a text of 6 characters, which Buffer.from(text, "hex") or "base64" makes bytes of.',
    );
    expect(message({ promptCache: { dir: "x", key: null } })).toContain("of 32 bytes; given null");
    expect(message({ promptCache: { dir: "x", key: new ArrayBuffer(32) } })).toContain("given a value of the type object");
    expect(message({ promptCache: { dir: "x", key: new Uint8Array(31) } })).toContain("of 32 bytes; given 31 bytes");
    expect(message({ promptCache: { key: new Uint8Array(32) } })).toContain("promptCache.dir, which is not given");
    expect(message({ promptCache: 5 })).toContain("promptCache must be true, false, or an object");
    expect(message({ isolate: "yes" })).toBe('isolate must be true, false, or an object { recover, hangAfterMs }; given "yes".');
    expect(message({ isolate: { recover: 1 } })).toBe("isolate.recover must be true or false; given 1.");
    expect(message({ isolate: { hangAfterMs: 5 } })).toContain("isolate.hangAfterMs must be a number of milliseconds from 1000 to 3600000");
    expect(message({ isolate: { hang: 5 } })).toContain("there are: recover, hangAfterMs");
    expect(message("fast")).toContain("must be an object");
    expect(message({ temperature: 1 })).toContain("temperature is not an option of new ZSE()");
  });
});

describe("call forms", () => {
  test("the keyword form is the positional form", () => {
    expect(readChatCall("chat()", { messages: USER, maxTokens: 3 }, undefined)).toEqual(readChatCall("chat()", USER, { maxTokens: 3 }));
    expect(readCompletionCall("completion()", { prompt: "a", seed: 1 }, undefined)).toEqual(
      readCompletionCall("completion()", "a", { seed: 1 }),
    );
  });
  test.each([
    [undefined, undefined, "chat() takes an array of messages first, or one object { messages, ...options }; given nothing."],
    ["hello", undefined, 'chat() takes an array of messages first, or one object { messages, ...options }; given "hello".'],
    [{ maxTokens: 3 }, undefined, "chat() needs messages: an array of messages."],
    [
      { messages: USER },
      { maxTokens: 3 },
      "chat() takes its options in the one object { messages, ...options }; given a second argument too.",
    ],
    [USER, "fast", 'The options of chat() must be an object; given "fast".'],
  ])("%o, %o is refused", (first, second, message) => {
    expect(caught(() => readChatCall("chat()", first, second))).toMatchObject({ code: "BAD_OPTION", message });
  });
  test("a prompt must be a string or token ids", () => {
    expect(caught(() => readCompletionCall("completion()", { prompt: 5 }, undefined)).message).toBe(
      "prompt must be a string or token ids; given 5.",
    );
  });
});

describe("messages", () => {
  const read = (...messages: unknown[]) => JSON.parse(readChatCall("chat()", messages, undefined).request.messages!) as unknown;
  const message = (...messages: unknown[]) => caught(() => read(...messages)).message;

  test("every role and both kinds of content pass", () => {
    const call = { id: "1", type: "function", function: { name: "f", arguments: "{}" } };
    const all = [
      { role: "system", content: "a" },
      { role: "developer", content: [{ type: "text", text: "b" }] },
      { role: "user", content: "c", name: "Ann" },
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", content: "d", tool_call_id: "1", name: "f" },
      { role: "assistant", content: "e", reasoning_content: "f" },
    ];
    expect(read(...all)).toEqual(all);
    expect(read({ role: "assistant", tool_calls: [call] })).toEqual([{ role: "assistant", content: null, tool_calls: [call] }]);
  });
  test("OpenAI's shapes pass: parts of both APIs, refusals, names, null, what a reply carries, functions", () => {
    const parts = [
      { type: "input_text", text: "a" },
      { type: "output_text", text: "b", annotations: [] },
    ];
    expect(read({ role: "user", content: parts, name: "Ann" })).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
        name: "Ann",
      },
    ]);
    const reply = {
      role: "assistant",
      content: "x",
      refusal: null,
      annotations: [],
      audio: null,
      function_call: null,
      tool_calls: null,
      parsed: {},
    };
    expect(read(reply)).toEqual([{ role: "assistant", content: "x" }]);
    expect(read({ role: "assistant", content: null, refusal: "No." })).toEqual([{ role: "assistant", content: "No." }]);
    expect(read({ role: "assistant", content: [{ type: "refusal", refusal: "No." }] })).toEqual([
      { role: "assistant", content: [{ type: "text", text: "No." }] },
    ]);
    const old = [
      { role: "assistant", content: null, function_call: { name: "f", arguments: "" } },
      { role: "function", name: "f", content: null },
    ];
    expect(read(...old)).toEqual([
      { role: "assistant", content: null, tool_calls: [{ type: "function", function: { name: "f", arguments: "{}" } }] },
      { role: "tool", name: "f", content: "" },
    ]);
    expect(read({ role: "assistant", content: null, reasoning_content: "cut off" })).toEqual([
      { role: "assistant", content: "", reasoning_content: "cut off" },
    ]);
  });
  test("Ollama's shapes pass: arguments as an object, no ids, tool_name, thinking, no images", () => {
    const calls = [{ function: { name: "f", arguments: { a: 1 } } }, { function: { name: "g", arguments: {} } }];
    const sent = [
      { role: "user", content: "x", images: [] },
      { role: "assistant", content: "", thinking: "hm", tool_calls: calls },
      { role: "tool", content: "2", tool_name: "g" },
      { role: "tool", content: "1" },
    ];
    expect(read(...sent)).toEqual([
      { role: "user", content: "x" },
      {
        role: "assistant",
        content: "",
        reasoning_content: "hm",
        tool_calls: [
          { type: "function", function: { name: "f", arguments: '{"a":1}' } },
          { type: "function", function: { name: "g", arguments: "{}" } },
        ],
      },
      { role: "tool", content: "2", name: "g" },
      { role: "tool", content: "1", name: "f" },
    ]);
    expect(message({ role: "user", content: "x", images: ["AAAA"] })).toBe(
      "messages[0].images cannot be read: this engine reads text alone; leave it out.",
    );
  });
  test("the AI SDK's shapes pass: reasoning, calls and results as parts", () => {
    const sent = [
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "hm" },
          { type: "text", text: "Let me look." },
          { type: "tool-call", toolCallId: "1", toolName: "f", input: { a: 1 } },
          { type: "tool-call", toolCallId: "2", toolName: "g", input: {} },
        ],
        providerOptions: {},
      },
      {
        role: "tool",
        content: [
          { type: "tool-result", toolCallId: "1", toolName: "f", output: { type: "json", value: { b: [2] } } },
          { type: "tool-result", toolCallId: "2", toolName: "g", output: { type: "error-text", value: "lost" } },
        ],
      },
      { role: "user", content: "x" },
    ];
    const call = (id: string, name: string, args: string) => ({ id, type: "function", function: { name, arguments: args } });
    expect(read(...sent)).toEqual([
      {
        role: "assistant",
        content: [{ type: "text", text: "Let me look." }],
        reasoning_content: "hm",
        tool_calls: [call("1", "f", '{"a":1}'), call("2", "g", "{}")],
      },
      { role: "tool", content: '{"b":[2]}', name: "f", tool_call_id: "1", index: 1 },
      { role: "tool", content: "Error: lost", name: "g", tool_call_id: "2", index: 1 },
      { role: "user", content: "x", index: 2 },
    ]);
    expect(message({ role: "assistant", content: [{ type: "tool-result" }] })).toContain('a part of type "tool-result"');
    expect(message({ role: "tool", content: [{ type: "tool-result", toolCallId: "1", toolName: "f", output: 5 }] })).toBe(
      'messages[0].content[0].output must be { type: "text", value } or { type: "json", value }; given 5.',
    );
  });
  test("results without an id are those of the calls before them, in order or by name, each once", () => {
    const call = (id: string, name: string) => ({ id, type: "function", function: { name, arguments: "{}" } });
    const calls = [call("1", "f"), call("2", "f"), call("3", "g")];
    const results = ["g", undefined, undefined, undefined].map((name) => ({ role: "tool", content: "x", ...(name && { name }) }));
    const of = read({ role: "assistant", content: null, tool_calls: calls }, ...results) as { tool_call_id?: string }[];
    expect(of.slice(1).map((one) => one.tool_call_id)).toEqual(["3", "1", "2", undefined]);
  });
  test("a reply goes on only where an assistant's message ends", () => {
    const refused = (...messages: unknown[]) => caught(() => readChatCall("chat()", messages, { continueFinalMessage: true }));
    expect(
      readChatCall("chat()", [...USER, { role: "assistant", content: "I" }], { continueFinalMessage: true }).request.reply,
    ).toMatchObject({
      continueFinalMessage: true,
    });
    expect(refused(...USER).option).toBe("continueFinalMessage");
    expect(refused(...USER).message).toContain('given one of role "user"');
    const call = { id: "1", type: "function", function: { name: "f", arguments: "{}" } };
    expect(refused(...USER, { role: "assistant", tool_calls: [call] }).message).toContain("given one with tool_calls");
    expect(caught(() => readCompletionCall("completion()", "x", { continueFinalMessage: true })).message).toContain("is for chats");
  });
  test("what is refused is named by index and field", () => {
    expect(message()).toContain("messages must hold at least one message");
    expect(message("hi")).toBe('messages[0] must be an object { role, content }; given "hi".');
    expect(message(USER[0], { role: "robot", content: "" })).toBe(
      'messages[1].role must be one of "system", "developer", "user", "assistant", "tool", "function"; given "robot".',
    );
    expect(message({ content: "x" })).toContain("messages[0].role must be one of");
    expect(message({ role: "user" })).toContain("messages[0].content must be a string or an array");
    expect(message({ role: "user", content: null })).toContain("messages[0].content must be a string");
    expect(message({ role: "assistant", content: null })).toContain("messages[0].content must be a string");
    expect(message({ role: "user", content: [{ type: "image_url", image_url: "x" }] })).toBe(
      'messages[0].content[0] must be { type: "text", text }, the only kind of part this engine reads; given a part of type "image_url".',
    );
    expect(message({ role: "user", content: [{ type: "text" }] })).toBe("messages[0].content[0].text must be a string; given nothing.");
    expect(message({ role: "user", content: "x", tool_calls: [] })).toBe(
      'messages[0].tool_calls is not a field of a message of role "user" (those are role, content, name).',
    );
    expect(message({ role: "assistant", content: "x", tool_calls: [{}] })).toContain("messages[0].tool_calls[0] must be");
  });
  test("a lone surrogate becomes U+FFFD, so that the engine reads valid JSON", () => {
    expect(read({ role: "user", content: "a\ud83d" })).toEqual([{ role: "user", content: "a\ufffd" }]);
  });
  test("what is given is not changed", () => {
    const given = Object.freeze([Object.freeze({ role: "user", content: "x" })]);
    read(...given);
  });
});
