// Owns the cross compiler: Zig's Clang from npm, installed into build/zig on first use, as scripts/zig pins it. It runs on Linux x64.
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { npm } from "./npm.mjs";
import { root } from "./paths.mjs";
import { SetupError, say } from "./say.mjs";

const folder = join(root, "build", "zig");
const program = join(folder, "node_modules", "@zigc", `${process.platform}-${process.arch}`, "bin", "zig");

/** Whether it was installed before, so that a test may use it without a download of 400 MB. */
export const zigIsThere = () => existsSync(program);

/** @returns {{program: string, env: Record<string, string>}} env: what it must find in its environment */
export function installZig() {
  if (!zigIsThere()) {
    say("installing the cross compiler (npm packages, about 400 MB on the disk) …");
    mkdirSync(folder, { recursive: true });
    for (const name of ["package.json", "package-lock.json"]) cpSync(join(root, "scripts", "zig", name), join(folder, name));
    const { status, stderr } = npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder);
    if (status !== 0 || !zigIsThere()) throw new SetupError(`the cross compiler could not be installed: ${stderr.trim().slice(-500)}`);
  }
  const env = { ZIG_LIB_DIR: join(folder, "node_modules", "@zigc", "lib"), ZIG_GLOBAL_CACHE_DIR: join(root, "build", "zig-cache") };
  return { program, env: { ...env, CCACHE_COMPILERTYPE: "clang" } };
}

/** What CMake must be told to compile for a platform with it. */
export function zigDefines({ program: zig }, entry) {
  return { CMAKE_TOOLCHAIN_FILE: join(root, "scripts", "zig", "toolchain.cmake"), ZSE_ZIG: zig, ZSE_ZIG_TARGET: entry.zig };
}
