// Owns trying the packages where users are: `npm run test:platforms [-- --quick] [name …]`. Tarballs of pack.mjs go through a registry on
// loopback into empty projects, by each package manager on a PATH that has Node alone. The program test/platforms/app.mjs then runs on each
// runtime, and test/platforms/bundlers packs an application by each bundler. Tools come from npm into build/farm. --quick is what CI has time
// for. Ends with "N passed, N failed, N skipped".
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { arm64 } from "../test/platforms/arm64.mjs";
import { bundlerBeds } from "../test/platforms/bundlers/beds.mjs";
import { levels } from "../test/platforms/levels.mjs";
import { lockfileFromElsewhere } from "../test/platforms/lockfile.mjs";
import { musl } from "../test/platforms/musl/bed.mjs";
import { older, withoutAmx } from "../test/platforms/other-processor.mjs";
import { startRegistry } from "../test/platforms/registry.mjs";
import { vulkan } from "../test/platforms/vulkan.mjs";
import { wine } from "../test/platforms/wine.mjs";
import { zseBuildBeds } from "../test/platforms/zse-build.mjs";
import { fromFarm, run, Skip } from "./farm.mjs";
import { npm, npmScript } from "./npm.mjs";
import { packAll } from "./pack.mjs";
import { root } from "./paths.mjs";
import { main } from "./say.mjs";

const words = process.argv.slice(2);
const quick = words.includes("--quick");
const only = words.filter((word) => !word.startsWith("--"));
const upstream = npm(["config", "get", "registry"], root).stdout.trim();
/** What an installation for one platform may weigh, unpacked, with everything it depends on. */
const MEGABYTES = 35;

/** node: the runtime of these that the package manager itself needs. */
const managers = {
  "npm 10": { packages: ["npm@10"], script: "npm/bin/npm-cli.js", args: ["install", "--no-audit", "--no-fund", "zstream"] },
  "npm 11": { packages: ["npm@11"], script: "npm/bin/npm-cli.js", args: ["install", "--no-audit", "--no-fund", "zstream"] },
  "npm 12": {
    packages: ["npm@12"],
    script: "npm/bin/npm-cli.js",
    args: ["install", "--no-audit", "--no-fund", "zstream"],
    node: "node 24",
  },
  pnpm: { packages: ["pnpm@latest"], script: "pnpm/bin/pnpm.mjs", args: ["add", "zstream"], node: "node 24" },
  "Yarn 1": { packages: ["yarn@1"], script: "yarn/bin/yarn.js", args: ["add", "zstream", "--non-interactive"] },
  "Yarn 4": { packages: ["@yarnpkg/cli-dist@4"], script: "@yarnpkg/cli-dist/bin/yarn.js", args: ["add", "zstream"], yarn: "node-modules" },
  "Yarn 4 PnP": { packages: ["@yarnpkg/cli-dist@4"], script: "@yarnpkg/cli-dist/bin/yarn.js", args: ["add", "zstream"], yarn: "pnp" },
  Bun: { packages: ["bun@1"], program: "bun/bin/bun.exe", args: ["add", "zstream"] },
  Deno: { packages: ["deno@2"], program: "deno/deno", args: ["install", "npm:zstream"] },
};
const runtimes = {
  "this Node": { program: process.execPath },
  "node 22": { packages: ["node@22"], program: "node/bin/node" },
  "node 24": { packages: ["node@24"], program: "node/bin/node" },
  "node 26": { packages: ["node@26"], program: "node/bin/node" },
  Bun: { packages: ["bun@1"], program: "bun/bin/bun.exe", args: ["run"] },
  Deno: {
    packages: ["deno@2"],
    program: "deno/deno",
    args: ["run", "--allow-read", "--allow-ffi", "--allow-env", "--allow-sys", "--allow-net", "--node-modules-dir=manual"],
  },
};
const quickOnes = [
  "npm 12",
  "pnpm",
  "Yarn 4 PnP",
  "this Node",
  "node 24",
  "Bun",
  "the size",
  "with AMX",
  "levels of",
  "older processors",
  "broken",
  "esbuild",
  "@vercel/nft",
];

let passed = 0;
let failed = 0;
let skipped = 0;

await main(async () => {
  const tarballs = mkdtempSync(join(tmpdir(), "zstream-tarballs-"));
  const { tarballs: packed } = packAll(tarballs, { compiler: "host" });
  const registry = await startRegistry(tarballs, upstream);
  try {
    for (const [name, manager] of Object.entries(managers)) await bed(name, () => tryManager(name, manager, registry));
    const project = await bed("the size of an installation", () => trySize(registry));
    for (const [name, runtime] of Object.entries(runtimes)) {
      if (project) await bed(name, async () => appRuns(await tool(name, runtime), runtime.args ?? [], project));
    }
    if (project) await bed("with AMX and without", () => withoutAmx(project));
    if (project) await bed("levels of instructions", () => levels(project));
    if (project) await bed("older processors under qemu", () => older(project));
    await bed("arm64 under qemu", () => inEmptyProject((folder) => arm64({ packed, registry: registry.url, project: folder })));
    for (const [name, arch] of Object.entries({ musl: "x64", "musl on arm64 under qemu": "arm64" }))
      await bed(name, () => inEmptyProject((folder) => musl({ packed, registry: registry.url, project: folder, arch })));
    await bed("Windows under wine", () => inEmptyProject((folder) => wine({ packed, registry: registry.url, project: folder })));
    await bed("Vulkan by a driver on the CPU", () =>
      inEmptyProject((folder) => vulkan({ packed, registry: registry.url, project: folder })),
    );
    await bed("node-llama-cpp beside it", () => tryBeside(registry));
    for (const { name, run: pack } of project ? bundlerBeds(join(tarballs, packed[0])) : []) await bed(name, () => pack(project));
    await bed("a lockfile from another system", () =>
      inEmptyProject((folder) => lockfileFromElsewhere({ registry: registry.url, project: folder })),
    );
    for (const { name, run: build } of zseBuildBeds({ folder: tarballs, tarball: packed[0], upstream }))
      await bed(`zse build by ${name}`, build);
    if (project) await bed("broken installations say what helps", () => tryBroken(project));
  } finally {
    registry.close();
    rmSync(tarballs, { recursive: true, force: true });
  }
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  process.exitCode = failed === 0 ? 0 : 1;
});

/** Runs one bed, counts it, and goes on. */
async function bed(name, run) {
  if (
    only.length > 0
      ? !only.some((word) => name.includes(word)) && !name.startsWith("the size")
      : quick && !quickOnes.some((one) => name.startsWith(one))
  )
    return;
  const start = Date.now();
  try {
    const result = await run();
    passed++;
    console.log(`ok      ${name} (${Math.round((Date.now() - start) / 1000)} s)`);
    return result;
  } catch (error) {
    if (error instanceof Skip) {
      skipped++;
      console.log(`skipped ${name}: ${error.message}`);
      return;
    }
    failed++;
    console.log(`FAILED  ${name}: ${error.message}`);
  }
}

async function tryManager(name, manager, registry) {
  const node = await tool(manager.node ?? "this Node", runtimes[manager.node ?? "this Node"]);
  const project = emptyProject();
  try {
    configure(project, manager, registry.url);
    const program = await tool(name, manager);
    const command = manager.program ? [program, ...manager.args] : [node, program, ...manager.args];
    await run(command, project, { node });
    if (name === "Deno") return await appRuns(program, runtimes.Deno.args, project);
    await appRuns(
      node,
      manager.yarn === "pnp" ? ["--require", "./.pnp.cjs", "--loader", "./.pnp.loader.mjs", "--no-warnings"] : [],
      project,
    );
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
}

/** Each manager reads the registry's address from a file of its own kind. */
function configure(project, manager, url) {
  writeFileSync(join(project, ".npmrc"), `registry=${url}\n`);
  writeFileSync(join(project, "bunfig.toml"), `[install]\nregistry = "${url}"\ncache = false\n`);
  if (!manager.yarn) return;
  const lines = [
    `nodeLinker: ${manager.yarn}`,
    `npmRegistryServer: "${url}"`,
    'unsafeHttpWhitelist: ["127.0.0.1"]',
    "enableTelemetry: false",
  ];
  lines.push("enableGlobalCache: false", "npmMinimalAgeGate: 0");
  writeFileSync(join(project, ".yarnrc.yml"), `${lines.join("\n")}\n`);
  writeFileSync(join(project, "yarn.lock"), "");
}

async function trySize(registry) {
  const project = emptyProject();
  writeFileSync(join(project, ".npmrc"), `registry=${registry.url}\n`);
  // Not by spawnSync: the registry answers from this process.
  await run([process.execPath, npmScript(), "install", "--no-audit", "--no-fund", "zstream"], project, { node: process.execPath });
  const bytes = sizeOf(join(project, "node_modules"));
  console.log(`        ${(bytes / 1e6).toFixed(1)} MB unpacked, ${MEGABYTES} MB at most`);
  if (bytes > MEGABYTES * 1e6) throw new Error(`an installation weighs ${(bytes / 1e6).toFixed(1)} MB`);
  process.on("exit", () => rmSync(project, { recursive: true, force: true }));
  return project;
}

/** Another addon with a ggml of its own, in the same process. */
async function tryBeside(registry) {
  await inEmptyProject(async (project) => {
    writeFileSync(join(project, ".npmrc"), `registry=${registry.url}\n`);
    const args = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "zstream", "node-llama-cpp@3"];
    await run([process.execPath, npmScript(), ...args], project, { node: process.execPath });
    cpSync(join(root, "test", "platforms", "beside.mjs"), join(project, "beside.mjs"));
    const out = await run([process.execPath, "beside.mjs"], project, { node: process.execPath });
    if (!/^done$/m.test(out)) throw new Error(out.slice(-1500));
  });
}

/** One after the other, what breaks on people's machines; each must end in sentences, and in a command. */
async function tryBroken(project) {
  const scope = join(project, "node_modules", "@zstream");
  const [name] = readdirSync(scope);
  const addon = join(scope, name, "prebuilds", name.split("-").slice(0, 2).join("-"), "node.napi.node");
  const manifest = join(project, "node_modules", "zstream", "package.json");
  const otherVersion = JSON.stringify({ ...JSON.parse(readFileSync(manifest, "utf8")), version: "9.9.9" });
  const cases = {
    "the package is not there": [() => move(scope, `${scope}.away`), `npm install --no-save @zstream/${name}`],
    "the file is for another machine": [() => replace(addon, "MZ this is no such file"), "npx zse build"],
    "the file is empty": [() => replace(addon, ""), "install again"],
    "the file is cut short": [() => replace(addon, readFileSync(addon).subarray(0, 1 << 20)), "install again"],
    "the file is not there": [() => move(dirname(addon), join(project, "away")), "install again"],
    "the package's code is empty": [() => replace(join(scope, name, "index.js"), ""), "install again"],
    "the engine is of another version": [() => replace(manifest, otherVersion), "Install the same version of both: npm install"],
    "addons are switched off": [() => () => {}, "--allow-addons", { NODE_OPTIONS: "--no-addons" }],
    "no level fits": [() => () => {}, "leave ZSE_CPU out", { ZSE_CPU: "\u001b[2Jnone" }, "BAD_OPTION"],
    ...(mayMount() ? { "the folder is mounted noexec": [() => remount(scope, "noexec"), "mount it without noexec"] } : {}),
  };
  for (const [what, [breakIt, advice, env, code = "ENGINE_FAILED"]] of Object.entries(cases)) {
    const mend = breakIt();
    try {
      const program = `import { ZSE } from "zstream"; try { new ZSE(); console.log("it loaded"); } catch (error) { console.log(error.code, error.message); }`;
      const { stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
        cwd: project,
        encoding: "utf8",
        env: { ...process.env, ...env },
      });
      if (!stdout.startsWith(code) || stdout.includes("\u001b")) throw new Error(`${what}: ${stdout}`);
      if (!stdout.includes(advice)) throw new Error(`${what}: says nothing of \`${advice}\`:\n${stdout}`);
      if (stdout.split("\n").length > 24 || /^\s+at /m.test(stdout))
        throw new Error(`${what}: more than one screen, or a stack:\n${stdout}`);
    } finally {
      mend();
    }
  }
  if (mayMount()) {
    const mend = remount(join(project, "node_modules"), "ro");
    try {
      await appRuns(process.execPath, [], project);
    } finally {
      mend();
    }
  } else {
    console.log("        not tried: folders mounted noexec and read-only, which root alone can make");
  }
  const main = join(project, "node_modules", "zstream", "dist", "cli", "main.js");
  const env = { ...process.env, PATH: join(project, ".nothing"), ZSE_BUILD_DIR: join(project, ".work") };
  const { stderr, status } = spawnSync(process.execPath, [main, "build"], { cwd: project, encoding: "utf8", env });
  if (status !== 1 || !/^zstream: to compile .*CMake.*compiler.* are missing: run `.*`.*\n$/.test(stderr) || existsSync(env.ZSE_BUILD_DIR))
    throw new Error(`zse build without tools ended with ${status}:\n${stderr}`);
}

function mayMount() {
  return process.platform === "linux" && process.getuid() === 0;
}

/** The folder over itself, with an option of its own. */
function remount(folder, option) {
  const mend = () => mount(["umount", "--lazy", folder]);
  mount(["mount", "--bind", folder, folder]);
  try {
    mount(["mount", "-o", `remount,bind,${option}`, folder]);
  } catch (error) {
    mend();
    throw error;
  }
  return mend;
}

function mount([command, ...args]) {
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`\`${command} ${args.join(" ")}\` ended with ${status}: ${stderr}`);
}

function move(from, to) {
  cpSync(from, to, { recursive: true });
  rmSync(from, { recursive: true });
  return () => {
    cpSync(to, from, { recursive: true });
    rmSync(to, { recursive: true });
  };
}

function replace(file, text) {
  const kept = `${file}.kept`;
  cpSync(file, kept);
  rmSync(file);
  writeFileSync(file, text);
  return () => {
    cpSync(kept, file);
    rmSync(kept);
  };
}

async function appRuns(program, args, project) {
  cpSync(join(root, "test", "platforms", "app.mjs"), join(project, "app.mjs"));
  const out = await run([program, ...args, "app.mjs"], project, { node: program });
  const lines = out.match(/^(ok .*|done)$/gm) ?? [];
  if (lines.length !== 5 || lines.at(-1) !== "done") throw new Error(`app.mjs printed only ${lines.join(", ")}:\n${out.slice(-1500)}`);
  cpSync(join(root, "test", "platforms", "cli.mjs"), join(project, "cli.mjs"));
  const said = await run([program, ...args, "cli.mjs", "run", "Tell me a story", "--max-tokens", "12"], project, { node: program });
  if (!/[a-z]{3} [a-z]/i.test(said)) throw new Error(`zse run printed ${JSON.stringify(said)}`);
}

async function inEmptyProject(run) {
  const project = emptyProject();
  try {
    return await run(project);
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
}

/** A folder with nothing but a manifest. */
function emptyProject() {
  const project = mkdtempSync(join(tmpdir(), "zstream-farm-"));
  writeFileSync(join(project, "package.json"), '{ "name": "farm", "version": "1.0.0", "private": true, "type": "module" }\n');
  return project;
}

/** The program of a tool. */
async function tool(name, { packages, script, program }) {
  return packages ? fromFarm(name, packages, script ?? program) : program;
}

function sizeOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}
