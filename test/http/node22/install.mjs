// Owns getting the clients that need Node 22 and that Node itself: this folder's packages, by npm, when they are not there. It is the
// `node` package that carries the binary. Run by ../node22.test.ts; by hand: node test/http/node22/install.mjs
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = import.meta.dirname;
/** The binary; it is there once install() has returned undefined. */
export const NODE = join(folder, "node_modules", ".bin", process.platform === "win32" ? "node.cmd" : "node");

/** @returns why it was not possible; undefined when all is there */
export function install() {
  if (isCurrent()) return undefined;
  console.error("zstream: installing clients that need Node 22, and Node 22 …");
  const npm = process.env.npm_execpath;
  const [file, ...first] = npm && /npm-cli\.c?js$/.test(npm) ? [process.execPath, npm] : ["npm"];
  const args = [...first, "ci", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status, stderr, error } = spawnSync(file, args, {
    cwd: folder,
    encoding: "utf8",
    timeout: 300_000,
    shell: process.platform === "win32",
  });
  if (status === 0 && isCurrent()) return undefined;
  return `\`npm ci\` failed in test/http/node22: ${error?.message ?? stderr.trim().slice(-500)}`;
}

function isCurrent() {
  try {
    const packages = (path) => JSON.parse(readFileSync(join(folder, path), "utf8")).packages;
    const present = packages(join("node_modules", ".package-lock.json"));
    const wanted = Object.entries(packages("package-lock.json"));
    return (
      existsSync(NODE) && wanted.every(([path, { version, optional }]) => path === "" || optional || present[path]?.version === version)
    );
  } catch {
    return false;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const why = install();
  if (why !== undefined) console.error(`zstream: ${why}`);
  process.exitCode = why === undefined ? 0 : 1;
}
