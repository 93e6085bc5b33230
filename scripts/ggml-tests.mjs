// Owns building and running the tests of our patches to ggml (vendor/patches) against ggml's reference path:
// `node scripts/ggml-tests.mjs [--sanitize=address|thread] [--level=avx2|avxvnni|amx] [-DGGML_…=… …] [part of a test's name]`. They need llama.cpp's source, no
// model. `--bench [threads] [columns rows] [types] …` prints how fast each kernel of products is instead, `--bench-attention [cells] [shape]` those of
// attention (bench/kernels). `--arm64` compiles the tests of products for ARM and runs them there (ggml-arm64.mjs). `--level` builds them for another level of
// instructions than this processor's, AMX's tiles in software among them; with ggml's own options for any: -DGGML_NATIVE=OFF -DGGML_AVX2=OFF …; each in a folder of its own.
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchLlama } from "../vendor/fetch.mjs";
import { keepForProcessor } from "./build.mjs";
import { runOnArm } from "./ggml-arm64.mjs";
import { runCppProgram, runCppTests } from "./native-tests.mjs";
import { root } from "./paths.mjs";
import { main } from "./say.mjs";

// A prebuilt addon's lower levels that have kernels of ours, as ggml's options.
const avx2 = ["-DGGML_NATIVE=OFF", "-DGGML_AVX2=ON", "-DGGML_FMA=ON", "-DGGML_F16C=ON", "-DGGML_BMI2=ON"];
const avx512 = [...avx2, "-DGGML_AVX512=ON", "-DGGML_AVX512_VNNI=ON"];
const levels = {
  avx2,
  avxvnni: [...avx2, "-DGGML_AVX_VNNI=ON"],
  // AMX's tiles in software (test/ggml/software_tiles.h), on a processor with AVX-512 and VNNI.
  amx: [...avx512, "-DGGML_AMX_TILE=ON", "-DGGML_AMX_INT8=ON", "-DZSE_SOFTWARE_TILES=ON"],
};

/** @param {string[]} args @returns {string[]} ggml's options */
function optionsOf(args) {
  const level = args.find((arg) => arg.startsWith("--level="))?.slice("--level=".length);
  if (level !== undefined && levels[level] === undefined)
    throw new Error(`there is no level "${level}": ${Object.keys(levels).join(", ")}`);
  return [...(levels[level] ?? []), ...args.filter((arg) => arg.startsWith("-D"))];
}

/**
 * K-quants first as processors of the other maker sum them (native/kernels/processor.h), then all tests as this one does. With a filter only the latter.
 * @param {string} sanitize "", "address" or "thread"
 * @param {string[]} ggmlOptions "-DGGML_…=…", for another processor than this one
 * @returns {{passed: number, failed: number, skipped: number}} a crash counts as one failed test
 */
export function runGgmlTests(sanitize = "", filter = "", ggmlOptions = []) {
  const what = { ...places(sanitize, ggmlOptions), target: "zse_ggml_tests" };
  if (filter || process.arch !== "x64") return runCppTests(what, filter);
  const paired = /intel/i.test(cpus()[0]?.model ?? "") ? "1" : "0";
  const runs = [runCppTests(what, "_K ", { ZSE_PAIRED_SUMS: paired }), runCppTests(what)];
  const sum = (count) => runs[0][count] + runs[1][count];
  return { passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped") };
}

/** Prints a table of bench/kernels. @param {"products" | "attention"} which @param {string[]} args of its program */
function runBench(which, ggmlOptions, args) {
  runCppProgram({ ...places("", ggmlOptions), target: `zse_ggml_bench_${which}` }, args);
}

function places(sanitize, ggmlOptions) {
  fetchLlama();
  const name = ["ggml-tests", sanitize, ...ggmlOptions].filter(Boolean).join("-");
  const directory = join(root, "build", name.replaceAll(/-DGGML_|[^\w-]/g, ""));
  keepForProcessor(directory);
  const type = sanitize
    ? ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O1 -g1", "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1"]
    : ["-DCMAKE_BUILD_TYPE=Release"];
  const options = [`-DZSE_SANITIZE=${sanitize}`, ...type, ...ggmlOptions];
  return { source: join(root, "test/ggml"), directory, options, config: "Release" };
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(() => {
    const args = process.argv.slice(2);
    const sanitize = args.find((arg) => arg.startsWith("--sanitize="))?.slice("--sanitize=".length) ?? "";
    const processor = optionsOf(args);
    const bench = args.find((arg) => arg === "--bench" || arg === "--bench-attention");
    const words = args.filter((arg) => !arg.startsWith("-"));
    const arm = args.find((arg) => /^--arm64(=|$)/.test(arg));
    if (arm !== undefined) {
      process.exitCode = runOnArm(arm.slice("--arm64=".length), args.includes("--counts"), words) === 0 ? (process.exitCode ?? 0) : 1;
      return;
    }
    if (bench !== undefined) {
      runBench(bench === "--bench" ? "products" : "attention", processor, words);
      return;
    }
    const { failed } = runGgmlTests(sanitize, words[0], processor);
    process.exitCode = failed === 0 ? 0 : 1;
  });
}
