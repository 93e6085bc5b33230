// What an app's windows are promised of the engine's process: the library's own streams, nothing of each other's, and a life beyond its crashes.

import { describe, expect, test } from "vitest";
import { CHANNEL } from "../../lib/electron/protocol.js";
import { ENDLESS, openModel, readAll, rejection, sleep, until } from "../addon/helpers.js";
import { PageWindow, serve } from "./helpers.js";
import { Frame, processes, traffic } from "./stand-in.js";

const STORY = [{ role: "user", content: "Tell me a story" }] as const;
const GREEDY = { temperature: 0, maxTokens: 40 } as const;

function window(service: { allow(window: never, permission?: { models: string[] }): void }, models?: string[]): PageWindow {
  const made = new PageWindow();
  service.allow(made.contents as never, models === undefined ? undefined : { models });
  return made;
}

describe("a window's streams", () => {
  test("are the library's: the same text, events, usage and errors", async () => {
    const service = await serve();
    const model = window(service).open();
    const here = openModel({ maxStreams: 8 });
    const told = await readAll(model.chatStream(STORY, GREEDY).events());
    const expected = await readAll(here.chatStream(STORY, GREEDY).events());
    const plain = (events: unknown[]) => JSON.parse(JSON.stringify(events, (key, value) => (key === "timings" ? undefined : value)));
    const finished = (all: typeof told) => all.filter(({ type }) => type !== "progress");
    expect(plain(finished(told)).at(-1).usage.completionTokens).toBe(plain(finished(expected)).at(-1).usage.completionTokens);
    const text = (all: typeof told) => all.map((event) => (event.type === "text" ? event.text : "")).join("");
    expect(text(told)).toBe(text(expected));
    const [a, b] = [await model.tokenize("Once upon a time"), await here.tokenize("Once upon a time")];
    expect(a).toEqual(b);
    for (const one of [model, here]) {
      expect(await rejection(one.chat("x".repeat(1) as never))).toMatchObject({ code: "BAD_OPTION" });
      expect(await rejection(one.completion("word ".repeat(2000)))).toMatchObject({ code: "CONTEXT_OVERFLOW" });
    }
    const { object } = await model.chat(STORY, { responseFormat: { type: "json_object" }, maxTokens: 60, temperature: 0 });
    expect(object === undefined || typeof object === "object").toBe(true);
  });

  test("stand beside the library's questions: what a chat becomes, its tokens, and token ids as text and bytes", async () => {
    const service = await serve();
    const model = window(service).open();
    const here = openModel({ maxStreams: 8 });
    const { z } = await import("zod");
    const function_ = { name: "f", parameters: z.object({ a: z.string() }) };
    const asked = { tools: [{ type: "function", function: function_ }], reasoning: "off" } as const;
    const rendered = await here.applyTemplate(STORY, asked);
    expect(await model.applyTemplate(STORY, asked)).toEqual(rendered);
    expect(await model.countTokens({ messages: STORY, ...asked })).toBe(rendered.tokens.length);
    expect(await model.countTokens("x" as never).catch(({ code }) => code)).toBe("BAD_OPTION");
    const ids = await here.tokenize("päivää 🙂");
    expect(await model.detokenize(ids)).toBe("päivää 🙂");
    expect(await model.tokenBytes(ids)).toEqual(await here.tokenBytes(ids));
    const { vocabularySize } = await model.ready;
    expect(await rejection(model.detokenize([5, vocabularySize]))).toMatchObject({ code: "BAD_OPTION", option: "tokens[1]" });
    const long = { role: "user", content: "word ".repeat(5000) } as const;
    expect(await rejection(model.countTokens([...STORY, long]))).toMatchObject({ code: "CONTEXT_OVERFLOW", option: "messages[1]" });
  });

  test("are beside its texts, whose vectors are the library's, and end with their signal", async () => {
    const service = await serve();
    const model = window(service).open();
    const here = openModel({ maxStreams: 8 });
    const texts = ["Once upon a time", [5, 6, 7]];
    const [there, expected] = [await model.embed(texts, { dimensions: 16 }), await here.embed(texts, { dimensions: 16 })];
    expect(there.usage).toEqual(expected.usage);
    for (const [i, vector] of there.embeddings.entries()) {
      expect(Math.max(...vector.map((value, j) => Math.abs(value - expected.embeddings[i]![j]!)))).toBeLessThan(1e-2);
    }
    for (const one of [model, here]) {
      expect(await rejection(one.rerank("q", ["x"]))).toMatchObject({ code: "UNSUPPORTED" });
      expect(await rejection(one.embed(["x", "word ".repeat(2000)]))).toMatchObject({ code: "CONTEXT_OVERFLOW" });
    }
    const leaving = new AbortController();
    const left = model.embed(new Array<string>(1000).fill("Once upon a time. ".repeat(40)), { signal: leaving.signal }).catch(String);
    await sleep(50);
    leaving.abort(new Error("enough"));
    expect(await left).toBe("Error: enough");
    await model.embed("x"); // numbers come with answers
    expect(model.stats().embeddedTokens).toBeLessThan(200_000); // of 240,000
  });

  test("run tools in the page, and say so", async () => {
    const service = await serve();
    const model = window(service).open();
    const { tool } = await import("../../lib/tools/tool.js");
    const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
    let asked: unknown;
    const weather = tool({
      name: "get_weather",
      description: "The weather",
      parameters,
      execute: (args) => {
        asked = args;
        return "sunny";
      },
    });
    const messages = [{ role: "user", content: "What is the weather in Paris?" }] as const;
    const reply = await model.chat({ messages, tools: [weather], temperature: 0, maxTokens: 100 });
    expect(asked).toEqual({ city: "Paris" });
    expect(reply.steps?.[0]?.toolResults[0]?.content).toBe("sunny");
  });

  test("are parked in the engine's process while their page does not read", async () => {
    const service = await serve();
    const model = window(service).open();
    const stream = model.chatStream(STORY, { ...ENDLESS, highWaterMark: 8 });
    const events = stream.events();
    await events.next();
    await until(() => service.stats().demo?.parked === 1, "it is parked");
    const { generatedTokens } = service.stats().demo!;
    await sleep(50);
    expect(model.stats().generatedTokens).toBeLessThanOrEqual(generatedTokens);
    expect(generatedTokens).toBeLessThanOrEqual(12);
    await events.return!();
    await until(() => service.stats().demo?.freeSlots === 8, "its slot is free");
  });

  test("end when the page is loaded again, and when the window is closed", async () => {
    const service = await serve();
    const made = window(service);
    const other = window(service).open();
    await other.ready;
    for (const leave of [() => made.reload(), () => made.destroy()]) {
      const model = made.open();
      const events = model.chatStream(STORY, ENDLESS).events();
      await events.next();
      leave();
      await until(() => service.stats().demo?.freeSlots === 8, "its slot is free");
    }
    expect((await other.chat(STORY, GREEDY)).usage.completionTokens).toBeGreaterThan(0);
  });

  test("end with CLOSED when their page closes the model, and the model stays for others", async () => {
    const service = await serve();
    const [one, other] = [window(service).open(), window(service).open()];
    const stream = one.chatStream(STORY, ENDLESS);
    const events = stream.events();
    await events.next();
    const running = other.chat(STORY, { ...ENDLESS, maxTokens: 60 });
    await one.close();
    expect(await rejection(readAll(events))).toMatchObject({ code: "CLOSED" });
    expect((await running).usage.completionTokens).toBe(60);
  });
});

describe("the main process", () => {
  test("hands ports on, and never reads what goes through them", async () => {
    const service = await serve();
    const before = { ...traffic };
    const reply = await window(service).open().chat(STORY, GREEDY);
    expect(reply.text.length).toBeGreaterThan(0);
    expect(traffic.readInMain).toBe(before.readInMain);
    expect(traffic.messages - before.messages).toBeGreaterThan(10);
  });

  test("starts no process until a window opens a model, and closes it with its models", async () => {
    const service = await serve();
    expect(processes.size).toBe(0);
    const model = window(service).open();
    await model.ready;
    expect(processes.size).toBe(1);
    const running = model.chatStream(STORY, ENDLESS).events();
    await running.next();
    const made = window(service);
    await service.close();
    expect(await rejection(readAll(running))).toMatchObject({ code: "CLOSED" });
    expect(processes.size).toBe(0);
    // Who comes later is told as much, by this service or by one that has taken its place.
    expect(await rejection(made.open().ready)).toMatchObject({ code: "CLOSED" });
    const next = await serve();
    next.allow(made.contents as never);
    expect((await made.open().chat(STORY, GREEDY)).text.length).toBeGreaterThan(0);
  });

  test("lets a window open the models it was let, and no frame within it any", async () => {
    const service = await serve();
    const made = window(service, ["other"]);
    expect((await made.ask(CHANNEL.list, {})).models).toEqual(["other"]);
    expect(await rejection(made.open("demo").ready)).toMatchObject({ code: "MODEL_NOT_FOUND" });
    expect(await rejection(made.open("../../etc/passwd").ready)).toMatchObject({ code: "MODEL_NOT_FOUND" });
    expect((await made.open("other").ready).path).toBe("other");
    const stranger = new PageWindow();
    const frame = new Frame({ send: () => {} }, () => expect.unreachable("a frame within the page was answered"));
    made.contents.send(CHANNEL.connect, { id: 1, model: "other" }, frame);
    const silence = Promise.race([stranger.askForPort("demo"), sleep(200).then(() => "silence")]);
    expect(await silence).toBe("silence");
  });

  test("refuses more ports and streams than a window may have", async () => {
    const service = await serve({ portsPerWindow: 2, streamsPerWindow: 3 });
    const made = window(service);
    const models = [made.open("demo"), made.open("other")];
    await Promise.all(models.map(({ ready }) => ready));
    expect(await rejection(made.open().ready)).toMatchObject({ code: "OVERLOADED" });
    const streams = [0, 1, 0].map((which) => models[which]!.chatStream(STORY, ENDLESS).events());
    await Promise.all(streams.map((one) => one.next()));
    expect(await rejection(models[1]!.chat(STORY, GREEDY))).toMatchObject({ code: "OVERLOADED" });
    expect((await window(service).open().chat(STORY, GREEDY)).text).not.toBe("");
    await streams[0]!.return!();
    await until(() => models[0]!.stats().freeSlots === 7, "one has ended");
    expect((await models[1]!.chat(STORY, GREEDY)).text).not.toBe("");
  });

  test("names the option that is wrong, before any process is started", async () => {
    const { serveModels } = await import("../../dist/electron/main.js");
    for (const [options, option] of [
      [{}, "models"],
      [{ models: {} }, "models"],
      [{ models: { a: { file: "x" } } }, "models.a"],
      [{ models: { a: { path: "hf:org/repo:Q8_0" } } }, "models.a.path"],
      [{ models: { a: { options: { maxStreams: 0 } } } }, "maxStreams"],
      [{ models: { a: {} }, keepMs: -1 }, "keepMs"],
      [{ models: { a: {} }, stream: 1 }, "stream"],
    ] as const) {
      expect(() => serveModels(options as never)).toThrow(expect.objectContaining({ code: "BAD_OPTION", option }));
    }
    const service = await serve();
    expect(() => serveModels({ models: { a: {} } })).toThrow(/already/);
    expect(() => service.allow(new PageWindow().contents as never, { models: ["stranger"] })).toThrow(/stranger/);
  });
});

describe("when the engine's process crashes", () => {
  for (const signal of ["SIGKILL", "SIGSEGV", "SIGABRT"] as const) {
    test(`by ${signal}: every stream ends once with ENGINE_FAILED, and the next request is answered by a new one`, async () => {
      const exits: unknown[] = [];
      const service = await serve({ onExit: (exit) => exits.push(exit) });
      const states: string[] = [];
      const models = [window(service).open("demo", { onConnection: ({ state }) => states.push(state) }), window(service).open()];
      const streams = [0, 1, 0, 1].map((which) => models[which]!.chatStream(STORY, ENDLESS).events());
      await Promise.all(streams.map((one) => one.next()));
      const pid = service.pid!;
      process.kill(pid, signal);
      for (const one of streams) expect(await rejection(readAll(one))).toMatchObject({ code: "ENGINE_FAILED" });
      const replies = await Promise.all(models.map((model) => model.chat(STORY, GREEDY)));
      for (const reply of replies) expect(reply.text).not.toBe("");
      expect(service.pid).not.toBe(pid);
      expect(exits).toEqual([expect.objectContaining({ crashes: 1, restartInMs: 250 })]);
      expect(models[0]!.connection).toEqual({ state: "open", crashes: 1 });
      expect(states).toEqual(["connecting", "open", "connecting", "open"]);
    });
  }

  test("streams that are to be recovered go on: the text of each is that of an undisturbed run", async () => {
    const model = { options: { contextSize: 512, threads: 1, maxStreams: 8, deterministic: true } };
    const service = await serve({ models: { demo: model } });
    const pages = [window(service).open("demo", { recover: true }), window(service).open("demo", { recover: true })];
    const ask = (i: number) => pages[i % 2]!.chatStream(STORY, { ...ENDLESS, seed: i, maxTokens: 300 });
    const undisturbed: string[] = [];
    for (let i = 0; i < 4; i++) undisturbed.push((await ask(i).result).text);
    const streams = undisturbed.map((_, i) => ask(i).events());
    const firsts = await Promise.all(streams.map((one) => one.next()));
    for (let kills = 0; kills < 2; kills++) {
      process.kill(service.pid!, "SIGKILL");
      await until(() => service.crashes === kills + 1, "it has crashed");
      await until(() => service.pid !== undefined && pages.every(({ connection }) => connection.state === "open"), "it is there again");
    }
    const texts = await Promise.all(
      streams.map(async (one, i) => {
        const events = [firsts[i]!.value, ...(await readAll(one))];
        return events.map((event) => (event?.type === "text" ? event.text : "")).join("");
      }),
    );
    expect(texts).toEqual(undisturbed);
  });

  test("by a process that is stopped: the watchdog ends it, and says why", async () => {
    const exits: { hung?: string }[] = [];
    const service = await serve({ hangAfterMs: 1000, onExit: (exit) => exits.push(exit) });
    const model = window(service).open();
    const stream = model.chatStream(STORY, ENDLESS).events();
    await stream.next();
    process.kill(service.pid!, "SIGSTOP");
    expect(await rejection(readAll(stream))).toMatchObject({ code: "ENGINE_FAILED" });
    expect(exits[0]!.hung).toMatch(/did not answer/);
    expect((await model.chat(STORY, GREEDY)).text).not.toBe("");
  });
});
