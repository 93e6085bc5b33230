// `zse build` by each package manager. zStream is installed without the platform's package, on a PATH that has compilers, that package manager and no
// other. There `zse run` has no engine, `zse build` makes one, and `zse run` streams. What compiles is the same for all, and takes minutes: so a
// bed of platform-tests.mjs has a cmake that leaves this clone's engine instead. `node test/platforms/zse-build.mjs [name …]` compiles indeed.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fromFarm, Skip } from "../../scripts/farm.mjs";
import { npm, npmScript } from "../../scripts/npm.mjs";
import { packAll } from "../../scripts/pack.mjs";
import { placesOf, root } from "../../scripts/paths.mjs";
import { main, SetupError } from "../../scripts/say.mjs";
import { startRegistry } from "./registry.mjs";

const node24 = () => fromFarm("node 24", ["node@24"], "node/bin/node");
const yarn4 = () => fromFarm("Yarn 4", ["@yarnpkg/cli-dist@4"], "@yarnpkg/cli-dist/bin/yarn.js");
const bun = () => fromFarm("Bun", ["bun@1"], "bun/bin/bun.exe");

/** tool: the package manager. node: what runs it where that is not this Node; null where there is to be none. zse: what runs its packages' command. */
const managers = {
  npm: { tool: npmScript, add: ["npm", "install", "--no-audit", "--no-fund", "zstream"], zse: ["npm", "exec", "--no", "--", "zse"] },
  pnpm: {
    tool: () => fromFarm("pnpm", ["pnpm@latest"], "pnpm/bin/pnpm.mjs"),
    node: node24,
    add: ["pnpm", "add", "zstream"],
    zse: ["pnpm", "exec", "zse"],
  },
  "Yarn 1": {
    tool: () => fromFarm("Yarn 1", ["yarn@1"], "yarn/bin/yarn.js"),
    add: ["yarn", "add", "zstream", "--non-interactive"],
    zse: ["yarn", "--silent", "zse"],
  },
  "Yarn 4": { tool: yarn4, add: ["yarn", "add", "zstream"], zse: ["yarn", "zse"], linker: "node-modules" },
  "Yarn 4 PnP": { tool: yarn4, add: ["yarn", "add", "zstream"], zse: ["yarn", "zse"], linker: "pnp" },
  Bun: { tool: bun, node: null, add: ["bun", "add", "zstream"], zse: ["bun", "x", "--bun", "--no-install", "zse"] },
  Deno: {
    tool: () => fromFarm("Deno", ["deno@2"], "deno/deno"),
    node: null,
    add: ["deno", "install", "npm:zstream"],
    zse: ["deno", "run", "--allow-all", "npm:zstream/zse"],
  },
};

/** @param {{folder: string, tarball: string, upstream: string, compiles?: boolean}} where tarball: zStream's own, in `folder` */
export function zseBuildBeds(where) {
  return Object.entries(managers).map(([name, manager]) => ({ name, run: () => tryManager(manager, where) }));
}

async function tryManager(manager, { folder, tarball, upstream, compiles = false }) {
  const tarballs = mkdtempSync(join(tmpdir(), "zstream-tarballs-"));
  packForElsewhere(join(folder, tarball), join(tarballs, tarball));
  const registry = await startRegistry(tarballs, upstream);
  const project = mkdtempSync(join(tmpdir(), "zstream-zse-build-"));
  try {
    const env = prepare(project, manager, registry.url);
    if (!compiles) leaveEngine(env.PATH);
    await buildAndStream(manager, project, env);
  } finally {
    registry.close();
    for (const made of [tarballs, project]) rmSync(made, { recursive: true, force: true });
  }
}

/** As on a platform that no package is made for: Yarn 4 and Deno install nothing where an optional one cannot be had at all. */
function packForElsewhere(from, to) {
  const work = mkdtempSync(join(tmpdir(), "zstream-tarball-"));
  try {
    const tar = (...args) => {
      const { status, stderr } = spawnSync("tar", args, { encoding: "utf8" });
      if (status !== 0) throw new Error(`tar ${args[0]} ended with ${status}: ${stderr}`);
    };
    tar("-xzf", from, "-C", work);
    const file = join(work, "package", "package.json");
    const { optionalDependencies: _, ...manifest } = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify(manifest));
    tar("-czf", to, "-C", work, "package");
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function buildAndStream(manager, project, env) {
  const run = ([program, ...args]) => runIn(project, env, [join(env.PATH, program), ...args]);
  const tellStory = ["run", "Tell me a story", "--max-tokens", "12"];
  await mustPass(run(manager.add));
  const before = await run([...manager.zse, ...tellStory]);
  if (before.status === 0 || !/zse build/.test(before.text)) throw new Error(`without an engine, zse says:\n${before.text}`);
  const built = await mustPass(run([...manager.zse, "build"]));
  if (!/compiling the native addon/.test(built)) throw new Error(`no progress was shown:\n${built}`);
  const told = await mustPass(run([...manager.zse, ...tellStory]));
  if (!/[a-z]{3} [a-z]/i.test(told)) throw new Error(`zse run printed ${JSON.stringify(told)}`);
}

/** A project and a home of its own, and a folder of links: the system's programs, without its package managers. @returns the environment */
function prepare(project, { tool, node = () => process.execPath, add, linker }, registry) {
  const [home, path] = [join(project, ".home"), join(project, ".path")];
  mkdirSync(home);
  mkdirSync(path);
  for (const name of readdirSync("/usr/bin")) {
    if (!/^(npm|npx|yarn|yarnpkg|pnpm|bun|deno|corepack|node|nodejs)$/.test(name)) symlinkSync(join("/usr/bin", name), join(path, name));
  }
  if (node !== null) symlinkSync(node(), join(path, "node"));
  const [program, file] = [join(path, add[0]), tool()];
  if (/\.[cm]?js$/.test(file)) {
    writeFileSync(program, `#!/bin/sh\nexec "${join(path, "node")}" "${file}" "$@"\n`);
    chmodSync(program, 0o755);
  } else symlinkSync(file, program);
  writeFileSync(join(project, "package.json"), '{ "name": "farm", "version": "1.0.0", "private": true, "type": "module" }\n');
  for (const folder of [project, home]) {
    writeFileSync(join(folder, ".npmrc"), `registry=${registry}\n`);
    writeFileSync(join(folder, folder === home ? ".bunfig.toml" : "bunfig.toml"), `[install]\nregistry = "${registry}"\ncache = false\n`);
    writeFileSync(join(folder, ".yarnrc"), `registry "${registry}"\n`);
    const lines = [`npmRegistryServer: "${registry}"`, 'unsafeHttpWhitelist: ["127.0.0.1"]', "enableTelemetry: false"];
    lines.push("enableGlobalCache: false", "npmMinimalAgeGate: 0", ...(folder === project ? [`nodeLinker: ${linker}`] : []));
    if (linker) writeFileSync(join(folder, ".yarnrc.yml"), `${lines.join("\n")}\n`);
  }
  if (linker) writeFileSync(join(project, "yarn.lock"), "");
  const cache = process.env.CCACHE_DIR ?? join(homedir(), ".cache", "ccache");
  return { PATH: path, HOME: home, CI: "1", NODE_ENV: "", npm_config_registry: registry, CCACHE_DIR: cache };
}

/** A cmake that takes this clone's engine where it is told to compile one. cmake-js runs it. */
function leaveEngine(path) {
  const engine = placesOf().addon;
  if (!existsSync(engine)) throw new Skip("no engine was compiled in this clone: npm run build:addon");
  const cmake = join(path, "cmake");
  rmSync(cmake, { force: true });
  writeFileSync(
    cmake,
    `#!/bin/sh
case "$1" in
  --version | -E) exec /usr/bin/cmake "$@" ;;
  --build) mkdir -p "$2/../Release" && cp "${engine}" "$2/../Release/zstream.node" ;;
  *) touch CMakeCache.txt ;;
esac
`,
  );
  chmodSync(cmake, 0o755);
}

async function mustPass(running) {
  const { status, text, words } = await running;
  if (status !== 0) throw new Error(`\`${words}\` ended with ${status}:\n${text.slice(-2500)}`);
  return text;
}

function runIn(cwd, env, [file, ...args]) {
  return new Promise((done, fail) => {
    const child = spawn(file, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (more) => (text += more));
    const hang = setTimeout(() => child.kill("SIGKILL"), 3_600_000);
    child.on("error", fail);
    child.on("close", (status, signal) => {
      clearTimeout(hang);
      done({ status: signal ?? status, text, words: [basename(file), ...args].join(" ") });
    });
  });
}

if (process.argv[1] && resolve(process.argv[1]) === import.meta.filename) {
  await main(async () => {
    const names = process.argv.slice(2);
    const unknown = names.find((name) => !(name in managers));
    if (unknown) throw new SetupError(`"${unknown}" is no package manager of this test: use ${Object.keys(managers).join(", ")}.`);
    const folder = mkdtempSync(join(tmpdir(), "zstream-packages-"));
    try {
      const [tarball] = packAll(folder).tarballs;
      const upstream = npm(["config", "get", "registry"], root).stdout.trim();
      for (const { name, run } of zseBuildBeds({ folder, tarball, upstream, compiles: true })) {
        if (names.length > 0 && !names.includes(name)) continue;
        const start = Date.now();
        await run();
        console.log(`ok      ${name} (${Math.round((Date.now() - start) / 1000)} s)`);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
