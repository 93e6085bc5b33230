// Owns making a prebuilt addon: builds one that runs on every machine of this platform and stages it, with the backend libraries
// that it loads, in prebuilds/<platform>-<arch>/, where node-gyp-build finds it. `npm run prebuilds`
// prebuildify cannot do this: it drives node-gyp, not cmake-js.
import { cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { buildAddon } from "./build.mjs";
import { placesOf, root } from "./paths.mjs";
import { main, say } from "./say.mjs";

await main(async () => {
  await buildAddon({ portable: true });
  const { addon, cmake } = placesOf(true);
  const target = join(root, "prebuilds", `${process.platform}-${process.arch}`);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const file of [addon, ...librariesIn(join(cmake, "bin"))]) cpSync(file, join(target, basename(file)));
  say(`staged in ${target}: ${readdirSync(target).join(", ")}`);
});

function librariesIn(directory) {
  return readdirSync(directory)
    .filter((name) => /\.(so|dylib|dll)$/.test(name))
    .map((name) => join(directory, name));
}
