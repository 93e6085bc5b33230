// Owns the copy of the repository in which another platform's Node runs test/addon: its sources, that platform's addon where a build would leave
// it, and vitest with that platform's native parts.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildTypescript, typescriptIsCurrent } from "../../scripts/build-ts.mjs";
import { fromFarm, Skip } from "../../scripts/farm.mjs";
import { npm } from "../../scripts/npm.mjs";
import { root } from "../../scripts/paths.mjs";
import { addonOf } from "../../scripts/platforms.mjs";
import { prebuildFolder } from "../../scripts/prebuild.mjs";
import { SetupError } from "../../scripts/say.mjs";

const COPIED = [
  ["lib", "dist", "models", "scripts", "test", "examples", "docs", "README.md", "vendor/llama.cpp.json"],
  ["vendor/llama.cpp/models"], // templates and vocabularies that tests read
  ["vitest.config.ts", "tsconfig.json", "tsconfig.build.json"],
].flat();
/** What compiles a program of its own, or asks for this machine's packages. */
const LEFT_OUT = ["test/addon/zse.test.ts", "test/addon/gpu-library.test.ts", "test/addon/embeddings.test.ts"];

/** The folder of the copy for `entry` of platforms.mjs: build/farm/`name`. */
export function copySuite(entry, name) {
  const addon = join(prebuildFolder(entry), addonOf(entry));
  if (!existsSync(addon)) throw new SetupError(`the addon was not prebuilt: npm run prebuilt -- ${entry.name}`);
  const folder = join(root, "build", "farm", name);
  installPackages(folder, entry);
  if (!typescriptIsCurrent()) buildTypescript();
  for (const part of COPIED) {
    rmSync(join(folder, part), { recursive: true, force: true });
    if (existsSync(join(root, part))) cpSync(join(root, part), join(folder, part), { recursive: true, preserveTimestamps: true });
  }
  writeFileSync(join(folder, "scripts", "build-ts.mjs"), "// dist/ was copied as it is: tests that would build it find it current\n");
  mkdirSync(join(folder, "build", "Release"), { recursive: true });
  cpSync(addon, join(folder, "build", "Release", "zstream.node"));
  return folder;
}

/** vitest's command line in the copy: `words` are its user's. */
export function vitestArguments(words) {
  const args = ["run", "--project", "addon", "--testTimeout=1200000", "--hookTimeout=1200000"];
  return [join("node_modules", "vitest", "vitest.mjs"), ...args, ...LEFT_OUT.map((name) => `--exclude=${name}`), ...words];
}

/** Another platform's Node, from npm: `file` of the package. */
export function nodeOf(name, npmPackage, file) {
  try {
    return fromFarm(name, ["--force", "--ignore-scripts", npmPackage], file);
  } catch (error) {
    throw error instanceof Skip ? new SetupError(error.message) : error;
  }
}

/** All of our lockfile, in that platform's parts. */
function installPackages(folder, { platform, arch, libc }) {
  mkdirSync(folder, { recursive: true });
  const [lock, stamp] = [readFileSync(join(root, "package-lock.json"), "utf8"), join(folder, "node_modules", ".zse-lock.json")];
  for (const name of ["package.json", "package-lock.json"]) cpSync(join(root, name), join(folder, name));
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  const target = [`--os=${platform}`, `--cpu=${arch}`, ...(libc ? [`--libc=${libc}`] : [])];
  const { status, stderr } = npm(["ci", ...target, "--ignore-scripts", "--no-audit", "--no-fund"], folder);
  if (status !== 0) throw new SetupError(`the tests' packages could not be installed for ${platform}-${arch}: ${stderr.slice(-500)}`);
  writeFileSync(stamp, lock);
}
