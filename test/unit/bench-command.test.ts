// What `zse bench` measures and how it tells it: a model that is made up, and pure functions.

import { describe, expect, test } from "vitest";
import { chart } from "../../lib/cli/bench-chart.js";
import { type Measurable, measure, type Plan, stepsOf } from "../../lib/cli/bench-measure.js";
import { page, type Result } from "../../lib/cli/bench-page.js";
import { Prompts } from "../../lib/cli/bench-prompts.js";
import { spreadOf } from "../../lib/cli/bench-statistics.js";
import type { ModelInfo, Reply } from "../../lib/types.js";

const PLAN: Plan = { promptTokens: 100, newTokens: 16, streams: [1, 3], repetitions: 2 };

/** A model whose words are a token each. `reply` may change what is said of a prompt. */
function model(change: (reply: Reply, asked: { prompt: readonly number[]; times: number }) => Partial<Reply["usage"]> = () => ({})) {
  const asked: { prompt: readonly number[]; options: object }[] = [];
  const made: Measurable = {
    ready: Promise.resolve({} as ModelInfo),
    tokenize: async (text) => text.split(" ").map((word) => word.length * 1000 + word.charCodeAt(0) + word.charCodeAt(1)),
    completion: async (prompt, options) => {
      const times = asked.filter((one) => String(one.prompt) === String(prompt)).length;
      asked.push({ prompt, options });
      const completionTokens = options.maxTokens!;
      const cachedTokens = times > 0 ? prompt.length - 1 : 0;
      const usage = { promptTokens: prompt.length, completionTokens, totalTokens: prompt.length + completionTokens, cachedTokens };
      const timings = {
        ...{
          queueMs: 1,
          prefillMs: times > 0 ? 2 : 40,
          ttftMs: 99,
          itlMs: { p50: 2, p99: 3 + asked.length, max: 9 },
          tokensPerSecond: 500,
        },
        pausedMs: 0,
      };
      const reply: Reply = { text: "x", finishReason: "length", toolCalls: [], usage, timings, seed: 1 };
      return { ...reply, usage: { ...usage, ...change(reply, { prompt, times }) } };
    },
  };
  return { made, asked };
}

describe("what is measured", () => {
  test("the first token of new prompts and of the same ones again, by the engine's own times; streams that are begun at once", async () => {
    const { made, asked } = model();
    let steps = 0;
    const { firstToken, streams } = await measure(made, PLAN, () => steps++);
    expect(firstToken).toMatchObject({ promptTokens: 100, cold: { median: 41 }, known: { median: 3 }, cachedTokens: 99 });
    expect(streams.map((one) => [one.streams, one.newTokens, one.tokensPerSecondEach.median])).toEqual([
      [1, 16, 500],
      [3, 16, 500],
    ]);
    expect(streams[1]!.betweenTokensMs).toEqual({ p50: 2, p99: 3 + asked.length, longest: 9 });
    expect(steps).toBe(stepsOf(PLAN));
  });
  test("prompts share no beginning, but for the one that is asked again", async () => {
    const { made, asked } = model();
    await measure(made, PLAN);
    const beginnings = asked.map(({ prompt }) => prompt.slice(0, 2).join(" "));
    expect(new Set(beginnings).size).toBe(asked.length - PLAN.repetitions);
    expect(asked.every(({ prompt }) => prompt.length === 100 || prompt.length === 64)).toBe(true);
  });
  test.each([
    ["a reply is shorter than asked", () => ({ completionTokens: 1 }), /1 tokens instead of 8/],
    ["a prompt has another length", () => ({ promptTokens: 5 }), /5 tokens instead of 64/],
    [
      "a new prompt was known",
      (_: Reply, { times }: { times: number }) => (times === 0 ? { cachedTokens: 3 } : {}),
      /3 tokens of a new prompt/,
    ],
  ])("nothing is told where %s", async (_, change, message) => {
    await expect(measure(model(change).made, PLAN)).rejects.toThrow(message);
  });
  test("prompts that run out are an error, and no endless loop", async () => {
    const prompts = new Prompts(async () => [1, 2, 3]);
    expect(await prompts.next(3)).toEqual([1, 2, 3]);
    await expect(prompts.next(3)).rejects.toThrow(/after 1 prompts no beginning is left/);
    await expect(new Prompts(async () => [1]).next(2)).rejects.toThrow(/only 1 tokens/);
  });
});

test("a spread has the median and the extremes, and is not made of nothing or of what is no number", () => {
  expect(spreadOf([3, 1, 2])).toEqual({ median: 2, least: 1, most: 3 });
  expect(spreadOf([4, 1])).toEqual({ median: 2.5, least: 1, most: 4 });
  expect(() => spreadOf([])).toThrow(/nothing/);
  expect(() => spreadOf([1, Number.NaN])).toThrow(/NaN/);
});

const RESULT: Result = {
  machine: {
    ...{
      cpu: "A CPU",
      cores: 2,
      memoryBytes: 2 ** 34,
      system: "Linux 6 x64",
      node: "22.0.0",
      zstream: "1.0.0",
      llama: "v9",
      instructions: "avx2",
    },
    date: "2026-11-26T00:00:00.000Z",
  },
  model: { name: "m", description: "qwen2 7B Q4_0", parameters: 7e9, sizeBytes: 4 * 2 ** 30, device: "CPU", threads: 2, kvType: "f16" },
  firstToken: {
    promptTokens: 512,
    cold: { median: 2000, least: 1900, most: 2500 },
    known: { median: 8.25, least: 8, most: 9 },
    cachedTokens: 511,
  },
  streams: [1, 8].map((streams) => ({
    streams,
    newTokens: 64,
    tokensPerSecond: { median: 5 * streams, least: 1, most: 50 },
    tokensPerSecondEach: { median: 6, least: 5, most: 7 },
    betweenTokensMs: { p50: 160, p99: 200, longest: 250 },
  })),
  limit: { bytesPerToken: 4 * 2 ** 30, bytesPerSecond: 40e9, tokensPerSecond: 9.3 },
};

describe("the page", () => {
  test("has the figures in columns, and the limit of the machine beside them", () => {
    expect(page(RESULT)).toBe(`m: qwen2 7B Q4_0, 7.00 B parameters, 4.0 GiB, 2 threads
A CPU, 2 cores, 16 GiB; Linux 6 x64, Node 22.0.0; zStream 1.0.0, llama.cpp v9, instructions avx2

first token                  median   least … most
  512 tokens of prompt, new  2000 ms  1900 ms … 2500 ms
  the same prompt, known     8.25 ms  8.00 ms … 9.00 ms

streams  tokens/s in all  tokens/s each  between tokens  p99     longest
  1      5.0              6.0            160 ms          200 ms  250 ms
  8      40.0             6.0            160 ms          200 ms  250 ms

the limit of one stream is 9.3 tokens/s: a token reads 4.0 GiB, and 2 threads read 40.0 GB/s here
65 % of it was reached
`);
  });
  test("says no limit where none was measured, and does not call a limit what was exceeded", () => {
    expect(page({ ...RESULT, limit: undefined })).not.toContain("limit");
    expect(page({ ...RESULT, limit: { ...RESULT.limit!, tokensPerSecond: 3 } })).toContain("a token does not read all of this model");
  });
});

describe("the picture", () => {
  test("is one SVG with every figure, and nothing from elsewhere", () => {
    const svg = chart(RESULT, "npx zse bench m.gguf");
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"[\s\S]*<\/svg>\n$/);
    for (const said of ["8 streams", ">40.0<", ">2000 ms<", ">8.25 ms<", "npx zse bench m.gguf · 2026-11-26", "65 % of it"])
      expect(svg).toContain(said);
    expect(svg.replace('xmlns="http://www.w3.org/2000/svg"', "")).not.toMatch(/https?:|url\(|<script|<image|@import/);
    const heights = [...svg.matchAll(/class="bar".*height="([\d.]+)"/g)].map(([, height]) => Number(height));
    expect(heights[1]! / heights[0]!).toBeCloseTo(8, 1);
  });
  test("is no way for a model's name into the page that shows it, and cuts a long one", () => {
    const name = `<script>"&\u0000\ud800${"x".repeat(500)}`;
    const svg = chart({ ...RESULT, model: { ...RESULT.model, name, description: "</svg>" } }, "<b>");
    expect(svg).toContain("&lt;script&gt;&quot;&amp;");
    expect(svg.match(/<\/svg>/g)).toHaveLength(1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get through
    expect(svg).not.toMatch(/<script|<b>|x{100}|[\u0000-\u0009]/);
  });
});
