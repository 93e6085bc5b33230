// Owns trying our patches on another source of llama.cpp: `node scripts/try-patches.mjs <folder>` says which of vendor/patches apply
// to it, in their order, and at which files the others do not. The folder stays as it is: what the patches touch is copied out of it.
// Of a git checkout the commit is taken, without changes to its files. Ends with 1 when a patch does not apply.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { root } from "./paths.mjs";
import { main, SetupError } from "./say.mjs";

const patchDir = join(root, "vendor", "patches");

await main(() => {
  const source = process.argv[2] && resolve(process.argv[2]);
  if (!source || !existsSync(join(source, "ggml"))) {
    throw new SetupError("usage: node scripts/try-patches.mjs <folder of a llama.cpp source>");
  }
  const names = readdirSync(patchDir)
    .filter((name) => name.endsWith(".patch"))
    .sort();
  const copy = mkdtempSync(join(tmpdir(), "zstream-try-patches-"));
  try {
    git(["init", "--quiet"], copy); // or git would look for a repository above
    for (const path of new Set(names.flatMap(touchedBy))) copyFile(source, path, copy);
    const failed = names.filter((name) => !applies(name, copy));
    console.log(`${names.length - failed.length} of ${names.length} patches apply to ${source}${commitOf(source)}`);
    process.exitCode = failed.length === 0 ? 0 : 1;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
});

function touchedBy(name) {
  return [...readFileSync(join(patchDir, name), "utf8").matchAll(/^diff --git a\/(\S+) b\//gm)].map(([, path]) => path);
}

/** A file that the source has no more is missed by the patch itself. */
function copyFile(source, path, copy) {
  const content = existsSync(join(source, ".git")) ? committed(source, path) : inFolder(source, path);
  if (content === undefined) return;
  mkdirSync(dirname(join(copy, path)), { recursive: true });
  writeFileSync(join(copy, path), content);
}

function inFolder(source, path) {
  return existsSync(join(source, path)) ? readFileSync(join(source, path)) : undefined;
}

function committed(source, path) {
  const { status, stdout } = git(["show", `HEAD:${path}`], source);
  return status === 0 ? stdout : undefined;
}

/** Prints one line. Of a patch that does not apply whole, what does is applied: later ones may build on it. */
function applies(name, copy) {
  const patch = ["--whitespace=nowarn", join(patchDir, name)];
  const { status, stderr } = git(["apply", "--check", ...patch], copy);
  if (status === 0) {
    git(["apply", ...patch], copy);
    console.log(`applies         ${name}`);
    return true;
  }
  // "patch failed: src/x.cpp:12" says where, "src/x.cpp: No such file …" and the like say why where there is no line.
  const errors = [...stderr.toString().matchAll(/^error: (.+)$/gm)].map(([, error]) => error.replace(/^patch failed: /, ""));
  const places = errors.filter((error) => !/: patch does not apply$/.test(error));
  console.log(`does not apply  ${name}: ${places.join(", ")}`);
  git(["apply", "--reject", ...patch], copy);
  return false;
}

function commitOf(source) {
  if (!existsSync(join(source, ".git"))) return "";
  return ` at ${git(["rev-parse", "--short", "HEAD"], source).stdout.toString().trim()}`;
}

function git(args, cwd) {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
  return spawnSync("git", ["-c", "safe.directory=*", "-c", "core.autocrlf=false", ...args], { cwd, env, maxBuffer: 1 << 26 });
}
