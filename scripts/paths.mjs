// Owns where things are in the repository and in the published package.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const distDir = join(root, "dist");

/**
 * Folders and files of a build. The addon of this machine's own build lies where node-gyp-build looks first; the portable one, which a package
 * gets, has its own beside them. Both folders of CMake are as deep: what a compiler is told is the same then, and ccache has most of the second one.
 */
export function placesOf(portable = false) {
  const build = join(root, "build");
  const which = portable ? "-portable" : "";
  const output = join(build, `Release${which}`);
  return {
    output,
    addon: join(output, "zstream.node"),
    cmake: join(build, `cmake${which}`),
    stamp: join(build, `zse-build${which}.json`),
    log: join(build, `build${which}.log`),
  };
}
