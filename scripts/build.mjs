// Owns compiling the addon through cmake-js: checks that the tools are there, passes the ZSE_* options on, shows progress,
// and does nothing when nothing changed. `node scripts/build.mjs [--force | --check]`; `zse build` of an installed package ends here.
import { spawn, spawnSync } from "node:child_process";
import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchLlama } from "../vendor/fetch.mjs";
import { placesOf, root } from "./paths.mjs";
import { main, progress, SetupError, say } from "./say.mjs";

const require = createRequire(import.meta.url);

/** CMake options that the environment sets; one that is not set keeps the value of the build before. */
const switches = ["ZSE_CUDA", "ZSE_METAL", "ZSE_VULKAN", "ZSE_BENCH_TOOLS", "ZSE_WERROR"];
const values = ["ZSE_SANITIZE", "ZSE_BUILD_TYPE"];

/** True when the addon is there and neither its sources, its options nor the processor changed since it was built. */
export function addonIsCurrent({ portable = false } = {}) {
  const { addon, stamp: stampPath } = placesOf(portable);
  if (!existsSync(addon)) return false;
  const stamp = readStamp(stampPath);
  if (!stamp || JSON.stringify(stamp.configuration) !== JSON.stringify(configuration(stamp, portable))) return false;
  return newestSource() <= stamp.startedAt;
}

/**
 * Builds the addon if it is not current.
 * @param {{force?: boolean, portable?: boolean, targets?: string[]}} [options] portable: the build that a package gets, in a
 *   folder of its own; targets: further CMake targets to build after the addon
 */
export async function buildAddon({ force = false, portable = false, targets = [] } = {}) {
  if (!force && targets.length === 0 && addonIsCurrent({ portable })) return;
  requireTools(); // before anything is downloaded
  fetchLlama();
  const places = placesOf(portable);
  const stamp = readStamp(places.stamp);
  const wanted = configuration(stamp, portable);
  const startedAt = Date.now();
  if (stamp && stamp.configuration.processor !== wanted.processor) rmSync(places.cmake, { recursive: true, force: true });
  mkdirSync(places.cmake, { recursive: true });

  const log = createWriteStream(places.log);
  const isConfigured = existsSync(join(places.cmake, "CMakeCache.txt")) && stamp !== undefined;
  try {
    if (force || !isConfigured || JSON.stringify(stamp.configuration) !== JSON.stringify(wanted)) {
      say("configuring the native addon …");
      await cmakeJs("configure", { places, wanted, log });
    }
    for (const target of ["zstream", ...targets]) {
      const show = progress(`compiling ${target === "zstream" ? "the native addon" : target}`);
      await cmakeJs("build", { places, wanted, log, show, extra: ["--target", target] });
      show(1);
    }
  } finally {
    log.end();
  }
  writeFileSync(places.stamp, `${JSON.stringify({ configuration: wanted, startedAt }, undefined, 2)}\n`);
}

/** What a build depends on besides its sources. */
function configuration(stamp, portable) {
  const options = { ...stamp?.configuration.options };
  for (const name of switches) {
    const given = process.env[name];
    if (given === undefined || given === "") continue;
    if (!/^(0|1|on|off)$/i.test(given)) throw new SetupError(`${name} is "${given}": set it to 1 or 0.`);
    options[name] = /^(1|on)$/i.test(given) ? "ON" : "OFF";
  }
  for (const name of values) {
    if (process.env[name] !== undefined) options[name] = process.env[name];
  }
  if (portable) options.ZSE_PORTABLE = "ON";
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return { version, options: Object.fromEntries(Object.entries(options).sort()), processor: processor() };
}

/** -march=native makes a build fit one processor only; a disk moved to another machine must be built again. */
function processor() {
  if (process.platform !== "linux") return `${process.platform}-${process.arch}`;
  const lines = readFileSync("/proc/cpuinfo", "utf8").split("\n");
  const pick = lines.filter((line) => /^(model name|flags|Features)\s*:/.test(line)).slice(0, 2);
  return `${process.platform}-${process.arch} ${pick.map((line) => line.slice(line.indexOf(":") + 2)).join(" / ")}`;
}

/** Empties a build folder that another processor's build was made in: make sees no difference, since the flags are the same. */
export function keepForProcessor(directory) {
  const stamp = join(directory, "processor.txt");
  const here = processor();
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === here) return;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  writeFileSync(stamp, here);
}

function readStamp(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** Newest modification time, in ms, of what is compiled and of what says how. */
export function newestSource() {
  const paths = ["CMakeLists.txt", "vendor/llama.cpp.json", "native", "vendor/patches"].map((name) => join(root, name));
  let newest = 0;
  while (paths.length > 0) {
    const path = paths.pop();
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat) continue;
    newest = Math.max(newest, stat.mtimeMs);
    if (stat.isDirectory()) paths.push(...readdirSync(path).map((name) => join(path, name)));
  }
  return newest;
}

/** One sentence for all that is missing, with the one command that brings it, before CMake says it in fifty lines. */
export function requireTools() {
  const missing = [];
  const cmake = spawnSync("cmake", ["--version"], { encoding: "utf8" });
  const [, major, minor] = /version (\d+)\.(\d+)/.exec(cmake.stdout ?? "") ?? [];
  if (cmake.error) missing.push({ what: "CMake 3.19 or newer", name: "cmake" });
  else if (Number(major) * 1000 + Number(minor) < 3019)
    missing.push({ what: `CMake 3.19 or newer (this is ${major}.${minor})`, name: "cmake" });
  if (!sourceIsThere()) {
    for (const name of ["git", "tar"]) if (spawnSync(name, ["--version"]).error) missing.push({ what: name, name });
  }
  // On Windows, cmake-js looks for Visual Studio itself and says so in one sentence.
  if (process.platform !== "win32") {
    if (!onPath(process.env.CXX?.split(" ")[0] || "c++", "g++", "clang++")) missing.push({ what: "a C++17 compiler", name: "g++" });
    if (!onPath("ninja", "make")) missing.push({ what: "make or ninja", name: "make" });
  }
  if (missing.length === 0) return;
  const whats = missing.map(({ what }) => what);
  const list = whats.length > 1 ? `${whats.slice(0, -1).join(", ")} and ${whats.at(-1)}` : whats[0];
  throw new SetupError(
    `to compile the native addon, ${list} ${whats.length > 1 ? "are" : "is"} missing: ${installHint(missing.map(({ name }) => name))}, then run the command again.`,
  );
}

/** What a system calls the packages of these names where it differs, and how it installs them. */
const systems = [
  { program: "apt-get", install: "apt-get install" },
  { program: "dnf", install: "dnf install", "g++": "gcc-c++" },
  { program: "apk", install: "apk add", "g++": "g++ linux-headers" },
  { program: "pacman", install: "pacman -S", "g++": "gcc" },
  { program: "zypper", install: "zypper install", "g++": "gcc-c++" },
];

function installHint(names) {
  if (process.platform === "win32") return "install them from Visual Studio's installer, workload “Desktop development with C++”, and git";
  if (process.platform === "darwin") {
    const commands = [
      names.includes("cmake") && "`brew install cmake`",
      names.some((name) => name !== "cmake") && "`xcode-select --install`",
    ];
    return `run ${commands.filter(Boolean).join(" and ")}`;
  }
  const places = ["/usr/bin", "/usr/sbin", "/sbin", "/bin"]; // whatever the PATH holds
  const system = systems.find(({ program }) => places.some((place) => existsSync(join(place, program)))) ?? systems[0];
  return `run \`${process.getuid?.() === 0 ? "" : "sudo "}${system.install} ${names.map((name) => system[name] ?? name).join(" ")}\``;
}

/** fetch.mjs needs its tools no more. */
function sourceIsThere() {
  return existsSync(join(root, "vendor", "llama.cpp", ".git"));
}

/** Whether the PATH has one of these programs. */
export function onPath(...commands) {
  const directories = (process.env.PATH ?? "").split(delimiter);
  return commands.some((command) => directories.some((directory) => existsSync(resolve(directory, command))));
}

/** Runs one cmake-js command; its output goes to the log, what it says of its progress to `show`. */
function cmakeJs(command, { places, wanted, log, show, extra = [] }) {
  const { ZSE_BUILD_TYPE: buildType, ...defines } = wanted.options;
  const args = [locateCmakeJs(), command, "--directory", root, "--out", places.cmake, "--config", buildType || "Release"];
  args.push("--parallel", String(Number(process.env.ZSE_JOBS) || availableParallelism()));
  args.push(`--CDCMAKE_LIBRARY_OUTPUT_DIRECTORY=${places.output}`);
  // cmake-js drops an empty value, but one from a build before must go away: every option is always given.
  args.push(...Object.entries(defines).map(([name, value]) => `--CD${name}=${value || "OFF"}`), ...extra);

  return new Promise((done, fail) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let tail = "";
    const errors = [];
    let following = 0;
    const read = (chunk) => {
      log.write(chunk);
      tail += chunk;
      const lines = tail.split(/\r?\n/);
      tail = lines.pop() ?? "";
      for (const line of lines) {
        const fraction = show && fractionOf(line);
        if (fraction !== undefined && fraction !== false) show(fraction);
        if (/(error:|error [A-Z]+\d+:|CMake Error|undefined reference|fatal error|ERR! )/.test(line)) following = 4;
        if (following > 0 && errors.length < 12 && line.trim() !== "") {
          errors.push(line.trimEnd()); // CMake says in the lines after it what an error is about
          following = /^CMake Error|^ /.test(line) ? following - 1 : 0;
        }
      }
    };
    child.stdout.setEncoding("utf8").on("data", read);
    child.stderr.setEncoding("utf8").on("data", read);
    child.on("error", fail);
    child.on("close", (status, signal) => {
      if (status === 0) return done();
      for (const line of errors) say(line);
      const how = signal ? `was ended by ${signal}` : `exited with ${status}`;
      const memory = signal === "SIGKILL" || errors.some((line) => /Killed|out of memory/i.test(line));
      fail(
        new SetupError(
          `the native addon could not be built (cmake-js ${command} ${how}): the whole log is in ${places.log}` +
            `${memory ? "; memory ran out, so try again with ZSE_JOBS=1" : ""}.`,
        ),
      );
    });
  });
}

/** "[ 42%] Building…" is make's, "[12/130] Building…" ninja's. */
function fractionOf(line) {
  const percent = /^\[\s*(\d+)%\]/.exec(line);
  if (percent) return Number(percent[1]) / 100;
  const count = /^\[(\d+)\/(\d+)\]/.exec(line);
  return count ? Number(count[1]) / Number(count[2]) : undefined;
}

function locateCmakeJs() {
  try {
    return join(require.resolve("cmake-js/package.json"), "..", "bin", "cmake-js");
  } catch {
    throw new SetupError("cmake-js is not installed: run `npm install` first.");
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(() => (process.argv.includes("--check") ? requireTools() : buildAddon({ force: process.argv.includes("--force") })));
}
