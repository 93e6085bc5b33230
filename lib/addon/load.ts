// Owns loading the native addon, once for the process (or for a worker_threads thread): where it is looked for, and in which order.

import { createRequire } from "node:module";
import { dirname, isAbsolute, join } from "node:path";
import { pathToFileURL } from "node:url";
import { ZSEError } from "../errors.js";
import { compiledAddons } from "./compiled.js";
import type { NativeAddon, NativeFileTools } from "./contract.js";
import { checkElf } from "./elf.js";
import { type Attempt, loadHelp } from "./load-help.js";
import { packageRoot } from "./package-root.js";

type Addon = NativeAddon & NativeFileTools;

let loaded: Addon | undefined;

// A bundle in CommonJS has no import.meta.url.
const require = createRequire(import.meta.url ?? pathToFileURL(`${process.cwd()}/`).href);

/**
 * The packages that may hold this platform's addon, the best one first: those for a GPU are there only where somebody asked for them. Each name
 * stands in a call of require() as it is, since programs that pack an application look for that. On Linux the addon for glibc comes first; where
 * both packages were installed, that one does not load under musl, and the other does.
 */
const packages: Record<string, readonly (readonly [name: string, load: () => Addon])[]> = {
  "linux-x64": [
    ["@zstream/cuda-linux-x64", () => require("@zstream/cuda-linux-x64")],
    ["@zstream/vulkan-linux-x64", () => require("@zstream/vulkan-linux-x64")],
    ["@zstream/linux-x64", () => require("@zstream/linux-x64")],
    ["@zstream/linux-x64-musl", () => require("@zstream/linux-x64-musl")],
  ],
  "linux-arm64": [
    ["@zstream/linux-arm64", () => require("@zstream/linux-arm64")],
    ["@zstream/linux-arm64-musl", () => require("@zstream/linux-arm64-musl")],
  ],
  "win32-x64": [
    ["@zstream/cuda-win32-x64", () => require("@zstream/cuda-win32-x64")],
    ["@zstream/vulkan-win32-x64", () => require("@zstream/vulkan-win32-x64")],
    ["@zstream/win32-x64", () => require("@zstream/win32-x64")],
  ],
  "win32-arm64": [["@zstream/win32-arm64", () => require("@zstream/win32-arm64")]],
  "darwin-x64": [["@zstream/darwin-x64", () => require("@zstream/darwin-x64")]],
  "darwin-arm64": [["@zstream/darwin-arm64", () => require("@zstream/darwin-arm64")]],
};

/**
 * The addon, loaded on first use: one that was compiled here (`zse build`, a checkout), else the one of this platform's package.
 * @throws ZSEError ENGINE_FAILED with what was tried and what to do, when there is none that this process can load
 */
export function loadNative(): Addon {
  if (loaded !== undefined) return loaded;
  const attempts: Attempt[] = [];
  const root = packageRoot();
  for (const file of compiledAddons(root)) {
    loaded = attempt(attempts, file, () => {
      if (process.platform === "linux") checkElf(file);
      return require(file);
    });
    if (loaded !== undefined) return loaded;
  }
  for (const [name, load] of packages[`${process.platform}-${process.arch}`] ?? []) {
    loaded = attempt(attempts, name, () => {
      if (process.platform === "linux") checkPackage(name);
      return load();
    });
    if (loaded === undefined) continue;
    const failed = attempts.find(({ missing }) => !missing);
    if (failed !== undefined && (isGpu(failed.from) || isAbsolute(failed.from)))
      process.emitWarning(`${name} is used, since ${failed.from} could not be loaded: ${String(failed.error)}`);
    return loaded;
  }
  const said = attempts.filter(({ from, missing }) => !missing || !isGpu(from));
  const cause = attempts.find(({ missing }) => !missing)?.error ?? attempts.at(-1)?.error;
  throw new ZSEError("ENGINE_FAILED", loadHelp(root, said), { cause });
}

function attempt(attempts: Attempt[], from: string, load: () => Addon): Addon | undefined {
  try {
    return load();
  } catch (error) {
    const { code, message = String(error) } = (error ?? {}) as { code?: string; message?: string };
    const [first = ""] = message.split("\n"); // what follows names who asked
    // A file inside the package that is not there is another matter.
    const missing = /^(ERR_)?MODULE_NOT_FOUND$/.test(code ?? "") && first.includes(from) && !/^[\\/]/.test(first.split(from)[1] ?? "");
    attempts.push({ from, error, missing });
    return undefined;
  }
}

/** Where the package's file can be told: not in an application that was packed into one file. */
function checkPackage(name: string): void {
  let entry: string;
  try {
    entry = require.resolve(name);
  } catch {
    return; // load() says why
  }
  checkElf(join(dirname(entry), "prebuilds", `${process.platform}-${process.arch}`, "node.napi.node"));
}

function isGpu(name: string): boolean {
  return /^@zstream\/(cuda|vulkan)-/.test(name);
}

/** Puts another addon in its place (unit tests), or with undefined takes it away again. Not part of the public face. */
export function setNative(addon: NativeAddon | undefined): void {
  loaded = addon as typeof loaded;
}
