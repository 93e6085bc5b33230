// LoRA adapters are chosen stream by stream: each stream gets what its own adapters make of the model, whatever runs beside it.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { EngineOptions } from "../../lib/types.js";
import type { ZSE } from "../../lib/zse.js";
import { type AdapterSettings, type AdapterTensor, makeRandomAdapter } from "../random-adapter.js";
import { ask, DEMO, openModel, rejection } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-adapters-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string) => join(folder, `${name}.gguf`);
const make = (name: string, settings: AdapterSettings) => makeRandomAdapter(DEMO, file(name), settings);

beforeAll(async () => {
  await make("pirate", { seed: 1 });
  await make("poet", { seed: 2 });
  await make("nothing", { seed: 3, spread: 0 });
});

/** Those of token embeddings lie the other way round: A has a row for each token, and both have the rank for columns. */
function flipped(tensors: AdapterTensor[]): AdapterTensor[] {
  return tensors.map(({ name, shape: [columns, rows], values }) =>
    name.endsWith("lora_a")
      ? { name: name.replace(/a$/, "b"), shape: [rows!, columns!], values }
      : { name: name.replace(/b$/, "a"), shape: [columns!, rows!], values },
  );
}

const adapters = ["pirate", "poet", "nothing"].map((name) => ({ name, path: file(name) }));
const open = (options: EngineOptions = {}) => openModel({ adapters, ...options });
const greedy = { temperature: 0, maxTokens: 30, ignoreEos: true } as const;
type Choice = string | Record<string, number> | undefined;
const say = async (model: ZSE, adapter?: Choice, prompt = "Tell me a story about a fox") =>
  (await model.chat([...ask(prompt)], { ...greedy, adapter })).text;

describe("an adapter changes what its stream says", () => {
  test("by its strength: none as the model alone, half of it twice as the whole", async () => {
    const model = open();
    const [alone, pirate, poet] = [await say(model), await say(model, "pirate"), await say(model, "poet")];
    expect(new Set([alone, pirate, poet]).size).toBe(3);
    expect(await say(model, "nothing")).toBe(alone);
    expect(await say(model, { pirate: 0 })).toBe(alone);
    expect(await say(model, {})).toBe(alone);
    expect(await say(model, { pirate: 1 })).toBe(pirate);
    expect(await say(model, { nothing: 1, pirate: 1 })).toBe(pirate);
    expect(await say(model, { pirate: -1 })).not.toBe(pirate);
  });

  test("by the strength that it was opened with, where a stream says no other", async () => {
    const model = openModel({
      adapters: [
        { name: "weak", path: file("pirate"), scale: 0 },
        { name: "two", path: file("poet"), scale: 2 },
      ],
    });
    expect(await say(model, "weak")).toBe(await say(model));
    expect(await say(model, "two")).toBe(await say(model, { two: 2 }));
    expect((await model.ready).adapters).toEqual([
      { name: "weak", scale: 0 },
      { name: "two", scale: 2 },
    ]);
  });

  test("a completion's, too", async () => {
    const model = open();
    const complete = async (adapter?: Choice) => (await model.completion("Once upon a time", { ...greedy, adapter })).text;
    expect(await complete("pirate")).not.toBe(await complete());
  });
});

describe("streams with other adapters run side by side", () => {
  const choices: Choice[] = [undefined, "pirate", "poet", { pirate: 0.5, poet: 0.5 }, { pirate: 2 }, undefined, "pirate", "poet"];

  test("each says what it says alone", async () => {
    const model = open({ deterministic: true, maxStreams: 8 });
    const alone: string[] = [];
    for (const choice of choices) alone.push(await say(model, choice));
    const together = await Promise.all(choices.map((choice) => say(model, choice)));
    expect(together).toEqual(alone);
    expect(new Set(together).size).toBe(5);
  });

  test("and takes turns: those of one adapter do not keep another waiting", async () => {
    const model = open({ maxStreams: 8 });
    await model.ready;
    const arrived: number[] = [];
    const read = async (index: number, adapter: Choice) => {
      for await (const _ of model.chatStream([...ask("Count")], { ...greedy, maxTokens: 120, adapter })) arrived.push(index);
    };
    await Promise.all([0, 1, 2, 3, 4, 5, 6].map((i) => read(i, "pirate")).concat(read(7, "poet")));
    // Its last piece comes when as many of each of the others' have come, but for a few.
    const end = arrived.lastIndexOf(7);
    const others = arrived.slice(0, end).filter((index) => index !== 7).length / 7;
    expect(others).toBeGreaterThan(0.7 * 120 * 0.5);
    expect(arrived.slice(0, arrived.length / 2)).toContain(7);
  });
});

describe("what one variant of the model has computed is of no use to another", () => {
  test.each([
    ["in a slot", { maxStreams: 4 }],
    ["in RAM", { maxStreams: 1 }],
    ["on disk", { maxStreams: 1, promptCache: { dir: join(folder, "cache") } }],
  ])("%s", async (_, options) => {
    const long = `Repeat after me: ${"fox lantern cake ".repeat(30)}`;
    const run = async (model: ZSE, adapter: Choice) => {
      const { text, usage } = await model.chat([...ask(long)], { ...greedy, adapter });
      return { text, cached: usage.cachedTokens };
    };
    const order: Choice[] = [undefined, "pirate", { pirate: 0.5 }];
    const without = open({ ...options, deterministic: true, contextSize: 1024, promptCache: false });
    const expected = [];
    for (const choice of order) expected.push((await run(without, choice)).text);
    for (const round of [0, 1]) {
      const model = open({ ...options, deterministic: true, contextSize: 1024 });
      for (const [i, choice] of order.entries()) {
        const first = await run(model, choice);
        expect(first.text).toBe(expected[i]);
        if (round === 0 || !("promptCache" in options)) expect(first.cached).toBe(0);
        else expect(first.cached).toBeGreaterThan(0);
      }
      for (const [i, choice] of order.entries()) {
        const again = await run(model, choice);
        expect(again.text).toBe(expected[i]);
        expect(again.cached).toBeGreaterThan(0);
      }
      await model.close();
    }
  });
});

describe("what cannot be used is told, and the engine goes on", () => {
  test("an adapter that the model was not opened with", async () => {
    const model = open();
    const message = (words: string) => expect.stringContaining(words);
    const wrong = { code: "BAD_OPTION", option: "adapter" };
    const names = message("pirate, poet, nothing");
    expect(await rejection(say(model, "sailor"))).toMatchObject({ ...wrong, message: names });
    expect(await rejection(say(openModel(), "pirate"))).toMatchObject({ ...wrong, message: message("without any") });
    expect(await say(model)).not.toBe("");
  });

  const wrong: [string, AdapterSettings | string | undefined, string, RegExp][] = [
    ["a file that is not there", undefined, "MODEL_NOT_FOUND", /gone/],
    ["a text", "hello", "BAD_MODEL", /byte 0/],
    ["a model", DEMO, "BAD_MODEL", /general\.type/],
    ["one of another architecture", { seed: 1, metadata: { "general.architecture": "llama" } }, "UNSUPPORTED", /mismatch/],
    ["one that is no LoRA", { seed: 1, metadata: { "adapter.type": "cvec" } }, "BAD_MODEL", /adapter\.type/],
    ["a key of another type", { seed: 1, metadata: { "general.type": 3 } }, "BAD_MODEL", /general\.type/],
    ["alpha that is no number", { seed: 1, metadata: { "adapter.lora.alpha": Number.NaN } }, "BAD_MODEL", /alpha/],
    ["half a pair", { seed: 1, edit: (all) => all.slice(1) }, "BAD_MODEL", /other half/],
    ["no tensors", { seed: 1, edit: () => [] }, "BAD_MODEL", /no tensors/],
    ["another width", { seed: 1, edit: resized }, "UNSUPPORTED", /shape/],
    ["halves that do not fit", { seed: 1, edit: (all) => all.map(narrowed) }, "BAD_MODEL", /other half/],
    ["a weight that the model lacks", { seed: 1, edit: (all) => all.map(renamed) }, "UNSUPPORTED", /does not exist/],
    // The demo model's output matrix is that of its embeddings, for which such an adapter lies the wrong way round.
    [
      "what llama.cpp cannot compute with this model",
      { seed: 4, weights: /^token_embd\.weight$/, edit: flipped },
      "UNSUPPORTED",
      /mul_mat/,
    ],
    ["a tensor of no pair", { seed: 1, edit: (all) => [{ ...all[0]!, name: "x.bias" }] }, "BAD_MODEL", /x\.bias/],
  ];
  test.each(wrong)("%s", async (name, settings, code, message) => {
    const path =
      typeof settings === "string" && settings !== "hello" ? settings : file(settings === undefined ? "gone" : name.replaceAll(" ", "-"));
    if (settings === "hello") writeFileSync(path, settings);
    else if (typeof settings === "object") await makeRandomAdapter(DEMO, path, settings);
    const model = openModel({ adapters: [{ name: "a", path }] });
    const error = await rejection(model.ready);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    if (code !== "UNSUPPORTED") expect((error as Error).message).toMatch(/^the adapter "a" /); // not the model, whose file is good
  });
});

function resized(tensors: AdapterTensor[]): AdapterTensor[] {
  return tensors.map((tensor) =>
    tensor.name.endsWith("lora_a")
      ? { ...tensor, shape: [tensor.shape[0]! / 2, tensor.shape[1]!], values: tensor.values.slice(tensor.values.length / 2) }
      : tensor,
  );
}
function narrowed(tensor: AdapterTensor): AdapterTensor {
  if (!tensor.name.endsWith("lora_b")) return tensor;
  return { ...tensor, shape: [tensor.shape[0]! / 2, tensor.shape[1]!], values: tensor.values.slice(tensor.values.length / 2) };
}
function renamed(tensor: AdapterTensor): AdapterTensor {
  return { ...tensor, name: tensor.name.replace("blk.0", "blk.99") };
}
