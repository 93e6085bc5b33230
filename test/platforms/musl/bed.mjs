// The packages for musl, for real: Bun's build for musl runs app.mjs under musl's own loader, on arm64 under qemu-user. There is no musl system here
// to take libstdc++ from, so what Bun wants of it is compiled by the cross compiler (libstdcxx.cpp).
// The loaders: apt-get install musl; for arm64 qemu-user, and Debian's musl:arm64, unpacked into build/farm/musl-arm64 (`dpkg-deb -x`).
// The addons: npm run prebuilt -- linux-x64-musl linux-arm64-musl.
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromFarm, run, Skip } from "../../../scripts/farm.mjs";
import { npmScript } from "../../../scripts/npm.mjs";
import { root } from "../../../scripts/paths.mjs";
import { installZig, zigIsThere } from "../../../scripts/zig.mjs";

const farm = join(root, "build", "farm");
const qemu = "/usr/bin/qemu-aarch64";

/** cpu: as Zig, Bun and musl call it. loader: musl's, where a package of Debian's leaves it. */
const machines = {
  x64: { cpu: "x86_64", bun: "@oven/bun-linux-x64-musl", loaders: ["/lib/ld-musl-x86_64.so.1"] },
  arm64: {
    cpu: "aarch64",
    bun: "@oven/bun-linux-aarch64-musl",
    loaders: ["/lib/ld-musl-aarch64.so.1", join(farm, "musl-arm64", "lib", "ld-musl-aarch64.so.1")],
  },
};

/** `project`: an empty folder. `arch`: x64 or arm64. */
export async function musl({ packed, registry, project, arch }) {
  const { cpu, bun: bunPackage, loaders } = machines[arch];
  if (process.platform !== "linux" || process.arch !== "x64") throw new Skip("only on Linux x64");
  if (!packed.some((name) => name.startsWith(`zstream-linux-${arch}-musl-`)))
    throw new Skip(`the addon was not prebuilt: npm run prebuilt -- linux-${arch}-musl`);
  const loader = loaders.find(existsSync);
  if (loader === undefined) throw new Skip(`no musl for ${arch} (Debian's package musl: see test/platforms/musl/bed.mjs)`);
  if (arch === "arm64" && !existsSync(qemu)) throw new Skip("no qemu (Debian: apt-get install qemu-user)");
  if (!zigIsThere()) throw new Skip("the cross compiler is not there: npm run prebuilt installs it");
  const bun = fromFarm(
    `bun musl ${arch}`,
    ["--force", "--ignore-scripts", "--libc=musl", `--cpu=${arch}`, `${bunPackage}@1`],
    `${bunPackage}/bin/bun`,
  );
  const system = muslSystem(cpu, loader);
  // The emulator is a program of this machine's: it hands the folder on, and must not look there for its own libraries.
  const emulator = arch === "arm64" ? [qemu, "-L", system, "-E", "LD_LIBRARY_PATH=/lib"] : [];
  const env =
    arch === "arm64"
      ? { ZSE_TEST_THREADS: "1" }
      : { LD_LIBRARY_PATH: join(system, "lib"), ZSE_TEST_THREADS: process.env.ZSE_TEST_THREADS ?? "" };
  writeFileSync(join(project, ".npmrc"), `registry=${registry}\nos=linux\ncpu=${arch}\nlibc=musl\n`);
  await run([process.execPath, npmScript(), "install", "--no-audit", "--no-fund", "zstream"], project);
  cpSync(join(root, "test", "platforms", "app.mjs"), join(project, "app.mjs"));
  const out = await run([...emulator, bun, "run", "app.mjs"], project, { node: bun, env });
  if ((out.match(/^ok /gm) ?? []).length !== 4 || !/^done$/m.test(out)) throw new Error(out.slice(-1500));
}

/** A folder whose lib/ holds musl's loader and a libstdc++.so.6 that is enough for Bun. */
function muslSystem(cpu, loader) {
  const folder = join(farm, `musl-system-${cpu}`);
  const lib = join(folder, "lib");
  rmSync(lib, { recursive: true, force: true });
  mkdirSync(lib, { recursive: true });
  copyFileSync(loader, join(lib, `ld-musl-${cpu}.so.1`));
  const zig = installZig();
  const flags = ["-target", `${cpu}-linux-musl`, "-O1", "-std=c++17", "-fPIC", "-shared", "-fno-exceptions", "-fno-rtti", "-nostdlib++"];
  const source = join(root, "test", "platforms", "musl", "libstdcxx.cpp");
  const args = ["c++", ...flags, "-fno-sanitize=undefined", "-o", join(lib, "libstdc++.so.6"), source];
  const { status, stderr } = spawnSync(zig.program, args, { encoding: "utf8", env: { ...process.env, ...zig.env } });
  if (status !== 0) throw new Error(`libstdcxx.cpp could not be compiled:\n${stderr}`);
  return folder;
}
