// The benchmark's statistics, table and fixtures: what a figure says must not depend on luck. bench/ is plain JavaScript.
import { describe, expect, it } from "vitest";

const load = (path: string) => import(new URL(`../../bench/lib/${path}`, import.meta.url).href);
const { compare, reaches, summarize } = await load("statistics.mjs");
const { figuresOf, markdown, table } = await load("report.mjs");
const { promptOf } = await load("prompts.mjs");
const { toHalf, writeQ4_0, writeQ8_0 } = await load("quantize.mjs");

describe("statistics", () => {
  it("takes the median, so that one disturbed repetition changes nothing", () => {
    expect(summarize([10, 11, 9, 10, 1000])).toMatchObject({ median: 10, min: 9, max: 1000 });
    expect(summarize([10, 11, 9, 10, 1000]).spread).toBeCloseTo(0.1);
  });

  it("refuses to make a figure of nothing or of what is no number", () => {
    expect(() => summarize([])).toThrow("nothing was measured");
    expect(() => summarize([1, Number.NaN])).toThrow("NaN");
    expect(() => summarize([1, undefined])).toThrow("undefined");
    expect(() => compare([1, 2], [1])).toThrow("2 repetitions");
  });

  it("compares within a repetition: a machine that slows down for both changes no ratio", () => {
    const ratio = compare([100, 50, 25], [200, 100, 50]);
    expect(ratio).toMatchObject({ median: 0.5, min: 0.5, max: 0.5, spread: 0 });
  });

  it("knows both directions of a goal, its edge included", () => {
    expect(reaches({ atLeast: 0.97 }, 0.97)).toBe(true);
    expect(reaches({ atLeast: 0.97 }, 0.969)).toBe(false);
    expect(reaches({ atMost: 5 }, 5)).toBe(true);
    expect(reaches({ atMost: 5 }, 5.1)).toBe(false);
    expect(reaches(undefined, 1)).toBeUndefined();
  });
});

describe("report", () => {
  const row = {
    name: "single",
    figures: [
      { label: "decoding", unit: "tok/s", ours: "zstream.rate", raw: "raw.rate", goal: { atLeast: 0.97 } },
      { label: "alone", unit: "µs", ours: "zstream.us", goal: { atMost: 5 } },
      { label: "for information", unit: "tok/s", ours: "zstream.rate", raw: "raw.rate" },
    ],
  };
  const samples = new Map([
    ["zstream.rate", [95, 96, 97]],
    ["raw.rate", [100, 100, 100]],
    ["zstream.us", [4, 4.5, 4.2]],
  ]);

  it("judges the ratio where there is a raw figure, and the value where there is none", () => {
    const figures = figuresOf(row, samples);
    expect(figures.map((figure: { reached?: boolean }) => figure.reached)).toEqual([false, true, undefined]);
    expect(figures[0].ratio.median).toBeCloseTo(0.96);
  });

  it("says which measure is missing instead of leaving a blank", () => {
    expect(() => figuresOf(row, new Map([["zstream.rate", [1]]]))).toThrow('nothing measured "raw.rate"');
  });

  it("prints one line for each figure, all of the same width", () => {
    const lines = table(figuresOf(row, samples)).split("\n");
    expect(lines).toHaveLength(2 + row.figures.length);
    expect(new Set(lines.map((line: string) => line.length)).size).toBe(1);
    expect(lines[2]).toMatch(
      /single \| decoding +\| 96 tok\/s ± 1\.0 % +\| 100 tok\/s ± 0\.0 % +\| 0\.960 \(0\.950 … 0\.970\) +\| ≥ 0\.97 +\| missed/,
    );
    expect(lines[3]).toMatch(/4\.2 µs ± .* \| ≤ 5 µs +\| reached/);
  });

  it("keeps with the table what it depends on, and warns of a busy machine", () => {
    const text = markdown({
      model: { name: "demo", description: "a model", bytes: 3e6 },
      machine: {
        cpu: "A processor",
        cores: 2,
        memoryGb: 8,
        system: "Linux",
        zstream: "0.1.0",
        commit: "abc",
        llama: "v1",
        node: "20",
        date: "today",
      },
      settings: { threads: 2, repetitions: 3, command: "npm run bench" },
      figures: figuresOf(row, samples),
      notes: ["The machine was busy."],
    });
    for (const part of ["A processor", "abc", "v1", "2 threads, 3 repetitions", "**The machine was busy.**", "| single |"])
      expect(text).toContain(part);
  });
});

describe("prompts", () => {
  // One token for every started four characters of a word: most words take one or two, so exact lengths are not for free.
  const tokenize = async (text: string) => text.split(/(?= )/).flatMap((word) => word.match(/.{1,4}/g) ?? []);

  it("have exactly as many tokens as asked, whatever the length", async () => {
    for (let count = 8; count <= 80; count++) expect(await tokenize(await promptOf(tokenize, count, count))).toHaveLength(count);
    expect(await tokenize(await promptOf(tokenize, 512, 7))).toHaveLength(512);
  });

  it("differ from their first words, so that no cache of prefixes can help one by another", async () => {
    const starts = new Set<string>();
    for (let number = 0; number < 500; number++) starts.add((await promptOf(tokenize, 64, number)).split(" ").slice(0, 3).join(" "));
    expect(starts.size).toBe(500);
  });

  it("give up instead of returning another length", async () => {
    const pairs = async (text: string) => Array.from({ length: 2 * text.length });
    await expect(promptOf(pairs, 65, 0)).rejects.toThrow("no text of 65 tokens");
  });
});

describe("quantized blocks", () => {
  const weights = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i * 1.7) * 0.05);

  const fromHalf = (half: number) => {
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    return (half & 0x8000 ? -1 : 1) * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
  };

  it("round to half precision to the nearest, ties to even", () => {
    const cases: [number, number][] = [
      [0, 0],
      [1, 0x3c00],
      [-2, 0xc000],
      [65504, 0x7bff],
      [65520, 0x7c00],
      [2 ** -14, 0x0400],
      [2 ** -24, 1],
      [2 ** -25, 0],
      [3 * 2 ** -25, 2],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [0.1, 0x2e66],
    ];
    for (const [value, half] of cases) expect(toHalf(value), String(value)).toBe(half);
  });

  it("give Q4_0's weights back within half a step, the largest exactly", () => {
    const block = new Uint8Array(18);
    writeQ4_0(weights, 0, block, 0);
    const scale = fromHalf(block[0]! | (block[1]! << 8));
    const back = [...weights.keys()].map((i) => scale * (((block[2 + (i % 16)]! >> (i < 16 ? 0 : 4)) & 15) - 8));
    // The one value of the other sign beyond 7 steps is clamped: a whole step at most.
    for (const [i, value] of weights.entries()) expect(Math.abs(back[i]! - value)).toBeLessThanOrEqual(Math.abs(scale) * 1.01);
    const largest = weights.reduce((best, value, i) => (Math.abs(value) > Math.abs(weights[best]!) ? i : best), 0);
    expect(Math.abs(back[largest]! / weights[largest]! - 1)).toBeLessThan(1e-3);
  });

  it("give Q8_0's weights back within half a step", () => {
    const block = new Uint8Array(34);
    writeQ8_0(weights, 0, block, 0);
    const scale = fromHalf(block[0]! | (block[1]! << 8));
    const back = [...new Int8Array(block.buffer, 2)].map((quant) => quant * scale);
    for (const [i, value] of weights.entries()) expect(Math.abs(back[i]! - value)).toBeLessThanOrEqual(scale * 0.57);
  });
});
