// What is guessed of replies of models whose memory cannot be cut anywhere: hybrids have their latest states still, and a sliding window what it sees from
// there. No text changes by it, whatever was guessed wrong, beside other streams, with readers that pause and slots that are lent, and after what was taken
// back was kept.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

import type { EngineOptions } from "../../lib/types.js";
import { writeMemoryModel } from "../memory-models.js";
import { DEMO, openModel } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-guessed-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const GREEDY = { temperature: 0, maxTokens: 60, ignoreEos: true } as const;
const PROMPTS = ["Tell me a story", "What is in a zoo?", "Count from 3 to 14", "The fox runs. The cat sleeps. ".repeat(8)];
const KINDS = ["hybrid", "delta", "sliding"] as const;
const model = (kind: (typeof KINDS)[number], options: EngineOptions = {}, seed = 7) => {
  const path = join(folder, `${kind}-${seed}.gguf`);
  // Written once: another engine may be loading it.
  return openModel({ contextSize: 1024, ...options }, existsSync(path) ? path : writeMemoryModel(path, kind, seed));
};

/** Right at first, then wrong in one place, then right again: all of its guesses are tried, and some are taken back. */
const partly = (text: string) => `${text.slice(0, text.length / 3)}fox${text.slice(text.length / 3)}`;

const WEIGHTS = KINDS.flatMap((kind) => [7, 8, 9].map((seed) => ({ kind, seed })));
test.each(WEIGHTS)(
  "a reply that was predicted, wholly or in parts, is the same as without ($kind, weights of seed $seed)",
  async ({ kind, seed }) => {
    const one = model(kind, {}, seed);
    let accepted = 0;
    let rejected = 0;
    for (const prompt of PROMPTS) {
      const plain = await one.completion(prompt, { ...GREEDY, speculate: false });
      for (const prediction of [plain.text, partly(plain.text), "something else altogether"]) {
        const { text, usage } = await one.completion(prompt, { ...GREEDY, prediction, speculate: { match: 1 } });
        expect(text).toBe(plain.text);
        accepted += usage.acceptedPredictionTokens!;
        rejected += usage.rejectedPredictionTokens!;
      }
    }
    expect(accepted).toBeGreaterThan(0);
    expect(rejected).toBeGreaterThan(0);
  },
);

test.each(KINDS)(
  "streams beside each other, slow readers whose slots are lent among them, have the texts that they have alone (%s)",
  async (kind) => {
    const one = model(kind, { maxStreams: 2, promptCache: { ram: 64 * 2 ** 20 } });
    const plain = new Map<string, string>();
    for (const prompt of PROMPTS) plain.set(prompt, (await one.completion(prompt, { ...GREEDY, speculate: false })).text);
    const slow = async (prompt: string) => {
      let text = "";
      const options = { ...GREEDY, prediction: partly(plain.get(prompt)!), highWaterMark: 3 };
      for await (const part of one.completionStream(prompt, options)) {
        text += part;
        await new Promise((resolve) => setTimeout(resolve, 4));
      }
      return text;
    };
    const guessed = PROMPTS.flatMap((prompt) => [
      slow(prompt),
      one.completion(prompt, { ...GREEDY, prediction: partly(plain.get(prompt)!) }).then(({ text }) => text),
    ]);
    const texts = await Promise.all(guessed);
    for (const [i, text] of texts.entries()) expect(text).toBe(plain.get(PROMPTS[i >> 1]!));
    expect(one.stats().acceptedTokens).toBeGreaterThan(0);
  },
);

test.each(KINDS)("a second turn goes on from what was guessed and taken back, in the slot and after a restart (%s)", async (kind) => {
  const options: EngineOptions = { promptCache: { dir: join(folder, `kept-${kind}`) } };
  const prompt = PROMPTS[3]!;
  const first = model(kind, options);
  const exact = model(kind, { promptCache: false });
  const { text } = await first.completion(prompt, { ...GREEDY, speculate: false });
  const again = await first.completion(prompt, { ...GREEDY, prediction: partly(text), speculate: { match: 1 } });
  expect(again.text).toBe(text);
  const next = `${prompt}${text} And then`;
  const fresh = await exact.completion(next, { ...GREEDY, speculate: false });
  expect((await first.completion(next, GREEDY)).text).toBe(fresh.text);
  await first.close();
  expect((await model(kind, options).completion(next, GREEDY)).text).toBe(fresh.text);
});

test.each(KINDS)("a draft model guesses for it, too (%s)", async (kind) => {
  const one = model(kind, { speculate: { draftModel: DEMO } });
  const plain = await one.completion(PROMPTS[0]!, { ...GREEDY, speculate: false });
  expect((await one.completion(PROMPTS[0]!, { ...GREEDY, speculate: { tokens: 16, match: 32 } })).text).toBe(plain.text);
});

test.each(KINDS)("a reply that is held to a schema is the same, guessed or not (%s)", async (kind) => {
  const one = model(kind);
  const properties = {
    name: { type: "string", maxLength: 12 },
    count: { type: "integer" },
    more: { type: "array", items: { type: "boolean" } },
  };
  const schema = { type: "object", properties, required: ["name", "count", "more"], additionalProperties: false };
  const held = {
    temperature: 0,
    maxTokens: 60,
    reasoning: "off",
    responseFormat: { type: "json_schema", json_schema: { name: "one", schema } },
  } as const;
  const plain = await one.chat([{ role: "user", content: "Hello" }], { ...held, speculate: false });
  expect(plain.text).toMatch(/^\{/);
  for (const prediction of [plain.text, partly(plain.text), '{"name": "fox", "count": 3}']) {
    const { text, reasoning } = await one.chat([{ role: "user", content: "Hello" }], { ...held, prediction, speculate: { match: 1 } });
    expect({ text, reasoning }).toEqual({ text: plain.text, reasoning: plain.reasoning });
  }
  expect(one.stats().draftedTokens).toBeGreaterThan(0);
});
