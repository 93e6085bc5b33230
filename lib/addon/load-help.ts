// Owns what is said when the addon cannot be loaded: what this machine is, what was looked for and where, and the one command that helps.
// One screen. Any thread.

import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { versionOf } from "./package-root.js";

/** One place that was looked at: a file, or the name of a package. */
export interface Attempt {
  from: string;
  error: unknown;
  /** There was nothing; otherwise it was there and could not be loaded. */
  missing: boolean;
}

/** What to print when none of `attempts` gave an addon. `root` is the package's folder, or that of a bundle without the package beside it. */
export function loadHelp(root: string, attempts: readonly Attempt[], { bundled = false } = {}): string {
  const other = packageOfOtherLibc();
  const ofThisLibc = attempts.filter(({ from }) => from !== other);
  const lines = attempts.map(({ from, error, missing }) => {
    if (missing) return `    ${from}: not installed`;
    return `    ${from}: ${reasonOf(error).replace(`${from}: `, "")}${from === other ? " (of the other C library)" : ""}`;
  });
  if (lines.length === 0) lines.push(`    no package is made for ${process.platform}-${process.arch}`);
  return [
    "zStream's native engine could not be loaded.",
    `  Here:   ${here()}`,
    `  Folder: ${root}`,
    "  Looked for, in this order:",
    ...lines,
    "  What to do:",
    ...advice(root, ofThisLibc, bundled).map((line) => `    - ${line}`),
  ].join("\n");
}

function here(): string {
  const { bun, deno, electron } = process.versions as Record<string, string | undefined>;
  const runtime = bun ? `, Bun ${bun}` : deno ? `, Deno ${deno}` : electron ? `, Electron ${electron}` : "";
  const libc = process.platform !== "linux" ? "" : ` (${isMusl() ? "musl" : "glibc"})`;
  return `${process.platform}-${process.arch}${libc}, Node ${process.version} (Node-API ${process.versions.napi ?? "unknown"})${runtime}`;
}

/** node-gyp-build knows Alpine alone; the runtime says what it runs on itself. */
function isMusl(): boolean {
  const report = process.report as (NodeJS.ProcessReport & { excludeNetwork?: boolean }) | undefined;
  if (report === undefined) return false;
  report.excludeNetwork = true; // what it does otherwise can take seconds
  try {
    const { header } = (report.getReport?.() ?? {}) as { header?: { glibcVersionRuntime?: string } };
    return header !== undefined && header.glibcVersionRuntime === undefined;
  } catch {
    return false; // Deno asks for a permission
  }
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.split("\n")[0] ?? "").slice(0, 300);
}

/** What helps a bundle that has left the engine behind, or the demo model. */
export const BUNDLED = [
  "In a bundle: leave zstream and @zstream/* external, and install them beside it.",
  "For a single executable: put node_modules/zstream and node_modules/@zstream beside it. zstream's docs/BUNDLERS.md says how, for each bundler.",
] as const;

const DAMAGED =
  /invalid ELF|mach-o|wrong architecture|not a valid Win32|incompatible architecture|wrong ELF class|file too short|cannot read file data|self-register/i;

function advice(root: string, attempts: readonly Attempt[], bundled: boolean): string[] {
  const build = buildAdvice(root);
  const found = attempts.filter(({ missing }) => !missing);
  const reasons = found.map(({ error }) => reasonOf(error)).join("\n");
  const code = found.map(({ error }) => (error as { code?: string } | undefined)?.code);
  if (/[\\/][^\\/]+\.asar[\\/]/.test(root)) {
    return [
      'Electron cannot load a .node file from inside an archive: add "**/node_modules/@zstream/**" and "**/models/demo/**" to asarUnpack.',
    ];
  }
  if (code.includes("BAD_OPTION")) return ["Correct the setting that is named above."];
  if (code.includes("UNSUPPORTED")) return [build];
  if (code.includes("ERR_DLOPEN_DISABLED") || /Requires ffi access/.test(reasons)) {
    return [
      "Native addons are switched off in this process. Beside --permission Node wants --allow-addons; --no-addons may stand in NODE_OPTIONS, or a worker's execArgv. Deno wants --allow-ffi.",
    ];
  }
  if (code.includes("ERR_ACCESS_DENIED") || /Requires \w+ access/.test(reasons)) {
    return [`This process may not read the engine. Node wants --allow-fs-read="${nodeModules(root)}", and Deno --allow-read.`];
  }
  if (code.includes("OTHER_VERSION")) return [`Install the same version of both: ${installCommand(root, packageName()!)}`];
  if (/Cannot allocate memory/i.test(reasons))
    return ["This process has too little memory to load it: see ulimit -v, and the limits of its container."];
  if (/failed to map segment|Operation not permitted/i.test(reasons)) {
    return ["The folder is on a disk that runs no programs (mounted noexec): move the project to another one, or mount it without noexec."];
  }
  if (/Permission denied|EACCES|cannot enable executable stack|cannot restore segment prot/i.test(reasons)) {
    return [...forbidden(reasons), build];
  }
  if (/GLIBC|musl|version `/i.test(reasons)) return ["The engine was built for a newer C library than this machine has.", build];
  if (code.some((one) => /BAD_FILE|MODULE_NOT_FOUND/.test(one ?? "")) || DAMAGED.test(reasons)) {
    return [
      "The file is damaged, or for another machine: node_modules was perhaps copied. Delete node_modules and install again, here.",
      build,
    ];
  }
  if (found.length > 0) return [build, "If it still fails after that, please report it with this whole text."];
  return bundled ? [...BUNDLED] : whenMissing(root);
}

/** Who may not load the file: this user by its mode, or this program by a rule of the system's. */
function forbidden(reasons: string): string[] {
  const file = /^(.+?\.node): .*(?:denied|EACCES|cannot)/m.exec(reasons)?.[1];
  const folder = file === undefined ? "node_modules/@zstream" : dirname(file);
  if (file !== undefined && !mayRead(file)) {
    return [`This user may not read the file. Its owner runs: chmod -R a+rX "${folder}"`];
  }
  return [
    `A rule of the system's (SELinux, AppArmor) forbids this program to load it. With SELinux: restorecon -R -v "${folder}"`,
    "What was forbidden, and to whom, says: sudo ausearch -m avc -ts recent (AppArmor: sudo journalctl -k --grep apparmor)",
  ];
}

/** A file that cannot be seen at all may be in a folder that this user may not enter. */
function mayRead(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}

/** Nothing is installed: told apart by what the lockfile and the names of bundles show. */
function whenMissing(root: string): string[] {
  const build = buildAdvice(root);
  const wanted = packageName();
  if (wanted === undefined) return [`No prebuilt engine is made for this platform. ${build}`];
  const lock = lockfile(root);
  const install = installCommand(root, wanted, lock);
  if (lock !== undefined && leavesOut(lock.text, wanted)) {
    return [
      `${lock.path} was made on another system and leaves out this one's package. Once: ${install}`,
      "For good: delete the lockfile and node_modules, and install again.",
    ];
  }
  if (!/[\\/]node_modules[\\/]/.test(`${root}/`)) {
    return ["In a clone of zStream: npm start."];
  }
  return [
    `It was left out when zStream was installed (--omit=optional, omit=optional in .npmrc, or node_modules was copied): ${install}`,
    build,
  ];
}

/** The command that adds a package to what zstream was installed into. */
function installCommand(root: string, name: string, lock = lockfile(root)): string {
  const folder = nodeModules(root);
  const isGlobal = folder !== root && !existsSync(join(dirname(folder), "package.json"));
  const command = lock?.command ?? (isGlobal ? "npm install --global " : "npm install ");
  return `${command}${name}@${versionOf(root) ?? "latest"}`;
}

/** The folder of packages that zstream lies in; else its own. */
function nodeModules(root: string): string {
  return /[\\/]node_modules$/.test(dirname(root)) ? dirname(root) : root;
}

/**
 * The lockfile has entries of our packages, and none for `wanted`. zstream's own entry names all of them in any case, but without the
 * folder that npm puts before an entry's name or the version that the others put behind it.
 */
function leavesOut(lockfile: string, wanted: string): boolean {
  return (
    /node_modules\/@zstream\/|@zstream\/[\w-]+@/.test(lockfile) &&
    !lockfile.includes(`node_modules/${wanted}"`) &&
    !lockfile.includes(`${wanted}@`)
  );
}

function packageName(): string | undefined {
  const target = `${process.platform}-${process.arch}`;
  if (!/^(linux|win32|darwin)-(x64|arm64)$/.test(target)) return undefined;
  return `@zstream/${target}${process.platform === "linux" && isMusl() ? "-musl" : ""}`;
}

/** Package managers that know nothing of C libraries install it by a lockfile from another system, where this one's package is left out. */
function packageOfOtherLibc(): string | undefined {
  const wanted = packageName();
  return wanted?.endsWith("-musl") ? wanted.slice(0, -"-musl".length) : `${wanted}-musl`;
}

/** How each package manager adds a package, and how it runs a package's command: npx looks for it on the registry where it finds none. */
const lockfiles = [
  ["package-lock.json", "npm install --no-save ", "npx zse"],
  ["pnpm-lock.yaml", "pnpm add ", "pnpm exec zse"],
  ["yarn.lock", "yarn add ", "yarn zse"],
  ["bun.lock", "bun add ", "bunx zse"],
  ["deno.lock", "deno add npm:", "deno run --allow-all npm:zstream/zse"],
] as const;

function buildAdvice(root: string): string {
  return `To compile the engine here: ${lockfile(root)?.runner ?? "npx zse"} build`;
}

/** The nearest lockfile above the package, and the command of its package manager that adds a package. */
function lockfile(root: string): { path: string; text: string; command: string; runner: string } | undefined {
  for (let at = root; ; at = dirname(at)) {
    for (const [name, command, runner] of lockfiles) {
      const path = join(at, name);
      if (!existsSync(path)) continue;
      try {
        return { path, text: readFileSync(path, "utf8"), command, runner };
      } catch {
        return undefined;
      }
    }
    if (dirname(at) === at) return undefined;
  }
}
