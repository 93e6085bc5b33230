// The package for musl, for real: Bun's build for musl runs app.mjs under musl's own loader. There is no musl system here to take libstdc++
// from, so what Bun wants of it is compiled by the cross compiler (libstdcxx.cpp).
// The loader: apt-get install musl. The addon: npm run prebuild -- linux-x64-musl.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromFarm, run, Skip } from "../../../scripts/farm.mjs";
import { npmScript } from "../../../scripts/npm.mjs";
import { root } from "../../../scripts/paths.mjs";
import { installZig, zigIsThere } from "../../../scripts/zig.mjs";

/** `project`: an empty folder. */
export async function musl({ packed, registry, project }) {
  if (process.platform !== "linux" || process.arch !== "x64") throw new Skip("only on Linux x64");
  if (!packed.some((name) => name.startsWith("zstream-linux-x64-musl-")))
    throw new Skip("the addon was not prebuilt: npm run prebuild -- linux-x64-musl");
  if (!existsSync("/lib/ld-musl-x86_64.so.1")) throw new Skip("no musl (Debian: apt-get install musl)");
  if (!zigIsThere()) throw new Skip("the cross compiler is not there: npm run prebuild installs it");
  const args = ["--force", "--ignore-scripts", "--libc=musl", "@oven/bun-linux-x64-musl@1"];
  const bun = fromFarm("bun musl", args, "@oven/bun-linux-x64-musl/bin/bun");
  const env = { LD_LIBRARY_PATH: libstdcxx(), ZSE_TEST_THREADS: process.env.ZSE_TEST_THREADS ?? "" };
  writeFileSync(join(project, ".npmrc"), `registry=${registry}\nos=linux\ncpu=x64\nlibc=musl\n`);
  await run([process.execPath, npmScript(), "install", "--no-audit", "--no-fund", "zstream"], project);
  cpSync(join(root, "test", "platforms", "app.mjs"), join(project, "app.mjs"));
  const out = await run([bun, "run", "app.mjs"], project, { node: bun, env });
  if ((out.match(/^ok /gm) ?? []).length !== 4 || !/^done$/m.test(out)) throw new Error(out.slice(-1500));
}

/** The folder of a libstdc++.so.6 that is enough for Bun. */
function libstdcxx() {
  const folder = join(root, "build", "farm", "bun-musl", "lib");
  mkdirSync(folder, { recursive: true });
  const zig = installZig();
  const flags = ["-target", "x86_64-linux-musl", "-O1", "-std=c++17", "-fPIC", "-shared", "-fno-exceptions", "-fno-rtti", "-nostdlib++"];
  const source = join(root, "test", "platforms", "musl", "libstdcxx.cpp");
  const args = ["c++", ...flags, "-fno-sanitize=undefined", "-o", join(folder, "libstdc++.so.6"), source];
  const { status, stderr } = spawnSync(zig.program, args, { encoding: "utf8", env: { ...process.env, ...zig.env } });
  if (status !== 0) throw new Error(`libstdcxx.cpp could not be compiled:\n${stderr}`);
  return folder;
}
