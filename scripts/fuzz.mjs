// Owns building and running the fuzzer of model files under ASan and UBSan: `node scripts/fuzz.mjs [--seconds 60] [--seed N]
// [--case N] [--keep DIRECTORY] [file …]`. Without files it takes the demo model and the .zse fixtures. Not on Windows.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { keepForProcessor, requireTools } from "./build.mjs";
import { root } from "./paths.mjs";
import { main, SetupError } from "./say.mjs";

const directory = join(root, "build", "fuzz");

await main(() => {
  const { options, files } = readArguments(process.argv.slice(2));
  build();
  const program = join(directory, "zse_fuzz");
  const result = spawnSync(program, [...options, ...(files.length > 0 ? files : defaultFiles())], { stdio: "inherit" });
  process.exitCode = result.status ?? 1;
});

function readArguments(words) {
  const options = [];
  const files = [];
  for (let i = 0; i < words.length; i++) {
    if (words[i].startsWith("--")) options.push(words[i], words[++i] ?? "");
    else files.push(words[i]);
  }
  return { options, files };
}

/** llama.cpp is compiled with the sanitizers, too: minutes the first time. */
function build() {
  requireTools();
  keepForProcessor(directory);
  if (!existsSync(join(directory, "CMakeCache.txt"))) {
    const flags = ["C", "CXX"].map((language) => `-DCMAKE_${language}_FLAGS_RELWITHDEBINFO=-O1 -g1`);
    run("cmake", ["-S", root, "-B", directory, "-DZSE_SANITIZE=address", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", ...flags]);
  }
  run("cmake", [
    "--build",
    directory,
    "--target",
    "zse_fuzz",
    "--parallel",
    String(Number(process.env.ZSE_JOBS) || availableParallelism()),
  ]);
}

function run(command, args) {
  const result = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 28 });
  if (result.status === 0) return;
  process.stderr.write(result.stdout + result.stderr);
  throw new SetupError(`the fuzzer could not be built (\`${command}\` exited with ${result.status}): see the errors above.`);
}

function defaultFiles() {
  const fixtures = join(root, "test", "fixtures", "zse");
  const names = existsSync(fixtures) ? readdirSync(fixtures).filter((name) => name.endsWith(".zse")) : [];
  return [join(root, "models", "demo", "demo.gguf"), ...names.map((name) => join(fixtures, name))];
}
