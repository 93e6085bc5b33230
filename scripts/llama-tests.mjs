// Owns building and running the C++ tests that need llama.cpp itself (samplers, replies, images of slots), under ASan and UBSan, in the fuzzer's
// build: `node scripts/llama-tests.mjs [part of a test's name]`. Not on Windows. llama.cpp is compiled for it: minutes the first time. With --release
// first, in the addon's build, without sanitizers: then every template meets every vocabulary.
import { join } from "node:path";
import { fetchLlama } from "../vendor/fetch.mjs";
import { runCppTests } from "./native-tests.mjs";
import { root } from "./paths.mjs";
import { main } from "./say.mjs";

await main(() => {
  fetchLlama();
  const flags = ["C", "CXX"].map((language) => `-DCMAKE_${language}_FLAGS_RELWITHDEBINFO=-O1 -g1`);
  const options = ["-DZSE_SANITIZE=address", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", ...flags];
  const target = "zse_llama_tests";
  const sanitized = { source: root, directory: join(root, "build", "fuzz"), options, target, config: "RelWithDebInfo" };
  const quick = { source: root, directory: join(root, "build", "cmake"), options: [], target, config: "Release" };
  const [first, ...rest] = process.argv.slice(2);
  const { failed } = first === "--release" ? runCppTests(quick, rest[0]) : runCppTests(sanitized, first);
  process.exitCode = failed === 0 ? 0 : 1;
});
