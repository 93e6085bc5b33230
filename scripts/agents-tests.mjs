// Owns `npm run test:agents`: coding agents as programs, each from its npm package with its base URL set to this server, and no other network.
// Each of test/agents/*.mjs is one. `npm run test:agents -- codex` runs that one alone.
//
// Three turns: a text, a call of the agent's own tool (it runs, and the model gets what came of it), and a text of the demo model. In the first
// two a script stands behind the handler in place of a model, since none that is small enough to test with plays its part. It says what the
// agent's file asks for, in the wire format that the agent speaks.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { npm } from "./npm.mjs";
import { root } from "./paths.mjs";
import { main, SetupError } from "./say.mjs";

/** Two agents ask again for ever where a stream is not as they want it. */
const MOST_REQUESTS = 12;
const TURN_MS = 180_000;
const MODEL = "qwen-7b";
const ANSWER = "Said by zStream.";
/** The one sentence that it may say, since it would call tools for ever: the prompt is ten times as long as any that it has learned. */
const SENTENCE = { type: "grammar", gbnf: 'root ::= [a-z] [a-z ]{10,40} "."' };

await main(async () => {
  const wanted = process.argv.slice(2);
  const agents = await findAgents(wanted);
  if (agents.length === 0) throw new SetupError(`there is no agent ${wanted.join(", ")} in test/agents`);
  let passed = 0;
  let failed = 0;
  for (const agent of agents) {
    console.log(`\n── ${agent.packages.join(", ")}`);
    const bin = install(agent);
    for (const [name, turn] of [
      ["a text turn", textTurn],
      ["a tool turn: its tool runs, and the model gets the result", toolTurn],
      ["a text turn with the demo model", demoTurn],
    ]) {
      const problem = await turn(agent, bin).catch((error) => error.stack);
      if (problem === undefined) passed++;
      else failed++;
      console.log(problem === undefined ? `ok      ${name}` : `FAILED  ${name}\n        ${problem.replaceAll("\n", "\n        ")}`);
    }
  }
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
});

async function findAgents(wanted) {
  const folder = join(root, "test", "agents");
  const files = readdirSync(folder).filter((file) => file.endsWith(".mjs"));
  const all = await Promise.all(files.sort().map(async (file) => (await import(pathToFileURL(join(folder, file)).href)).default));
  return wanted.length === 0 ? all : all.filter(({ name }) => wanted.includes(name));
}

/** Into a folder of its own, once for each version. @returns where its programs are */
function install({ name, packages }) {
  const folder = join(root, "build", "agents", name);
  const bin = join(folder, "node_modules", ".bin");
  const done = join(folder, `${packages.join("+").replaceAll(/[^\w.@+-]/g, "_")}.installed`);
  if (existsSync(done)) return bin;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"private":true}');
  const { status, stderr } = npm(["install", "--no-audit", "--no-fund", "--loglevel=error", ...packages], folder);
  if (status !== 0) throw new SetupError(`${packages.join(", ")} could not be installed: ${stderr.trim()}`);
  writeFileSync(done, "");
  return bin;
}

async function textTurn(agent, bin) {
  const { output, code, requests } = await turn(agent, bin, await scripted(() => [{ type: "text", text: ANSWER }]), "say hi");
  if (code !== 0 || !output.includes(ANSWER)) return `it exited with ${code} after ${requests} requests and said:\n${output.slice(-2000)}`;
  return undefined;
}

async function toolTurn(agent, bin) {
  let told = "";
  const model = await scripted(({ messages, tools }) => {
    const result = messages.findLast(({ role }) => role === "tool");
    // Some agents ask beside the conversation, for a title of it, say: without tools.
    if (result === undefined && tools !== undefined) {
      const { name, arguments: args } = agent.tool;
      return [{ type: "toolCall", index: 0, id: "call_1", name, argumentsDelta: JSON.stringify(args) }];
    }
    if (result !== undefined) told = JSON.stringify(result.content);
    return [{ type: "text", text: ANSWER }];
  });
  const { output, code, requests } = await turn(agent, bin, model, "run echo");
  const said = `it exited with ${code} after ${requests} requests and said:\n${output.slice(-2000)}`;
  if (!told.includes(agent.tool.marker)) return `the model was not given what the tool said, but ${told || "nothing"}; ${said}`;
  return code === 0 && output.includes(ANSWER) ? undefined : said;
}

/** What it says means nothing; that the prompt is read, and the reply told and ended, is what counts. */
async function demoTurn(agent, bin) {
  const { ZSE } = await import(pathToFileURL(join(root, "dist", "index.js")).href);
  const model = new ZSE(undefined, { contextSize: 32_768, maxStreams: 2 });
  await model.ready;
  let said = "";
  let finished;
  const limited = {
    chatStream: (request) => {
      // A grammar excludes tools; the rest of the prompt is the agent's.
      const without = { tools: undefined, tool_choice: undefined, parallel_tool_calls: undefined };
      const stream = model.chatStream({ ...request, ...without, response_format: SENTENCE, temperature: 0 });
      const events = async function* () {
        for await (const event of stream.events()) {
          if (event.type === "text") said += event.text;
          if (event.type === "finish") finished = event.reason;
          yield event;
        }
      };
      return { events };
    },
    completionStream: (request) => model.completionStream(request),
  };
  try {
    const { output, code, requests } = await turn(agent, bin, limited, "Tell me a story");
    if (code === 0 && finished === "stop" && output.includes(said)) return undefined;
    return `it exited with ${code} after ${requests} requests, the reply ("${said}") with ${finished}, and said:\n${output.slice(-2000)}`;
  } finally {
    await model.close();
  }
}

/** A model whose replies are what `reply` says to a request. */
async function scripted(reply) {
  const { NO_USE } = await import(pathToFileURL(join(root, "dist", "stream", "stream-core.js")).href);
  const chatStream = (request) => ({
    async *events() {
      const said = reply(request);
      yield* said;
      const reason = said.some(({ type }) => type === "toolCall") ? "toolCalls" : "stop";
      yield { type: "finish", reason, ...NO_USE, seed: 1 };
    },
  });
  return { chatStream, completionStream: chatStream };
}

/** One run of the agent in an empty folder, with a HOME of its own, against `model` behind the handler. */
async function turn(agent, bin, model, prompt) {
  const { nodeHandler } = await import(pathToFileURL(join(root, "dist", "http", "index.js")).href);
  const handler = nodeHandler(model, { model: MODEL, maxBodyBytes: 16 << 20 });
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    if (requests > MOST_REQUESTS) return response.writeHead(400).end();
    return handler(request, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const home = mkdtempSync(join(tmpdir(), "zstream-agent-"));
  const cwd = join(home, "work");
  mkdirSync(cwd);
  try {
    const base = `http://127.0.0.1:${server.address().port}`;
    const { file, args, env } = agent.command({ base, home, cwd, bin, model: MODEL, prompt });
    return { ...(await run(file, args, { cwd, env: { PATH: process.env.PATH, HOME: home, ...env } })), requests };
  } finally {
    server.closeAllConnections();
    server.close();
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

function run(file, args, { cwd, env }) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    const timer = setTimeout(() => process.kill(-child.pid, "SIGKILL"), TURN_MS);
    let output = "";
    child.stdout.on("data", (text) => (output += text));
    child.stderr.on("data", (text) => (output += text));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? signal, output });
    });
  });
}
