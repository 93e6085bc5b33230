// Short prompts that come at any moment while a long one is computed, beside a reader: steps are begun anew for them where the model's memory allows it, and
// no text is another one for it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

import { MEMORIES, writeMemoryModel } from "../memory-models.js";
import { DEMO, openModel, sleep } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-newcomers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const GREEDY = { temperature: 0, ignoreEos: true, speculate: false } as const;
const SHORT = ["Tell me a story", "What is in a zoo?", "Count from 3 to 14", "Why?"];

test.each(["demo", ...MEMORIES] as const)(
  "short prompts that join a long one at any moment have the texts that they have alone, and so have the others (%s)",
  async (kind) => {
    const path = kind === "demo" ? DEMO : writeMemoryModel(join(folder, `${kind}.gguf`), kind, 7);
    const one = openModel({ contextSize: 2048, maxStreams: 4, promptCache: false }, path);
    const long = "The fox runs. The cat sleeps. ".repeat(kind === "demo" ? 60 : 100);
    const text = async (prompt: string, maxTokens: number) => (await one.completion(prompt, { ...GREEDY, maxTokens })).text;
    const alone = new Map<string, string>();
    for (const prompt of SHORT) alone.set(prompt, await text(prompt, 8));
    const [reader, longer] = [await text("A dog", 200), await text(long, 8)];

    // The states of the others cannot be put back to what they were before a step.
    const canRollBack = kind === "demo" || kind === "sliding";
    let begunAnew = 0;
    for (let round = 0; round < 40 && (round < 8 || (canRollBack && begunAnew < 3)); round++) {
      const before = one.stats().abortedSteps;
      const others = [text("A dog", 200), text(long, 8)];
      await sleep(1 + (round % 8));
      for (const prompt of SHORT.slice(round % 3)) {
        expect(await text(prompt, 8)).toBe(alone.get(prompt));
      }
      expect(await Promise.all(others)).toEqual([reader, longer]);
      begunAnew += one.stats().abortedSteps - before;
    }
    if (canRollBack) expect(begunAnew).toBeGreaterThanOrEqual(3);
    else expect(begunAnew).toBe(0);
  },
);
