// How near the benchmark's figures are to the machine's own limits. bench/ is plain JavaScript.
import { afterEach, describe, expect, it, vi } from "vitest";

const load = (path: string) => import(new URL(`../../bench/${path}`, import.meta.url).href);
const { greater, instructionOf, limitsText, partsOfLimits } = await load("lib/limits.mjs");
const { instructions } = await load("lib/machine.mjs");
const { under } = await load("lib/under.mjs");
const { workPerToken } = await load("models.mjs");
const { figuresOf } = await load("lib/report.mjs");

const one = (instruction: string, level: string, allThreads: number) => ({
  instruction,
  level,
  oneThread: allThreads / 2,
  allThreads,
});
const limits = {
  readBytes: 20e9,
  multiplications: [
    one("vpmaddubsw + vpaddw ymm", "avx2", 400e9),
    one("vpmaddubsw ymm without sums", "none", 1000e9),
    one("vpdpbusd ymm", "avxvnni", 500e9),
    one("vpdpbusd zmm", "avx512", 900e9),
    one("tdpbusd tmm", "amx", 7000e9),
  ],
};

describe("the limit of multiplications", () => {
  it("is that of the quickest vector instruction that the level has and that sums what it multiplies; AMX is not one", () => {
    expect(instructionOf(limits).instruction).toBe("vpdpbusd zmm");
    expect(instructionOf(limits, "avx512").instruction).toBe("vpdpbusd zmm");
    expect(instructionOf(limits, "avxvnni").instruction).toBe("vpdpbusd ymm");
    expect(instructionOf(limits, "avx2").instruction).toBe("vpmaddubsw + vpaddw ymm");
    expect(instructionOf({ readBytes: 1, multiplications: [] })).toBeUndefined();
  });

  it("is told with every instruction's own", () => {
    expect(limitsText(limits)).toBe(
      "20 GB read a second. multiplications of bytes a second: vpmaddubsw + vpaddw ymm 200 G on one thread, 400 G on all; " +
        "vpmaddubsw ymm without sums 500 G on one thread, 1000 G on all; " +
        "vpdpbusd ymm 250 G on one thread, 500 G on all; vpdpbusd zmm 450 G on one thread, 900 G on all; tdpbusd tmm 3500 G on one thread, 7000 G on all",
    );
    expect(limitsText({ readBytes: 5e9, multiplications: [] })).toBe("5 GB read a second");
  });
});

describe("two measurements of one machine", () => {
  it("give the greater of each, since a busy machine reaches less than its limit", () => {
    const disturbed = { readBytes: 30e9, multiplications: [one("vpdpbusd zmm", "avx512", 400e9), one("tdpbusd tmm", "amx", 8000e9)] };
    const both = greater(limits, disturbed);
    expect(both.readBytes).toBe(30e9);
    expect(both.multiplications.map(({ allThreads }: { allThreads: number }) => allThreads)).toEqual([900e9, 8000e9]);
    expect(greater(undefined, limits)).toBe(limits);
    expect(greater(limits, undefined)).toBe(limits);
  });
});

describe("parts of the limits", () => {
  const work = { bytesPerToken: 1e9, multiplicationsPerToken: 1.5e9 };

  it("are what decoding reads of what can be read, and what prompts multiply of what can be multiplied", () => {
    const parts = partsOfLimits({ tokensPerSecond: 15, ttftMs64: 320, ttftMs512: 2000 }, { limits, ...work });
    expect(parts.readPart).toBeCloseTo(0.75);
    expect(parts.multiplyPart64).toBeCloseTo(1 / 3);
    expect(parts.multiplyPart512).toBeCloseTo((512 * 1.5e9) / 2 / 900e9);
    expect(partsOfLimits({ ttftMs512: 2000 }, { limits, level: "avx2", ...work }).multiplyPart512).toBeCloseTo((512 * 1.5e9) / 2 / 400e9);
  });

  it("are left out where the machine's limits are not known, and so are their lines of the table", () => {
    expect(partsOfLimits({ tokensPerSecond: 15 }, work)).toEqual({});
    const figures = [
      { label: "rate", unit: "tok/s", measure: "rate" },
      { label: "part", unit: "parts of 1", measure: "part", optional: true },
    ];
    const labels = (measures: object) =>
      figuresOf({ name: "a", figures }, new Map([["zstream", measures]]), "m").map(({ label }: { label: string }) => label);
    expect(labels({ rate: [1] })).toEqual(["rate"]);
    expect(labels({ rate: [1], part: [0.5] })).toEqual(["rate", "part"]);
  });
});

describe("what a token costs", () => {
  const tensors = [
    { name: "token_embd.weight", shape: [10n, 100n], offset: 0n },
    { name: "blk.0.ffn_up.weight", shape: [10n, 20n], offset: 1000n },
    { name: "blk.0.attn_norm.weight", shape: [10n], offset: 1100n },
  ];

  it("is all matrices, and tied embeddings once, as the output", () => {
    expect(workPerToken(tensors, 1140)).toEqual({ bytesPerToken: 1100, multiplicationsPerToken: 200 });
  });

  it("is no embeddings where the output has weights of its own", () => {
    expect(workPerToken([...tensors, { name: "output.weight", shape: [10n, 100n], offset: 1140n }], 1640)).toEqual({
      bytesPerToken: 600,
      multiplicationsPerToken: 200,
    });
  });
});

describe("instruction sets", () => {
  it("are named for every heading, or the level that all were held to", () => {
    const cpuinfo = "model name\t: X\nflags\t\t: fpu avx2 avx512f avx512_vnni avx_vnni amx_int8\nbugs\t: none\n";
    expect(instructions(undefined, cpuinfo)).toBe("AVX2, AVX-VNNI, AVX-512, AVX-512 VNNI, AMX");
    expect(instructions("avx2", cpuinfo)).toBe("held to avx2");
    expect(instructions(undefined, "Features\t: fp asimd asimddp i8mm\n")).toBe("dotprod, i8mm");
    expect(instructions(undefined, "")).toBeUndefined();
  });
});

describe("ZSE_BENCH_UNDER", () => {
  afterEach(() => vi.unstubAllEnvs());

  it("is the command that every measuring process is started by", () => {
    vi.stubEnv("ZSE_BENCH_UNDER", "taskset  -c 0,1");
    expect(under("node", "a b")).toEqual(["taskset", "-c", "0,1", "node", "a b"]);
    vi.stubEnv("ZSE_BENCH_UNDER", "");
    expect(under("node")).toEqual(["node"]);
  });
});

describe("a row of parts of the limits", () => {
  it("takes those of the minute of each run, the greater of before and after", async () => {
    const { measure } = await load("lib/measure.mjs");
    const reads = [10, 30, 20];
    const row = {
      raw: () => ({ tokensPerSecond: 15 }),
      derived: (_: unknown, job: { limits: typeof limits }) => ({ limit: job.limits.readBytes }),
    };
    const limitsNow = () => ({ readBytes: reads.shift(), multiplications: [] });
    const samples = await measure(row, {}, { wanted: ["raw"], repetitions: 2, limitsNow });
    expect(samples.get("raw")).toEqual({ tokensPerSecond: [15, 15], limit: [30, 30] });
    expect(reads).toEqual([]);
  });
});
