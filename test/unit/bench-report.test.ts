// The benchmark's report: figures, goals, tables, kept results, charts. bench/ is plain JavaScript.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const load = (path: string) => import(new URL(`../../bench/${path}`, import.meta.url).href);
const { figuresOf, markdown, table } = await load("lib/report.mjs");
const { merge } = await load("lib/results.mjs");
const { charts } = await load("lib/charts.mjs");
const { entriesOf } = await load("lib/measure.mjs");
const { rows } = await load("rows/index.mjs");

interface Figure {
  values: Record<string, { median: number }>;
  goals: { median: number; reached: boolean }[];
}

const row = {
  name: "a",
  figures: [
    {
      label: "decoding",
      unit: "tok/s",
      measure: "rate",
      goals: [
        { of: "raw", atLeast: 0.97 },
        { of: "node-llama-cpp", atLeast: 1.8 },
      ],
    },
    { label: "delay", unit: "ms", measure: "delay", goals: [{ atMost: 5 }] },
  ],
};
const samples = new Map([
  ["zstream", { rate: [95, 96, 97], delay: [4, 4.5, 4.2] }],
  ["raw", { rate: [100, 100, 100] }],
]);
const measured = {
  date: "2026-11-22 20:00 UTC",
  commit: "abc",
  command: "npm run bench",
  repetitions: 3,
  threads: 2,
  seconds: 9,
  notes: [],
};
const kept = { title: "one stream", measured, figures: figuresOf(row, samples) };
const run = {
  model: { name: "demo", description: "a model", bytes: 3e6 },
  machine: { cpu: "A processor", cores: 2, memoryGb: 8, system: "Linux", zstream: "0.1.0", llama: "v1", node: "20" },
  rows: { a: kept },
};

describe("figures", () => {
  it("judge zStream's ratio to the contender that a goal is about, and its own value where there is none", () => {
    const [decoding, delay] = figuresOf(row, samples) as Figure[];
    expect(decoding!.goals).toHaveLength(1); // node-llama-cpp was not in the run: nothing is claimed about it
    expect(decoding!.goals[0]).toMatchObject({ reached: false });
    expect(decoding!.goals[0]!.median).toBeCloseTo(0.96);
    expect(delay!.goals[0]).toMatchObject({ median: 4.2, reached: true });
  });

  it("say which measure is missing instead of leaving a blank; only llama.cpp's own tools may know less", () => {
    expect(() => figuresOf(row, new Map([["zstream", { rate: [1] }]]))).toThrow('nothing measured "delay" for zstream');
    const [, delay] = figuresOf(row, samples) as Figure[];
    expect(Object.keys(delay!.values)).toEqual(["zstream"]);
  });

  it("refuse what is no number", () => {
    expect(() => figuresOf(row, new Map([["zstream", { rate: [1], delay: [Number.NaN] }]]))).toThrow("NaN");
  });
});

it("a goal is not about the models that it leaves out, and is told without them", () => {
  const some = [
    { of: "raw", atLeast: 0.9 },
    { atLeast: 90, but: ["demo"] },
  ];
  const goalsOf = (model: string) =>
    (figuresOf({ name: "a", figures: [{ ...row.figures[0], goals: some }] }, samples, model) as Figure[])[0]!.goals;
  expect(goalsOf("demo")).toMatchObject([{ of: "raw", reached: true }]);
  expect(goalsOf("qwen2-0.5b")).toMatchObject([{ of: "raw" }, { atLeast: 90, median: 96, reached: true }]);
  for (const goal of goalsOf("qwen2-0.5b")) expect(goal).not.toHaveProperty("but");
});

describe("tables", () => {
  it("have a column for each contender, a line for each figure, all of one width", () => {
    const lines = (table(kept) as string).split("\n");
    expect(lines).toHaveLength(2 + row.figures.length);
    expect(new Set(lines.map((line) => line.length)).size).toBe(1);
    expect(lines[0]).toMatch(/zStream +\| raw llama\.cpp/);
    expect(lines[2]).toMatch(/decoding, tok\/s \| 96 ± 1\.0 % +\| 100 ± 0\.0 % +\| ≥ 0\.97 × raw llama\.cpp: 0\.96, missed/);
    expect(lines[3]).toMatch(/delay, ms .* \| – +\| ≤ 5: 4\.2, reached/);
  });

  it("of a curve have a line for each of its settings", () => {
    const points = new Map([
      ["latencyTargetMs 30", { gap: [30] }],
      ["-b 64 -ub 64", { gap: [900] }],
    ]);
    const figures = figuresOf({ name: "curve", figures: [{ label: "gap", unit: "ms", measure: "gap" }] }, points);
    const lines = (table({ isCurve: true, figures }) as string).split("\n");
    expect(lines[2]).toMatch(/latencyTargetMs 30 \| 30 /);
    expect(lines[3]).toMatch(/-b 64 -ub 64 +\| 900 /);
  });

  it("are kept with what they depend on, and with a warning of a busy machine", () => {
    const busy = { ...kept, measured: { ...measured, notes: ["The machine was busy."] } };
    const text = markdown({ ...run, rows: { a: busy } });
    for (const part of ["A processor", "abc", "v1", "3 times, 2 threads", "**The machine was busy.**", "| decoding"])
      expect(text).toContain(part);
  });
});

describe("kept results", () => {
  const other = { ...run, rows: { b: { ...kept, title: "many streams" } } };

  it("of one row leave those of the others in place, in their order", () => {
    expect(Object.keys(merge(other, run, ["a", "b"]).rows)).toEqual(["a", "b"]);
    expect(merge(run, { ...run, rows: { a: { ...kept, title: "newer" } } }, ["a"]).rows.a.title).toBe("newer");
  });

  it("of another machine or another model file are not put beside these", () => {
    expect(Object.keys(merge({ ...other, machine: { ...run.machine, cpu: "Another" } }, run, ["a", "b"]).rows)).toEqual(["a"]);
    expect(Object.keys(merge({ ...other, model: { ...run.model, bytes: 1 } }, run, ["a", "b"]).rows)).toEqual(["a"]);
  });

  it("with another number of threads are not put beside these", () => {
    const threads = kept.measured.threads + 1;
    const again = { ...run, rows: { a: { ...kept, measured: { ...kept.measured, threads } } } };
    expect(Object.keys(merge(other, again, ["a", "b"]).rows)).toEqual(["a"]);
  });
});

describe("charts", () => {
  const value = (median: number) => ({ median, min: median, max: median, spread: 0 });
  const curve = {
    variants: [
      { contender: "zstream", label: "latencyTargetMs 30" },
      { contender: "llama-server", label: "-b 64 -ub 64" },
    ],
    figures: ["gap", "long", "short"].map((label, i) => ({
      label,
      unit: "ms",
      values: { "latencyTargetMs 30": value(30 + i), "-b 64 -ub 64": value(900 + i) },
    })),
  };

  it("are drawn in a light and a dark version, with every contender in the legend", () => {
    const drawn = charts({ rows: { curve } }) as Record<string, string>;
    expect(Object.keys(drawn)).toEqual(["curve-light", "curve-dark"]);
    for (const svg of Object.values(drawn)) {
      expect(svg).toMatch(/^<svg /);
      for (const text of ["zStream", "llama-server", ">64<"]) expect(svg).toContain(text);
    }
    expect(drawn["curve-light"]).not.toBe(drawn["curve-dark"]);
  });

  it("are left out where their row was not measured", () => {
    expect(charts({ rows: {} })).toEqual({});
  });
});

describe("rows", () => {
  const all = ["zstream", "node-llama-cpp", "llama-server", "llama-server-tuned", "raw"];

  it("run on those they are about: llama.cpp's tools only where they measure the same", () => {
    for (const row of rows) {
      const names = entriesOf(row, all).map((entry: { contender: string }) => entry.contender);
      expect(names).toContain("zstream");
      expect(names.includes("raw")).toBe(row.raw !== undefined);
    }
  });

  it("run on nobody that was not asked for", () => {
    for (const row of rows) for (const entry of entriesOf(row, ["zstream"])) expect(entry.contender).toBe("zstream");
  });

  it("are explained in docs/PERFORMANCE.md, beside links to the tables that have them, and to no others", () => {
    const sections = new Map<string, string>();
    for (const section of read("docs/PERFORMANCE.md").split(/^##+ /m)) {
      const name = /^(?:([a-z]): |The (curve)\n)/.exec(section);
      if (name) sections.set(name[1] ?? name[2]!, section);
    }
    expect([...sections.keys()].sort()).toEqual(rows.map(({ name }: { name: string }) => name).sort());
    const kept = readdirSync(new URL("../../bench/results", import.meta.url)).filter((file) => file.endsWith(".md"));
    const tables = new Map(kept.map((file) => [file, read(`bench/results/${file}`)]));
    for (const [row, section] of sections) {
      const linked = [...section.matchAll(/bench\/results\/([\w.-]+\.md)\)/g)].map(([, file]) => file);
      const having = kept.filter((file) => new RegExp(`^## ${row}: `, "m").test(tables.get(file)!));
      expect({ row, linked: linked.sort() }).toEqual({ row, linked: having.sort() });
    }
  });

  it("have goals only about contenders that they measure", () => {
    for (const row of rows) {
      const names = new Set(entriesOf(row, all).map((entry: { contender: string }) => entry.contender));
      for (const { goals = [] } of row.figures) for (const { of } of goals) if (of) expect(names).toContain(of);
    }
  });
});
