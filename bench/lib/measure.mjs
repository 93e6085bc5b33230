// Owns running a row: each contender once per repetition, in alternating order, each time in a process of its own.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { contenders, isNamed } from "../contenders/index.mjs";
import { greater } from "./limits.mjs";
import { under } from "./under.mjs";

const worker = fileURLToPath(new URL("worker.mjs", import.meta.url));

/** A measurement that takes longer than this hangs. */
const limitMs = 10 * 60_000;

/** What runs in a row, of the wanted contenders: its variants, or one of each contender that it is about. */
export function entriesOf(row, wanted) {
  const names = wanted.filter((name) => (name === "raw" ? row.raw !== undefined : !row.contenders || isNamed(row.contenders, name)));
  if (!row.variants) return names.map((name) => ({ name, contender: name }));
  return row.variants.filter(({ contender }) => names.includes(contender)).map((variant) => ({ name: variant.label, ...variant }));
}

/**
 * All measures of one row.
 * @param limitsNow measures the machine's limits, for a row whose figures are parts of them. A virtual machine's change within minutes, so each run's are
 * the greater of those right before it and right after it.
 * @returns {Promise<Map<string, Record<string, number[]>>>} name of the entry → measure → one value per repetition
 */
export async function measure(row, job, { wanted, repetitions, onRun, limitsNow }) {
  const samples = new Map();
  const measureLimits = () => (row.derived ? limitsNow?.() : undefined);
  let before = measureLimits();
  const entries = entriesOf(row, wanted);
  for (let number = 0; number < repetitions; number++) {
    // In turns, so that a machine that grows slower favours nobody.
    for (const { name, contender, options } of number % 2 === 0 ? entries : entries.toReversed()) {
      onRun?.(name, number);
      const told = await once(row, contender, { ...job, seed: number, options });
      const after = measureLimits();
      const measured = { ...told, ...row.derived?.(told, { ...job, limits: greater(before, after) }) };
      before = after;
      const kept = samples.get(name) ?? {};
      for (const [measure, value] of Object.entries(measured)) kept[measure] = [...(kept[measure] ?? []), value];
      samples.set(name, kept);
    }
  }
  return samples;
}

/** One repetition of one contender: a process for each of the row's phases. */
export async function once(row, contender, job) {
  if (contender === "raw") return row.raw(job);
  const cacheDir = row.phases && mkdtempSync(join(tmpdir(), "zse-bench-"));
  try {
    const measures = {};
    for (const phase of row.phases ?? [undefined]) {
      Object.assign(measures, await runWorker({ ...job, row: row.name, contender, phase, cacheDir }));
    }
    return measures;
  } finally {
    if (cacheDir) rmSync(cacheDir, { recursive: true, force: true });
  }
}

function runWorker(job) {
  return new Promise((resolve, reject) => {
    const [program, ...args] = under(process.execPath, "--expose-gc", worker, JSON.stringify({ ...job, spawnedAt: Date.now() }));
    const env = contenders[job.contender].environment?.() ?? process.env;
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], timeout: limitMs, env });
    let out = "";
    let log = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      log += text;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      const last = out.trim().split("\n").at(-1);
      if (code === 0 && last?.startsWith("{")) return resolve(JSON.parse(last));
      const how = signal ? `was ended by ${signal}` : `ended with ${code}`;
      reject(new Error(`row ${job.row}, ${contenders[job.contender].title}: the measurement ${how}:\n${log.trim()}`));
    });
  });
}
