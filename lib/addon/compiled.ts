// Owns where an addon lies that was compiled on this machine. Any thread.

import { existsSync } from "node:fs";
import module from "node:module";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { versionOf } from "./package-root.js";

/**
 * The addons that were compiled here and are there, the one to prefer first. `root` is the package's folder; a bundle has none, and what lies
 * in build/Release beside it is somebody else's.
 */
export function compiledAddons(root: string | undefined): string[] {
  if (root === undefined) return [];
  const places = [() => inPackage(root), () => join(builtFolder(root), "build", "Release", "zstream.node")];
  return places.map(whatIsThere).filter((file) => file !== undefined);
}

/** A place that this process may not look at (Node's and Deno's permissions) is one where nothing is. */
function whatIsThere(place: () => string | undefined): string | undefined {
  try {
    const file = place();
    return file !== undefined && existsSync(file) ? file : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Where `zse build` puts its result when the package's own folder cannot be written to: a folder of the user's, one for each version and
 * platform. ZSE_BUILD_DIR names another one to have it in: what else lies there is not ours to remove, nor another version's addon ours to load.
 */
export function builtFolder(root: string): string {
  const name = `${versionOf(root) ?? "unknown"}-${process.platform}-${process.arch}`;
  if (process.env.ZSE_BUILD_DIR) return resolve(process.env.ZSE_BUILD_DIR, `zstream-${name}`);
  const caches =
    process.env.XDG_CACHE_HOME || (process.platform === "win32" ? process.env.LOCALAPPDATA : undefined) || join(homedir(), ".cache");
  return join(caches, "zstream", name);
}

/** As node-gyp-build looks: build/Release, build/Debug, and prebuilds/ of a package that brings its own. */
function inPackage(root: string): string | undefined {
  const require = module.createRequire(join(root, "package.json"));
  try {
    return (require("node-gyp-build") as { resolve(root: string): string }).resolve(root);
  } catch {
    return undefined; // no addon there, or an application packed without node-gyp-build: the packages remain
  }
}
