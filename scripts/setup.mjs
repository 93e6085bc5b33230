// Owns getting a fresh clone ready: packages, llama.cpp, the addon, dist/. Each step that is done is skipped, so that a second
// `npm start` or `npm test` begins at once. No dependencies: it runs before there is a node_modules.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./paths.mjs";
import { main, SetupError, say } from "./say.mjs";

/** Everything that `npm start` and `npm test` need. */
export async function setUp() {
  requireNode();
  if (!packagesAreCurrent()) {
    say("installing packages …");
    npm(existsSync(join(root, "package-lock.json")) ? ["ci"] : ["install"]);
  }
  // Only now: these need the packages.
  const { buildAddon } = await import("./build.mjs");
  const { buildTypescript, typescriptIsCurrent } = await import("./build-ts.mjs");
  await buildAddon();
  if (!typescriptIsCurrent()) buildTypescript();
}

function requireNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new SetupError(`Node.js 20.19 or newer is needed, and this is ${process.version}: update it and run the command again.`);
}

/** True when node_modules holds every package of the lock file at its version (those of other platforms aside). */
function packagesAreCurrent() {
  try {
    const wanted = readPackages(join(root, "package-lock.json"));
    const present = readPackages(join(root, "node_modules", ".package-lock.json"));
    return Object.entries(wanted).every(([path, entry]) => path === "" || entry.optional || present[path]?.version === entry.version);
  } catch {
    return false;
  }
}

function readPackages(path) {
  return JSON.parse(readFileSync(path, "utf8")).packages;
}

/** Everything npm prints goes to stderr: stdout belongs to the model's text. */
function npm(args) {
  const script = process.env.npm_execpath;
  const [file, ...first] = script && /npm-cli\.c?js$/.test(script) ? [process.execPath, script] : ["npm"];
  const flags = ["--no-audit", "--no-fund", "--loglevel=error", "--foreground-scripts"];
  const result = spawnSync(file, [...first, ...args, ...flags], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32" && file === "npm",
  });
  if (result.status !== 0)
    throw new SetupError(`\`npm ${args[0]}\` failed: its own message is above; correct what it names and run the command again.`);
}

if (process.argv[1]?.endsWith("setup.mjs")) await main(setUp);
