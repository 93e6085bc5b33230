// Owns what the benchmark compares with: installing node-llama-cpp under bench/peers, building llama.cpp's own programs. Each is there
// when its function returns, or the run ends with a sentence that says what is missing.
import { spawnSync } from "node:child_process";
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { root } from "../../scripts/paths.mjs";
import { SetupError, say } from "../../scripts/say.mjs";

export const peersDir = join(root, "bench", "peers");

const sourceDir = join(root, "bench", ".cache", "llama.cpp");
/** ZSE_CPU's level, as native/cpu has them, in ggml's own options beside GGML_NATIVE=OFF, whose others are those of AVX2. */
const levels = { sse42: ["AVX", "AVX2", "BMI2", "FMA", "F16C"].map((name) => `-DGGML_${name}=OFF`), avx2: [] };
levels.avxvnni = ["-DGGML_AVX_VNNI=ON"];
levels.avx512 = ["-DGGML_AVX512=ON", "-DGGML_AVX512_VNNI=ON"];
/** The level that all contenders are built for or held to; undefined: whatever this processor has. */
export const level = process.env.ZSE_CPU || undefined;
const buildDir = join(root, "bench", ".cache", level ? `llama-build-${level}` : "llama-build");
const compared = ["llama-bench", "llama-batched-bench", "llama-server"];
/** The one patch of ours that they get: without it some of them end with SIGILL on processors with AMX. */
const mended = "0027-amx-tiles.patch";

/**
 * The environment of contenders that take their memory from glibc: it asks for large pages then, where the system gives them (2.35 and later). zStream
 * asks for them itself. Without them the others' speed is one of the memory they happened to get (docs/lab/large-pages.md).
 */
export function withLargePages(environment = process.env) {
  return { ...environment, GLIBC_TUNABLES: environment.GLIBC_TUNABLES ?? "glibc.malloc.hugetlb=1" };
}

/** Where a program of llama.cpp's lies once buildTools() has made it. */
export function toolPath(name) {
  return join(buildDir, "bin", process.platform === "win32" ? `${name}.exe` : name);
}

/**
 * Builds llama.cpp's programs with the addon's own compiler options (by the project's CMakeLists.txt), from the pinned commit without the
 * patches of vendor/patches but that one: what others get who take llama.cpp as it is. Does nothing when they were built of that commit.
 */
export async function buildTools(tools = compared) {
  if (level && !levels[level]) throw new SetupError(`ZSE_CPU is "${level}": the benchmark knows ${Object.keys(levels).join(", ")}.`);
  const { llamaDir, fetchLlama, pin } = await import("../../vendor/fetch.mjs");
  const stamp = join(buildDir, "built.txt");
  // Not loaded in measuring processes, whose start is measured too.
  const { keepForProcessor, requireTools } = await import("../../scripts/build.mjs");
  keepForProcessor(buildDir); // -march=native
  const wanted = `${pin.commit} ${mended}`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted && tools.every((name) => existsSync(toolPath(name)))) return;
  requireTools();
  fetchLlama();
  mkdirSync(buildDir, { recursive: true });
  const log = join(buildDir, "build.log");
  writeFileSync(log, "");
  const run = (command, ...args) => {
    const { status, stdout, stderr, error } = spawnSync(command, args.map(String), { cwd: root, encoding: "utf8", maxBuffer: 2 ** 28 });
    appendFileSync(log, `${stdout}${stderr}`);
    if (status !== 0) {
      throw new SetupError(
        `llama.cpp's programs could not be built (${command} ${args[0]}: ${error?.message ?? `exit ${status}`}): see ${log}.`,
      );
    }
  };
  say(`building ${tools.join(", ")}, some minutes the first time …`);
  if (headOf(sourceDir) !== pin.commit) {
    rmSync(sourceDir, { recursive: true, force: true });
    run("git", "clone", "--quiet", "--shared", "--no-checkout", llamaDir, sourceDir);
    run("git", "-c", "core.autocrlf=false", "-C", sourceDir, "checkout", "--quiet", "--detach", pin.commit);
  }
  run("git", "-C", sourceDir, "checkout", "--quiet", "--", ".");
  run("git", "-C", sourceDir, "apply", "--whitespace=nowarn", join(root, "vendor", "patches", mended));
  const options = ["-DCMAKE_BUILD_TYPE=Release", "-DZSE_BENCH_TOOLS=ON", `-DZSE_LLAMA_DIR=${sourceDir}`];
  if (level) options.push("-DZSE_NATIVE=OFF", ...levels[level]);
  run("cmake", "-S", root, "-B", buildDir, ...options);
  const jobs = Number(process.env.ZSE_JOBS) || availableParallelism();
  run("cmake", "--build", buildDir, "--config", "Release", "--parallel", jobs, ...tools.flatMap((name) => ["--target", name]));
  for (const name of tools) {
    if (!existsSync(toolPath(name))) throw new SetupError(`${name} was built but is not in ${toolPath(name)}: see ${log}.`);
  }
  writeFileSync(stamp, wanted);
}

/**
 * A package of zStream whose addon is the portable one, which ZSE_CPU holds to its level: what `npm install zstream` brings, by this machine's
 * compiler. A folder of its own, since the checkout's addon is for this processor alone.
 */
export const levelFolder = join(root, "bench", ".cache", "portable");

export async function buildPortable() {
  const { buildAddon } = await import("../../scripts/build.mjs");
  const { placesOf } = await import("../../scripts/paths.mjs");
  await buildAddon({ portable: true });
  rmSync(levelFolder, { recursive: true, force: true });
  cpSync(join(root, "dist"), join(levelFolder, "dist"), { recursive: true });
  cpSync(join(root, "package.json"), join(levelFolder, "package.json"));
  cpSync(placesOf(true).addon, join(levelFolder, "build", "Release", "zstream.node"));
}

/** The commit that is checked out there; undefined where none is. A checkout that was cut short has no HEAD that is detached. */
function headOf(directory) {
  const head = join(directory, ".git", "HEAD");
  return existsSync(head) ? readFileSync(head, "utf8").trim() : undefined;
}

/** Installs node-llama-cpp as bench/peers/package-lock.json has it, with its prebuilt CPU binary only: no build, no install scripts. */
export function installPeers() {
  const { version } = wantedPeer();
  const binary = `@node-llama-cpp/${platformPackage()}`;
  const isThere = () => installedVersion("node-llama-cpp") === version && installedVersion(binary) === version;
  if (isThere()) return;
  say(`installing node-llama-cpp ${version} in bench/peers …`);
  // Its packages for GPUs are optional dependencies of some hundred megabytes each; the one for this CPU is asked for by name.
  const args = [
    "install",
    "--no-save",
    "--omit=optional",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    `${binary}@${version}`,
  ];
  const { status, stderr, error } = spawnSync("npm", args, { cwd: peersDir, encoding: "utf8", shell: process.platform === "win32" });
  if (status === 0 && isThere()) return;
  const why = error?.message ?? stderr?.trim().split("\n").slice(-3).join(" ");
  throw new SetupError(
    `node-llama-cpp ${version} (with ${binary}) is missing in bench/peers and could not be installed: ${why}. ` +
      "Put that right, or name the contenders to run without it, e.g. --contenders zstream,llama-server,raw.",
  );
}

function wantedPeer() {
  const { dependencies } = JSON.parse(readFileSync(join(peersDir, "package.json"), "utf8"));
  return { version: dependencies["node-llama-cpp"] };
}

/** Its names for systems; Apple's processors have one package for CPU and GPU. */
function platformPackage() {
  const system = { darwin: "mac", win32: "win" }[process.platform] ?? process.platform;
  return system === "mac" && process.arch === "arm64" ? "mac-arm64-metal" : `${system}-${process.arch}`;
}

function installedVersion(name) {
  try {
    return JSON.parse(readFileSync(join(peersDir, "node_modules", name, "package.json"), "utf8")).version;
  } catch {
    return undefined;
  }
}
