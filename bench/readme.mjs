// Owns the generated parts of README.md and docs/PERFORMANCE.md: writes figures from bench/results/*.json between markers, so that none is
// ever typed. Usage: node bench/readme.mjs, after `npm run bench -- --write`.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../scripts/paths.mjs";
import { provenance, table } from "./lib/report.mjs";
import { readResults } from "./lib/results.mjs";

const models = ["qwen2-0.5b", "demo"].map(readResults).filter((result) => result?.rows);
if (models.length === 0) throw new Error("bench/results/ has no figures: run `npm run bench -- --write` first.");

writeBetween("README.md", "figures", models.map(overview).join("\n\n"));
for (const name of new Set(models.flatMap(({ rows }) => Object.keys(rows)))) {
  const parts = models.filter(({ rows }) => rows[name]).map((result) => detail(result, name));
  writeBetween("docs/PERFORMANCE.md", `row-${name}`, parts.join("\n\n"));
}

/** One model in the README: the medians of all rows, and the charts. */
function overview({ model, machine, rows }) {
  const compared = Object.entries(rows).filter(([, row]) => !row.isCurve);
  const figures = compared.flatMap(([name, row]) => row.figures.map((figure) => ({ ...figure, label: `${name}: ${figure.label}` })));
  const dates = [...new Set(compared.map(([, { measured }]) => measured.date.slice(0, 10)))].join(", ");
  const goals = figures.flatMap((figure) => figure.goals);
  const drawn = [
    ["b", "streams", "New tokens per second of 4, 8 and 16 streams"],
    ["curve", "curve", "Waiting against smoothness when a long prompt joins, at several settings"],
  ].filter(([name]) => rows[name] && model.name !== "demo");
  return [
    `**${model.name}** (${model.description}), ${compared[0][1].measured.threads} threads on ${machine.cpu}, ${dates}; ` +
      `${goals.filter(({ reached }) => reached).length} of ${goals.length} goals reached:`,
    table({ figures }, { spread: false, goals: false }),
    ...drawn.map(([, chart, alt]) => picture(`bench/results/${model.name}-${chart}`, alt)),
    ...compared.flatMap(([name, { measured }]) => measured.notes.map((note) => `*Row ${name}: ${note}*`)),
  ].join("\n\n");
}

function picture(path, alt) {
  return `<picture><source media="(prefers-color-scheme: dark)" srcset="${path}-dark.svg"><img alt="${alt}" src="${path}-light.svg"></picture>`;
}

/** One row on one model in docs/PERFORMANCE.md: the table with spread and goals, and where it comes from. */
function detail({ model, machine, rows }, name) {
  const row = rows[name];
  return [`**${model.name}** on ${machine.cpu}, ${provenance(row.measured)}`, table(row), ...notesOf([row])].join("\n\n");
}

function notesOf(rows) {
  return [...new Set(rows.flatMap(({ measured }) => measured.notes))].map((note) => `*${note}*`);
}

function writeBetween(file, marker, text) {
  const path = join(root, file);
  const before = readFileSync(path, "utf8");
  const [begin, end] = [`<!-- ${marker}:begin -->`, `<!-- ${marker}:end -->`];
  const from = before.indexOf(begin);
  const to = before.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${file} has no ${begin} … ${end} to write between`);
  writeFileSync(path, `${before.slice(0, from + begin.length)}\n${text}\n${before.slice(to)}`);
}
