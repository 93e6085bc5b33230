// Owns loading the native addon, once for the process (or for a worker_threads thread), with the library of a GPU where such a package was
// installed: where both are looked for, and in which order.

import module from "node:module";
import { dirname, isAbsolute, join } from "node:path";
import { ZSEError } from "../errors.js";
import { compiledAddons } from "./compiled.js";
import type { NativeAddon, NativeGpuLibraries } from "./contract.js";
import { badFile, checkElf } from "./elf.js";
import type { NativeFileTools } from "./file-contract.js";
import { type Attempt, loadHelp } from "./load-help.js";
import { isMoved, knownRoot, packageRoot, resolveFrom, versionOf } from "./package-root.js";

type Addon = NativeAddon & NativeFileTools & NativeGpuLibraries;

let loaded: Addon | undefined;

/**
 * The packages that may hold this platform's addon. On Linux the one for glibc comes first; where both packages were installed, it does not load
 * under musl, and the other does.
 */
const packages: Record<string, readonly string[]> = {
  "linux-x64": ["@zstream/linux-x64", "@zstream/linux-x64-musl"],
  "linux-arm64": ["@zstream/linux-arm64", "@zstream/linux-arm64-musl"],
  "win32-x64": ["@zstream/win32-x64"],
  "win32-arm64": ["@zstream/win32-arm64"],
  "darwin-x64": ["@zstream/darwin-x64"],
  "darwin-arm64": ["@zstream/darwin-arm64"],
};

/** The packages that hold the library of a GPU, the best one first: they are there only where somebody asked for them. */
const gpuPackages: Record<string, readonly string[]> = {
  "linux-x64": ["@zstream/cuda-linux-x64", "@zstream/vulkan-linux-x64"],
  "win32-x64": ["@zstream/cuda-win32-x64", "@zstream/vulkan-win32-x64"],
};

/**
 * Programs that pack an application look for just this: createRequire(import.meta.url) and calls with names as they are. By way of `module`
 * webpack leaves it alone; it would want every package to be there.
 */
function requireHere(name: string): unknown {
  const require = module.createRequire(import.meta.url);
  switch (name) {
    // Does a bundler stop here? Leave zstream external (Next: serverExternalPackages: ["zstream"]).
    case "@zstream/cuda-linux-x64":
      return require("@zstream/cuda-linux-x64");
    case "@zstream/vulkan-linux-x64":
      return require("@zstream/vulkan-linux-x64");
    case "@zstream/linux-x64":
      return require("@zstream/linux-x64");
    case "@zstream/linux-x64-musl":
      return require("@zstream/linux-x64-musl");
    case "@zstream/linux-arm64":
      return require("@zstream/linux-arm64");
    case "@zstream/linux-arm64-musl":
      return require("@zstream/linux-arm64-musl");
    case "@zstream/cuda-win32-x64":
      return require("@zstream/cuda-win32-x64");
    case "@zstream/vulkan-win32-x64":
      return require("@zstream/vulkan-win32-x64");
    case "@zstream/win32-x64":
      return require("@zstream/win32-x64");
    case "@zstream/win32-arm64":
      return require("@zstream/win32-arm64");
    case "@zstream/darwin-x64":
      return require("@zstream/darwin-x64");
    default:
      return require("@zstream/darwin-arm64");
  }
}

/** In a bundle import.meta.url leads elsewhere, or there is none: then the package counts that lies beside it. */
function requirePackage(name: string): unknown {
  return isMoved() ? module.createRequire(resolveFrom())(name) : requireHere(name);
}

/**
 * The addon, loaded on first use: one that was compiled here (`zse build`, a checkout), else the one of this platform's package.
 * @throws ZSEError ENGINE_FAILED with what was tried and what to do, when there is none that this process can load; BAD_OPTION for a value of ZSE_CPU
 * that it does not know
 */
export function loadNative(): Addon {
  if (loaded !== undefined) return loaded;
  const attempts: Attempt[] = [];
  for (const file of compiledAddons(knownRoot())) {
    loaded = attempt(attempts, file, () => {
      if (process.platform === "linux") checkElf(file);
      return module.createRequire(file)(file);
    });
    if (loaded !== undefined) return withGpu(loaded);
  }
  for (const name of packages[`${process.platform}-${process.arch}`] ?? []) {
    loaded = attempt(attempts, name, () => {
      if (process.platform === "linux") checkPackage(name);
      return checkAddon(name, requirePackage(name));
    });
    if (loaded === undefined) continue;
    const failed = attempts.find(({ missing }) => !missing);
    if (failed !== undefined && isAbsolute(failed.from))
      process.emitWarning(`${name} is used, since ${failed.from} could not be loaded: ${String(failed.error)}`);
    return withGpu(loaded);
  }
  const cause = attempts.find(({ missing }) => !missing)?.error ?? attempts.at(-1)?.error;
  // The addon itself says what it was given: a ZSE_CPU that it does not have.
  if (cause instanceof Error && "code" in cause && cause.code === "BAD_OPTION") throw new ZSEError("BAD_OPTION", cause.message, { cause });
  throw new ZSEError("ENGINE_FAILED", loadHelp(packageRoot(), attempts, { bundled: knownRoot() === undefined }), { cause });
}

/** What became of a package with the library of a GPU. One behind the first that is used is not looked for. */
export interface GpuPackage {
  name: string;
  state: "used" | "no device" | "failed" | "not installed";
  /** Why it failed. */
  error?: unknown;
}

const found: GpuPackage[] = [];

/** The packages that were looked for when the addon was loaded. */
export function gpuPackagesFound(): readonly GpuPackage[] {
  return found;
}

/** The first of a GPU's libraries that has a device here is used; one that cannot be is named in a warning, and the CPU computes. */
function withGpu(addon: Addon): Addon {
  for (const name of gpuPackages[`${process.platform}-${process.arch}`] ?? []) {
    const attempts: Attempt[] = [];
    const devices = attempt(attempts, name, () => {
      const library = String(requirePackage(name));
      if (process.platform === "linux") checkElf(library);
      return addon.useGpuLibrary(library);
    });
    const [failure] = attempts;
    if (failure === undefined) found.push({ name, state: devices === 0 ? "no device" : "used" });
    else found.push({ name, ...(failure.missing ? { state: "not installed" } : { state: "failed", error: failure.error }) });
    if (devices !== undefined && devices > 0) break;
    for (const { error, missing } of attempts) {
      if (!missing) process.emitWarning(`${name} is not used: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return addon;
}

function attempt<Result>(attempts: Attempt[], from: string, load: () => Result): Result | undefined {
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

/** @throws Error with code BAD_FILE where it is no engine, and OTHER_VERSION where it was made for another zstream */
function checkAddon(name: string, exported: unknown): Addon {
  const { version, Engine } = (exported ?? {}) as Partial<Addon>;
  if (typeof Engine !== "function") throw badFile(`${name}: has no engine in it`);
  const root = knownRoot();
  const wanted = root === undefined ? undefined : versionOf(root);
  if (wanted !== undefined && version !== wanted)
    throw Object.assign(new Error(`${name}: is of version ${version}, and zstream of ${wanted}`), { code: "OTHER_VERSION" });
  return exported as Addon;
}

/** Where the package's file can be told: not in an application that was packed into one file. */
function checkPackage(name: string): void {
  let entry: string;
  try {
    entry = module.createRequire(isMoved() ? resolveFrom() : import.meta.url).resolve(name);
  } catch {
    return; // load() says why
  }
  checkElf(join(dirname(entry), "prebuilds", `${process.platform}-${process.arch}`, "node.napi.node"));
}

/** Puts another addon in its place (unit tests), or with undefined takes it away again. Not part of the public face. */
export function setNative(addon: NativeAddon | undefined): void {
  loaded = addon as typeof loaded;
}
