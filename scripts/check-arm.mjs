// Owns the check that our kernels compile for ARM, at each level of instructions that a package for ARM carries: object files alone, a quarter of a
// minute. What they compute there, `npm run test:ggml -- --arm64` tells. The compiler is Debian's (g++-aarch64-linux-gnu); without it, the last line
// says that the levels were skipped.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { devNull } from "node:os";
import { join } from "node:path";
import { fetchLlama } from "../vendor/fetch.mjs";
import { levels } from "./ggml-arm64.mjs";
import { root } from "./paths.mjs";
import { main, SetupError } from "./say.mjs";

const compiler = "aarch64-linux-gnu-g++";

await main(() => {
  const names = Object.keys(levels);
  if (spawnSync(compiler, ["--version"]).status !== 0) {
    console.log(`skipped: ${names.join(", ")} need ${compiler} (Debian: g++-aarch64-linux-gnu), which is not installed.`);
    console.log(`0 passed, 0 failed, ${names.length} skipped`);
    return;
  }
  fetchLlama();
  const failed = names.filter((name) => !compiles(levels[name].gcc));
  for (const name of names) console.log(`${failed.includes(name) ? "FAIL" : "ok"}      our kernels compile for ARM, level ${name}`);
  console.log(`${names.length - failed.length} passed, ${failed.length} failed`);
  if (failed.length > 0) throw new SetupError(`our kernels do not compile for ARM at ${failed.join(", ")}: see the output above.`);
});

function compiles(architecture) {
  const ggml = ["ggml/include", "ggml/src", "ggml/src/ggml-cpu"].flatMap((one) => ["-isystem", join(root, "vendor/llama.cpp", one)]);
  const kernels = join(root, "native", "kernels");
  const sources = readdirSync(kernels).filter((name) => name.endsWith(".cpp"));
  const options = ["-std=c++17", "-O1", "-fPIC", `-march=${architecture}`, `-I${join(root, "native")}`, ...ggml];
  return sources.every(
    (name) => spawnSync(compiler, [...options, "-c", join(kernels, name), "-o", devNull], { stdio: "inherit" }).status === 0,
  );
}
