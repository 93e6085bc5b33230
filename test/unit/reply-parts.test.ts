// Thoughts, calls of tools and structured replies, as streams give them.

import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { StreamEvent } from "../../lib/types.js";
import { callOf, type ScriptItem } from "./fake-native.js";
import { openFake, openReady, readAll, settle, USER } from "./helpers.js";

const script = (...items: ScriptItem[]) => ({ script: () => items });
const TOOLS = [{ type: "function", function: { name: "f", parameters: { type: "object" } } }] as const;
const ID = /^call_[A-Za-z0-9]{24}$/;

describe("thoughts and calls", () => {
  const mixed = script(
    { reasoning: "I th" },
    { reasoning: "ink" },
    "So",
    { hidden: 2 },
    ...callOf("f", { a: 1 }),
    ...callOf("g", {}, 1, "given"),
  );

  test("a reply has them beside its text", async () => {
    const { model } = await openReady(mixed);
    const reply = await model.chat(USER, { tools: TOOLS });
    expect(reply).toMatchObject({
      text: "So",
      reasoning: "I think",
      finishReason: "toolCalls",
      usage: { reasoningTokens: 2, completionTokens: 11 },
    });
    const id = expect.stringMatching(ID) as unknown;
    expect(reply.toolCalls).toEqual([
      { id, type: "function", function: { name: "f", arguments: '{"a":1}' } },
      { id: "given", type: "function", function: { name: "g", arguments: "{}" } },
    ]);
  });
  test("events() gives them as they come, the id of a call once, and nothing of what is hidden", async () => {
    const { model } = await openReady(mixed);
    const events = await readAll(model.chatStream(USER, { tools: TOOLS }).events());
    expect(events.map((event) => event.type)).toEqual([
      ...["reasoning", "reasoning", "text"],
      ...Array<string>(6).fill("toolCall"),
      "finish",
    ]);
    const calls = events.filter((event) => event.type === "toolCall");
    expect(calls.map(({ id, name }) => [id === undefined, name])).toEqual([
      [false, "f"],
      [true, undefined],
      [true, undefined],
      [false, "g"],
      [true, undefined],
      [true, undefined],
    ]);
    expect(calls[0]!.id).toMatch(ID);
  });
  test("a stream's events and its result tell the same id", async () => {
    const { model } = await openReady(mixed);
    const stream = model.chatStream(USER, { tools: TOOLS });
    const events = await readAll(stream.events());
    expect((await stream.result).toolCalls[0]!.id).toBe(events.find((event) => event.type === "toolCall")!.id);
  });
  test("text alone is what for await and a callback give", async () => {
    const { model } = await openReady(mixed);
    expect(await readAll(model.chatStream(USER))).toEqual(["So"]);
    const heard: string[] = [];
    await model.chat(USER, { streamCallback: (text) => heard.push(text) });
    expect(heard).toEqual(["So"]);
  });
  test("chunks are of text, and events between end one", async () => {
    const { model } = await openReady(script("a ", "b ", { reasoning: "x" }, "c ", "d"));
    expect(await readAll(model.chatStream(USER, { chunkBy: "word", chunkSize: 3 }))).toEqual(["a b c", " d"]);
    const events = await readAll(model.chatStream(USER, { chunkBy: "word", chunkSize: 3 }).events());
    expect(events.map((event) => (event.type === "text" || event.type === "reasoning" ? event.text : event.type))).toEqual([
      "a b ",
      "x",
      "c d",
      "finish",
    ]);
  });
  test("a warning of the engine is in the reply and in the finish event", async () => {
    const { model } = await openReady({ ...script("x"), finish: { warning: "looked like a call" } });
    expect((await model.chat(USER)).warning).toBe("looked like a call");
    expect((await readAll(model.chatStream(USER).events())).at(-1)).toMatchObject({ type: "finish", warning: "looked like a call" });
  });
  test("what looks like a call and is none is an event after its text, and in the reply", async () => {
    const said = { text: "<tool_call>f(1", reason: "not in the syntax of the template" };
    const broken = { ...script("So ", said.text, { malformedCall: said }), finish: { warning: said.reason } };
    const { model } = await openReady(broken);
    const stream = model.chatStream(USER, { tools: TOOLS, chunkBy: "sentence" });
    const events = await readAll(stream.events());
    expect(events.slice(0, -1)).toEqual([
      { type: "text", text: "So <tool_call>f(1" },
      { type: "malformedCall", ...said },
    ]);
    expect(events.at(-1)).toMatchObject({ type: "finish", reason: "stop", warning: said.reason });
    expect(await stream.result).toMatchObject({ malformedCall: said, toolCalls: [] });
    expect(await model.chat(USER, { tools: TOOLS })).toMatchObject({ text: `So ${said.text}`, malformedCall: said });
    expect(await readAll(model.chatStream(USER, { tools: TOOLS }))).toEqual(["So ", said.text]);
    for (const toolless of [{}, { tools: TOOLS, toolChoice: "none" } as const]) {
      expect((await readAll(model.chatStream(USER, toolless).events())).map(({ type }) => type)).toEqual(["text", "text", "finish"]);
    }
  });
  test("a call in whose middle the reply ends is marked, the ones before it are not", async () => {
    const whole = callOf("f", { a: 1 }, 0, "c1");
    const half: ScriptItem[] = [
      { toolCall: { index: 1, id: "c2", name: "g", argumentsDelta: "" } },
      { toolCall: { index: 1, argumentsDelta: '{"b":' } },
    ];
    const calls = [
      { id: "c1", type: "function", function: { name: "f", arguments: '{"a":1}' } },
      { id: "c2", type: "function", function: { name: "g", arguments: '{"b":' }, incomplete: true },
    ];
    for (const finish of [{ reason: "length" }, { reason: "stop", stopString: "x" }, { reason: "stop", warning: "malformed" }] as const) {
      const { model } = await openReady({ ...script(...whole, ...half), finish });
      expect((await model.chat(USER, { tools: TOOLS })).toolCalls).toEqual(calls);
    }
    const { model } = await openReady(script(...whole, ...half, "x"));
    const left = model.chatStream(USER, { tools: TOOLS });
    for await (const event of left.events()) if (event.type === "text") break;
    expect(await left.result).toMatchObject({ finishReason: "cancelled", toolCalls: calls });
    // What a reply says that came to its end is what the model wrote.
    const odd = await openReady(script(...callOf("f", "no JSON")));
    expect((await odd.model.chat(USER, { tools: TOOLS })).toolCalls[0]).not.toHaveProperty("incomplete");
  });
  test("endReasoning() closes the thought of this stream, and of none that has ended", async () => {
    const { model, fake } = await openReady(mixed);
    const stream = model.chatStream(USER);
    stream.endReasoning();
    expect(fake.endedThoughts).toEqual([1]); // before its first token, too
    await readAll(stream);
    stream.endReasoning();
    expect(fake.endedThoughts).toEqual([1]);
  });
  test("endReasoning() of a stream that waits for its model holds from the beginning", async () => {
    const { model, fake } = openFake(mixed);
    const stream = model.chatStream(USER);
    stream.endReasoning();
    expect(fake.endedThoughts).toEqual([]);
    await model.ready;
    await readAll(stream);
    expect(fake.endedThoughts).toEqual([1]);
  });
});

describe("credit", () => {
  const thoughts = (count: number) => Array.from({ length: count }, (): ScriptItem => ({ reasoning: "x" }));
  const hidden = (count: number) => Array.from({ length: count }, (): ScriptItem => ({ hidden: 3 }));

  test.each([
    ["thoughts", thoughts(200)],
    ["what is hidden", hidden(200)],
    ["calls", callOf("f", "x".repeat(20)).flatMap((one) => [one, ...thoughts(40)])],
  ])("a reader of text that waits does not stop a reply of %s alone", async (_, items) => {
    const { model, fake } = await openReady(script(...items, "end"));
    expect(await readAll(model.chatStream(USER, { highWaterMark: 8 }))).toEqual(["end"]);
    expect(fake.streams[0]!.maxOutstanding).toBeLessThanOrEqual(8 + 2);
  });
  test("a reader of events that is slow stops a reply of thoughts", async () => {
    const { model, fake } = await openReady(script(...thoughts(200)));
    const iterator = model.chatStream(USER, { highWaterMark: 8 }).events();
    await iterator.next();
    await settle(50);
    expect(fake.streams[0]!.delivered).toBeLessThan(20);
    while ((await iterator.next()).done !== true);
    expect(fake.streams[0]!.delivered).toBe(200);
  });
  test("nobody reads: what nobody will see is not generated on and on", async () => {
    const { model, fake } = await openReady(script(...hidden(200)));
    const stream = model.chatStream(USER, { highWaterMark: 8 });
    await settle(50);
    expect(fake.streams[0]!.delivered).toBeLessThan(12);
    expect((await stream.result).text).toBe("");
  });
});

describe("structured replies", () => {
  const text = JSON.stringify({ name: "Ann", list: Array.from({ length: 200 }, (_, i) => i), end: true });
  const pieces = text.match(/.{1,3}/gs)!;
  const responseFormat = { type: "json_object" } as const;

  test("reply.object is the value", async () => {
    const { model } = await openReady(script(...pieces));
    expect((await model.chat(USER, { responseFormat })).object).toEqual(JSON.parse(text));
    expect("object" in (await model.chat(USER))).toBe(false);
  });
  test("events() gives what it has come to, after the text that made it, and the whole before the end", async () => {
    const { model } = await openReady(script(...pieces));
    const events = await readAll(model.chatStream(USER, { responseFormat }).events());
    const objects = events.filter((event) => event.type === "object");
    expect(events.at(-2)).toEqual({ type: "object", partial: JSON.parse(text) });
    expect(objects.map((event) => event.partial)).toContainEqual({ name: "" });
    // As often as it has grown by an eighth: by the logarithm of its length, not by its pieces.
    expect(objects.length).toBeGreaterThan(5);
    expect(objects.length).toBeLessThan(Math.log(text.length) / Math.log(9 / 8));
    let before = "";
    for (const event of events) {
      if (event.type === "text") before += event.text;
      if (event.type === "object") expect(JSON.stringify(event.partial).length).toBeLessThanOrEqual(before.length + 4);
    }
    expect((await readAll(model.chatStream(USER).events())).some((event: StreamEvent) => event.type === "object")).toBe(false);
  });
  test("a schema's own check makes the object, or says in a warning why there is none", async () => {
    const { model } = await openReady(script('{"n":', "4}"));
    const schema = z.object({ n: z.int().transform((n) => n * 2) });
    expect((await model.chat(USER, { responseFormat: schema })).object).toEqual({ n: 8 });
    const refined = z.object({ n: z.int().refine((n) => n > 5, "too small") });
    const reply = await model.chat(USER, { responseFormat: refined });
    expect(reply).toMatchObject({ text: '{"n":4}', finishReason: "stop", warning: "The schema refuses the object: /n: too small." });
    expect(reply.object).toBeUndefined();
    const slow = z.object({ n: z.int().refine(async (n) => Promise.resolve(n === 4)) });
    expect((await model.chat(USER, { responseFormat: slow })).object).toEqual({ n: 4 });
    const failing = z.object({
      n: z.int().transform(() => {
        throw new Error("mine");
      }),
    });
    expect((await model.chat(USER, { responseFormat: failing })).warning).toBe("The schema's own check failed: mine.");
  });
  test("a check that never comes to an end is ended by the signal, by abort(), and by the model's close", async () => {
    const { model } = await openReady(script('{"n":', "4}"));
    const endless = z.object({ n: z.int().refine(() => new Promise<boolean>(() => {})) });
    const signals = new AbortController();
    const bySignal = model.chat(USER, { responseFormat: endless, signal: signals.signal });
    const stream = model.chatStream(USER, { responseFormat: endless });
    const byClose = model.chat(USER, { responseFormat: endless });
    const told = Promise.allSettled([bySignal, stream.result, byClose]);
    await settle(20);
    signals.abort(new Error("too late"));
    stream.abort();
    await expect(bySignal).rejects.toThrow("too late");
    await expect(stream.result).rejects.toMatchObject({ code: "ABORTED" });
    await model.close();
    await expect(byClose).rejects.toMatchObject({ code: "CLOSED" });
    await told;
  });
  test("a reply that is cut by maxTokens has no object, and says length", async () => {
    const { model } = await openReady(script(...pieces));
    const reply = await model.chat(USER, { responseFormat, maxTokens: 5 });
    expect(reply).toMatchObject({ finishReason: "length", text: pieces.slice(0, 5).join("") });
    expect("object" in reply || "warning" in reply).toBe(false);
  });
  test("text that is no JSON, or nests without an end, ends no stream", async () => {
    for (const items of [["no ", "JSON"], Array<string>(600).fill("[[[[[[[[[[")]) {
      const { model } = await openReady(script(...items));
      const events = await readAll(model.chatStream(USER, { responseFormat }).events());
      expect(events.at(-1)!.type).toBe("finish");
      expect((await model.chat(USER, { responseFormat })).warning).toBe("The reply is not valid JSON, so it has no object.");
    }
  });
});
