// Owns making the prebuilt addons: `npm run prebuilt [-- [--compiler=host] <platform> …]`; without names, every platform that this machine can
// build for. A GPU's library (vulkan-linux-x64, …) is made only when it is named. prebuildify stages each as build/prebuild/<platform>/prebuilds/…; scripts/pack.mjs makes packages of them. The compiler is the
// one of scripts/zig, for its old C libraries; --compiler=host takes this machine's own, which is quicker and good for tests.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, delimiter, dirname, join, resolve } from "node:path";
import { fetchLlama } from "../vendor/fetch.mjs";
import { newestSource, onPath, requireTools } from "./build.mjs";
import { checkAddon } from "./check-addon.mjs";
import { buildByCmake } from "./cmake.mjs";
import { root } from "./paths.mjs";
import { addonOf, gpuPackages, hostPlatform, libraryOf, platforms } from "./platforms.mjs";
import { main, SetupError, say } from "./say.mjs";
import { installZig, zigDefines } from "./zig.mjs";

/** Where scripts/zig's compiler runs. */
const canCross = process.platform === "linux" && process.arch === "x64";

/** What the package of a platform or of a GPU holds, as it was built; undefined where it was not made, or its sources have changed since. */
export function prebuiltAddon(entry) {
  const file = join(prebuildFolder(entry), entry.gpu ? libraryOf(entry) : addonOf(entry));
  return existsSync(file) && statSync(file).mtimeMs > newestSource() ? file : undefined;
}

/** @param {{compiler?: "host" | "zig"}} [options] */
export function prebuild(entry, { compiler = entry.zig && canCross ? "zig" : "host" } = {}) {
  if (compiler === "host" && entry !== hostPlatform()) {
    throw new SetupError(`${entry.name} cannot be built by this machine's own compiler: build it on a machine of that kind.`);
  }
  const folder = prebuildFolder(entry);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), `${JSON.stringify({ name: "zstream", private: true })}\n`); // prebuildify reads it
  say(`prebuilding ${entry.name} with ${compiler === "zig" ? `Zig's Clang for ${entry.zig}` : "this machine's compiler"} …`);
  const bin = join(createRequire(import.meta.url).resolve("prebuildify/package.json"), "..", "bin.js");
  const args = ["--napi", "--name", "node.napi", "--target", process.versions.node, "--platform", entry.platform, "--arch", entry.arch];
  args.push(
    "--cwd",
    folder,
    "--out",
    folder,
    "--node-gyp",
    join(root, "scripts", "prebuild-compile.mjs"),
    "--strip",
    "--strip-bin",
    strip(),
  );
  const env = { ...process.env, ZSE_PREBUILD: JSON.stringify({ name: entry.name, compiler }) };
  const { status } = spawnSync(process.execPath, [bin, ...args], { stdio: ["ignore", 2, 2], env });
  if (status !== 0) throw new SetupError(`${entry.name} could not be prebuilt: see the output above.`);
  const file = join(folder, addonOf(entry));
  const problems = compiler === "zig" ? checkAddon(file, entry) : []; // a host's own libraries are as new as the host
  if (problems.length > 0) throw new SetupError(`${entry.name} would not run everywhere: ${problems.join("; ")}.`);
  say(`${entry.name}: ${(statSync(file).size / 1e6).toFixed(1)} MB in ${file}`);
}

/** A GPU's library, with the toolkit that this machine has. */
export function prebuildGpu(entry) {
  if (entry.platform !== process.platform || entry.arch !== process.arch)
    throw new SetupError(`${entry.name} cannot be built on ${process.platform}-${process.arch}: build it on a machine of that kind.`);
  requireTools();
  fetchLlama();
  const folder = prebuildFolder(entry);
  const file = join(folder, libraryOf(entry));
  const cmake = join(folder, "cmake");
  // The cross compiler must not see this system's own headers: it takes a toolkit from a folder that has nothing else.
  const zig = entry.zig && canCross && process.env.VULKAN_SDK ? installZig() : undefined;
  say(`prebuilding ${entry.name} with ${zig ? `Zig's Clang for ${entry.zig}` : "this machine's compiler"} …`);
  const defines = { ZSE_GPU_LIBRARY: entry.gpu, CMAKE_BUILD_TYPE: "Release", CMAKE_LIBRARY_OUTPUT_DIRECTORY: dirname(file) };
  if (zig) Object.assign(defines, zigDefines(zig, entry));
  const generator = process.platform !== "win32" && onPath("ninja") ? ["-G", "Ninja"] : []; // CMake itself asks for make
  const env = { ...process.env, ...zig?.env };
  buildByCmake({ folder: cmake, target: "zstream-gpu", defines, options: generator, env });
  const made = [file, join(dirname(file), "Release", basename(file))].find(existsSync); // Visual Studio adds the configuration
  if (made === undefined) throw new SetupError(`${entry.name} was built, and ${file} is not there.`);
  if (made !== file) renameSync(made, file);
  utimesSync(file, new Date(), new Date()); // it is of these sources, where nothing had to be compiled for them, too
  const problems = checkAddon(file, { ...entry, zig: zig && entry.zig });
  if (problems.length > 0) throw new SetupError(`${entry.name} would not run everywhere: ${problems.join("; ")}.`);
  say(`${entry.name}: ${(statSync(file).size / 1e6).toFixed(1)} MB in ${file}`);
}

export function prebuildFolder({ name }) {
  return join(root, "build", "prebuild", name);
}

/** One that knows the files of every platform, if it is there. */
function strip() {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return ["llvm-strip", "strip"].find((name) => folders.some((folder) => existsSync(join(folder, name)))) ?? "strip";
}

/** The platforms that are named, or all that can be built here. */
export function choosePlatforms(names) {
  const known = [...platforms, ...gpuPackages];
  const unknown = names.find((name) => !known.some((entry) => entry.name === name));
  if (unknown) throw new SetupError(`"${unknown}" is no platform: use ${known.map(({ name }) => name).join(", ")}.`);
  if (names.length > 0) return known.filter(({ name }) => names.includes(name));
  return platforms.filter((entry) => entry === hostPlatform() || (entry.zig && canCross));
}

if (process.argv[1] && resolve(process.argv[1]) === import.meta.filename) {
  await main(() => {
    const words = process.argv.slice(2);
    const compiler = words.includes("--compiler=host") ? "host" : undefined;
    for (const entry of choosePlatforms(words.filter((word) => !word.startsWith("--")))) {
      if (entry.gpu) prebuildGpu(entry);
      else prebuild(entry, compiler ? { compiler } : {});
    }
  });
}
