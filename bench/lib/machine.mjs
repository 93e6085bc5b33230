// Owns what the benchmark knows of the machine it runs on: its description, and whether it has the time to measure.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "../../scripts/paths.mjs";
import { isUnder, under } from "./under.mjs";

/** Processor time that others may take, as a part of one core, before a measurement counts as disturbed. */
const quietLimit = 0.1;

/** Sets of instructions that ggml and we have products for, as /proc/cpuinfo and sysctl name them, in the words of docs/PERFORMANCE.md. */
const named = [
  [/\bavx2\b/i, "AVX2"],
  [/\bavx_vnni\b/, "AVX-VNNI"],
  [/\bavx512f\b/, "AVX-512"],
  [/\bavx512_vnni\b/, "AVX-512 VNNI"],
  [/\bamx_int8\b/, "AMX"],
  [/\basimddp\b/, "dotprod"],
  [/\bi8mm\b/, "i8mm"],
];

/** The instruction sets that a native build takes here, or the level that all were held to; undefined where the system does not tell. */
export function instructions(level, cpuinfo = process.platform === "linux" ? readFileSync("/proc/cpuinfo", "utf8") : "") {
  if (level) return `held to ${level}`;
  const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1] ?? "";
  const has = named.filter(([pattern]) => pattern.test(flags)).map(([, name]) => name);
  return has.length > 0 ? has.join(", ") : undefined;
}

/** What the figures depend on. The addon is asked in a process of its own: here it would hold memory while others measure. */
export function describeMachine(level) {
  const script = `import { loadNative } from ${JSON.stringify(new URL("../../dist/addon/load.js", import.meta.url).href)};
    const { version, llamaVersion } = loadNative(); console.log(JSON.stringify({ version, llamaVersion }));`;
  const addon = JSON.parse(execFileSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" }));
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown processor",
    instructions: instructions(level),
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()} ${process.arch}`,
    node: process.versions.node,
    zstream: addon.version,
    llama: addon.llamaVersion,
    commit:
      git("rev-parse", "--short=12", "HEAD") + (git("status", "--porcelain", "--", "native", "lib", "vendor") === "" ? "" : ", changed"),
    date: `${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`,
  };
}

function git(...args) {
  try {
    return execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "unknown";
  }
}

/** What busyCores() says where the measuring processes run: a command that starts them may stop what else does. */
export async function othersLoad() {
  if (!isUnder()) return busyCores();
  const script = `import { busyCores } from ${JSON.stringify(import.meta.url)}; console.log(await busyCores());`;
  const [command, ...args] = under(process.execPath, "--input-type=module", "--eval", script);
  return Number(execFileSync(command, args, { encoding: "utf8" }));
}

/** Processor time in use over a second in which the benchmark itself does nothing, in cores; undefined where that cannot be told. */
export async function busyCores(milliseconds = 1000) {
  if (process.platform !== "linux") return loadavg()[0];
  const before = busyTicks();
  const started = performance.now();
  await sleep(milliseconds);
  const seconds = (performance.now() - started) / 1000;
  return (busyTicks() - before) / 100 / seconds;
}

export function isQuiet(load) {
  return load <= quietLimit;
}

/** Hundredths of a second, over all cores since boot, that were neither idle nor waiting for a disk (proc(5), /proc/stat). */
function busyTicks() {
  const [user, nice, system, , , irq, softirq, steal] = readFileSync("/proc/stat", "utf8")
    .split("\n")[0]
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return user + nice + system + irq + softirq + steal;
}

/** CPU time of this process's main thread, in ms: user and system, in ticks of 10 ms (proc(5), fields 14 and 15 of stat). */
export function mainThreadCpuMs() {
  if (process.threadCpuUsage) {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  }
  if (process.platform !== "linux") {
    throw new Error("the main thread's CPU time needs Linux, or Node 23.9 or newer");
  }
  const stat = readFileSync(`/proc/self/task/${process.pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name before may hold spaces
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
