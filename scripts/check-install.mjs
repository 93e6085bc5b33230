// Owns the check that what `npm publish` would send installs in a project that has nothing else, and streams there: by import, by
// require() and from the command line. It compiles the engine, as any installation does: minutes without ccache.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./paths.mjs";

const project = mkdtempSync(join(tmpdir(), "zstream-install-"));
const story =
  'const model = new ZSE(); for await (const text of model.chatStream([{ role: "user", content: "Tell me a story" }], { maxTokens: 20 })) process.stdout.write(text); await model.close();';

try {
  run("npm", ["pack", "--pack-destination", project], root);
  const [tarball] = readdirSync(project);
  writeFileSync(join(project, "package.json"), '{ "private": true }\n');
  run("npm", ["install", "--no-audit", "--no-fund", `./${tarball}`]);
  writeFileSync(join(project, "story.mjs"), `import { ZSE } from "zstream"; ${story}\n`);
  writeFileSync(join(project, "story.cjs"), `const { ZSE } = require("zstream"); (async () => { ${story} })();\n`);
  says("an ES module", run(process.execPath, ["story.mjs"]));
  says("CommonJS", run(process.execPath, ["story.cjs"]));
  says("the command line", run("npx", ["--no-install", "zse", "run", "Tell me a story", "--max-tokens", "20"]));
  console.log("the package installs, and streams");
} finally {
  rmSync(project, { recursive: true, force: true });
}

function run(command, args, cwd = project) {
  const result = spawnSync(command, args, { cwd, encoding: "utf8", maxBuffer: 1 << 26, shell: process.platform === "win32" });
  if (result.status === 0) return result.stdout;
  console.log(result.stdout, result.stderr);
  throw new Error(`\`${command} ${args.join(" ")}\` ended with ${result.status ?? result.signal}`);
}

function says(what, text) {
  if (!/[a-z]{3}/.test(text)) throw new Error(`${what} printed no text: ${JSON.stringify(text)}`);
}
