#!/usr/bin/env node
// Owns the step that prebuildify takes for node-gyp: compiles a portable addon into build/Release of the folder it is started in.
// scripts/prebuild.mjs says in ZSE_PREBUILD for which platform and by which compiler.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fetchLlama } from "../vendor/fetch.mjs";
import { buildAddon, onPath, requireTools } from "./build.mjs";
import { buildByCmake } from "./cmake.mjs";
import { placesOf } from "./paths.mjs";
import { platforms } from "./platforms.mjs";
import { main, SetupError } from "./say.mjs";
import { installZig, zigDefines } from "./zig.mjs";

const { name, compiler } = JSON.parse(process.env.ZSE_PREBUILD);
const entry = platforms.find((one) => one.name === name);
const output = join(process.cwd(), "build", "Release");

await main(async () => {
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  if (compiler === "zig") return compileWithZig();
  await buildAddon({ portable: true });
  cpSync(placesOf(true).addon, join(output, "zstream.node"));
});

function compileWithZig() {
  requireTools();
  if (entry.platform === "linux" && !onPath("llvm-nm"))
    throw new SetupError("llvm-nm is missing, which looks at what was compiled: install it (e.g. `apt-get install llvm`).");
  fetchLlama();
  const zig = installZig();
  const cmake = join(process.cwd(), "cmake");
  const env = { ...process.env, ...zig.env };
  const defines = {
    ...zigDefines(zig, entry),
    ZSE_PORTABLE: "ON",
    CMAKE_BUILD_TYPE: "Release",
    CMAKE_LIBRARY_OUTPUT_DIRECTORY: output,
    CMAKE_RUNTIME_OUTPUT_DIRECTORY: output,
  };
  buildByCmake({ folder: cmake, target: "zstream", defines, env });
  if (entry.platform === "linux") requireSystemFunctions(join(output, "zstream.node"));
}

/** Zig's own are right and slow: nobody would notice (native/cpu/system_functions.cpp). */
function requireSystemFunctions(file) {
  const { stdout, status } = spawnSync("llvm-nm", [file], { encoding: "utf8", maxBuffer: 1 << 28 });
  if (status !== 0 || stdout === "") throw new SetupError(`llvm-nm could not list the symbols of ${file}.`);
  const zigs = [...stdout.matchAll(/ compiler_rt\.(memset|memcpy|memmove|memcmp)\b/g)].map(([, one]) => one);
  if (zigs.length > 0)
    throw new SetupError(`${name} is linked with the compiler's own ${zigs.join(", ")}, which are slow, instead of the system's.`);
}
