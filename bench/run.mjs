// Owns `npm run bench`: zStream beside the others on one GGUF, with the same threads and the same slots, in one run.
// bench/rows/ has the rows, bench/contenders/ the others; docs/PERFORMANCE.md tells what the figures mean.
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { buildAddon } from "../scripts/build.mjs";
import { buildTypescript, typescriptIsCurrent } from "../scripts/build-ts.mjs";
import { main, SetupError, say } from "../scripts/say.mjs";
import { contenders } from "./contenders/index.mjs";
import { level } from "./contenders/peers.mjs";
import { greater, limitsText, measureLimits } from "./lib/limits.mjs";
import { describeMachine, isQuiet, othersLoad } from "./lib/machine.mjs";
import { entriesOf, measure } from "./lib/measure.mjs";
import { figuresOf, goalText, table } from "./lib/report.mjs";
import { writeResults } from "./lib/results.mjs";
import { isUnder, underNote } from "./lib/under.mjs";
import { findModel, physicalCores } from "./models.mjs";
import { rows } from "./rows/index.mjs";

const command = new Command("npm run bench --")
  .description("Measures zStream beside node-llama-cpp, llama-server and raw llama.cpp: one run, one model, the same threads.")
  .addArgument(new Argument("[row...]", "rows to run; all when left out").choices(rows.map((row) => row.name)))
  .addOption(
    new Option(
      "--model <which>",
      "qwen2-1.5b, qwen2-0.5b, either with a type (qwen2-0.5b-q5_k_m), demo, lfm2-350m (random weights, made when missing), or a .gguf file; several with commas between",
    )
      .default(["qwen2-1.5b", "qwen2-0.5b", "demo"], "the first three")
      .argParser((text) => text.split(",")),
  )
  .addOption(
    new Option("--contenders <names>", "those to measure, with commas between").default(Object.keys(contenders), "all").argParser(namesOf),
  )
  .addOption(new Option("--reps <n>", "repetitions; rows that take long run half as often").default(3).argParser(positive))
  .addOption(
    new Option("--threads <n>", "compute threads of all contenders").default(undefined, "the physical cores").argParser(threadCount),
  )
  .option("--write", "keep the figures in bench/results/, in place of those of the same rows")
  .showHelpAfterError();

await main(async () => {
  command.parse();
  const options = command.opts();
  if (options.write && options.contenders.some((name) => name === "before" || name === "isolated"))
    throw new SetupError("what is kept has no earlier build in it, nor an isolated engine: leave out --write.");
  const wanted = rows.filter(({ name }) => command.args.length === 0 || command.args.includes(name));
  const models = [];
  for (const which of options.model) models.push(await findModel(which));
  const measurable = wanted.filter((row) => models.some((model) => fits(row, model)));
  await prepare(measurable, options);
  const threads = options.threads ?? (await physicalCores());
  let measured = 0;
  for (const model of models) measured += await runModel(model, wanted, { ...options, threads });
  if (measured === 0) throw new SetupError("nothing was measured: none of these rows compares these contenders on this model.");
});

/** Builds and installs what the wanted contenders need, or ends with a sentence about what is missing. */
async function prepare(wanted, options) {
  await buildAddon();
  if (!typescriptIsCurrent()) buildTypescript();
  const needed = new Set(wanted.flatMap((row) => entriesOf(row, options.contenders).map(({ contender }) => contender)));
  for (const step of new Set([...needed].map((name) => contenders[name].prepare))) await step?.();
}

async function runModel(model, wanted, { contenders, reps, threads, write }) {
  const fitting = wanted.filter((row) => fits(row, model) && entriesOf(row, contenders).length > 0);
  if (command.args.length > 0) {
    for (const row of wanted.filter((row) => !fits(row, model)))
      say(`row ${row.name} is not measured on ${model.name}; it is on ${row.models}.`);
  }
  if (fitting.length === 0) return 0;
  const machine = { ...describeMachine(level), limits: measureLimits(threads) };
  const limitsNow = () => {
    const limits = measureLimits(threads);
    machine.limits = greater(machine.limits, limits);
    return limits;
  };
  console.log(
    `\n# ${model.name}, ${threads} threads; ${machine.cpu} (${machine.instructions}), ${machine.date}\n\n${limitsText(machine.limits)}`,
  );
  const missed = [];
  for (const row of fitting) {
    const repetitions = row.repetitions?.(reps) ?? reps;
    const load = await othersLoad();
    const started = performance.now();
    const onRun = (name, number) => say(`${model.name}, row ${row.name}, ${number + 1} of ${repetitions}: ${name} …`);
    const { path, description, name, ...facts } = model;
    const samples = await measure(row, { model: path, threads, level, ...facts }, { wanted: contenders, repetitions, onRun, limitsNow });
    const measured = {
      date: machine.date,
      commit: machine.commit,
      command: ["npm run bench --", ...process.argv.slice(2)].join(" "),
      repetitions,
      threads,
      seconds: Math.round((performance.now() - started) / 1000),
      notes: noteOn(Math.max(load, await othersLoad())),
    };
    const kept = { title: row.title, ...curveOf(row), measured, figures: figuresOf(row, samples, model.name) };
    print(row.name, kept);
    missed.push(
      ...kept.figures.flatMap(({ label, goals }) =>
        goals.filter(({ reached }) => !reached).map((goal) => `${row.name}, ${label}: ${goalText(goal)}`),
      ),
    );
    if (write)
      writeResults(
        { model: { name: level ? `${name}-${level}` : name, description, bytes: facts.modelBytes }, machine, rows: { [row.name]: kept } },
        rows.map((row) => row.name),
      );
  }
  if (missed.length > 0) say(`missed:\n  ${missed.join("\n  ")}`);
  return fitting.length;
}

/** A file of the caller's gets every row that its context is long enough for, as the realistic model does. */
function fits(row, model) {
  return (
    !row.models ||
    row.models.includes(model.name) ||
    (!["demo", "qwen2-0.5b"].includes(model.name) && row.name !== "h" && model.trainedContext >= 4096)
  );
}

function curveOf(row) {
  return row.variants ? { isCurve: true, variants: row.variants.map(({ contender, label }) => ({ contender, label })) } : {};
}

function print(name, row) {
  console.log(`\n## ${name}: ${row.title} (${row.measured.repetitions} ×, ${row.measured.seconds} s)\n\n${table(row)}\n`);
  for (const note of row.measured.notes) console.log(`${note}\n`);
}

function noteOn(load) {
  const notes = isUnder() ? [underNote] : [];
  if (isQuiet(load)) return notes;
  return [
    ...notes,
    `The machine was busy: other programs took ${load.toFixed(1)} cores before or after this row. Its figures are worth little.`,
  ];
}

function namesOf(text) {
  const names = text.split(",");
  for (const name of names) {
    if (!contenders[name]) throw new InvalidArgumentError(`"${name}" is none of ${Object.keys(contenders).join(", ")}.`);
  }
  return names;
}

function threadCount(text) {
  if (positive(text) > 512) throw new InvalidArgumentError("It must be 512 at most.");
  return positive(text);
}

function positive(text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("It must be a whole number from 1 on.");
  return value;
}
