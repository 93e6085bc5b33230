// Owns `node bench/server.mjs [stalled] [burst]`: what slow clients and floods of requests cost the others, over real sockets, on the demo
// model. Not part of `npm run bench`, which compares with llama.cpp: here zStream is compared with itself, undisturbed.
//
// The server runs here, as zse serve has it; every client is a process of its own (bench/lib/http-client.mjs, and for clients that
// do not read test/http/stalled_clients.py). THREADS is the engine's, 1 unless given: on 2 cores the other one is the server's.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ZSE } from "../dist/index.js";
import { App } from "../dist/server/app.js";
import { HttpServer } from "../dist/server/http-server.js";
import { openLog } from "../dist/server/log.js";

const CLIENT = fileURLToPath(new URL("lib/http-client.mjs", import.meta.url));
const STALLED = fileURLToPath(new URL("../test/http/stalled_clients.py", import.meta.url));
setFlagsFromString("--expose-gc");
globalThis.gc ??= runInNewContext("gc");

const threads = Number(process.env.THREADS ?? 1);
const rounds = Number(process.env.ROUNDS ?? 3);
const rows = process.argv.slice(2);
const ask = { messages: [{ role: "user", content: "Tell me a story" }], ignore_eos: true, stream: true };

if (rows.length === 0 || rows.includes("stalled")) await stalled();
if (rows.length === 0 || rows.includes("burst")) await burst();

/** 8 clients that stop reading in a reply of 2,000 tokens, beside 4 that read theirs. */
async function stalled() {
  const { model, server, port } = await serve({ maxStreams: 12, contextSize: 2560 });
  const body = { ...ask, max_tokens: 2000 };
  const four = async () => 8000 / ((await (await client("read", port, 4, body)).go()).ms / 1000);
  const [alone, beside, ratios] = [[], [], []];
  let [tokens, grown] = [0, 0];
  for (let round = 0; round <= rounds; round++) {
    const undisturbed = await four();
    const before = { memory: memory(), tokens: model.stats().generatedTokens };
    const clients = spawn("python3", [STALLED, port, 8, JSON.stringify({ ...body, seed: 0 }).replace('"seed":0', '"seed":SEED')]);
    await until(() => model.stats().parked === 8);
    const [each, bytes] = [(model.stats().generatedTokens - before.tokens) / 8, (memory() - before.memory) / 8];
    const disturbed = await four();
    clients.kill();
    await until(() => model.stats().freeSlots === 12);
    if (round === 0) continue; // warms up
    alone.push(undisturbed);
    beside.push(disturbed);
    ratios.push(disturbed / undisturbed);
    tokens = Math.max(tokens, each);
    grown = Math.max(grown, bytes);
  }
  console.log(`stalled: 4 readers alone ${whole(alone)} tokens/s, beside 8 that do not read ${whole(beside)}: ${range(ratios)}`);
  console.log(
    `         generated for each of the 8: ${tokens.toFixed(0)} tokens of 2,000; memory for each: ${(grown / 1024).toFixed(0)} KiB`,
  );
  await server.drain(0);
  await model.close();
}

/** 1,000 requests at once against 8 running streams and a full queue; and for comparison at a bare socket of another process. */
async function burst() {
  const { model, server, port } = await serve({ maxStreams: 8, maxQueue: 16, contextSize: 4096 });
  const bare = spawn(process.execPath, [CLIENT, "bare"], { stdio: ["ignore", "pipe", "inherit"] });
  const targets = { server: { port, found: [] }, "a bare socket": { port: await nextLine(bare), found: [] } };
  for (let round = 0; round <= rounds; round++) {
    const readers = await client("read", port, 24, ask);
    void readers.go();
    await until(() => model.stats().queued === 16 && model.stats().freeSlots === 0);
    await sleep(500);
    for (const target of Object.values(targets)) {
      const flood = await client("flood", target.port, 1000, { ...ask, max_tokens: 5 });
      const before = await pace(model, () => sleep(1000));
      const during = await pace(model, () => flood.go());
      const refusing = during.threadMs - (before.threadMs / before.ms) * during.ms;
      const { result, ms } = during;
      if (round > 0) target.found.push({ ...result, ms, before: before.perSecond, during: during.perSecond, refusing });
    }
    readers.kill();
    await until(() => model.stats().freeSlots === 8);
  }
  for (const [name, { found }] of Object.entries(targets)) {
    const all = (key) => found.map((one) => one[key]);
    const ratios = found.map((one) => one.during / one.before);
    console.log(`burst at ${name}: 8 streams ${whole(all("before"))} tokens/s, during it ${whole(all("during"))}: ${range(ratios)}`);
    console.log(
      `         1,000 answers in ${whole(all("ms"))} ms: ${JSON.stringify(found[0].statuses)}; client's CPU ${whole(all("cpuMs"))} ms`,
    );
    if (name === "server") console.log(`         CPU of the server's thread for each request: ${whole(all("refusing"))} µs`);
  }
  bare.kill();
  await server.drain(0);
  await model.close();
}

async function serve(engine) {
  const model = new ZSE({ threads, ...engine });
  await model.ready;
  const app = new App(model, { name: "demo", maxQueue: engine.maxQueue, log: openLog("info", { write: () => {} }) });
  const server = await HttpServer.listen(app, { port: 0, host: "127.0.0.1" });
  return { model, server, port: new URL(server.address).port };
}

/** A client's process that waits to begin. */
async function client(mode, port, count, body) {
  const child = spawn(process.execPath, [CLIENT, mode, port, count, JSON.stringify(body)], { stdio: ["pipe", "pipe", "inherit"] });
  await nextLine(child);
  const go = () => {
    child.stdin.write("go\n");
    return nextLine(child).then(JSON.parse);
  };
  return { go, kill: () => child.kill() };
}

function nextLine(child) {
  return new Promise((resolve) => child.stdout.once("data", (text) => resolve(String(text).trim())));
}

/** Tokens per second of all streams, and CPU of this thread, while something goes on. */
async function pace(model, meanwhile) {
  const [began, tokens, thread] = [performance.now(), model.stats().generatedTokens, threadMs()];
  const result = await meanwhile();
  const ms = performance.now() - began;
  return { result, ms, threadMs: threadMs() - thread, perSecond: ((model.stats().generatedTokens - tokens) / ms) * 1000 };
}

/** CPU time of the main thread, by Linux's count. */
function threadMs() {
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
}

function memory() {
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function until(condition) {
  while (!condition()) await sleep(5);
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

function whole(values) {
  return median(values).toFixed(0);
}

function range(ratios) {
  return `ratio ${median(ratios).toFixed(3)} (${Math.min(...ratios).toFixed(3)} … ${Math.max(...ratios).toFixed(3)})`;
}
