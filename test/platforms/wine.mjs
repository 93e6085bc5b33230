// The package for Windows x64, for real: npm's node.exe under wine runs app.mjs, a model in a folder whose name is not ASCII, the command line,
// and the same text at each level as here. Then node.exe under another name, as Electron's is.
// The tools: apt-get install wine64. The addon: npm run prebuilt -- win32-x64.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, Skip } from "../../scripts/farm.mjs";
import { npmScript } from "../../scripts/npm.mjs";
import { root } from "../../scripts/paths.mjs";
import { startWine } from "./windows.mjs";

const story = (from, model = "undefined") => `
import { ZSE } from ${JSON.stringify(from)};
const model = new ZSE(${model}, { threads: 1 });
let text = "";
for await (const piece of model.chatStream([{ role: "user", content: "Tell me a story" }], { maxTokens: 24, temperature: 0 })) text += piece;
await model.close();
console.log("story: " + JSON.stringify(text));
`;

/** `project`: an empty folder. */
export async function wine({ packed, registry, project }) {
  if (!packed.some((name) => name.startsWith("zstream-win32-x64-")))
    throw new Skip("the addon was not prebuilt: npm run prebuilt -- win32-x64");
  const windows = startWine();
  writeFileSync(join(project, ".npmrc"), `registry=${registry}\nos=win32\ncpu=x64\n`);
  await run([process.execPath, npmScript(), "install", "--no-audit", "--no-fund", "zstream"], project);
  const inWine = async (args, env = {}, exe = windows.node) => {
    const { status, text } = await windows.run([exe, ...args], project, { ZSE_TEST_THREADS: "1", ZSE_TEST_CLIENT: "node:http", ...env });
    if (status === 0) return text;
    throw new Error(`\`wine ${args.join(" ")}\` ended with ${status}:\n${text.slice(-2500)}`);
  };

  cpSync(join(root, "test", "platforms", "app.mjs"), join(project, "app.mjs"));
  const out = await inWine(["app.mjs"]);
  if ((out.match(/^ok /gm) ?? []).length !== 4 || !/^done\r?$/m.test(out)) throw new Error(out.slice(-1500));

  const wanted = storyIn(String(spawnSync(process.execPath, ["--input-type=module", "--eval", story(join(root, "dist/index.js"))]).stdout));
  writeFileSync(join(project, "story.mjs"), story("zstream"));
  for (const level of levels()) {
    const told = storyIn(await inWine(["story.mjs"], { ZSE_CPU: level }));
    if (told === undefined || told !== wanted) throw new Error(`at level ${level} the text is ${told}, and here ${wanted}`);
  }
  mkdirSync(join(project, "Füße 模型"));
  cpSync(join(root, "models", "demo", "demo.gguf"), join(project, "Füße 模型", "ä.gguf"));
  writeFileSync(join(project, "named.mjs"), story("zstream", '"Füße 模型/ä.gguf"'));
  cpSync(windows.node, join(project, "electron.exe"));
  const told = storyIn(await inWine(["named.mjs"], {}, "electron.exe"));
  if (told !== wanted) throw new Error(`from a folder with a name of its own, in a program of another name, the text is ${told}`);
  const cli = await inWine(["node_modules/zstream/dist/cli/main.js", "run", "Tell me a story", "--max-tokens", "12"]);
  if (!/[a-z]{3}/.test(cli)) throw new Error(`zse run printed ${JSON.stringify(cli)}`);
}

/** Those that this processor carries. */
function levels() {
  const flags = readFileSync("/proc/cpuinfo", "utf8");
  const known = { avx2: /\bavx2\b/, avxvnni: /\bavx_vnni\b/, avx512: /\bavx512_vnni\b/ };
  return ["sse42", ...Object.keys(known).filter((level) => known[level].test(flags))];
}

function storyIn(text) {
  return /^story: (.*?)\r?$/m.exec(text)?.[1];
}
