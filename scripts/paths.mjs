// Owns where things are in the repository and in the published package.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** What cmake-js and node-gyp-build agree on: the addon is the only .node file here. */
export const addonDir = join(root, "build", "Release");
export const addonPath = join(addonDir, "zstream.node");
export const cmakeDir = join(root, "build", "cmake");
export const distDir = join(root, "dist");
