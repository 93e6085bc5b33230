// Owns turning measurements into figures, and figures into the tables that are printed and kept. Pure.
import { contenders, isNamed } from "../contenders/index.mjs";
import { limitsText } from "./limits.mjs";
import { compare, reaches, summarize } from "./statistics.mjs";

/**
 * Figures of one row: a measure of every contender, and zStream's judged by its goals.
 * @param row one of bench/rows/
 * @param {Map<string, Record<string, number[]>>} samples entry → measure → one value per repetition
 */
export function figuresOf(row, samples, model) {
  const figures = row.figures.filter(({ models }) => !models || models.includes(model));
  const measured = figures.filter(({ measure, optional }) => !optional || [...samples.values()].some((measures) => measures[measure]));
  return measured.map(({ label, unit, measure, goals = [], note, only }) => {
    const values = {};
    for (const [name, measures] of samples) {
      if (only && !isNamed(only, name)) continue;
      // llama.cpp's tools have no streams to look at: what they cannot tell is left out, for them alone.
      if (measures[measure] === undefined && name === "raw") continue;
      values[name] = summarize(valuesOf(measures, measure, row, name));
    }
    const judged = goals.filter(({ but }) => !but?.includes(model)).flatMap((goal) => judge(goal, measure, samples));
    const before = samples.get("before")?.[measure];
    const ours = samples.get("zstream")?.[measure];
    return {
      label,
      unit,
      measure,
      ...(note && { note }),
      values,
      goals: judged,
      ...(ours && before?.every((value) => value > 0) && { change: compare(ours, before) }),
    };
  });
}

/** One goal beside what was reached; nothing when a contender it is about was left out of the run. */
function judge(goal, measure, samples) {
  const ours = samples.get("zstream")?.[measure];
  const theirs = goal.of === undefined ? undefined : samples.get(goal.of)?.[measure];
  if (ours === undefined || (goal.of !== undefined && theirs === undefined)) return [];
  const { median, min, max } = theirs ? compare(ours, theirs) : summarize(ours);
  const { but, ...told } = goal;
  return [{ ...told, median, min, max, reached: reaches(goal, median) }];
}

function valuesOf(measures, measure, row, name) {
  const values = measures[measure];
  if (values === undefined) throw new Error(`row ${row.name}: nothing measured "${measure}" for ${name}`);
  return values;
}

/** A kept row as a Markdown table: a column for each contender, or for a curve a line for each of its points. */
export function table(row, { spread = row.measured?.repetitions !== 1, goals = true } = {}) {
  const named = Object.keys(row.figures[0]?.values ?? {});
  return row.isCurve ? curveTable(row.figures, named) : comparison(row.figures, { spread, goals });
}

function comparison(figures, { spread, goals }) {
  const names = Object.keys(contenders).filter((name) => figures.some((figure) => figure.values[name]));
  const changes = figures.some(({ change }) => change);
  const header = ["", ...names.map((name) => contenders[name].title), ...(changes ? ["over before"] : []), ...(goals ? ["goals"] : [])];
  const lines = figures.map((figure) => [
    `${figure.label}, ${figure.unit}`,
    ...names.map((name) => (figure.values[name] ? cell(figure.values[name], spread) : "–")),
    ...(changes ? [figure.change ? changeText(figure.change) : "–"] : []),
    ...(goals ? [figure.goals.map(goalText).join("; ")] : []),
  ]);
  return grid(header, lines);
}

function curveTable(figures, names) {
  const lines = names.map((name) => [name, ...figures.map((figure) => significant(figure.values[name].median))]);
  return grid(["setting", ...figures.map(({ label, unit }) => `${label}, ${unit}`)], lines);
}

/** Markdown whose columns also line up on a terminal. */
function grid(header, lines) {
  const widths = header.map((name, index) => Math.max(3, ...[name, ...lines.map((line) => line[index])].map((text) => text.length)));
  const join = (cells) => `| ${cells.map((text, index) => text.padEnd(widths[index])).join(" | ")} |`;
  return [join(header), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...lines.map(join)].join("\n");
}

function cell({ median, spread }, withSpread) {
  return withSpread ? `${significant(median)} ± ${(spread * 100).toFixed(1)} %` : significant(median);
}

/** "1.01 (0.98 to 1.03)": the median of the repetitions' ratios, and how far they reach. */
function changeText({ median, min, max }) {
  return `${median.toFixed(3)} (${min.toFixed(3)} to ${max.toFixed(3)})`;
}

/** "≥ 0.99 × raw llama.cpp: 0.94, missed". */
export function goalText({ of, atLeast, atMost, median, reached }) {
  const wanted = `${atLeast === undefined ? "≤" : "≥"} ${atLeast ?? atMost}${of ? ` × ${contenders[of].title}` : ""}`;
  return `${wanted}: ${of ? median.toFixed(2) : significant(median)}, ${reached ? "reached" : "missed"}`;
}

/** Three digits that mean something, or all of them before the point. */
export function significant(value) {
  if (Math.abs(value) >= 1000) return value.toFixed(0);
  return Number.parseFloat(value.toPrecision(3)).toString();
}

/** When, with what, how often. */
export function provenance({ repetitions, threads, commit, date, command }) {
  const times = repetitions === 1 ? "once" : `${repetitions} times`;
  return `${times}, ${threads} threads, ${date.slice(0, 10)}, commit ${commit}: \`${command}\``;
}

/** What is kept in bench/results/ to be read: all rows of one model with everything that they depend on. */
export function markdown({ model, machine, rows }) {
  const facts = [
    ["model", `${model.name} (${model.description}, ${(model.bytes / 1e6).toFixed(1)} MB)`],
    ["machine", `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.system}`],
    ...(machine.instructions ? [["instructions", machine.instructions]] : []),
    ...(machine.limits ? [["limits of the machine", limitsText(machine.limits)]] : []),
    ["versions", `zStream ${machine.zstream}, llama.cpp ${machine.llama}, Node ${machine.node}`],
  ];
  const sections = Object.entries(rows).map(([name, row]) =>
    [
      `## ${name}: ${row.title}`,
      table(row),
      ...row.figures.filter(({ note }) => note).map(({ label, note }) => `${label}: ${note}.`),
      `Measured ${provenance(row.measured)}`,
      ...row.measured.notes.map((note) => `**${note}**`),
    ].join("\n\n"),
  );
  return [
    `# ${model.name}${machine.instructions ? `: ${machine.instructions}` : ""}`,
    "Written by `npm run bench -- --write`; [docs/PERFORMANCE.md](../../docs/PERFORMANCE.md) explains each figure.",
    facts.map(([name, value]) => `- ${name}: ${value}`).join("\n"),
    "Medians over the repetitions; ± is the median absolute deviation, of what was measured more than once. A goal's ratio compares the two runs of one repetition.",
    ...sections,
    "",
  ].join("\n\n");
}
