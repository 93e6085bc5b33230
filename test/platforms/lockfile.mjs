// A lockfile that another system wrote without this one's package: npm 10 installs by it and says nothing. zStream's error names the lockfile, and
// the command that it gives is run, and helps.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromFarm, run } from "../../scripts/farm.mjs";
import { hostPlatform } from "../../scripts/platforms.mjs";

const load = `import { ZSE } from "zstream"; try { await new ZSE().close(); console.log("it loaded"); } catch (error) { console.log(error.code, error.message); }`;

/** `project`: an empty folder. */
export async function lockfileFromElsewhere({ registry, project }) {
  const npm = fromFarm("npm 10", ["npm@10"], "npm/bin/npm-cli.js");
  const install = (...args) => run([process.execPath, npm, ...args, "--no-audit", "--no-fund"], project);
  const loaded = () => run([process.execPath, "--input-type=module", "--eval", load], project);
  writeFileSync(join(project, ".npmrc"), `registry=${registry}\n`);
  await install("install", "--package-lock-only", "zstream");
  const file = join(project, "package-lock.json");
  const lock = JSON.parse(readFileSync(file, "utf8"));
  const name = `@zstream/${hostPlatform().name}`;
  const entry = `node_modules/${name}`;
  if (!lock.packages[entry]) throw new Error(`npm's lockfile has no entry of ${name} to leave out`);
  delete lock.packages[entry];
  // What the other system installed instead.
  lock.packages["node_modules/@zstream/elsewhere"] = { version: "1.0.0", optional: true, os: ["aix"], resolved: "http://127.0.0.1/none" };
  writeFileSync(file, JSON.stringify(lock));
  await install("ci");
  const said = await loaded();
  const [, command] = /package-lock\.json was made on another system .* Once: npm (.+)/.exec(said) ?? [];
  if (command === undefined) throw new Error(`the error does not name the lockfile:\n${said}`);
  await install(...command.split(" "));
  const after = await loaded();
  if (!/^it loaded$/m.test(after)) throw new Error(`after \`npm ${command}\`:\n${after}`);
}
