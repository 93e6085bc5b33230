// Owns the check that `zse build` compiles the engine from what the package holds, in a project where the platform's package is missing, and that
// the result is found from then on: by import, by require() and from the command line. Minutes without ccache.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packAll } from "./pack.mjs";

const project = mkdtempSync(join(tmpdir(), "zstream-build-"));
const env = { ...process.env, ZSE_BUILD_DIR: join(project, "work") };
const story =
  'const model = new ZSE(); for await (const text of model.chatStream([{ role: "user", content: "Tell me a story" }], { maxTokens: 20 })) process.stdout.write(text); await model.close();';

try {
  const { tarballs } = packAll(join(project, "tarballs"), { compiler: "host" });
  writeFileSync(join(project, "package.json"), '{ "private": true }\n');
  run("npm", ["install", "--no-audit", "--no-fund", "--omit=optional", `./tarballs/${tarballs[0]}`]);
  const before = spawnSync("npx", ["--no-install", "zse", "run", "x"], { cwd: project, encoding: "utf8", env });
  if (before.status !== 1 || !before.stderr.includes("npx zse build")) throw new Error(`without an engine, zse says: ${before.stderr}`);
  mkdirSync(env.ZSE_BUILD_DIR);
  writeFileSync(join(env.ZSE_BUILD_DIR, "mine.txt"), "what else lies there stays");
  run("npx", ["--no-install", "zse", "build"]);
  const left = readdirSync(env.ZSE_BUILD_DIR);
  if (left.join() !== "mine.txt") throw new Error(`in the folder where it was compiled lies now: ${left}`);
  writeFileSync(join(project, "story.mjs"), `import { ZSE } from "zstream"; ${story}\n`);
  writeFileSync(join(project, "story.cjs"), `const { ZSE } = require("zstream"); (async () => { ${story} })();\n`);
  says("an ES module", run(process.execPath, ["story.mjs"]));
  says("CommonJS", run(process.execPath, ["story.cjs"]));
  says("the command line", run("npx", ["--no-install", "zse", "run", "Tell me a story", "--max-tokens", "20"]));
  console.log("the engine compiles from the package, and streams");
} finally {
  rmSync(project, { recursive: true, force: true });
}

function run(command, args, cwd = project) {
  const result = spawnSync(command, args, { cwd, env, encoding: "utf8", maxBuffer: 1 << 26, shell: process.platform === "win32" });
  if (result.status === 0) return result.stdout;
  console.log(result.stdout, result.stderr);
  throw new Error(`\`${command} ${args.join(" ")}\` ended with ${result.status ?? result.signal}`);
}

function says(what, text) {
  if (!/[a-z]{3}/.test(text)) throw new Error(`${what} printed no text: ${JSON.stringify(text)}`);
}
