// Owns the formatting of our C++: `node scripts/format-cpp.mjs` formats, with --check it only says which files are not.
// The binary comes from the clang-format-node package, so that everyone has the same version.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { root } from "./paths.mjs";

const check = process.argv.includes("--check");
const files = ["native", "test/native", "test/ggml", "test/fuzz", "test/zse", "test/llama", "test/tokenize"].flatMap((directory) =>
  readdirSync(join(root, directory), { recursive: true })
    .map((name) => join(directory, String(name)))
    .filter((name) => /\.(cpp|h)$/.test(name)),
);
const cli = join(createRequire(import.meta.url).resolve("clang-format-node/package.json"), "..", "build", "cli.js");
const { status } = spawnSync(process.execPath, [cli, ...(check ? ["--dry-run", "--Werror"] : ["-i"]), ...files], {
  cwd: root,
  stdio: "inherit",
});
if (status === 0) console.log(`clang-format: ${files.length} files ${check ? "are formatted" : "formatted"}`);
else if (check) console.log("clang-format: run `npm run format`");
process.exitCode = status ?? 1;
