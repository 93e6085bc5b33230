// Owns the six rows of figures in README.md: written from bench/results/*.json between markers, so that none is ever typed.
// Usage: node bench/readme.mjs, after `npm run bench -- --write`.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../scripts/paths.mjs";
import { contenders } from "./contenders/index.mjs";
import { significant } from "./lib/report.mjs";
import { readResults } from "./lib/results.mjs";

const model = "qwen2-1.5b";
const columns = ["zstream", "node-llama-cpp", "llama-server"];
/** What most people want to know: the row of the benchmark, its measure, and the words for it. */
const six = [
  ["a", "decoding", "one stream, tokens a second"],
  ["b", "16 streams, new tokens in all", "16 streams, tokens a second in all"],
  ["c", "longest gap of the running stream", "longest gap of a stream when a long prompt joins, ms"],
  [
    "d",
    "first token of the next, cancelled at 10 %",
    "first token after a prompt that was cancelled at a tenth, times that of an idle engine",
  ],
  ["e", "after a restart, first token", "first token of a known prompt after a restart, ms"],
  ["g", "resident memory", "memory of the process, MB"],
];

const results = readResults(model);
if (!results?.rows) throw new Error("bench/results/ has no figures: run `npm run bench -- --write` first.");
writeBetween("README.md", "figures", overview(results));

function overview({ machine, rows }) {
  const lines = six.map(([name, label, words]) => {
    const figure = rows[name]?.figures.find((one) => one.label === label);
    if (!figure)
      throw new Error(`row ${name} has no figure "${label}": measure it with \`npm run bench -- ${name} --model ${model} --write\`.`);
    const cells = columns.map((column) => (figure.values[column] ? significant(figure.values[column].median) : "–"));
    const once = rows[name].measured.repetitions === 1 ? " (measured once)" : "";
    return `| ${[words + once, ...cells].join(" | ")} |`;
  });
  const busy = six
    .filter(([name]) => rows[name].measured.notes.some((note) => note.startsWith("The machine was busy")))
    .map(([name]) => name);
  const caveat = busy.length > 0 ? ` Rows ${busy.join(", ")}: other programs were running.` : "";
  const days = six.map(([name]) => rows[name].measured.date.slice(0, 10)).sort();
  const dates = days[0] === days.at(-1) ? days[0] : `${days[0]} to ${days.at(-1)}`;
  const tuned = rows.c.figures.find(({ measure }) => measure === "gapMs")?.values["llama-server-tuned"];
  return [
    `| | ${columns.map((column) => contenders[column].title).join(" | ")} |`,
    `|---|${columns.map(() => "---|").join("")}`,
    ...lines,
    "",
    [
      `Qwen2.5-1.5B's shapes in Q4_K_M with random weights, ${rows.a.measured.threads} threads on ${machine.cpu} (${machine.instructions}), ${dates}.`,
      `[The tables](bench/results/${model}.md) have each row's command and commit.`,
      ...(tuned ? [`With \`-b 64 -ub 64\` llama-server's gap is ${significant(tuned.median)} ms.`] : []),
      `After the restart zStream has its cache in a folder; the others begin anew.${caveat}`,
    ].join(" "),
  ].join("\n");
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
