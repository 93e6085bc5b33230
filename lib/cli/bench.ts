// Owns `zse bench`: how fast a model is on this machine, beside what the machine allows. Main thread. The figures go to stdout, the rest to stderr.

import { writeFileSync } from "node:fs";
import { arch, cpus, release, totalmem, type } from "node:os";
import { basename } from "node:path";
import type { Command } from "commander";
import type { NativeInspection } from "../addon/file-contract.js";
import { loadNative } from "../addon/load.js";
import { quote } from "../base/quote.js";
import { ZSEError } from "../errors.js";
import type { ModelInfo } from "../types.js";
import { readBandwidth } from "./bench-bandwidth.js";
import { chart } from "./bench-chart.js";
import { measure, type Plan, stepsOf } from "./bench-measure.js";
import { type Limit, type Machine, page, type Result } from "./bench-page.js";
import { addModelFlags, type ModelFlags } from "./flags.js";
import { endingAtOnce, openModel } from "./loading.js";
import { Output } from "./output.js";
import { progressBar } from "./progress.js";
import { reportError, UsageError } from "./report.js";

interface BenchFlags extends ModelFlags {
  promptTokens: string;
  newTokens: string;
  streams: string;
  reps: string;
  json?: boolean;
  svg?: string;
}

const USUAL: Readonly<Record<string, string>> = { promptTokens: "512", newTokens: "64", streams: "1,4,8" };

/** Tokens of room in the context beside prompt and reply. */
const SPARE_TOKENS = 16;

export function addBench(program: Command): void {
  const command = program
    .command("bench")
    .description("how fast a model is on this machine: first token, time between tokens, streams")
    .argument("[model]", "a .gguf or .zse file; left out: the embedded demo model")
    .option("--prompt-tokens <n>", "length of the prompt whose first token is waited for", USUAL.promptTokens)
    .option("--new-tokens <n>", "length of each reply of the streams", USUAL.newTokens)
    .option("--streams <list>", "streams that are begun at once, by commas", USUAL.streams)
    .option("--reps <n>", "how often each is measured; what is told is the median", "3")
    .option("--json", "print one JSON object")
    .option("--svg <file>", "write a picture of it, too");
  addModelFlags(command).addHelpText(
    "after",
    `
Examples:
  $ zse bench
  $ zse bench qwen-7b.gguf --streams 1,2,16 --reps 1
  $ zse bench qwen-7b.gguf --svg qwen-7b.svg --json > qwen-7b.json

Let nothing else run meanwhile: what others take of the processor is missing in every figure.`,
  );
  command.action(async (path: string | undefined, flags: BenchFlags) => {
    try {
      await bench(path, flags);
    } catch (error) {
      process.exitCode = reportError(error);
    }
  });
}

async function bench(path: string | undefined, flags: BenchFlags): Promise<void> {
  const plan = readPlan(flags);
  const contextSize = flags.contextSize ?? plan.promptTokens + plan.newTokens + SPARE_TOKENS;
  // Guesses would count as tokens that were computed: text that repeats itself would look quick.
  const guesses = flags.speculate !== undefined || flags.draft !== undefined ? {} : { speculate: false as const };
  const model = openModel(path, flags, { contextSize, maxStreams: Math.max(...plan.streams), ...guesses });
  try {
    const info = await model.ready;
    checkContext(plan, info);
    const result = await figuresOf(plan, info, (onStep) => measure(model, plan, onStep));
    if (flags.svg !== undefined) writeFileSync(flags.svg, chart(result, commandOf(path, flags)));
    await new Output().write(flags.json === true ? `${JSON.stringify(result, undefined, 2)}\n` : page(result));
  } finally {
    await model.close();
  }
}

async function figuresOf(plan: Plan, info: ModelInfo, run: (onStep: () => void) => ReturnType<typeof measure>): Promise<Result> {
  const limit = info.device === "CPU" ? await limitOf(info) : undefined; // before others hold the processor
  const bar = progressBar("measuring {name} [{bar}] {percentage} %", () => info.name);
  const stop = endingAtOnce(() => bar?.(undefined));
  let done = 0;
  try {
    const measured = await run(() => bar?.(++done / stepsOf(plan)));
    const { name, description, parameters, sizeBytes, device, threads, kvType } = info;
    return { machine: machineHere(), model: { name, description, parameters, sizeBytes, device, threads, kvType }, ...measured, limit };
  } finally {
    stop();
  }
}

/** Of a matrix of embeddings that is not the output's, too, a token reads one row. */
async function limitOf({ path, sizeBytes, threads }: ModelInfo): Promise<Limit> {
  const found: NativeInspection = await loadNative().inspect(path);
  const embedding = found.weights.filter(({ kind }) => kind === "embedding").reduce((sum, { bytes }) => sum + bytes, 0);
  const bytesPerToken = sizeBytes - (found.tiedEmbeddings ? 0 : Math.min(embedding, sizeBytes / 2));
  const bytesPerSecond = await readBandwidth(bytesPerToken, threads);
  return { bytesPerToken, bytesPerSecond, tokensPerSecond: bytesPerSecond / bytesPerToken };
}

function machineHere(): Machine {
  const { version, llamaVersion, cpuLevel } = loadNative();
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown processor",
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()} ${arch()}`,
    node: process.versions.node,
    zstream: version,
    llama: llamaVersion,
    instructions: cpuLevel,
    date: new Date().toISOString(),
  };
}

function readPlan(flags: BenchFlags): Plan {
  const streams = flags.streams.split(",").map((text) => readNumber("streams", text, 1, 256));
  return {
    promptTokens: readNumber("prompt-tokens", flags.promptTokens, 2, 1_000_000),
    newTokens: readNumber("new-tokens", flags.newTokens, 2, 1_000_000),
    streams: [...new Set(streams)],
    repetitions: readNumber("reps", flags.reps, 1, 1000),
  };
}

function readNumber(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new UsageError(
    `--${flag} must be ${flag === "streams" ? "whole numbers" : "a whole number"} from ${min} to ${max}; given ${quote(text)}.`,
  );
}

function checkContext({ promptTokens, newTokens }: Plan, { contextSize }: ModelInfo): void {
  if (promptTokens + newTokens + 1 <= contextSize) return;
  const message = `the context of a stream holds ${contextSize} tokens, and ${promptTokens} + ${newTokens} are asked for; give less --prompt-tokens or --new-tokens`;
  throw new ZSEError("BAD_OPTION", message);
}

/** What makes the same figures again on another machine: of the flags those that change them. */
function commandOf(path: string | undefined, flags: BenchFlags): string {
  const { promptTokens, newTokens, streams, threads, gpuLayers, device, kvType } = flags;
  const said = Object.entries({ promptTokens, newTokens, streams, threads, gpuLayers, device, kvType }).filter(
    ([name, value]) => value !== undefined && value !== USUAL[name],
  );
  const words = said.map(([name, value]) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} ${value}`);
  return ["npx zse bench", ...(path === undefined ? [] : [basename(path)]), ...words].join(" ");
}
