// Owns running a contender that is a Node program in a process of its own, and taking its result.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const program = fileURLToPath(new URL("../contenders/zstream.mjs", import.meta.url));

/** Runs one workload of bench/contenders/zstream.mjs. */
export async function zstream(workload, job) {
  const { stdout } = await promisify(execFile)(process.execPath, [program, JSON.stringify({ workload, ...job })]);
  return JSON.parse(stdout);
}
