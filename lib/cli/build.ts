// Owns `zse build`: compiles the engine for this machine from the sources in the package, for platforms without a prebuilt one and for who wants
// a GPU's backend or this processor's own instructions. It works in a folder of the user's, so that no package manager's folder needs more
// than to be there, and puts the result where lib/addon looks first. Main thread.

import { spawn } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { builtFolder } from "../addon/compiled.js";
import { packageRoot } from "../addon/package-root.js";
import { installCommands, withoutPnp } from "./install-commands.js";
import { reportError } from "./report.js";

interface BuildFlags {
  cuda?: boolean;
  vulkan?: boolean;
  keep?: boolean;
}

export function addBuild(program: Command): void {
  program
    .command("build")
    .description("compile the engine for this machine, from the sources in the package")
    .option("--cuda", "with the CUDA backend; needs the CUDA toolkit")
    .option("--vulkan", "with the Vulkan backend; needs the Vulkan SDK")
    .option("--keep", "keep the folder it was compiled in, so that the next build is quick")
    .addHelpText(
      "after",
      `
It needs CMake, a C++17 compiler, make or ninja, git, tar, a package manager (npm, pnpm, Yarn or Bun), and its registry. Minutes, and about 1 GB on the disk while it works.
The result serves this package from then on. ZSE_BUILD_DIR names a folder to work in, ZSE_JOBS how many files are compiled at once.`,
    )
    .action(async (flags: BuildFlags) => {
      try {
        process.exitCode = await build(flags);
      } catch (error) {
        process.exitCode = reportError(error);
      }
    });
}

async function build(flags: BuildFlags): Promise<number> {
  const root = packageRoot();
  const env = { ...(flags.cuda ? { ZSE_CUDA: "1" } : {}), ...(flags.vulkan ? { ZSE_VULKAN: "1" } : {}) };
  if (existsSync(join(root, "scripts", "start.mjs"))) {
    return run(process.execPath, [join(root, "scripts", "build.mjs")], root, false, env); // a clone has it all in place
  }
  // What is missing is said before anything is downloaded.
  const ready = await run(process.execPath, [join(root, "scripts", "build.mjs"), "--check"], root);
  if (ready !== 0) return ready;
  const work = builtFolder(root);
  try {
    stage(root, work);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `${work} cannot be used to compile in (${reason}): set ZSE_BUILD_DIR to a folder that you may write to, with 1 GB free.`,
    );
  }
  say(`compiling in ${work}`);
  await installTools(work);
  const compiled = await run(process.execPath, [join(work, "scripts", "build.mjs")], work, false, env);
  if (compiled !== 0) return compiled;
  const addon = settle(root, work, flags.keep === true);
  say(`the engine is built and will be used from now on: ${addon}`);
  return 0;
}

/** Tells cmake-js that only Node-API is used: it would download Node's own headers otherwise. */
const NODE_API = { napi_versions: [8] };
const SOURCES = ["CMakeLists.txt", "native", "vendor", "scripts", "NOTICE"];

/** What makes Yarn take the folder for a project of its own, with a node_modules folder and without scripts: 1 reads the second, 4 the third. */
const YARN = {
  "yarn.lock": "",
  ".yarnrc": "--install.ignore-scripts true\n",
  ".yarnrc.yml": "nodeLinker: node-modules\nenableScripts: false\nenableImmutableInstalls: false\nenableTelemetry: false\n",
};

/** A project of its own: the package's sources, and the tools as its only packages. */
function stage(root: string, work: string): void {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string; buildTools?: Record<string, string> };
  mkdirSync(work, { recursive: true });
  for (const name of SOURCES) cpSync(join(root, name), join(work, name), { recursive: true, preserveTimestamps: true });
  const own = { name: "zstream-build", version: manifest.version, private: true, dependencies: manifest.buildTools, binary: NODE_API };
  writeFileSync(join(work, "package.json"), `${JSON.stringify(own, undefined, 2)}\n`);
  for (const [name, text] of Object.entries(YARN)) writeFileSync(join(work, name), text);
}

/** By the first package manager that is there. */
async function installTools(work: string): Promise<void> {
  const commands = installCommands();
  for (const { name, file, args, shell } of commands) {
    const status = await run(file, args, work, shell).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (status === undefined || (shell && status === NOT_FOUND_BY_SHELL)) continue;
    if (status === 0) return;
    throw new Error(
      `the tools that compile the engine could not be installed: see ${name}'s message above; it must reach the registry that it is set up for.`,
    );
  }
  throw new Error(
    `no package manager was found (${commands.map(({ name }) => name).join(", ")}): one is needed to install the tools that compile the engine.`,
  );
}

/** What cmd.exe gives for a command that it does not know. */
const NOT_FOUND_BY_SHELL = 9009;

/** Into the package's folder, so that copies of node_modules have it; where that cannot be written to it stays, and is found there too. */
function settle(root: string, work: string, keep: boolean): string {
  const built = join(work, "build", "Release", "zstream.node");
  const wanted = join(root, "build", "Release", "zstream.node");
  try {
    mkdirSync(dirname(wanted), { recursive: true });
    copyFileSync(built, `${wanted}.new`);
    renameSync(`${wanted}.new`, wanted); // a process that has loaded the old one keeps it
  } catch {
    if (!keep)
      for (const name of [...SOURCES, "node_modules", join("build", "cmake")]) rmSync(join(work, name), { recursive: true, force: true });
    return built;
  }
  if (!keep) rmSync(work, { recursive: true, force: true });
  return wanted;
}

function run(file: string, args: string[], cwd: string, shell = false, env: Record<string, string> = {}): Promise<number> {
  return new Promise((done, fail) => {
    const child = spawn(file, args, { cwd, shell, stdio: ["ignore", "inherit", "inherit"], env: { ...withoutPnp(process.env), ...env } });
    child.on("error", fail);
    child.on("close", (status, signal) => done(status ?? (signal === "SIGINT" ? 130 : 1)));
  });
}

function say(text: string): void {
  process.stderr.write(`zse: ${text}\n`);
}
