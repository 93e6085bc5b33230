// Owns what the benchmark knows of the machine's own limits (bench/limits/limits.cpp measures them), and how near to them a figure is.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/paths.mjs";
import { SetupError } from "../../scripts/say.mjs";
import { under } from "./under.mjs";

const source = join(root, "bench", "limits", "limits.cpp");
const program = join(root, "bench", ".cache", "limits");

/** Levels of a prebuilt engine, lowest first; an instruction of a later one is out of reach of an earlier one. */
const levels = ["sse42", "avx2", "avxvnni", "avx512"];

/**
 * Bytes a second read from memory, and multiplications of bytes a second by each instruction, of `threads` threads.
 * @returns {{ readBytes: number, multiplications: { instruction: string, level: string, oneThread: number, allThreads: number }[] }}
 * @throws SetupError where the program cannot be compiled
 */
export function measureLimits(threads) {
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) compile();
  const [command, ...args] = under(program, String(threads));
  return JSON.parse(execFileSync(command, args, { encoding: "utf8" }));
}

function compile() {
  mkdirSync(join(root, "bench", ".cache"), { recursive: true });
  const compiler = process.env.CXX?.split(" ")[0] || "c++";
  const native = process.arch === "arm64" ? "-mcpu=native" : "-march=native";
  const { status, stderr, error } = spawnSync(compiler, ["-std=c++17", "-O3", native, "-pthread", source, "-o", program], {
    encoding: "utf8",
  });
  if (status !== 0) throw new SetupError(`bench/limits could not be compiled by ${compiler}: ${error?.message ?? stderr.slice(0, 2000)}`);
}

/**
 * The quickest instruction for vectors of bytes that a level has; without a level the processor's. AMX is not one: it multiplies tiles, which
 * ggml and we use for a part of the types alone. Undefined where none was measured.
 */
export function instructionOf(limits, level) {
  const reachable = limits.multiplications.filter(
    (one) => levels.includes(one.level) && (!level || levels.indexOf(one.level) <= levels.indexOf(level)),
  );
  return reachable.toSorted((a, b) => b.allThreads - a.allThreads)[0];
}

/** The greater of two measurements of one machine: what was reached once is no more than the limit. */
export function greater(before, now) {
  if (!before || !now) return now ?? before;
  const earlier = new Map(before.multiplications.map((one) => [one.instruction, one]));
  const multiplications = now.multiplications.map((one) => {
    const other = earlier.get(one.instruction) ?? one;
    return { ...one, oneThread: Math.max(one.oneThread, other.oneThread), allThreads: Math.max(one.allThreads, other.allThreads) };
  });
  return { readBytes: Math.max(before.readBytes, now.readBytes), multiplications };
}

/**
 * How much of the limits one stream reaches, in parts of 1: decoding, whose every token reads all weights, of what reading allows; prompts of the
 * vector instruction's multiplications. A part above 1 is no error: caches hold weights, and AMX multiplies more.
 * And the limits themselves: billions of bytes and of multiplications a second.
 * @param measures tokensPerSecond, and ttftMs… for each length of prompt
 * @param job limits, level, bytesPerToken and multiplicationsPerToken of the model
 */
export function partsOfLimits(measures, { limits, level, bytesPerToken, multiplicationsPerToken }) {
  if (!limits) return {};
  const parts = { readPart: (measures.tokensPerSecond * bytesPerToken) / limits.readBytes, readLimit: limits.readBytes / 1e9 };
  const instruction = instructionOf(limits, level);
  if (!instruction) return parts;
  parts.multiplyLimit = instruction.allThreads / 1e9;
  for (const [name, ms] of Object.entries(measures)) {
    const tokens = Number(/^ttftMs(\d+)$/.exec(name)?.[1]);
    if (tokens > 0) parts[`multiplyPart${tokens}`] = (tokens * multiplicationsPerToken) / (ms / 1000) / instruction.allThreads;
  }
  return parts;
}

/** "reads 23.2 GB/s; multiplies 890 G/s (vpdpbusd zmm), 7300 G/s (tdpbusd tmm)". */
export function limitsText({ readBytes, multiplications }) {
  const billions = (value) => `${Number((value / 1e9).toPrecision(3))} G`;
  const each = multiplications.map(
    ({ instruction, oneThread, allThreads }) => `${instruction} ${billions(oneThread)} on one thread, ${billions(allThreads)} on all`,
  );
  return [
    `${billions(readBytes)}B read a second`,
    ...(each.length > 0 ? [`multiplications of bytes a second: ${each.join("; ")}`] : []),
  ].join(". ");
}
