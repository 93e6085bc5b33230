// Owns building and running the C++ tests that need llama.cpp itself (samplers, images of slots), under ASan and UBSan, in the fuzzer's
// build: `node scripts/llama-tests.mjs [part of a test's name]`. Not on Windows. llama.cpp is compiled for it: minutes the first time.
import { join } from "node:path";
import { fetchLlama } from "../vendor/fetch.mjs";
import { runCppTests } from "./native-tests.mjs";
import { root } from "./paths.mjs";
import { main } from "./say.mjs";

await main(() => {
  fetchLlama();
  const flags = ["C", "CXX"].map((language) => `-DCMAKE_${language}_FLAGS_RELWITHDEBINFO=-O1 -g1`);
  const options = ["-DZSE_SANITIZE=address", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", ...flags];
  const build = { source: root, directory: join(root, "build", "fuzz"), options, target: "zse_llama_tests", config: "RelWithDebInfo" };
  const { failed } = runCppTests(build, process.argv[2]);
  process.exitCode = failed === 0 ? 0 : 1;
});
