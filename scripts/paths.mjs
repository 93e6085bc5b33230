// Owns where things are in the repository and in the published package.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const distDir = join(root, "dist");

/**
 * Folders and files of a build. The addon of this machine's own build lies where node-gyp-build looks first; the portable one,
 * which a package gets, has folders of its own.
 */
export function placesOf(portable = false) {
  const build = join(root, "build", portable ? "portable" : "");
  const output = join(build, "Release");
  return {
    output,
    addon: join(output, "zstream.node"),
    cmake: join(build, "cmake"),
    stamp: join(build, "zse-build.json"),
    log: join(build, "build.log"),
  };
}
