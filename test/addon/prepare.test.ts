// Prompts that are computed ahead: what was computed is the next call's prefix, and nobody waits for it.

import { spawnSync } from "node:child_process";
import { afterEach, expect, test } from "vitest";
import type { ZSE } from "../../lib/index.js";
import { openModel, ROOT } from "./helpers.js";

let model: ZSE;
afterEach(() => model?.close());

const said = (words: string) => [{ role: "user" as const, content: words }];
const longer = "Tell me about the sea and the birds. ".repeat(40);
const asked = { maxTokens: 4, temperature: 0 };

test("what was prepared is the prefix of the call", async () => {
  model = openModel({ contextSize: 2048 });
  const { promptTokens, readyTokens, cachedTokens } = await model.prepare(said(longer));
  expect(promptTokens).toBeGreaterThan(200);
  expect([readyTokens, cachedTokens]).toEqual([promptTokens, 0]);
  const { usage, text } = await model.chat(said(longer), asked);
  expect(usage).toMatchObject({ promptTokens, cachedTokens: promptTokens - 1 });
  await model.close();
  model = openModel({ contextSize: 2048, promptCache: false });
  expect((await model.chat(said(longer), asked)).text).toBe(text);
});

test("a half-typed message is the prefix of what it grows to, with tools too", async () => {
  model = openModel({ contextSize: 2048 });
  const tools = [{ type: "function" as const, function: { name: "look", parameters: { type: "object", properties: {} } } }];
  const { readyTokens } = await model.prepare(said(longer), { tools });
  const { cachedTokens, readyTokens: more } = await model.prepare(said(`${longer} And the fish?`), { tools });
  expect(cachedTokens).toBeGreaterThan(readyTokens - 20);
  const { usage } = await model.chat(said(`${longer} And the fish? Yes.`), { ...asked, tools, maxSteps: 1 });
  expect(usage.cachedTokens).toBeGreaterThan(more - 20);
});

test("a newer call with the same key takes the place of the one before, with another key it does not", async () => {
  model = openModel({ contextSize: 2048, maxStreams: 4 });
  await model.ready;
  const all = await Promise.all([
    model.prepare(said(`1 ${longer}`)),
    model.prepare(said(`2 ${longer}`), { key: "other" }),
    model.prepare(said(`3 ${longer}`)),
    model.prepare(`4 ${longer}`),
  ]);
  const whole = all.map(({ promptTokens, readyTokens }) => promptTokens > 0 && readyTokens === promptTokens);
  expect(whole).toEqual([false, true, false, true]);
});

test("a full server prepares nothing, and says so without an error", async () => {
  model = openModel({ contextSize: 2048, maxStreams: 2, maxQueue: 1 });
  await model.ready;
  const streams = [1, 2].map((seed) => model.chat({ messages: said("Go on"), maxTokens: 400, ignoreEos: true, seed }));
  expect(await model.prepare(said(longer))).toMatchObject({ readyTokens: 0 });
  for (const { usage } of await Promise.all(streams)) expect(usage.completionTokens).toBe(400);
});

test("where nothing is kept nothing is prepared, and that is said without an error", async () => {
  model = openModel({ contextSize: 2048, promptCache: false });
  const { promptTokens, readyTokens } = await model.prepare(said(longer));
  expect(promptTokens).toBeGreaterThan(200);
  expect(readyTokens).toBe(0);
  const leaving = new AbortController();
  leaving.abort();
  await expect(model.prepare(said(longer), { signal: leaving.signal })).rejects.toMatchObject({ name: "AbortError" });
  expect((await model.chat(said(longer), asked)).usage).toMatchObject({ promptTokens, cachedTokens: 0 });
});

test("whoever wants the slot has it, and what was computed by then is of use", async () => {
  model = openModel({ contextSize: 2048, maxStreams: 1 });
  await model.ready;
  const words = longer.repeat(3);
  const preparing = model.prepare(said(words));
  const { text } = await model.chat(said("Tell me a story"), asked);
  expect(text.length).toBeGreaterThan(0);
  const { promptTokens, readyTokens } = await preparing;
  expect(readyTokens).toBeLessThanOrEqual(promptTokens);
  const own = model.prepare(said(words));
  const { usage } = await model.chat(said(words), asked); // does not wait for the rest
  expect(usage.completionTokens).toBe(4);
  await own;
});

test("an abort ends it with the signal's reason, and its slot is free", async () => {
  model = openModel({ contextSize: 2048, maxStreams: 1 });
  await model.ready;
  const leaving = new AbortController();
  const preparing = model.prepare(said(longer.repeat(3)), { signal: leaving.signal });
  leaving.abort(new Error("typed something else"));
  await expect(preparing).rejects.toThrow("typed something else");
  expect((await model.chat(said("Hi"), asked)).usage.completionTokens).toBe(4);
});

test("nobody need hold its promise: a text that is too long, an abort and a closed model end no process", () => {
  const script = `
    import { ZSE } from "./dist/index.js";
    const model = new ZSE({ contextSize: 512 });
    await model.ready;
    model.prepare([{ role: "user", content: "word ".repeat(4000) }]);
    model.prepare([{ role: "user", content: "word" }], { signal: AbortSignal.abort() });
    await new Promise((resolve) => setTimeout(resolve, 300));
    model.prepare([{ role: "user", content: "word ".repeat(300) }], { key: "other" });
    await model.close();
    model.prepare([{ role: "user", content: "word" }]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    console.log("went on");`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { cwd: ROOT, encoding: "utf8" });
  expect(`${stdout}${stderr}`).toBe("went on\n");
});

test("its options are checked like a call's", async () => {
  model = openModel({ contextSize: 512 });
  await expect(model.prepare(said("x"), { key: 4 } as never)).rejects.toMatchObject({
    code: "BAD_OPTION",
    message: /key must be a string/,
  });
  await expect(model.prepare(said("x"), { temprature: 1 } as never)).rejects.toMatchObject({ code: "BAD_OPTION", option: "temprature" });
  await expect(model.prepare(5 as never)).rejects.toMatchObject({ code: "BAD_OPTION" });
  await expect(model.prepare(said("word ".repeat(4000)))).rejects.toMatchObject({ code: "CONTEXT_OVERFLOW" });
});
