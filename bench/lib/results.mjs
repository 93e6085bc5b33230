// Owns bench/results/: one JSON file per model with the newest figures of each row, and the Markdown and charts made from it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/paths.mjs";
import { charts } from "./charts.mjs";
import { markdown } from "./report.mjs";

export const resultsDir = join(root, "bench", "results");

/** The kept results of a model; undefined when there are none. */
export function readResults(model) {
  const path = join(resultsDir, `${model}.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
}

/**
 * Puts a run's rows in the place of those kept before. Rows of another machine or another file are dropped: what stands in one table
 * was measured on one machine.
 */
export function merge(before, run, order) {
  const isSame =
    before &&
    before.machine.cpu === run.machine.cpu &&
    before.machine.cores === run.machine.cores &&
    before.model.bytes === run.model.bytes;
  // One table says one number of threads.
  const threads = Object.values(run.rows)[0].measured.threads;
  const alike = isSame ? Object.entries(before.rows).filter(([, row]) => row.measured.threads === threads) : [];
  const all = { ...Object.fromEntries(alike), ...run.rows };
  // Row a has those of its own runs; those of the last one stand for the machine, whose neighbours change.
  const limits = run.machine.limits ?? (alike.length > 0 ? before.machine.limits : undefined);
  return {
    ...run,
    machine: { ...run.machine, ...(limits && { limits }) },
    rows: Object.fromEntries(order.filter((name) => all[name]).map((name) => [name, all[name]])),
  };
}

/** Keeps a run: JSON, Markdown, charts. */
export function writeResults(run, order) {
  mkdirSync(resultsDir, { recursive: true });
  const result = merge(readResults(run.model.name), run, order);
  const target = join(resultsDir, run.model.name);
  writeFileSync(`${target}.json`, `${JSON.stringify(result, undefined, 2)}\n`);
  writeFileSync(`${target}.md`, markdown(result));
  for (const [name, svg] of Object.entries(charts(result))) writeFileSync(join(resultsDir, `${run.model.name}-${name}.svg`), svg);
}
