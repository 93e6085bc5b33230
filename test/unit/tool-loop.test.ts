// Calls of tools that are run: what the model is told, what the caller sees, and what ends it.

import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { ZSEError } from "../../lib/errors.js";
import { tool } from "../../lib/tools/tool.js";
import type { Message, Step, ToolContext } from "../../lib/types.js";
import { callOf, type FakeOptions, type ScriptItem } from "./fake-native.js";
import { endless, openReady, readAll, rejection, settle, USER, unhandledDuring } from "./helpers.js";

/** Each reply of the model in its turn. */
const turns = (...replies: Iterable<ScriptItem>[]): FakeOptions => ({ script: (_, index) => replies[index] ?? ["no more"] });
const city = z.object({ city: z.string() });
const weather = tool({ name: "weather", parameters: city, execute: ({ city }) => ({ city, sky: "clear" }) });

/** What the fake was asked, by its messages. */
const asked = (fake: { streams: { request: { messages?: string } }[] }, index: number) =>
  JSON.parse(fake.streams[index]!.request.messages!) as Message[];

describe("the loop", () => {
  test("runs the calls, tells the model, and the text goes on", async () => {
    const { model, fake } = await openReady(
      turns(["Let me see. ", ...callOf("weather", { city: "Rome" }, 0, "id1")], ["It is ", "clear."]),
    );
    const steps: Step[] = [];
    const heard: string[] = [];
    const reply = await model.chat(USER, {
      tools: [weather],
      streamCallback: (text) => heard.push(text),
      onStep: (step) => steps.push(step),
    });
    expect(heard).toEqual(["Let me see. ", "It is ", "clear."]);
    expect(reply).toMatchObject({ text: "Let me see. It is clear.", finishReason: "stop", toolCalls: [] });
    expect(reply.usage).toEqual({ promptTokens: 14, completionTokens: 6, totalTokens: 20, cachedTokens: 0 });
    expect(reply.steps).toEqual(steps);
    expect(steps.map((step) => [step.index, step.text, step.finishReason])).toEqual([
      [0, "Let me see. ", "toolCalls"],
      [1, "It is clear.", "stop"],
    ]);
    const call = { id: "id1", type: "function", function: { name: "weather", arguments: '{"city":"Rome"}' } };
    const content = '{"city":"Rome","sky":"clear"}';
    expect(steps[0]!.toolCalls).toEqual([call]);
    expect(steps[0]!.toolResults).toEqual([{ toolCallId: "id1", name: "weather", content }]);
    expect(asked(fake, 1)).toEqual([
      ...USER,
      { role: "assistant", content: "Let me see. ", tool_calls: [call] },
      { role: "tool", tool_call_id: "id1", name: "weather", content },
    ]);
  });
  test("events() has everything of every reply, a step between two, and one finish", async () => {
    const { model } = await openReady(turns([{ reasoning: "hm" }, ...callOf("weather", { city: "Rome" })], ["Clear."]));
    const events = await readAll(model.chatStream(USER, { tools: [weather] }).events());
    expect(events.map(({ type }) => type)).toEqual(["reasoning", "toolCall", "toolCall", "toolCall", "step", "text", "step", "finish"]);
    expect(events.at(-1)).toMatchObject({ reason: "stop", usage: { completionTokens: 5, reasoningTokens: 1 } });
  });
  test("a reply that is cut within a call runs none of its calls, and marks that one in its step too", async () => {
    const ran: unknown[] = [];
    const tools = [tool({ name: "weather", parameters: city, execute: (args) => ran.push(args) })];
    const calls = [...callOf("weather", { city: "Rome" }, 0), ...callOf("weather", { city: "Paris" }, 1)];
    const steps: Step[] = [];
    const { model, fake } = await openReady(turns(calls));
    const reply = await model.chat(USER, { tools, maxTokens: calls.length - 1, onStep: (step) => steps.push(step) });
    expect(ran).toEqual([]);
    expect(fake.streams).toHaveLength(1);
    expect(reply.finishReason).toBe("length");
    expect(reply.toolCalls.map(({ incomplete }) => incomplete)).toEqual([undefined, true]);
    expect(steps.map(({ toolCalls, toolResults }) => [toolCalls, toolResults])).toEqual([[reply.toolCalls, []]]);
    // Nor where it is cut by a stop string, or the rest of what was written is no call.
    for (const finish of [
      { reason: "stop", stopString: "}" },
      { reason: "stop", warning: "malformed" },
    ] as const) {
      const other = await openReady({ ...turns(calls.slice(0, -1)), finish });
      expect((await other.model.chat(USER, { tools })).toolCalls.at(-1)).toMatchObject({ incomplete: true });
      expect(ran).toEqual([]);
    }
  });
  test("several calls of a reply run at the same time, and their results are told in order", async () => {
    const { model, fake } = await openReady(turns([...callOf("slow", { n: 0 }, 0), ...callOf("slow", { n: 1 }, 1)], ["done"]));
    const open: (() => void)[] = [];
    const slow = tool({
      name: "slow",
      parameters: z.object({ n: z.int() }),
      execute: ({ n }) => new Promise((resolve) => open.push(() => resolve(`result ${n}`))),
    });
    const reply = model.chat(USER, { tools: [slow] });
    await settle(20);
    expect(open).toHaveLength(2);
    for (const one of open.reverse()) one();
    expect((await reply).text).toBe("done");
    expect(
      asked(fake, 1)
        .slice(-2)
        .map((message) => message.content),
    ).toEqual(["result 0", "result 1"]);
  });
  test("a thought goes back with the calls that came of it", async () => {
    const { model, fake } = await openReady(turns([{ reasoning: "I need it" }, ...callOf("weather", { city: "Rome" })], ["x"]));
    const reply = await model.chat(USER, { tools: [weather] });
    expect(asked(fake, 1)[1]).toMatchObject({ role: "assistant", content: null, reasoning_content: "I need it" });
    expect(reply.reasoning).toBe("I need it");
  });
  test("execute() is told the conversation, the call and a signal", async () => {
    const { model } = await openReady(turns(callOf("look", {}, 0, "abc"), ["x"]));
    const seen: ToolContext[] = [];
    await model.chat(USER, { tools: [tool({ name: "look", execute: (_, context) => void seen.push(context) })] });
    expect(seen[0]!.toolCallId).toBe("abc");
    expect(seen[0]!.messages.map((message) => message.role)).toEqual(["user", "assistant"]);
    expect(seen[0]!.signal.aborted).toBe(false);
  });
  test("a result that is too long for the context is named by its place in the conversation", async () => {
    const said = "the prompt has 9001 tokens, and the context of a stream holds 4096; shorten the prompt";
    const { model } = await openReady(turns(callOf("read", {}), [{ error: { code: "CONTEXT_OVERFLOW", message: said } }]));
    const reads = (execute: () => string) => ({ tools: [tool({ name: "read", execute })] });
    const error = (await rejection(
      model.chat(
        USER,
        reads(() => "x".repeat(40_000)),
      ),
    )) as ZSEError;
    expect(error).toMatchObject({ code: "CONTEXT_OVERFLOW", option: "messages[2]" });
    expect(error.message).toBe(`${said}; most of it is messages[2], the result of a tool`);
  });
  test("what had to be called need not be called again", async () => {
    const { model, fake } = await openReady(turns(callOf("weather", { city: "Rome" }), ["x"]));
    await model.chat(USER, { tools: [weather], toolChoice: "required" });
    expect(fake.streams.map(({ request }) => request.reply!.toolChoice)).toEqual(["required", "auto"]);
  });
  test("a structured reply is the text of the last step", async () => {
    const responseFormat = z.object({ sky: z.string() });
    for (const [chunkBy, chunkSize] of [
      ["token", 1],
      ["word", 1],
      ["word", 9],
    ] as const) {
      const { model } = await openReady(turns(["I look. ", ...callOf("weather", { city: "Rome" })], ['{"sky":', '"clear"}']));
      expect((await model.chat(USER, { tools: [weather], responseFormat, chunkBy, chunkSize })).object).toEqual({ sky: "clear" });
    }
  });
});

describe("calls are just given back", () => {
  test.each([
    ["without an execute()", { tools: [tool({ name: "weather", parameters: city })] }],
    ["with maxSteps 1", { tools: [weather], maxSteps: 1 }],
  ])("%s", async (_, options) => {
    const { model, fake } = await openReady(turns(callOf("weather", { city: "Rome" })));
    const reply = await model.chat(USER, options);
    expect(reply).toMatchObject({ finishReason: "toolCalls", toolCalls: [{ function: { name: "weather" } }] });
    expect(reply.steps).toBeUndefined();
    expect(fake.streams).toHaveLength(1);
  });
  test("where one of them has no execute(), none is run", async () => {
    let ran = 0;
    const { model } = await openReady(turns([...callOf("count", {}, 0), ...callOf("weather", { city: "x" }, 1)]));
    const count = tool({ name: "count", execute: () => (ran += 1) });
    const reply = await model.chat(USER, { tools: [count, tool({ name: "weather", parameters: city })] });
    expect([reply.toolCalls.length, ran]).toEqual([2, 0]);
  });
  test("after maxSteps replies: those of the last one", async () => {
    const { model, fake } = await openReady({ script: (_, index) => callOf("weather", { city: `c${index}` }) });
    const reply = await model.chat(USER, { tools: [weather], maxSteps: 3 });
    expect(fake.streams).toHaveLength(3);
    expect(reply.toolCalls.map((call) => call.function.arguments)).toEqual(['{"city":"c2"}']);
    expect(reply.steps!.map((step) => step.toolResults.length)).toEqual([1, 1, 0]);
  });
});

describe("what goes wrong", () => {
  test("an error of execute() is told to the model, and is no error of the reply", async () => {
    const { model, fake } = await openReady(turns(callOf("fail", {}), ["sorry"]));
    const reply = await model.chat(USER, { tools: [tool({ name: "fail", execute: () => Promise.reject(new Error("no network")) })] });
    expect(reply.text).toBe("sorry");
    expect(reply.steps![0]!.toolResults[0]).toMatchObject({ content: "Error: no network", failure: "execute" });
    expect(asked(fake, 1).at(-1)!.content).toBe("Error: no network");
  });
  test('with toolErrors "throw" the caller has it, and the other tools are told to stop', async () => {
    const mine = new Error("mine");
    let signal: AbortSignal | undefined;
    const tools = [
      tool({ name: "fail", execute: () => Promise.reject(mine) }),
      tool({
        name: "wait",
        execute: (_, context) =>
          new Promise(() => {
            signal = context.signal;
          }),
      }),
    ];
    const { model } = await openReady(turns([...callOf("fail", {}, 0), ...callOf("wait", {}, 1)]));
    expect(await rejection(model.chat(USER, { tools, toolErrors: "throw" }))).toBe(mine);
    expect(signal!.aborted).toBe(true);
  });
  test.each([
    ['{"city":', "not valid JSON"],
    ["[1]", "must be a JSON object"],
    ['{"city":5}', "do not fit: /city: "],
  ])("arguments %s are told to the model, and nothing is run", async (text, said) => {
    const { model, fake } = await openReady(turns(callOf("weather", text), ["ok"]));
    const reply = await model.chat(USER, { tools: [weather], toolErrors: "throw" });
    expect(reply.steps![0]!.toolResults[0]).toMatchObject({ failure: "arguments", content: expect.stringContaining(said) as unknown });
    const { tool_calls } = asked(fake, 1)[1] as unknown as { tool_calls: { function: { arguments: string } }[] };
    expect(() => JSON.parse(tool_calls[0]!.function.arguments) as unknown).not.toThrow();
  });
  test("a tool that there is none of", async () => {
    const { model } = await openReady(turns(callOf("nope", {}), ["ok"]));
    const reply = await model.chat(USER, { tools: [weather] });
    expect(reply.steps![0]!.toolResults[0]).toMatchObject({
      failure: "unknown",
      content: 'Error: there is no tool "nope"; there are: weather.',
    });
  });
  test("a result that is no JSON is an error of the tool", async () => {
    const round: Record<string, unknown> = {};
    round.round = round;
    const { model } = await openReady(turns(callOf("f", {}), ["ok"]));
    const reply = await model.chat(USER, { tools: [tool({ name: "f", execute: () => round })] });
    expect(reply.steps![0]!.toolResults[0]!.content).toBe("Error: the result of f.round contains itself.");
  });
  test.each([
    [
      "a map",
      new Map([["a", 1]]),
      "Error: the result of f is a Map, which JSON has nothing for; return a text, or plain objects and arrays",
    ],
    [
      "bytes",
      new Uint8Array(3),
      "Error: the result of f is a Uint8Array, which JSON has nothing for; return a text, or plain objects and arrays",
    ],
    ["an error", new RangeError("too far"), "Error: too far"],
    ["a date", new Date(0), '"1970-01-01T00:00:00.000Z"'],
  ])("%s is not told as an empty object", async (_, result, content) => {
    const { model } = await openReady(turns(callOf("f", {}), ["ok"]));
    const reply = await model.chat(USER, { tools: [tool({ name: "f", execute: () => result })] });
    expect(reply.steps![0]!.toolResults[0]!.content).toBe(content);
  });
  test("what onStep throws is an error of the reply", async () => {
    const { model } = await openReady(turns(["x"]));
    const onStep = () => Promise.reject(new Error("mine"));
    expect(((await rejection(model.chat(USER, { tools: [weather], onStep }))) as Error).message).toBe("mine");
  });
});

describe("the end while a tool runs", () => {
  /** A tool that never ends, and its signal once it runs. */
  const waiting = () => {
    const seen: { signal?: AbortSignal } = {};
    const made = tool({
      name: "wait",
      execute: (_, { signal }) =>
        new Promise(() => {
          seen.signal = signal;
        }),
    });
    return { seen, options: { tools: [made] } };
  };
  test("an abort ends it at once, and the tool is told why", async () => {
    const { seen, options } = waiting();
    const { model } = await openReady(turns(callOf("wait", {})));
    const controller = new AbortController();
    const reply = model.chat(USER, { ...options, signal: controller.signal });
    await settle(20);
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await rejection(reply)).toBe(reason);
    expect(seen.signal!.reason).toBe(reason);
  });
  test("break ends it, and the reply is what was read, with what it took", async () => {
    const { seen, options } = waiting();
    const { model, fake } = await openReady(turns(["a", ...callOf("wait", {})]));
    const stream = model.chatStream(USER, options);
    for await (const event of stream.events())
      if (event.type === "toolCall" && event.name === undefined && event.argumentsDelta !== "") break;
    await settle();
    expect(await stream.result).toMatchObject({ text: "a", finishReason: "cancelled" });
    expect(seen.signal?.aborted ?? true).toBe(true);
    expect(fake.streams).toHaveLength(1);
  });
  test("closing the model ends it with CLOSED, at once", async () => {
    const { seen, options } = waiting();
    const { model } = await openReady(turns(callOf("wait", {})));
    const failure = rejection(model.chat(USER, options));
    await settle(20);
    await model.close();
    expect(await failure).toMatchObject({ code: "CLOSED" });
    expect(seen.signal!.aborted).toBe(true);
  });
  test("a tool that fails after the end is no unhandled rejection", async () => {
    let fail: (() => void) | undefined;
    const { model } = await openReady(turns(callOf("f", {})));
    const seen = await unhandledDuring(async () => {
      const made = tool({
        name: "f",
        execute: () =>
          new Promise((_, reject) => {
            fail = () => reject(new Error("late"));
          }),
      });
      const stream = model.chatStream(USER, { tools: [made], toolErrors: "throw" });
      const text = readAll(stream);
      await settle(20);
      stream.abort(new Error("mine"));
      await rejection(text);
      fail!();
    });
    expect(seen).toEqual([]);
  });
});

test("a reader that is slow slows every reply, and no credit is given back twice", async () => {
  const long = [...Array.from({ length: 40 }, (_, i) => `${i} `), ...callOf("weather", { city: "Rome" })];
  const { model, fake } = await openReady(turns(long, long, endless()));
  const stream = model.chatStream(USER, { tools: [weather], highWaterMark: 4, maxTokens: 100 });
  let text = "";
  for await (const piece of stream) {
    text += piece;
    await settle(1);
  }
  expect(text.startsWith("0 1 2 ")).toBe(true);
  expect(fake.streams).toHaveLength(3);
  for (const one of fake.streams) expect(one.maxOutstanding).toBeLessThanOrEqual(4);
});
