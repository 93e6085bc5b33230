// Owns the tools that tests of the packages need, and how programs run there: from npm into build/farm on first use, with a PATH that holds Node
// alone. What cannot be had skips its test.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { npm } from "./npm.mjs";
import { root } from "./paths.mjs";

const farm = join(root, "build", "farm");

/** A test that cannot be made here: counted apart. */
export class Skip extends Error {}

/** The path of `file` in build/farm/<name>/node_modules, where `packages` are installed. */
export function fromFarm(name, packages, file) {
  const folder = join(farm, name.replaceAll(" ", "-").toLowerCase());
  const path = join(folder, "node_modules", file);
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
    const result = npm(["install", "--no-audit", "--no-fund", "--foreground-scripts", ...packages], folder);
    if (result.status !== 0 || !existsSync(path)) throw new Skip(`${packages} could not be installed: ${result.stderr.slice(-300)}`);
  }
  return path;
}

/**
 * Runs with a PATH that holds `node` alone: no compiler, no git, no shell. Ends after five minutes at most.
 * @returns {Promise<string>} what it printed on both outputs; rejects when it fails
 */
export function run([file, ...args], cwd, { node = process.execPath, env: more = {} } = {}) {
  const path = join(cwd, ".path");
  mkdirSync(path, { recursive: true });
  if (!existsSync(join(path, "node"))) symlinkSync(node, join(path, "node"));
  const env = {
    PATH: path,
    HOME: join(cwd, ".home"),
    NODE_ENV: "",
    CI: "1",
    ...(process.env.ZSE_TEST_THREADS ? { ZSE_TEST_THREADS: process.env.ZSE_TEST_THREADS } : {}),
    ...more,
  };
  mkdirSync(env.HOME, { recursive: true });
  return new Promise((done, fail) => {
    const child = spawn(file, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    const hang = setTimeout(() => child.kill("SIGKILL"), 300_000);
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (out += text));
    child.on("error", fail);
    child.on("close", (status, signal) => {
      clearTimeout(hang);
      if (status === 0) return done(out);
      fail(new Error(`\`${[file.replace(dirname(file), "…"), ...args].join(" ")}\` ended with ${signal ?? status}:\n${out.slice(-2500)}`));
    });
  });
}
