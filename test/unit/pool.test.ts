// Several models by their names: when each is opened and closed, who waits for whom, and that nothing is lost on the way. The addon is a fake.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { setNative } from "../../lib/addon/load.js";
import { ModelPool } from "../../lib/pool/model-pool.js";
import type { ModelPoolOptions } from "../../lib/pool/types.js";
import { zse } from "../../lib/providers/ai-sdk/index.js";
import { tool } from "../../lib/tools/tool.js";
import { randomOf } from "../random-schemas.js";
import { callOf, FakeAddon, type FakeEngine, type FakeOptions, type ScriptItem } from "./fake-native.js";
import { endless, readAll, rejection, settle, USER } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-pool-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, `${name}.gguf`);
const MODELS = { a: at("a"), b: at("b"), c: at("c") };
for (const path of Object.values(MODELS)) writeFileSync(path, "a model");

function openPool(options: Partial<ModelPoolOptions> = {}, fakes: FakeOptions = {}) {
  const addon = new FakeAddon(fakes);
  current = addon;
  setNative(addon);
  const pool = new ModelPool({ models: MODELS, ...options });
  onTestFinished(() => pool.close());
  /** The engines of a model, in the order of their opening. */
  const engines = (name: string): FakeEngine[] => addon.models.filter(({ path }) => path.endsWith(`${name}.gguf`));
  const states = () => Object.fromEntries(pool.list().map(({ name, state }) => [name, state]));
  return { pool, addon, engines, states };
}

/** The sizes of a pool's files are known from here on: whoever wants room is in the queue for it at once. */
async function weighAll(pool: ModelPool): Promise<void> {
  for (const { name } of pool.list()) {
    await pool.model(name).ready;
    await pool.model(name).close();
  }
}

/** A hang guard, not a measurement. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`still waiting: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const ask = (content: string) => [{ role: "user", content }] as const;

describe("a model of a pool", () => {
  test("is opened when it is first asked for, by any of its names, and once for all who ask", async () => {
    const { pool, addon, states } = openPool({ models: { ...MODELS, a: { path: MODELS.a, aliases: ["gpt-4o"] } } });
    expect([pool.names, addon.models.length]).toEqual([["a", "gpt-4o", "b", "c"], 0]);
    const replies = await Promise.all([pool.model("a").chat(USER), pool.model("gpt-4o").chat(USER), pool.model("a").completion("Once")]);
    expect(replies.map(({ text }) => text)).toEqual(Array(3).fill("Once upon a time, a fox ran."));
    expect(addon.models.map(({ path }) => path)).toEqual([MODELS.a]);
    expect(states()).toEqual({ a: "open", b: "closed", c: "closed" });
    expect(pool.list()[0]).toMatchObject({
      aliases: ["gpt-4o"],
      path: MODELS.a,
      uses: 0,
      info: { name: "fake" },
      error: undefined,
    });
  });
  test("takes every call of a model: streams, collected replies, tokens, prompts", async () => {
    const { pool } = openPool({}, { info: { vocabularySize: 128 } });
    const model = pool.model("b");
    expect((await readAll(model.chatStream(USER))).join("")).toBe("Once upon a time, a fox ran.");
    expect(await model.tokenize("ab")).toEqual([97, 98]);
    expect(await model.detokenize([97, 98])).toBe("ab");
    expect(await model.countTokens(USER)).toBeGreaterThan(0);
    expect((await model.ready).path).toBe(MODELS.b);
    await settle();
    expect(pool.list()[1]).toMatchObject({ uses: 0, waiting: 0 });
  });
  test("is closed when nobody has used it for idleMs, and opened again when it is asked for", async () => {
    const { pool, engines, states } = openPool({ idleMs: 5 });
    await pool.model("a").chat(USER);
    await until(() => states().a === "closed", "a is closed");
    expect(engines("a").map(({ closes }) => closes)).toEqual([1]);
    expect((await pool.model("a").chat(USER)).text).toBe("Once upon a time, a fox ran.");
    expect(engines("a")).toHaveLength(2);
  });
  test("is not closed while a stream, a lease or a call is under way, however long", async () => {
    const { pool, engines, states } = openPool({ idleMs: 1 }, { script: endless });
    const stream = pool.model("a").chatStream(USER)[Symbol.asyncIterator]();
    await stream.next();
    const lease = await pool.acquire("b");
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(states()).toEqual({ a: "open", b: "open", c: "closed" });
    await stream.return?.();
    lease.release();
    lease.release();
    await until(() => states().a === "closed" && states().b === "closed", "both are closed");
    expect([engines("a"), engines("b")].map(([engine]) => engine!.closes)).toEqual([1, 1]);
  });
  test("that has one name of no model is MODEL_NOT_FOUND, and says which there are", async () => {
    const { pool } = openPool();
    const error = await rejection(pool.acquire("d"));
    expect(error).toMatchObject({ code: "MODEL_NOT_FOUND", message: 'There is no model "d" in this pool; there is "a", "b", "c".' });
    expect(() => pool.model("d")).toThrow(expect.objectContaining({ code: "MODEL_NOT_FOUND" }));
  });
  test("counts on from one opening to the next", async () => {
    const { pool } = openPool();
    const model = pool.model("a");
    await model.chat(USER);
    expect(model.stats().generatedTokens).toBe(9);
    await model.close();
    expect(model.stats()).toMatchObject({ generatedTokens: 9, freeSlots: 4 });
    await model.chat(USER);
    expect(model.stats().generatedTokens).toBe(18);
  });
});

describe("room", () => {
  test("is made by closing the model that was used longest ago", async () => {
    const { pool, states } = openPool({ maxOpen: 2 });
    for (const name of ["a", "b", "a", "c"]) await pool.model(name).chat(USER);
    expect(states()).toEqual({ a: "open", b: "closed", c: "open" });
    await pool.model("b").chat(USER);
    expect(states()).toEqual({ a: "closed", b: "open", c: "open" });
  });
  test("is never made by closing one that streams: whoever wants it waits for its end", async () => {
    const { pool, states } = openPool({ maxOpen: 1, patienceMs: 0 }, { manualSteps: true, script: () => ["one", " two"] });
    const first = pool.model("a").chat(USER);
    await until(() => states().a === "open", "a is open");
    const second = pool.model("b").chat(USER);
    await settle();
    expect(states()).toEqual({ a: "open", b: "waiting", c: "closed" });
    await stepUntil(first);
    await until(() => states().b === "open", "b is open");
    expect(states().a).toBe("closed");
    await stepUntil(second);
  });
  test("counts bytes where a limit of them is given, those of a model that is being opened too", async () => {
    const { models } = files({ a: 60, b: 60, c: 30 });
    const { pool, states } = openPool({ models, maxBytes: 100 });
    await Promise.all(["a", "c"].map((name) => pool.model(name).chat(USER)));
    expect(states()).toEqual({ a: "open", b: "closed", c: "open" });
    await pool.model("b").chat(USER);
    expect(states()).toEqual({ a: "closed", b: "open", c: "open" });
    expect(pool.list().map(({ bytes }) => bytes)).toEqual([60, 60, 30]);
  });
  test("cannot be made for a model that is larger than the limit: it is refused, with both numbers, and others are not closed for it", async () => {
    const { models } = files({ a: 60, b: 150, c: 30 });
    const { pool, states } = openPool({ models, maxBytes: 100 });
    await pool.model("a").chat(USER);
    const error = await rejection(pool.model("b").chat(USER));
    expect(error).toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringMatching(/"b" takes about 150 bytes.* 100 together \(maxBytes\)/),
    });
    expect(states()).toEqual({ a: "open", b: "closed", c: "closed" });
  });
  test("no more models are in memory than there may be, while they are being opened and closed too", async () => {
    let most = 0;
    const { pool } = openPool({
      maxOpen: 2,
      onChange: () => {
        const taking = pool.list().filter(({ state }) => ["opening", "open", "closing"].includes(state));
        most = Math.max(most, taking.length);
      },
    });
    await Promise.all(Array.from({ length: 30 }, (_, i) => pool.model(["a", "b", "c"][i % 3]!).chat(USER)));
    expect(most).toBe(2);
  });
  test("a model in constant use gives way after patienceMs: its new requests wait, its streams end whole, and it comes again", async () => {
    const { pool, states, engines } = openPool({ maxOpen: 1, patienceMs: 20 }, { manualSteps: true, script: () => ["one", " two"] });
    await weighAll(pool);
    const running = pool.model("a").chat(USER);
    await until(() => states().a === "open", "a is open");
    const other = pool.model("b").chat(USER);
    await new Promise((resolve) => setTimeout(resolve, 40));
    const late = pool.model("a").chat(USER);
    await settle();
    expect(engines("a")[1]!.streams).toHaveLength(1);
    expect(pool.list()[0]).toMatchObject({ uses: 1, waiting: 1 });
    expect(await stepUntil(running)).toMatchObject({ text: "one two" });
    expect(await stepUntil(other)).toMatchObject({ text: "one two" });
    expect(await stepUntil(late)).toMatchObject({ text: "one two" });
    expect([engines("a").length, engines("b").length]).toEqual([3, 2]);
  });
  test("who has a lease of a model that gives way is not kept waiting, since it waits for them", async () => {
    const { pool, states } = openPool({ maxOpen: 1, patienceMs: 0 });
    const replies = await pool.use("a", async (model) => {
      const other = pool.model("b").chat(USER);
      await until(() => states().b === "waiting", "b waits");
      await settle();
      return [await model.chat(USER), await model.tokenize("a"), other] as const;
    });
    expect(replies[0].text).toBe("Once upon a time, a fox ran.");
    expect((await replies[2]).text).toBe("Once upon a time, a fox ran.");
    expect(states()).toEqual({ a: "closed", b: "open", c: "closed" });
  });
  test("whoever waits for it and leaves wants it no more: others that were to give way go on", async () => {
    const { pool, states, engines } = openPool({ maxOpen: 1, patienceMs: 0 }, { script: endless });
    await weighAll(pool);
    const stream = pool.model("a").chatStream(USER)[Symbol.asyncIterator]();
    await stream.next();
    const leaving = new AbortController();
    const other = rejection(pool.model("b").chat(USER, { signal: leaving.signal }));
    await until(() => states().b === "waiting", "b waits");
    await settle();
    const more = pool.model("a").chatStream(USER)[Symbol.asyncIterator]();
    const first = more.next();
    await until(() => pool.list()[0]!.waiting === 1, "it waits");
    leaving.abort(new Error("gone"));
    expect(await other).toMatchObject({ message: "gone" });
    expect((await first).value).toBe(" 0");
    expect([states(), engines("b").length]).toEqual([{ a: "open", b: "closed", c: "closed" }, 1]);
    await Promise.all([stream.return?.(), more.return?.()]);
  });
});

describe("the queue of a model that loads", () => {
  test("is bounded: one request more is OVERLOADED", async () => {
    const { pool, engines } = openPool({ models: { a: { path: MODELS.a, maxStreams: 2, maxQueue: 1 } } }, { load: "manual" });
    const replies = Array.from({ length: 3 }, () => pool.model("a").chat(USER));
    const error = await rejection(pool.model("a").chat(USER));
    expect(error).toMatchObject({ code: "OVERLOADED", message: expect.stringContaining("3 requests wait") });
    expect(await rejection(pool.acquire("a"))).toMatchObject({ code: "OVERLOADED" });
    expect(pool.model("a").stats()).toMatchObject({ queued: 3, freeSlots: 0 });
    await until(() => engines("a").length === 1, "a is being opened");
    engines("a")[0]!.becomeReady();
    expect((await Promise.all(replies)).map(({ finishReason }) => finishReason)).toEqual(["stop", "stop", "stop"]);
  });
  test("is left by an aborted request, a stream that is left, and a lease whose signal aborts", async () => {
    const { pool } = openPool({}, { load: "manual" });
    const leaving = new AbortController();
    const stream = pool.model("a").chatStream(USER);
    const [reply, lease] = [rejection(pool.model("a").chat(USER, { signal: leaving.signal })), rejection(pool.acquire("a", leaving))];
    expect(pool.list()[0]).toMatchObject({ waiting: 3 });
    leaving.abort(new Error("gone"));
    expect([await reply, await lease]).toMatchObject([{ message: "gone" }, { message: "gone" }]);
    await stream[Symbol.asyncIterator]().return?.();
    expect(pool.list()[0]).toMatchObject({ waiting: 0, uses: 0 });
    expect(await rejection(pool.acquire("a", leaving))).toMatchObject({ message: "gone" });
  });
  test("a model that nobody waits for any more when its turn comes is not opened", async () => {
    const { pool, addon, states } = openPool({ maxOpen: 1, patienceMs: 60_000 }, { script: endless });
    const stream = pool.model("a").chatStream(USER)[Symbol.asyncIterator]();
    await stream.next();
    const other = pool.model("b").chatStream(USER);
    await until(() => states().b === "waiting", "b waits");
    await other[Symbol.asyncIterator]().return?.();
    await stream.return?.();
    await until(() => states().b === "closed", "b is not wanted");
    expect(addon.models.map(({ path }) => path)).toEqual([MODELS.a]);
    expect(states()).toEqual({ a: "open", b: "closed", c: "closed" });
  });
});

describe("a model that cannot be opened", () => {
  const broken = { code: "BAD_MODEL", message: "no model" };

  test("fails those who wait for it; the next request tries again, after a pause, and the others are not touched", async () => {
    const { pool, addon, states } = openPool({ maxOpen: 1 }, { load: "manual" });
    const first = [rejection(pool.model("a").chat(USER)), rejection(pool.acquire("a")), rejection(pool.model("a").tokenize("x"))];
    await until(() => addon.models.length === 1, "a is being opened");
    addon.model.failLoad(broken);
    expect(await Promise.all(first)).toMatchObject([broken, broken, broken]);
    await until(() => states().a === "closed", "a is closed");
    expect(pool.list()[0]).toMatchObject({ error: broken, uses: 0, waiting: 0 });
    const failedAt = performance.now();
    const again = pool.model("a").chat(USER);
    const other = pool.model("b").chat(USER);
    await until(() => addon.models.length === 2, "b is being opened while a has its pause");
    expect(addon.model.path).toBe(MODELS.b);
    addon.model.becomeReady();
    expect((await other).finishReason).toBe("stop");
    await until(() => addon.models.length === 3, "a is tried again");
    expect(performance.now() - failedAt).toBeGreaterThan(500);
    addon.model.becomeReady();
    expect((await again).finishReason).toBe("stop");
    expect(pool.list()[0]).toMatchObject({ state: "open", error: undefined });
  });
  test("because there is no addon, fails in the same way", async () => {
    const { pool, states } = openPool();
    setNative({
      devices: () => [],
      get Engine(): never {
        throw Object.assign(new Error("no addon"), { code: "ENGINE_FAILED" });
      },
    } as never);
    expect(await rejection(pool.model("a").chat(USER))).toMatchObject({ message: expect.stringContaining("no addon") });
    await until(() => states().a === "closed", "a is closed");
  });
  test("an engine that ends by itself fails its streams, and another one is opened for the next request", async () => {
    const { pool, engines } = openPool({}, { manualSteps: true, script: () => ["one"] });
    const lost = rejection(pool.model("a").chat(USER));
    await until(() => engines("a")[0]?.streams.length === 1, "a streams");
    engines("a")[0]!.onEvents([0, 7, undefined, 0]);
    expect(await lost).toMatchObject({ code: "ENGINE_FAILED" });
    expect(await stepUntil(pool.model("a").chat(USER))).toMatchObject({ text: "one" });
    expect(engines("a")).toHaveLength(2);
  });
});

test("calls of tools are run between two replies of one engine, which is kept for them", async () => {
  const script: ScriptItem[][] = [["Let me see. ", ...callOf("weather", { city: "Rome" })], ["It is clear."]];
  const { pool, engines, states } = openPool({ maxOpen: 1, patienceMs: 0 }, { script: (_, index) => script[index] ?? ["Once."] });
  let other: Promise<{ text: string }> | undefined;
  const execute = async () => {
    other = pool.model("b").chat(USER);
    await until(() => states().b === "waiting", "b waits");
    await settle();
    return "clear";
  };
  const weather = tool({ name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } }, execute });
  const { text } = await pool.model("a").chat(USER, { tools: [weather] });
  expect([text, engines("a").length, engines("a")[0]!.streams.length]).toEqual(["Let me see. It is clear.", 1, 2]);
  expect((await other)!.text).toBe("Let me see. ");
});

describe("close()", () => {
  test("of the pool ends what runs and what waits with CLOSED, frees every model, and nothing is opened after it", async () => {
    const { pool, addon, states } = openPool({ maxOpen: 1 }, { script: endless });
    const stream = pool.model("a").chatStream(USER)[Symbol.asyncIterator]();
    await stream.next();
    const waiting = [rejection(pool.model("b").chat(USER)), rejection(pool.acquire("b"))];
    await until(() => states().b === "waiting", "b waits");
    const closed = pool.close();
    expect(pool.close()).toBe(closed);
    await closed;
    expect(await Promise.all(waiting)).toMatchObject([{ code: "CLOSED" }, { code: "CLOSED" }]);
    expect(await rejection(readAll({ [Symbol.asyncIterator]: () => stream }))).toMatchObject({ code: "CLOSED" });
    expect(await rejection(pool.model("c").chat(USER))).toMatchObject({ code: "CLOSED" });
    expect([addon.models.map(({ closes }) => closes), states(), pool.closed]).toEqual([
      [1],
      { a: "closed", b: "closed", c: "closed" },
      true,
    ]);
  });
  test("of a model ends its streams with CLOSED, and who asks next has it opened again", async () => {
    const { pool, engines } = openPool({}, { script: endless });
    const model = pool.model("a");
    const stream = model.chatStream(USER)[Symbol.asyncIterator]();
    await stream.next();
    await model.close();
    expect(await rejection(readAll({ [Symbol.asyncIterator]: () => stream }))).toMatchObject({ code: "CLOSED" });
    const again = model.chatStream(USER)[Symbol.asyncIterator]();
    expect((await again.next()).value).toBe(" 0");
    await again.return?.();
    expect(engines("a")).toHaveLength(2);
  });
});

describe("unload()", () => {
  test("takes a model out of memory that nobody uses, and leaves one that somebody does", async () => {
    const { pool, states } = openPool({}, { script: endless });
    const stream = pool.model("a").chatStream(USER)[Symbol.asyncIterator]();
    await stream.next();
    await pool.model("b").ready;
    await settle();
    expect(await Promise.all(["a", "b", "c"].map((name) => pool.unload(name)))).toEqual([false, true, true]);
    expect(states()).toEqual({ a: "open", b: "closed", c: "closed" });
    await stream.return?.();
    await until(() => pool.list()[0]!.uses === 0, "the stream has ended");
    expect(await pool.unload("a")).toBe(true);
    expect(await rejection(pool.unload("d"))).toMatchObject({ code: "MODEL_NOT_FOUND" });
  });
});

test("frameworks' providers take a model of a pool as any other", async () => {
  const { pool, states } = openPool({ maxOpen: 1 });
  const options = { prompt: [{ role: "user" as const, content: [{ type: "text" as const, text: "Tell me a story" }] }] };
  for (const name of ["a", "b"]) {
    const { content } = await zse(pool.model(name)).doGenerate(options);
    expect(content).toEqual([{ type: "text", text: "Once upon a time, a fox ran." }]);
  }
  expect(states()).toEqual({ a: "closed", b: "open", c: "closed" });
});

describe("options", () => {
  test.each([
    ["nothing", undefined, "models"],
    ["no models", { models: {} }, "models"],
    ["models that are a list", { models: ["a.gguf"] }, "models"],
    ["a model that is a number", { models: { a: 1 } }, "models.a"],
    ["a path that is a number", { models: { a: { path: 1 } } }, "models.a.path"],
    ["a model's option that is wrong", { models: { a: { path: "a.gguf", maxStreams: 0 } } }, "models.a.maxStreams"],
    ["a model's option that there is none of", { models: { a: { path: "a.gguf", colour: 0 } } }, "models.a.colour"],
    ["an empty name", { models: { "": "a.gguf" } }, "models."],
    ["a name twice", { models: { a: "a.gguf", b: { path: "b.gguf", aliases: ["a"] } } }, "models"],
    ["aliases that are a text", { models: { a: { aliases: "b" } } }, "models.a.aliases"],
    ["an alias that is a number", { models: { a: { aliases: ["b", 1] } } }, "models.a.aliases[1]"],
    ["maxOpen", { models: MODELS, maxOpen: -1 }, "maxOpen"],
    ["maxBytes", { models: MODELS, maxBytes: 0 }, "maxBytes"],
    ["idleMs", { models: MODELS, idle_ms: "1" }, "idle_ms"],
    ["patienceMs", { models: MODELS, patienceMs: 0.5 }, "patienceMs"],
    ["onChange", { models: MODELS, onChange: 1 }, "onChange"],
    ["an unknown one", { models: MODELS, colour: 1 }, "colour"],
  ])("that are wrong are BAD_OPTION and named: %s", (_, options, option) => {
    expect(() => new ModelPool(options as never)).toThrow(expect.objectContaining({ code: "BAD_OPTION", option }));
  });
  test("of acquire() and use() that are wrong, and use() without a function, are BAD_OPTION and named; nothing is opened for them", async () => {
    const { pool, states } = openPool();
    const told = async (asked: Promise<unknown>) => {
      const { code, option } = (await rejection(asked)) as { code: string; option: string };
      return [code, option];
    };
    expect(await told(pool.acquire("a", 5 as never))).toEqual(["BAD_OPTION", "options"]);
    expect(await told(pool.acquire("a", { signal: 5 } as never))).toEqual(["BAD_OPTION", "signal"]);
    expect(await told(pool.use("a", undefined as never))).toEqual(["BAD_OPTION", "run"]);
    expect(await told(pool.use("a", () => 1, { signal: {} } as never))).toEqual(["BAD_OPTION", "signal"]);
    expect(states()).toEqual({ a: "closed", b: "closed", c: "closed" });
  });
  test("onChange hears of each state of a model", async () => {
    const heard: string[] = [];
    const { pool } = openPool({ onChange: ({ name, state }) => void heard.push(`${name} ${state}`) });
    await pool.model("a").chat(USER);
    await pool.close();
    expect(heard).toEqual(["a waiting", "a opening", "a open", "a closing", "a closed"]);
  });
});

/** Lets the engines of all fakes step until the reply is there. */
async function stepUntil<Value>(reply: Promise<Value>): Promise<Value> {
  let over = false;
  reply.then(
    () => (over = true),
    () => (over = true),
  );
  await until(() => {
    for (const engine of stepping()) engine.step();
    return over;
  }, "a reply ends");
  return await reply;
}

let current: FakeAddon | undefined;
function stepping(): readonly FakeEngine[] {
  return current?.models ?? [];
}

/** Models of files with so many bytes. */
function files(sizes: Record<string, number>): { models: Record<string, string> } {
  const models = Object.entries(sizes).map(([name, size]) => {
    const path = at(`${name}-${size}`);
    writeFileSync(path, Buffer.alloc(size));
    return [name, path] as const;
  });
  return { models: Object.fromEntries(models) };
}

describe("random requests to three models", () => {
  const seed = Number(process.env.ZSE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

  test.each([1, 2])(
    `with room for %i: every stream is whole and of its own model, and none is lost (ZSE_TEST_SEED=${seed})`,
    async (maxOpen) => {
      const random = randomOf(seed + maxOpen);
      const names = ["a", "b", "c"];
      // What is said follows from what was asked.
      const said = (content: string) => Array.from({ length: 1 + (content.length % 7) }, (_, i) => ` ${content}:${i}`);
      const { pool, addon, states } = openPool(
        { maxOpen, patienceMs: 3, idleMs: 20 },
        { script: ({ messages }) => said((JSON.parse(messages!) as { content: string }[])[0]!.content) },
      );
      let [whole, left, asked] = [0, 0, 0];
      const client = async (id: number) => {
        for (let i = 0; i < 40; i++) {
          const name = names[random.below(3)]!;
          const content = `${name}-${id}-${i}-${"x".repeat(random.below(9))}`;
          asked += 1;
          const what = random.below(10);
          if (what === 0) expect(await pool.model(name).tokenize(content)).toHaveLength(content.length);
          else if (what === 1)
            await pool.use(name, async (model) => expect((await model.chat(ask(content))).text).toBe(said(content).join("")));
          else if (what === 2) {
            const stream = pool.model(name).chatStream(ask(content), { highWaterMark: 1 })[Symbol.asyncIterator]();
            if (random.below(2) === 0) await stream.next();
            await stream.return?.();
            left += 1;
            continue;
          } else {
            let text = "";
            for await (const piece of pool.model(name).chatStream(ask(content), { highWaterMark: 1 + random.below(4) })) {
              text += piece;
              if (random.below(3) === 0) await settle(1);
            }
            expect(text).toBe(said(content).join(""));
          }
          whole += 1;
          if (random.below(20) === 0) await new Promise((resolve) => setTimeout(resolve, random.below(30)));
        }
      };
      await Promise.all(Array.from({ length: 8 }, (_, id) => client(id)));
      expect([whole + left, asked]).toEqual([320, 320]);
      await until(() => Object.values(states()).every((state) => state === "closed"), "all are closed");
      expect(pool.list().map(({ uses, waiting }) => [uses, waiting])).toEqual(Array(3).fill([0, 0]));
      for (const { path, streams, closes } of addon.models) {
        const name = /(\w)\.gguf$/.exec(path)![1]!;
        expect(closes).toBe(1);
        for (const { request } of streams) expect(request.messages).toContain(`"content":"${name}-`);
      }
    },
  );
});
