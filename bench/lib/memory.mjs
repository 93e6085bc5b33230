// Owns how much memory a process holds.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Resident memory of a process in bytes; what it maps of the model's file counts where it is resident (proc(5), VmRSS). */
export function residentBytes(pid = process.pid) {
  if (process.platform === "linux") {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    if (kilobytes) return Number(kilobytes) * 1024;
  } else if (pid === process.pid) {
    return process.memoryUsage.rss();
  } else if (process.platform === "darwin") {
    return Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) * 1024;
  }
  throw new Error(`the resident memory of process ${pid} cannot be told on this system`);
}
