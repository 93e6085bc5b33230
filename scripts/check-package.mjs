// Owns the check of what would be published: everything an installation needs, nothing else, and no script that a package manager would run or
// block. Packs as scripts/pack.mjs does, with this machine's compiler for the addon unless one is there.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { npmPack } from "./npm.mjs";
import { packAll } from "./pack.mjs";
import { root } from "./paths.mjs";
import { hostPlatform } from "./platforms.mjs";

const packages = {
  zstream: {
    mustHave: [
      "package.json",
      "README.md",
      "LICENSE",
      "NOTICE",
      "CHANGELOG.md",
      "CMakeLists.txt",
      "dist/index.js",
      "dist/index.d.ts",
      "dist/cli/main.js",
      "dist/providers/ai-sdk/index.js",
      "dist/providers/ai-sdk/index.d.ts",
      "dist/electron/engine-process.js",
      "dist/electron/main.js",
      "dist/electron/preload.cjs",
      "dist/electron/preload.d.cts",
      "dist/electron/renderer.js",
      "dist/react/index.js",
      "dist/ui/index.html",
      "dist/react/ai-sdk.js",
      "dist/providers/langchain/index.js",
      "dist/providers/langchain/index.d.ts",
      "models/demo/demo.gguf",
      "native/ccache.cmake",
      "native/cpu/levels.cmake",
      "native/kernels/attention.h",
      "native/kernels/kernels.cmake",
      "native/node/addon.cpp",
      "scripts/build.mjs",
      "vendor/fetch.mjs",
      "vendor/llama.cpp.json",
    ],
    mayHave: [
      /^dist\/.+\.(js|d\.ts|js\.map|cjs|d\.cts|cjs\.map)$/,
      /^dist\/ui\/assets\/[a-z]+-[\w-]+\.(js|css|svg)$/,
      /^native\/.+\.(cpp|h|cmake)$/,
      /^vendor\/patches\/.+\.patch$/,
      /^scripts\/(build|paths|say)\.mjs$/,
      /^(models\/demo\/README|docs\/BUNDLERS)\.md$/,
    ],
    largestMegabytes: 12,
  },
  platform: {
    mustHave: ["package.json", "README.md", "LICENSE", "NOTICE", "index.js"],
    mayHave: [/^prebuilds\/[a-z0-9]+-[a-z0-9]+\/node\.napi\.node$/],
    largestMegabytes: 15,
  },
};

const problems = [];
const folder = mkdtempSync(join(tmpdir(), "zstream-packages-"));
try {
  packAll(folder, { compiler: "host" });
  checkPackage(join(root, "build", "packages", "zstream"), packages.zstream);
  checkPackage(join(root, "build", "packages", hostPlatform().name), packages.platform);
  for (const name of readdirSync(folder)) {
    if (!/^zstream(-[a-z0-9-]+)?-\d+\.\d+\.\d+.*\.tgz$/.test(name)) problems.push(`${name} is no name of a tarball of ours`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

for (const problem of problems) console.log(problem);
console.log(`packages: ${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;

function checkPackage(staged, { mustHave, mayHave, largestMegabytes }) {
  const manifest = JSON.parse(readFileSync(join(staged, "package.json"), "utf8"));
  const name = manifest.name;
  if (manifest.scripts) problems.push(`${name} has scripts (${Object.keys(manifest.scripts)}): package managers block them`);
  if (manifest.private) problems.push(`${name} is private`);
  if (manifest.devDependencies) problems.push(`${name} lists what it was developed with`);
  const tools = Object.keys(manifest.dependencies ?? {}).filter((one) => /cmake|gyp$|node-addon-api|node-api-headers/.test(one));
  if (tools.length > 0) problems.push(`${name} makes every user install ${tools}`);
  const packed = npmPack(["--dry-run"], staged);
  const files = packed.files.map(({ path }) => path);
  for (const path of mustHave) if (!files.includes(path)) problems.push(`${name}: ${path} is missing`);
  for (const path of files) {
    if (!mustHave.includes(path) && !mayHave.some((pattern) => pattern.test(path))) problems.push(`${name}: ${path} does not belong there`);
  }
  missingScripts(staged, files, name);
  if (packed.unpackedSize > largestMegabytes * 1e6) {
    problems.push(`${name} unpacks to ${(packed.unpackedSize / 1e6).toFixed(1)} MB, more than ${largestMegabytes} MB`);
  }
  console.log(
    `${name}: ${files.length} files, ${(packed.size / 1e6).toFixed(1)} MB packed, ${(packed.unpackedSize / 1e6).toFixed(1)} MB unpacked`,
  );
}

/** What the packed scripts import must be packed too, or `zse build` fails at once. */
function missingScripts(staged, files, name) {
  for (const path of files.filter((one) => one.endsWith(".mjs"))) {
    for (const [, imported] of readFileSync(join(staged, path), "utf8").matchAll(/from "(\.[^"]+)"/g)) {
      const wanted = join(path, "..", imported).replaceAll("\\", "/");
      if (!files.includes(wanted)) problems.push(`${name}: ${path} imports ${wanted}, which is missing`);
    }
  }
}
