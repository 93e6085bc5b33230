// Owns the check of what `npm publish` would send: everything an installation needs, nothing else.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./paths.mjs";

const mustHave = [
  "package.json",
  "README.md",
  "LICENSE",
  "NOTICE",
  "CMakeLists.txt",
  "binding.gyp",
  "dist/index.js",
  "dist/index.d.ts",
  "dist/cli/main.js",
  "models/demo/demo.gguf",
  "models/demo/demo.zse",
  "native/ccache.cmake",
  "native/node/addon.cpp",
  "scripts/install.mjs",
  "vendor/fetch.mjs",
  "vendor/llama.cpp.json",
];
const mayHave = [
  /^dist\/.+\.(js|d\.ts|js\.map)$/,
  /^native\/.+\.(cpp|h|cmake)$/,
  /^prebuilds\/[a-z0-9]+-[a-z0-9+]+\/.+$/,
  /^vendor\/patches\/.+\.patch$/,
  /^scripts\/(build|build-ts|install|paths|say)\.mjs$/,
  /^models\/demo\/README\.md$/,
  /^CHANGELOG\.md$/,
];
const largestMegabytes = 40;

const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ["npm"];
const result = spawnSync(npm[0], [...npm.slice(1), "pack", "--dry-run", "--json", "--ignore-scripts", "--loglevel=error"], {
  cwd: root,
  encoding: "utf8",
  maxBuffer: 1 << 26,
});
if (result.status !== 0) {
  process.stderr.write(result.stderr);
  process.exit(1);
}
const parsed = JSON.parse(result.stdout);
const packed = Array.isArray(parsed) ? parsed[0] : Object.values(parsed)[0];
const files = packed.files.map((file) => file.path);

const problems = [
  ...mustHave.filter((path) => !files.includes(path)).map((path) => `${path} is missing from the package`),
  ...files
    .filter((path) => !mustHave.includes(path) && !mayHave.some((pattern) => pattern.test(path)))
    .map((path) => `${path} does not belong into the package`),
  ...missingScripts(),
];
if (packed.size > largestMegabytes * 1e6)
  problems.push(`the package is ${(packed.size / 1e6).toFixed(1)} MB, more than ${largestMegabytes} MB`);

for (const problem of problems) console.log(problem);
console.log(`package: ${files.length} files, ${(packed.size / 1e6).toFixed(1)} MB packed, ${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;

/** What the packed scripts import must be packed too, or an installation fails at once. */
function missingScripts() {
  const found = [];
  for (const path of files.filter((name) => name.endsWith(".mjs"))) {
    for (const [, name] of readFileSync(join(root, path), "utf8").matchAll(/from "(\.[^"]+)"/g)) {
      const wanted = join(path, "..", name).replaceAll("\\", "/");
      if (!files.includes(wanted)) found.push(`${path} imports ${wanted}, which is missing from the package`);
    }
  }
  return found;
}
