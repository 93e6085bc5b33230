// Owns where the package's own files lie: the addon and the demo model. Any thread. The compiled library may stand at any depth (lib/ in a
// checkout, dist/ in an installation), or have been moved into somebody's bundle, so the root is looked for, not counted.

import { existsSync, readFileSync } from "node:fs";
import module from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

let found: { root: string | undefined; moved: boolean } | undefined;

/** The directory of this package's package.json; of a bundle that has no package beside it, the directory of the bundle. */
export function packageRoot(): string {
  return knownRoot() ?? dirname(codeFile());
}

/** The same, or undefined in a bundle without the package beside it. */
export function knownRoot(): string | undefined {
  return find().root;
}

/** The version in the package.json of `root`; undefined where there is none that can be read. */
export function versionOf(root: string): string | undefined {
  try {
    return (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version?: string }).version;
  } catch {
    return undefined;
  }
}

/** Whether a bundler has moved this code out of the package. */
export function isMoved(): boolean {
  return find().moved;
}

/** The file that the platform's package is resolved from in a bundle. */
export function resolveFrom(): string {
  const root = knownRoot();
  return root === undefined ? codeFile() : join(root, "package.json");
}

/** The embedded demo model, or undefined in a bundle that has left it behind. In an Electron archive it is the unpacked copy, for native code. */
export function demoModelPath(): string | undefined {
  const asset = assetFile();
  if (asset !== undefined && existsSync(unpacked(asset))) return unpacked(asset);
  const root = knownRoot();
  return root && unpacked(join(root, "models", "demo", "demo.gguf"));
}

/** Written as one expression, since programs that pack an application look for it, and copy the file. */
function assetFile(): string | undefined {
  try {
    return fileURLToPath(new URL("../../models/demo/demo.gguf", import.meta.url));
  } catch {
    return undefined; // a bundle in CommonJS has no import.meta.url, and one for browsers an address that is no file's
  }
}

/**
 * The file that this code runs from. A bundle in CommonJS has no import.meta.url, webpack's has the one of the machine that made it, and in
 * an executable of Bun it names no file of the disk: beside those, what counts is where the bundle, what was copied along, or the executable lies.
 */
function codeFile(): string {
  const url: string | undefined = import.meta.url;
  const own = url === undefined || /\/(\$bunfs|~BUN)\//.test(url) ? undefined : pathOf(url);
  return [own, bundleFile(), assetFile()].find((path) => path !== undefined && existsSync(path)) ?? process.execPath;
}

function pathOf(url: string): string | undefined {
  try {
    return fileURLToPath(url);
  } catch {
    return undefined; // of another kind, or of another system
  }
}

function bundleFile(): string | undefined {
  try {
    return __filename; // not asked for by typeof: webpack answers that wrongly
  } catch {
    return undefined;
  }
}

function find(): NonNullable<typeof found> {
  if (found !== undefined) return found;
  const above = rootAbove();
  return (found = { root: above ?? installedRoot(), moved: above === undefined });
}

function rootAbove(): string | undefined {
  for (let at = dirname(codeFile()); ; at = dirname(at)) {
    if (isOurs(join(at, "package.json"))) return at;
    if (dirname(at) === at) return undefined;
  }
}

/** A bundler has moved this file: the package may be installed where the bundle lies. */
function installedRoot(): string | undefined {
  try {
    return dirname(module.createRequire(codeFile()).resolve("zstream/package.json"));
  } catch {
    return undefined;
  }
}

/** A path inside an Electron .asar archive as its place beside it, where native code can open it. */
function unpacked(path: string): string {
  return path.replace(/\.asar(?=[\\/])/, ".asar.unpacked");
}

function isOurs(file: string): boolean {
  if (!existsSync(file)) return false;
  try {
    return (JSON.parse(readFileSync(file, "utf8")) as { name?: string }).name === "zstream";
  } catch {
    return false;
  }
}
