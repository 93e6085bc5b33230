// Owns turning measurements into figures, and figures into the table that is printed and kept. Pure.
import { compare, reaches, summarize } from "./statistics.mjs";

/**
 * Figures of one row: each measure of ours beside its raw counterpart.
 * @param row one of bench/rows.mjs
 * @param {Map<string, number[]>} samples measure → one value per repetition
 */
export function figuresOf(row, samples) {
  return row.figures.map(({ label, unit, ours, raw, goal }) => {
    const figure = { row: row.name, label, unit, goal, ours: summarize(valuesOf(samples, ours, row)) };
    if (raw) {
      figure.raw = summarize(valuesOf(samples, raw, row));
      figure.ratio = compare(samples.get(ours), samples.get(raw));
    }
    const judged = figure.ratio ?? figure.ours;
    figure.reached = reaches(goal, judged.median);
    return figure;
  });
}

function valuesOf(samples, measure, row) {
  const values = samples.get(measure);
  if (values === undefined) throw new Error(`row ${row.name}: nothing measured "${measure}"`);
  return values;
}

const columns = ["row", "figure", "zStream", "raw llama.cpp", "ratio (least … most)", "goal", ""];

/** The figures as a Markdown table whose columns also line up on a terminal. */
export function table(figures) {
  const rows = figures.map((figure) => [
    figure.row,
    figure.label,
    withUnit(figure.ours, figure.unit),
    figure.raw ? withUnit(figure.raw, figure.unit) : "",
    figure.ratio ? `${figure.ratio.median.toFixed(3)} (${figure.ratio.min.toFixed(3)} … ${figure.ratio.max.toFixed(3)})` : "",
    goalText(figure),
    figure.reached === undefined ? "" : figure.reached ? "reached" : "missed",
  ]);
  const widths = columns.map((name, index) => Math.max(3, ...[name, ...rows.map((row) => row[index])].map((cell) => cell.length)));
  const line = (cells) => `| ${cells.map((cell, index) => cell.padEnd(widths[index])).join(" | ")} |`;
  return [line(columns), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...rows.map(line)].join("\n");
}

function withUnit({ median, spread }, unit) {
  return `${significant(median)} ${unit} ± ${(spread * 100).toFixed(1)} %`;
}

function goalText({ goal, ratio, unit }) {
  if (!goal) return "";
  const sign = goal.atLeast === undefined ? "≤" : "≥";
  const value = goal.atLeast ?? goal.atMost;
  return ratio ? `${sign} ${value}` : `${sign} ${value} ${unit}`;
}

/** Three digits that mean something, or all of them before the point. */
function significant(value) {
  if (Math.abs(value) >= 1000) return value.toFixed(0);
  return Number.parseFloat(value.toPrecision(3)).toString();
}

/** What is kept in bench/results/: the table with everything that it depends on. */
export function markdown({ model, machine, settings, figures, notes }) {
  const facts = [
    ["model", `${model.name} (${model.description}, ${(model.bytes / 1e6).toFixed(1)} MB)`],
    ["machine", `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}`],
    ["versions", `zStream ${machine.zstream} (${machine.commit}), llama.cpp ${machine.llama}, Node ${machine.node}`],
    ["settings", `${settings.threads} threads, ${settings.repetitions} repetitions in alternating order`],
    ["date", machine.date],
  ];
  return [
    `# ${model.name}`,
    "",
    `Written by \`${settings.command}\`; what each row means and how to run it again is in [bench/README.md](../README.md).`,
    "",
    ...facts.map(([name, value]) => `- ${name}: ${value}`),
    "",
    table(figures),
    "",
    "Medians over the repetitions; ± is the median absolute deviation. A ratio compares the two runs of one repetition.",
    ...notes.map((note) => `\n**${note}**`),
    "",
  ].join("\n");
}
