// Owns `npm run bench`: zStream beside llama.cpp's own tools on one GGUF, with the same threads, in one run.
// bench/README.md tells what the rows mean and what disturbs them; bench/rows.mjs has them.
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { buildTypescript, typescriptIsCurrent } from "../scripts/build-ts.mjs";
import { root } from "../scripts/paths.mjs";
import { main, SetupError, say } from "../scripts/say.mjs";
import { buildRawTools } from "./contenders/raw.mjs";
import { zstream } from "./lib/child.mjs";
import { describeMachine, isQuiet, othersLoad } from "./lib/machine.mjs";
import { figuresOf, markdown, table } from "./lib/report.mjs";
import { makeModel, modelPath } from "./make-model.mjs";
import { rows } from "./rows.mjs";

const resultsDir = join(root, "bench", "results");

const command = new Command("npm run bench --")
  .description("Measures zStream beside raw llama.cpp: one run, one model, the same threads.")
  .addArgument(new Argument("[row...]", "rows to run; all that fit the model when left out").choices(rows.map((row) => row.name)))
  .option("--model <which>", "demo, qwen2-0.5b (random weights, made when missing), or a .gguf file", "demo")
  .addOption(new Option("--reps <n>", "repetitions of each measurement").default(5).argParser(positive))
  .addOption(new Option("--threads <n>", "compute threads of all contenders").default(undefined, "the physical cores").argParser(positive))
  .option("--write", "keep the result in bench/results/ (only a run of all rows)")
  .showHelpAfterError();

await main(async () => {
  const { args, options } = readCommand();
  await buildRawTools();
  if (!typescriptIsCurrent()) buildTypescript();
  const model = await findModel(options.model);
  const wanted = rows.filter((row) => (args.length > 0 ? args.includes(row.name) : !row.onlyModel || row.onlyModel === model.name));
  const threads = options.threads ?? (await zstream("info", { model: model.path, threads: 0 })).threads;

  const figures = [];
  const loads = [];
  for (const row of wanted) {
    loads.push(await othersLoad());
    say(`${row.name}: ${row.title} …`);
    figures.push(...figuresOf(row, await measure(row, { model: model.path, threads }, options.reps)));
  }
  loads.push(await othersLoad());
  const notes = noteOn(Math.max(...loads));
  const machine = describeMachine();
  const settings = { threads, repetitions: options.reps, command: commandLine() };
  console.log(`\n${model.name}, ${threads} threads, ${options.reps} repetitions; ${machine.cpu}, ${machine.date}\n\n${table(figures)}\n`);
  for (const note of notes) console.log(`${note}\n`);
  if (options.write) write({ model, machine, settings, figures, notes });
  const missed = figures.filter((figure) => figure.reached === false);
  if (missed.length > 0) say(`missed: ${missed.map((figure) => `${figure.row} (${figure.label})`).join("; ")}`);
});

function noteOn(load) {
  if (isQuiet(load)) return [];
  return [`The machine was busy: between two rows other programs took ${load.toFixed(1)} cores. These figures are worth little.`];
}

function readCommand() {
  command.parse();
  const { args } = command;
  const options = command.opts();
  if (options.write && args.length > 0) throw new SetupError("--write keeps a run of all rows: leave the rows out.");
  return { args, options };
}

/** Each contender once per repetition, in alternating order, so that a machine that grows slower favours none. */
async function measure(row, job, repetitions) {
  const samples = new Map();
  const contenders = Object.entries(row.contenders);
  for (let number = 0; number < repetitions; number++) {
    for (const [name, run] of number % 2 === 0 ? contenders : contenders.toReversed()) {
      const measured = await run({ ...job, number });
      for (const [measure, value] of Object.entries(measured)) {
        const key = `${name}.${measure}`;
        samples.set(key, [...(samples.get(key) ?? []), value]);
      }
    }
  }
  return samples;
}

async function findModel(which) {
  if (which === "demo") return describe("demo", join(root, "models", "demo", "demo.gguf"), "the embedded demo model");
  if (which === "qwen2-0.5b") {
    await makeModel();
    return describe("qwen2-0.5b", modelPath, "random weights in the shapes of Qwen2.5-0.5B, Q4_0");
  }
  const path = resolve(process.env.INIT_CWD ?? ".", which);
  if (!existsSync(path)) throw new SetupError(`there is no model ${path}: give demo, qwen2-0.5b, or the path of a .gguf file.`);
  return describe(basename(path, ".gguf"), path, "a file of the caller's");
}

function describe(name, path, description) {
  return { name, path, description, bytes: statSync(path).size };
}

function write({ model, ...rest }) {
  mkdirSync(resultsDir, { recursive: true });
  const { path: _, ...kept } = model; // a path says nothing on another machine
  const result = { model: kept, ...rest };
  const target = join(resultsDir, model.name);
  writeFileSync(`${target}.json`, `${JSON.stringify(result, undefined, 2)}\n`);
  writeFileSync(`${target}.md`, markdown(result));
  say(`kept in ${join("bench", "results", model.name)}.json and .md`);
}

function commandLine() {
  return ["npm run bench --", ...process.argv.slice(2)].join(" ");
}

function positive(text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("It must be a whole number from 1 on.");
  return value;
}
