// Several models in one process, by real weights: the demo model, and copies of it with weights of noise.

import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { ModelPool } from "../../lib/pool/model-pool.js";
import type { ModelPoolOptions } from "../../lib/pool/types.js";
import type { ModelInfo } from "../../lib/types.js";
import { makeRandomModel } from "../random-model.js";
import { ask, buildLibrary, DEMO, ENDLESS, readAll, rejection, until, zse } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-pool-"));
const RED = join(folder, "red.gguf");
beforeAll(() => makeRandomModel(DEMO, RED, 1));
afterAll(() => rmSync(folder, { recursive: true }));

const SMALL = { threads: 1, contextSize: 256, maxStreams: 2 } as const;
const GREEDY = { temperature: 0, maxTokens: 16 } as const;

function openPool(options: Partial<ModelPoolOptions> = {}): ModelPool {
  const pool = new ModelPool({ models: { demo: { path: DEMO, ...SMALL }, red: { path: RED, ...SMALL } }, ...options });
  onTestFinished(() => pool.close());
  return pool;
}

const states = (pool: ModelPool) => Object.fromEntries(pool.list().map(({ name, state }) => [name, state]));

describe("a pool with room for one model", () => {
  test("swaps models for whoever asks, and each says what it says alone", async () => {
    const both = openPool();
    const said = await Promise.all(["demo", "red"].map(async (name) => (await both.model(name).chat(ask("Hi"), GREEDY)).text));
    expect(said[0]).not.toBe(said[1]);
    expect(states(both)).toEqual({ demo: "open", red: "open" });
    const one = openPool({ maxOpen: 1 });
    for (let i = 0; i < 3; i++) {
      const replies = await Promise.all(["demo", "red", "demo", "red"].map((name) => one.model(name).chat(ask("Hi"), GREEDY)));
      expect(replies.map(({ text }) => text)).toEqual([...said, ...said]);
    }
    expect(Object.values(states(one)).sort()).toEqual(["closed", "open"]);
  });
  test("does not end a stream for another model: that one waits for its end", async () => {
    const pool = openPool({ maxOpen: 1, patienceMs: 0 });
    const stream = pool.model("demo").chatStream(ask("Hi"), { ...ENDLESS, maxTokens: 60 });
    const pieces = stream[Symbol.asyncIterator]();
    await pieces.next();
    const other = pool.model("red").chat(ask("Hi"), GREEDY);
    await until(() => states(pool).red === "waiting", "red waits");
    await readAll({ [Symbol.asyncIterator]: () => pieces });
    expect((await stream.result).usage.completionTokens).toBe(60);
    expect((await other).usage.completionTokens).toBe(16);
    expect(states(pool)).toEqual({ demo: "closed", red: "open" });
  });
});

test("a model's bytes are its file's and its KV cache's, and what is larger than the limit is refused", async () => {
  const pool = openPool();
  await pool.model("demo").ready;
  const { bytes, info } = pool.list()[0] as { bytes: number; info: ModelInfo };
  const kv = bytes - statSync(DEMO).size;
  // Keys and values of two bytes for each layer, head and token; the heads' number is in no ModelInfo.
  expect(kv).toBeGreaterThan(0);
  expect(kv % (2 * 2 * info.layers * SMALL.contextSize * SMALL.maxStreams)).toBe(0);
  const tight = openPool({ maxBytes: bytes - 1 });
  expect(await rejection(tight.model("demo").chat(ask("Hi"), GREEDY))).toMatchObject({ code: "UNSUPPORTED" });
  const enough = openPool({ maxBytes: bytes });
  for (const name of ["demo", "red", "demo"]) expect((await enough.model(name).chat(ask("Hi"), GREEDY)).text).not.toBe("");
  expect(states(enough)).toEqual({ demo: "open", red: "closed" });
});

test("a draft model's bytes are its model's too", async () => {
  const pool = openPool({ models: { demo: { path: DEMO, ...SMALL }, guessed: { path: DEMO, ...SMALL, speculate: { draftModel: RED } } } });
  await Promise.all(["demo", "guessed"].map((name) => pool.model(name).ready));
  const [alone, both] = pool.list().map(({ bytes }) => bytes);
  expect(both).toBe(2 * alone!);
  expect((await pool.model("guessed").chat(ask("Hi"), GREEDY)).text).toBe((await pool.model("demo").chat(ask("Hi"), GREEDY)).text);
});

test("a file that is none fails its own requests alone, and is tried again", async () => {
  const pool = openPool({ models: { demo: { path: DEMO, ...SMALL }, lost: join(folder, "lost.gguf") } });
  expect(await rejection(pool.model("lost").chat(ask("Hi")))).toMatchObject({ code: "MODEL_NOT_FOUND" });
  expect(pool.list()[1]).toMatchObject({ error: { code: "MODEL_NOT_FOUND" } });
  expect((await pool.model("demo").chat(ask("Hi"), GREEDY)).text).not.toBe("");
  await makeRandomModel(DEMO, join(folder, "lost.gguf"), 3);
  expect((await pool.model("lost").chat(ask("Hi"), GREEDY)).usage.completionTokens).toBe(16);
});

test("isolated engines work in a pool, and make room as others do", async () => {
  buildLibrary();
  const pool = openPool({ models: { demo: { path: DEMO, ...SMALL, isolate: true }, red: { path: RED, ...SMALL } }, maxOpen: 1 });
  const said = (await pool.model("demo").chat(ask("Hi"), GREEDY)).text;
  expect((await pool.model("red").chat(ask("Hi"), GREEDY)).text).not.toBe(said);
  expect(states(pool)).toEqual({ demo: "closed", red: "open" });
  expect((await pool.model("demo").chat(ask("Hi"), GREEDY)).text).toBe(said);
  expect(pool.list()[0]).toMatchObject({ bytes: statSync(DEMO).size, uses: 0 });
});

test("zse serve with several files and a folder lists them all, and answers for each", async () => {
  const { child, ended } = zse(
    "serve",
    DEMO,
    `noise=${RED}`,
    folder,
    "--port",
    "0",
    "--threads",
    "1",
    "--context-size",
    "256",
    "--models-max",
    "1",
  );
  let [out, log] = ["", ""];
  child.stdout!.on("data", (text: string) => (out += text));
  child.stderr!.on("data", (text: string) => (log += text));
  await until(() => /listen on \S+,[\s\S]*curl /.test(out), "the server");
  const base = /listen on (http:\S+),/.exec(out)![1]!;
  const names = [...out.matchAll(/^ {2}(.+) \(.*\)$/gm)].map(([, name]) => name);
  expect(names.slice(0, 2)).toEqual(["demo", "noise"]);
  for (const model of ["demo", "noise"]) {
    const response = await fetch(`${base}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, messages: ask("Hi"), max_tokens: 4 }),
    });
    expect(await response.json()).toMatchObject({ model });
  }
  const { data } = (await (await fetch(`${base}/v1/models`)).json()) as { data: { id: string; status: { value: string } }[] };
  expect(data.find(({ id }) => id === "noise")!.status.value).toBe("loaded");
  expect(data.find(({ id }) => id === "demo")!.status.value).toBe("unloaded");
  child.kill("SIGTERM");
  expect((await ended).code).toBe(0);
  expect(log).toMatch(/"model":"noise","state":"open"/);
});
