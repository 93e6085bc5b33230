// Owns finding and running npm: the one that runs us, the one beside this Node, or the one on the PATH.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** Runs npm to its end. @returns what spawnSync gives, with text */
export function npm(args, cwd) {
  const script = npmScript();
  const [file, ...first] = script ? [process.execPath, script] : ["npm"];
  return spawnSync(file, [...first, ...args], {
    cwd,
    encoding: "utf8",
    maxBuffer: 1 << 26,
    shell: !script && process.platform === "win32",
  });
}

/** npm's own program, to be run by a Node of one's choice; undefined where only the PATH knows it. */
export function npmScript() {
  const { npm_execpath: given } = process.env;
  if (given && /npm-cli\.c?js$/.test(given)) return given;
  const prefix = join(dirname(process.execPath), "..");
  return ["lib/node_modules/npm/bin/npm-cli.js", "node_modules/npm/bin/npm-cli.js"].map((name) => join(prefix, name)).find(existsSync);
}

/** What `npm pack` tells of the package in `cwd`, as JSON; npm 12 gives an object where others give a list. */
export function npmPack(args, cwd) {
  const result = npm(["pack", "--json", "--ignore-scripts", "--loglevel=error", ...args], cwd);
  if (result.status !== 0) throw new Error(`${cwd} could not be packed: ${result.stderr.trim()}`);
  const parsed = JSON.parse(result.stdout);
  return Array.isArray(parsed) ? parsed[0] : Object.values(parsed)[0];
}
