// Owns building and running the C++ tests: `node scripts/native-tests.mjs [--sanitize=address|thread] [part of a test's name]`.
// They need a C++ compiler, CMake and llama.cpp's source, of which they compile next to nothing; not the addon.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchLlama } from "../vendor/fetch.mjs";
import { requireTools } from "./build.mjs";
import { root } from "./paths.mjs";
import { main, SetupError } from "./say.mjs";

/**
 * @param {string} sanitize "", "address" or "thread"
 * @returns {{passed: number, failed: number, skipped: number}} a crash counts as one failed test
 */
export function runNativeTests(sanitize = "", filter = "") {
  const directory = join(root, "build", `native-tests${sanitize && `-${sanitize}`}`);
  fetchLlama();
  // -Og compiles in two thirds of -O1's time, which is most of these tests' time; -g1 keeps lines and functions for the reports.
  const type = sanitize ? ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-Og -g1"] : ["-DCMAKE_BUILD_TYPE=Debug"];
  const options = ["-DZSE_TESTS_ONLY=ON", "-DZSE_WERROR=ON", `-DZSE_SANITIZE=${sanitize}`, ...type];
  return runCppTests({ source: root, directory, options, target: "zse_native_tests", config: "Debug" }, filter);
}

/**
 * Configures (once) and builds a program of tests. env: for the compiler. runner: what runs the program, with its options; nothing for this machine's own.
 * @returns {string[]} the words of a command: the runner's and where the program is
 */
function buildCpp({ source, directory, options, target, config, env, runner = [] }) {
  requireTools();
  if (!existsSync(join(directory, "CMakeCache.txt"))) run("cmake", ["-S", source, "-B", directory, ...options], env);
  run("cmake", ["--build", directory, "--target", target, "--config", config, "--parallel", String(availableParallelism())], env);
  const program = [join(directory, target), join(directory, config, `${target}.exe`)].find((path) => existsSync(path)) ?? target;
  return [...runner, program];
}

/** Builds a program and runs it, with its output as this program's. */
export function runCppProgram(what, args) {
  const [program, ...first] = buildCpp(what);
  process.exitCode = spawnSync(program, [...first, ...args], { stdio: "inherit" }).status ?? 1;
}

/** Builds and runs one program of tests: those whose names have `filter` in them. */
export function runCppTests(what, filter = "", environment = {}) {
  const [program, ...first] = buildCpp(what);
  const env = {
    ...process.env,
    ...environment,
    ASAN_OPTIONS: "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    UBSAN_OPTIONS: "print_stacktrace=1",
    TSAN_OPTIONS: "halt_on_error=1:second_deadlock_stack=1",
  };
  const result = spawnSync(program, filter ? [...first, filter] : first, {
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.stdout.write(result.stdout ?? "");
  const counts = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/m.exec(result.stdout ?? "");
  const [passed, failed, skipped] = [1, 2, 3].map((group) => Number(counts?.[group] ?? 0));
  // A sanitizer's report, a crash, or a leak found at exit is a failure even where every test passed; so is a run of no tests.
  if (result.status === 0 && passed + skipped > 0) return { passed, failed: 0, skipped };
  if (failed === 0) console.log(`the C++ tests ended with ${result.signal ?? `exit code ${result.status}`}`);
  return { passed, failed: Math.max(failed, 1), skipped };
}

function run(command, args, env = {}) {
  const result = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 26, env: { ...process.env, ...env } });
  if (result.status === 0) return;
  process.stderr.write(result.stdout + result.stderr);
  throw new SetupError(`the C++ tests could not be built (\`${command}\` exited with ${result.status}): see the errors above.`);
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(() => {
    const args = process.argv.slice(2);
    const sanitize = args.find((arg) => arg.startsWith("--sanitize="))?.slice("--sanitize=".length) ?? "";
    const { failed } = runNativeTests(
      sanitize,
      args.find((arg) => !arg.startsWith("--")),
    );
    process.exitCode = failed === 0 ? 0 : 1;
  });
}
