// Owns building and running the tests of our patches to ggml (vendor/patches) against ggml's reference path:
// `node scripts/ggml-tests.mjs [--sanitize=address|thread] [part of a test's name]`. They need llama.cpp's source, no model.
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchLlama } from "../vendor/fetch.mjs";
import { runCppTests } from "./native-tests.mjs";
import { root } from "./paths.mjs";
import { main } from "./say.mjs";

/**
 * @param {string} sanitize "", "address" or "thread"
 * @returns {{passed: number, failed: number}} a crash counts as one failed test
 */
export function runGgmlTests(sanitize = "", filter = "") {
  fetchLlama();
  const directory = join(root, "build", `ggml-tests${sanitize && `-${sanitize}`}`);
  const type = sanitize
    ? ["-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O1 -g", "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g"]
    : ["-DCMAKE_BUILD_TYPE=Release"];
  const options = [`-DZSE_SANITIZE=${sanitize}`, ...type];
  return runCppTests({ source: join(root, "test/ggml"), directory, options, target: "zse_ggml_tests", config: "Release" }, filter);
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(() => {
    const args = process.argv.slice(2);
    const sanitize = args.find((arg) => arg.startsWith("--sanitize="))?.slice("--sanitize=".length) ?? "";
    const { failed } = runGgmlTests(
      sanitize,
      args.find((arg) => !arg.startsWith("--")),
    );
    process.exitCode = failed === 0 ? 0 : 1;
  });
}
