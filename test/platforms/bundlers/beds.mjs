// Owns the list of packers that zStream is tried in, one function each in a file of its own. docs/BUNDLERS.md is written from it.
import { asar } from "./asar.mjs";
import { withApplication } from "./bench.mjs";
import { bunCompile } from "./bun-compile.mjs";
import { commonjs, jest } from "./commonjs.mjs";
import { esbuild } from "./esbuild.mjs";
import { next } from "./next.mjs";
import { nft } from "./nft.mjs";
import { sea } from "./sea.mjs";
import { types } from "./types.mjs";
import { vite } from "./vite.mjs";
import { webpack } from "./webpack.mjs";

/** @returns {{name: string, run: (project: string) => Promise<void>}[]} project: a folder with zStream in its node_modules, from `tarball` */
export function bundlerBeds(tarball) {
  return Object.entries({
    esbuild,
    webpack,
    "Vite SSR": vite,
    "@vercel/nft": nft,
    "Bun --compile": bunCompile,
    "single executables": sea,
    asar,
    CommonJS: commonjs,
    Jest: jest,
    Next: next,
    types,
  }).map(([name, pack]) => ({
    name,
    run: (project) => withApplication(project, tarball, pack),
  }));
}
