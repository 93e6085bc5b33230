// Owns the measurement of how long a .zse file takes to open beside the GGUF file that it is equivalent to, and how much memory: one process
// for each opening, the files in turn, all in the page cache. Linux (the peak is VmHWM of proc(5)).
// Usage: node bench/zse-load.mjs [--reps N] [--write] [--make] [more.zse …]
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { root } from "../scripts/paths.mjs";
import { main, say } from "../scripts/say.mjs";
import { describeMachine, isQuiet, othersLoad } from "./lib/machine.mjs";
import { compare, summarize } from "./lib/statistics.mjs";

const self = fileURLToPath(import.meta.url);
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    reps: { type: "string", default: "7" },
    write: { type: "boolean", default: false },
    make: { type: "boolean", default: false }, // only make the files
    open: { type: "string" }, // the measured process
  },
});

await main(values.open ? () => open(values.open) : compareAll);

/** What one process measures: from `new ZSE` to `ready`, with so small a context that the weights are what memory is taken for. */
async function open(path) {
  const { ZSE } = await import("../dist/index.js");
  const { loadNative } = await import("../dist/native.js");
  loadNative(); // the library itself is loaded before the clock starts
  const before = peakMb();
  let calls = 0;
  const started = performance.now();
  const model = new ZSE(path, { contextSize: 256, maxStreams: 1, onProgress: () => calls++ });
  await model.ready;
  const milliseconds = performance.now() - started;
  const peak = peakMb();
  await model.close();
  console.log(JSON.stringify({ milliseconds, peakMb: peak, beforeMb: before, progressReports: calls }));
}

function peakMb() {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
}

async function compareAll() {
  const pairs = await makePairs();
  if (values.make) return;
  const before = await othersLoad();
  const results = pairs.map((pair) => measurePair(pair));
  const load = Math.max(before, await othersLoad());
  if (!isQuiet(load)) say(`the machine was busy: other programs took ${load.toFixed(1)} cores; the figures are worth little.`);
  console.log(table(results));
  if (!values.write) return;
  const target = join(root, "bench", "results", "zse-load.json");
  const command = ["node bench/zse-load.mjs", ...process.argv.slice(2).filter((word) => !word.endsWith(".zse"))].join(" ");
  writeFileSync(target, `${JSON.stringify({ machine: describeMachine(), command, othersLoad: load, results }, undefined, 2)}\n`);
}

/** The benchmark's model through the converter in both codings, and each of those back to GGUF; made once. */
async function makePairs() {
  const folder = join(root, "bench", ".cache");
  mkdirSync(folder, { recursive: true });
  const pairs = [];
  for (const quant of ["int4", "int8"]) {
    const zse = join(folder, `qwen2-0.5b-random-${quant}.zse`);
    if (!existsSync(zse)) {
      const { findModel } = await import("./models.mjs");
      convert((await findModel("qwen2-0.5b")).path, zse, "--quant", quant);
    }
    pairs.push({ name: `${quant}, row-major`, zse });
  }
  for (const given of positionals) pairs.push({ name: basename(given, ".zse"), zse: resolve(given) });
  for (const pair of pairs) {
    pair.gguf = join(folder, `${basename(pair.zse, ".zse")}-back.gguf`);
    if (!existsSync(pair.gguf)) convert(pair.zse, pair.gguf);
  }
  return pairs;
}

function convert(...args) {
  say(`zse convert ${args.map((arg) => basename(arg)).join(" ")} …`);
  execFileSync(process.execPath, [join(root, "dist", "cli", "main.js"), "convert", "--quiet", ...args], { stdio: "inherit" });
}

function measurePair({ name, zse, gguf }) {
  const samples = { zse: [], gguf: [] };
  for (const path of [zse, gguf]) run(path); // brings both into the page cache
  for (let i = 0; i < Number(values.reps); i++) {
    for (const kind of i % 2 === 0 ? ["gguf", "zse"] : ["zse", "gguf"]) samples[kind].push(run(kind === "zse" ? zse : gguf));
  }
  const of = (kind, measure) => samples[kind].map((sample) => sample[measure]);
  const figures = (measure) => ({
    zse: summarize(of("zse", measure)),
    gguf: summarize(of("gguf", measure)),
    ratio: compare(of("zse", measure), of("gguf", measure)),
  });
  return {
    name,
    zseBytes: statSync(zse).size,
    ggufBytes: statSync(gguf).size,
    repetitions: Number(values.reps),
    milliseconds: figures("milliseconds"),
    peakMb: figures("peakMb"),
    progressReports: summarize(of("zse", "progressReports")).median,
  };
}

function run(path) {
  return JSON.parse(execFileSync(process.execPath, [self, "--open", path], { cwd: dirname(self), encoding: "utf8" }));
}

function table(results) {
  const range = ({ median, min, max }, digits = 0) => `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
  const line = (result) => [
    result.name,
    (result.zseBytes / 1e6).toFixed(0),
    range(result.milliseconds.zse),
    range(result.milliseconds.gguf),
    range(result.milliseconds.ratio, 2),
    result.peakMb.zse.median.toFixed(0),
    result.peakMb.gguf.median.toFixed(0),
    range(result.peakMb.ratio, 2),
  ];
  const heads = ["file", "MB", ".zse, ms", "GGUF, ms", "ratio", ".zse peak, MiB", "GGUF peak, MiB", "ratio"];
  const cells = [heads, heads.map((_, i) => (i === 0 ? "---" : "--:")), ...results.map(line)];
  return cells.map((row) => `| ${row.join(" | ")} |`).join("\n");
}
