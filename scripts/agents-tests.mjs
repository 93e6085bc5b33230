// Runs coding agents as programs against the server: every test/agents/*.mjs, or those named on the command line. Each is installed from npm into
// build/agents once (they weigh some 400 MB each), and has a HOME and a folder of its own for each turn. None needs another network than the server.
//
// An agent's file says, as its default export:
//   name      what it is called
//   packages  what npm installs, with versions
//   turns     [{ what, prompt, part, says, requests }]: `part` is what the model plays (see test/agents/lib/acting.mjs), `says` a pattern of what
//             the agent then prints, `requests` the most that it may send: some ask again for ever when a stream is not as they want it
//   start({ base, model, folder, home, prompt, modules })  → { file, args, env }
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { closeStage, openStage } from "../test/agents/lib/stage.mjs";
import { root } from "./paths.mjs";

const LONGEST_TURN_MS = 300_000;
const folder = join(root, "test", "agents");
const wanted = process.argv.slice(2);
const files = readdirSync(folder).filter((name) => name.endsWith(".mjs") && (wanted.length === 0 || wanted.includes(name.slice(0, -4))));
if (files.length === 0) throw new Error(`there is no agent ${wanted.join(", ")} in test/agents`);

let passed = 0;
let failed = 0;
for (const file of files) {
  const { default: agent } = await import(pathToFileURL(join(folder, file)));
  const modules = await install(file.slice(0, -4), agent.packages);
  for (const turn of agent.turns) {
    const problems = await play(agent, turn, modules);
    console.log(`${problems.length === 0 ? "ok" : "FAILED"}: ${agent.name}, ${turn.what}`);
    for (const problem of problems) console.log(`  ${problem}`);
    if (problems.length === 0) passed += 1;
    else failed += 1;
  }
}
await closeStage();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** The node_modules that hold the packages. */
async function install(name, packages) {
  const place = join(root, "build", "agents", name);
  const marker = join(place, `installed-${packages.join("+").replace(/[^\w.+-]/g, "_")}`);
  if (!existsSync(marker)) {
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, "package.json"), '{ "private": true }\n');
    console.log(`installing ${packages.join(", ")}`);
    const { code, output } = await run(
      { file: "npm", args: ["install", "--no-audit", "--no-fund", "--loglevel=error", ...packages] },
      place,
      LONGEST_TURN_MS,
    );
    if (code !== 0) throw new Error(`npm cannot install ${packages.join(", ")}:\n${output}`);
    writeFileSync(marker, "");
  }
  return join(place, "node_modules");
}

/** What went wrong, in sentences. */
async function play(agent, turn, modules) {
  const home = mkdtempSync(join(tmpdir(), "zse-agent-home-"));
  const work = mkdtempSync(join(tmpdir(), "zse-agent-work-"));
  const stage = await openStage(turn.part, turn.requests);
  try {
    const command = agent.start({ base: stage.base, model: stage.model, folder: work, home, prompt: turn.prompt, modules });
    const { code, output } = await run(command, work, LONGEST_TURN_MS, stage.tooMany);
    const problems = [];
    if (code !== 0) problems.push(`it ended with ${code}`);
    if (!turn.says.test(output)) problems.push(`it does not print ${turn.says}`);
    problems.push(...(await stage.problems()));
    return problems.length === 0
      ? []
      : [...problems, `it printed: ${output.slice(-2000)}`, ...stage.log().map((line) => `the server: ${line}`)];
  } finally {
    await stage.close();
    for (const one of [home, work]) rmSync(one, { recursive: true, force: true });
  }
}

/** Runs to the end, to its time limit, or until `stop` resolves. */
function run({ file, args, env = {} }, cwd, longestMs, stop) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, env: { ...process.env, PWD: cwd, ...env }, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let output = "";
    let why;
    const end = (reason) => {
      why ??= reason;
      try {
        process.kill(-child.pid, "SIGKILL"); // with what it has started
      } catch {
        // it has ended
      }
    };
    const timer = setTimeout(() => end(`nothing but its time limit of ${longestMs / 1000} s`), longestMs);
    stop?.then(() => end("too many requests"));
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (bytes) => {
        output += bytes;
      });
    }
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code: why ?? code ?? signal, output });
    });
  });
}
