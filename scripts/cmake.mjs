// Owns one build by CMake itself, where cmake-js has no part in it: configured with `defines`, then compiled. Its output goes to stderr.
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { root } from "./paths.mjs";
import { SetupError } from "./say.mjs";

/** @throws SetupError naming the command that failed */
export function buildByCmake({ folder, target, defines, options = [], env }) {
  run(["-S", root, "-B", folder, ...options, ...Object.entries(defines).map(([key, value]) => `-D${key}=${value}`)], env);
  const jobs = String(Number(process.env.ZSE_JOBS) || availableParallelism());
  run(["--build", folder, "--target", target, "--config", "Release", "--parallel", jobs], env);
}

function run(args, env) {
  const { status, error } = spawnSync("cmake", args, { stdio: ["ignore", 2, 2], env });
  if (status !== 0) throw new SetupError(`\`cmake ${args[0]}\` failed (${error?.message ?? `exit ${status}`}): see the output above.`);
}
