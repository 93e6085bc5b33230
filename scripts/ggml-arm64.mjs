// Owns the tests of products on ARM, from a machine of another kind: they are compiled for each level of instructions that our packages for ARM carry
// (native/cpu/levels.cmake) and run by qemu's emulation of a processor that has no more. `npm run test:ggml -- --arm64[=neon|dotprod|i8mm]
// [part of a test's name]`; `--arm64 --counts [types]` prints how many instructions products take instead, since an emulator has no speed to measure.
// The compiler is Zig's Clang where scripts/zig.mjs installed it before, as for packages; else GCC (Debian: g++-aarch64-linux-gnu).
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fetchLlama } from "../vendor/fetch.mjs";
import { runCppProgram, runCppTests } from "./native-tests.mjs";
import { root } from "./paths.mjs";
import { SetupError, say } from "./say.mjs";
import { installZig, zigIsThere } from "./zig.mjs";

/** qemu: a processor with these instructions, and for the first two without the next level's. */
export const levels = {
  neon: { gcc: "armv8-a", zig: "generic", qemu: "cortex-a72" },
  dotprod: { gcc: "armv8.2-a+dotprod+fp16", zig: "generic+v8_2a+dotprod+fullfp16", qemu: "neoverse-n1" },
  i8mm: { gcc: "armv8.2-a+dotprod+fp16+i8mm", zig: "generic+v8_2a+dotprod+fullfp16+i8mm", qemu: "max" },
};

const emulator = "qemu-aarch64";
const has = (program) => spawnSync(program, ["--version"]).status === 0;

/** A compiler for ARM, as CMake is told of it; undefined where there is none. Programs are linked whole, so that the emulator needs no libraries. */
function findCompiler() {
  if (zigIsThere()) {
    const { program, env } = installZig();
    const toolchain = join(root, "scripts", "zig", "toolchain.cmake");
    const options = [`-DCMAKE_TOOLCHAIN_FILE=${toolchain}`, `-DZSE_ZIG=${program}`, "-DZSE_ZIG_TARGET=aarch64-linux-musl"];
    return { name: "zig", options, env: { ...env, CCACHE_COMPILERTYPE: "clang" } };
  }
  if (!has("aarch64-linux-gnu-g++")) return undefined;
  const options = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", "-DCMAKE_EXE_LINKER_FLAGS=-static"];
  const compilers = ["-DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc", "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++"];
  return { name: "gcc", options: [...options, ...compilers], env: {} };
}

/** @param {string} chosen a level, or "" for all @param {string[]} args what is not an option @returns {number} how many tests failed */
export function runOnArm(chosen, counts, args) {
  if (chosen && !(chosen in levels))
    throw new SetupError(`--arm64=${chosen}: no such level. There are ${Object.keys(levels).join(", ")}; --arm64 alone runs all of them.`);
  const compiler = findCompiler();
  const missing = !has(emulator)
    ? `${emulator} (Debian: qemu-user)`
    : !compiler
      ? "a compiler for ARM (Debian: g++-aarch64-linux-gnu)"
      : "";
  if (missing) {
    console.log(`skipped: the tests of products on ARM need ${missing}, which is not installed.`);
    return 0;
  }
  fetchLlama();
  let failures = 0;
  for (const [level, { qemu, [compiler.name]: arch }] of Object.entries(levels)) {
    if (chosen && level !== chosen) continue;
    const directory = join(root, "build", `ggml-arm64-${level}-${compiler.name}`);
    const options = ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=OFF", `-DGGML_CPU_ARM_ARCH=${arch}`, ...compiler.options];
    const build = { source: join(root, "test/ggml"), directory, options, config: "Release", env: compiler.env };
    say(`${level}: compiled by ${compiler.name} for ${arch}, run on qemu's ${qemu}`);
    if (counts) {
      const runner = [emulator, "-plugin", countingPlugin(), "-cpu", qemu];
      runCppProgram({ ...build, target: "zse_ggml_counts", runner }, args);
    } else {
      // Attention and the rest are ggml's own on ARM. Threads that wait for each other take minutes where they are emulated.
      const what = { ...build, target: "zse_ggml_tests", runner: [emulator, "-cpu", qemu] };
      process.env.ZSE_TEST_THREADS ??= "1";
      failures += runCppTests(what, args[0] ?? "weights").failed;
    }
  }
  return failures;
}

function countingPlugin() {
  const source = join(root, "bench/kernels/count_instructions.c"),
    plugin = join(root, "build", "count_instructions.so");
  mkdirSync(join(root, "build"), { recursive: true });
  const { status } = spawnSync("cc", ["-shared", "-fPIC", "-O2", "-o", plugin, source], { stdio: "inherit" });
  if (status !== 0) throw new SetupError("the plugin that counts instructions could not be compiled by `cc`: see above.");
  return plugin;
}
