// Owns what the benchmark compares with: installing node-llama-cpp under bench/peers, building llama.cpp's own programs. Each is there
// when its function returns, or the run ends with a sentence that says what is missing.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { placesOf, root } from "../../scripts/paths.mjs";
import { SetupError, say } from "../../scripts/say.mjs";

export const peersDir = join(root, "bench", "peers");

const tools = ["llama-bench", "llama-batched-bench", "llama-server"];

/** Where a program of llama.cpp's lies once buildTools() has made it. */
export function toolPath(name) {
  return join(placesOf().cmake, "bin", process.platform === "win32" ? `${name}.exe` : name);
}

/** Builds llama.cpp's programs in the addon's own build, from the same source with the same options; nothing when they are current. */
export async function buildTools() {
  process.env.ZSE_BENCH_TOOLS = "1";
  // Not loaded in measuring processes, whose start is measured too.
  const { buildAddon } = await import("../../scripts/build.mjs");
  await buildAddon({ targets: tools });
  for (const name of tools) {
    if (!existsSync(toolPath(name))) throw new SetupError(`${name} was built but is not in ${toolPath(name)}: see build/build.log.`);
  }
}

/** Installs node-llama-cpp as bench/peers/package-lock.json has it, with its prebuilt CPU binary only: no build, no install scripts. */
export function installPeers() {
  const { version } = wanted();
  const binary = `@node-llama-cpp/${platformPackage()}`;
  const isThere = () => installedVersion("node-llama-cpp") === version && installedVersion(binary) === version;
  if (isThere()) return;
  say(`installing node-llama-cpp ${version} in bench/peers …`);
  // Its packages for GPUs are optional dependencies of some hundred megabytes each; the one for this CPU is asked for by name.
  const args = ["install", "--no-save", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", `${binary}@${version}`];
  const { status, stderr, error } = spawnSync("npm", args, { cwd: peersDir, encoding: "utf8", shell: process.platform === "win32" });
  if (status === 0 && isThere()) return;
  const why = error?.message ?? stderr?.trim().split("\n").slice(-3).join(" ");
  throw new SetupError(
    `node-llama-cpp ${version} (with ${binary}) is missing in bench/peers and could not be installed: ${why}. ` +
      "Put that right, or name the contenders to run without it, e.g. --contenders zstream,llama-server,raw.",
  );
}

function wanted() {
  const { dependencies } = JSON.parse(readFileSync(join(peersDir, "package.json"), "utf8"));
  return { version: dependencies["node-llama-cpp"] };
}

/** Its names for systems; Apple's processors have one package for CPU and GPU. */
function platformPackage() {
  const system = { darwin: "mac", win32: "win" }[process.platform] ?? process.platform;
  return system === "mac" && process.arch === "arm64" ? "mac-arm64-metal" : `${system}-${process.arch}`;
}

function installedVersion(name) {
  try {
    return JSON.parse(readFileSync(join(peersDir, "node_modules", name, "package.json"), "utf8")).version;
  } catch {
    return undefined;
  }
}
