// Owns the packages as they are published: `npm run pack:all -- FOLDER` leaves their tarballs there. The main package holds JavaScript, types,
// the demo model, and the sources that `zse build` compiles; it has no install script. Each platform's package holds one addon, each GPU's one
// library, where it was built. A package is
// staged in build/packages with a manifest of its own and packed by npm.
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildTypescript, typescriptIsCurrent } from "./build-ts.mjs";
import { npmPack } from "./npm.mjs";
import { root } from "./paths.mjs";
import { addonOf, gpuPackages, hostPlatform, libraryOf, platforms } from "./platforms.mjs";
import { prebuild, prebuiltAddon } from "./prebuild.mjs";
import { main, SetupError, say } from "./say.mjs";

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const shared = Object.fromEntries(
  ["version", "license", "author", "repository", "bugs", "homepage", "engines"].map((key) => [key, manifest[key]]),
);

/**
 * Packs everything into `folder`. Platforms whose addon is not there, or older than its sources, are left out and named, but for this machine's, which is built.
 * @returns {{tarballs: string[], missing: string[]}}
 */
export function packAll(folder, { compiler } = {}) {
  if (!typescriptIsCurrent()) buildTypescript();
  const host = hostPlatform();
  if (host && !prebuiltAddon(host)) prebuild(host, compiler ? { compiler } : {});
  const present = platforms.filter((entry) => prebuiltAddon(entry));
  const gpus = gpuPackages.filter((entry) => prebuiltAddon(entry));
  mkdirSync(folder, { recursive: true });
  const tarballs = [stageMain(present), ...present.map(stagePlatform), ...gpus.map(stageGpu)].map((staged) => pack(staged, folder));
  const missing = [...platforms, ...gpuPackages].filter((entry) => !present.includes(entry) && !gpus.includes(entry));
  return { tarballs, missing: missing.map(({ name }) => name) };
}

/** What `zse build` installs before it compiles: pinned by the manifest, since nobody's lockfile reaches there. */
const buildTools = ["cmake-js", "node-addon-api", "node-api-headers"];

function stageMain(present) {
  const folder = emptyFolder("zstream");
  const { scripts, devDependencies, overrides, private: _, binary, files, ...kept } = manifest;
  for (const name of files) {
    if (!name.startsWith("!"))
      cpSync(join(root, name), join(folder, name), { recursive: true, filter: (path) => !/native[\\/].*\.md$/.test(path) });
  }
  for (const name of ["README.md", "LICENSE"]) cpSync(join(root, name), join(folder, name));
  write(folder, {
    ...kept,
    files,
    preferUnplugged: true, // Yarn's Plug'n'Play leaves packages in archives, where native code opens no model
    optionalDependencies: Object.fromEntries(present.map((entry) => [packageName(entry), manifest.version])),
    // Optional peers: nothing installs them unasked, and package managers that keep packages apart let zstream find them.
    peerDependencies: {
      ...manifest.peerDependencies,
      ...Object.fromEntries(gpuPackages.map((entry) => [packageName(entry), manifest.version])),
    },
    peerDependenciesMeta: {
      ...manifest.peerDependenciesMeta,
      ...Object.fromEntries(gpuPackages.map((entry) => [packageName(entry), { optional: true }])),
    },
    buildTools: Object.fromEntries(buildTools.map((name) => [name, installedVersion(name)])),
  });
  return folder;
}

function stagePlatform(entry) {
  const folder = emptyFolder(entry.name);
  const addon = addonOf(entry);
  cpSync(prebuiltAddon(entry), join(folder, addon), { recursive: true });
  chmodSync(join(folder, addon), 0o755);
  for (const name of ["LICENSE", "NOTICE"]) cpSync(join(root, name), join(folder, name));
  writeFileSync(
    join(folder, "index.js"),
    `// The path stands here as it is, so that programs that pack an application find the file.\nmodule.exports = require("./${addon}");\n`,
  );
  writeFileSync(
    join(folder, "README.md"),
    `# ${packageName(entry)}\n\nThe native engine of [zstream](https://www.npmjs.com/package/zstream) for ${entry.name}. Install zstream: it brings this along.\n`,
  );
  writePlatformManifest(folder, entry, `zStream's native engine for ${entry.name}`);
  return folder;
}

function stageGpu(entry) {
  const folder = emptyFolder(entry.name);
  const library = libraryOf(entry);
  cpSync(prebuiltAddon(entry), join(folder, library), { recursive: true });
  for (const name of ["LICENSE", "NOTICE"]) cpSync(join(root, name), join(folder, name));
  writeFileSync(
    join(folder, "index.js"),
    `// Where the library lies; the addon loads it. Programs that pack an application find the file by this line.\nmodule.exports = require("node:path").join(__dirname, "${library}");\n`,
  );
  const version = manifest.version;
  const command = `npm install zstream@${version} ${packageName(entry)}@${version}`;
  writeFileSync(
    join(folder, "README.md"),
    `# ${packageName(entry)}\n\nThe ${entry.gpu === "cuda" ? "CUDA" : "Vulkan"} backend of [zstream](https://www.npmjs.com/package/zstream). It needs ${entry.needs}.\n\n    ${command}\n\nzstream finds it by itself, in the same version alone.\n`,
  );
  writePlatformManifest(folder, entry, `zStream's ${entry.gpu === "cuda" ? "CUDA" : "Vulkan"} backend for ${entry.platform}-${entry.arch}`);
  return folder;
}

/** Of a package that one platform installs. */
function writePlatformManifest(folder, entry, description) {
  write(folder, {
    name: packageName(entry),
    description,
    ...shared,
    os: [entry.platform],
    cpu: [entry.arch],
    ...(entry.libc ? { libc: [entry.libc] } : {}),
    type: "commonjs",
    main: "./index.js",
    preferUnplugged: true,
    files: ["index.js", "prebuilds", "NOTICE"],
  });
}

export const packageName = ({ name }) => `@zstream/${name}`;

function emptyFolder(name) {
  const folder = join(root, "build", "packages", name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

function write(folder, value) {
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(value, undefined, 2)}\n`);
}

function installedVersion(name) {
  return JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")).version;
}

function pack(folder, destination) {
  const { filename, size } = npmPack(["--pack-destination", resolve(destination)], folder);
  say(`${filename}: ${(size / 1e6).toFixed(1)} MB`);
  return filename;
}

if (process.argv[1] && resolve(process.argv[1]) === import.meta.filename) {
  await main(() => {
    const words = process.argv.slice(2);
    const folder = words.find((word) => !word.startsWith("--"));
    if (!folder) throw new SetupError("say where the tarballs go: npm run pack:all -- FOLDER");
    const { missing } = packAll(folder, words.includes("--compiler=host") ? { compiler: "host" } : {});
    if (missing.length > 0) say(`not packed, since not prebuilt here: ${missing.join(", ")}`);
  });
}
