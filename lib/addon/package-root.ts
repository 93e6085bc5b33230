// Owns where the package's own files lie: the addon and the demo model. Any thread. The compiled library may stand at any
// depth (lib/ in a checkout, dist/ in an installation), so the root is looked for, not counted.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

let found: string | undefined;

/** The directory of this package's package.json. */
export function packageRoot(): string {
  if (found !== undefined) return found;
  const start = dirname(fileURLToPath(import.meta.url));
  for (let at = start; ; at = dirname(at)) {
    if (isOurs(join(at, "package.json"))) return (found = at);
    // A bundler has moved this file: the parent of its directory is the best guess left.
    if (dirname(at) === at) return (found = dirname(start));
  }
}

/** The embedded demo model. In an Electron archive the native engine reads the unpacked copy. */
export function demoModelPath(): string {
  return unpacked(join(packageRoot(), "models", "demo", "demo.gguf"));
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
