// Owns compiling the TypeScript into dist/. npm's prepare step runs it, so that a clone works after `npm install`.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { distDir, root } from "./paths.mjs";
import { main, SetupError } from "./say.mjs";

/** True when every source is older than the entry point made from them. */
export function typescriptIsCurrent() {
  const made = statSync(join(distDir, "index.js"), { throwIfNoEntry: false });
  if (!made) return false;
  const sources = readdirSync(join(root, "lib"), { recursive: true }).map((name) => join(root, "lib", String(name)));
  const inputs = [...sources, join(root, "tsconfig.json"), join(root, "tsconfig.build.json"), join(root, "package.json")];
  return inputs.every((path) => statSync(path).mtimeMs <= made.mtimeMs);
}

export function buildTypescript() {
  let tsc;
  try {
    tsc = join(createRequire(import.meta.url).resolve("typescript/package.json"), "..", "bin", "tsc");
  } catch {
    if (existsSync(join(distDir, "index.js"))) return; // installed without development packages: dist/ came with it
    throw new SetupError("TypeScript is not installed and dist/ is missing: run `npm install` without --omit=dev.");
  }
  rmSync(distDir, { recursive: true, force: true }); // a renamed source must not leave its old output behind
  const result = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json")], { stdio: ["ignore", 2, 2] });
  if (result.status !== 0) throw new SetupError("the TypeScript in lib/ did not compile: see the errors above.");
  const bundled = spawnSync(process.execPath, [join(root, "scripts", "bundle-page.mjs")], { cwd: root, stdio: ["ignore", 2, 2] });
  if (bundled.status !== 0) throw new SetupError("the file for pages of Electron could not be made: see the errors above.");
  const page = spawnSync(process.execPath, [join(root, "scripts", "bundle-ui.mjs")], { cwd: root, stdio: ["ignore", 2, 2] });
  if (page.status !== 0) throw new SetupError("the page of `zse serve` could not be made: see the errors above.");
  const cli = join(distDir, "cli", "main.js");
  if (existsSync(cli)) chmodSync(cli, 0o755);
  const entry = join(distDir, "index.js");
  if (existsSync(entry)) utimesSync(entry, new Date(), new Date());
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(async () => {
    if (existsSync(join(root, "lib")) && !typescriptIsCurrent()) buildTypescript();
  });
}
