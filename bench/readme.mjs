// Owns the README's table of figures: writes it from bench/results/*.json between the two markers, so that it is never typed.
// Usage: node bench/readme.mjs, after `npm run bench -- --write`.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { table } from "./lib/report.mjs";

const root = join(import.meta.dirname, "..");
const begin = "<!-- figures:begin -->";
const end = "<!-- figures:end -->";

const sections = ["qwen2-0.5b", "demo"].map((name) => {
  const {
    model,
    machine,
    settings,
    figures,
    notes = [],
  } = JSON.parse(readFileSync(join(root, "bench", "results", `${name}.json`), "utf8"));
  return [
    `**${model.name}** (${model.description}), ${settings.threads} threads on ${machine.cpu}, ${machine.date.slice(0, 10)}; \`${settings.command}\``,
    "",
    table(figures),
    ...notes.flatMap((note) => ["", note]),
  ].join("\n");
});
const text = `## Figures

Beside llama.cpp's own llama-bench and llama-batched-bench, built from the same source, in one run on one machine; a ratio compares
the two runs of one repetition. [bench/README.md](bench/README.md) says what each row means and where the figures mislead.

${sections.join("\n\n")}
`;

const path = join(root, "README.md");
const readme = readFileSync(path, "utf8");
const from = readme.indexOf(begin);
const to = readme.indexOf(end);
if (from < 0 || to < from) throw new Error(`README.md has no ${begin} … ${end} to write between`);
writeFileSync(path, `${readme.slice(0, from + begin.length)}\n${text}${readme.slice(to)}`);
