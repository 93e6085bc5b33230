// Owns `node bench/server.mjs`: what slow clients and floods cost the others, over HTTP, on the demo model. Not part of `npm run
// bench`, which compares with llama.cpp: here zStream is compared with itself, undisturbed.
//
// stalled: 8 clients whose sockets are full beside 4 that read. A socket of this system takes some 4 MB (20,000 tokens) before it is
// full, more than the model's context holds, so theirs are stand-ins that say "full" at once; the adapter cannot tell the difference.
// burst: 1,000 requests at once, from another process, against 8 running streams and a full queue.
import { execFile } from "node:child_process";
import { createServer, IncomingMessage, request, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { ZSE } from "../dist/index.js";
import { App } from "../dist/server/app.js";
import { HttpServer } from "../dist/server/http-server.js";
import { openLog } from "../dist/server/log.js";
import { nodeHandler } from "../dist/sse/index.js";

const threads = Number(process.env.THREADS ?? 1);
const messages = [{ role: "user", content: "Tell me a story" }];

if (process.argv[2] === "--flood") await flood(process.argv[3]);
else {
  await stalled();
  await burst();
}

async function stalled() {
  const model = new ZSE({ threads, maxStreams: 12, contextSize: 2048 });
  await model.ready;
  const handler = nodeHandler(model);
  const server = createServer(handler);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/`;
  const four = async () => {
    const began = performance.now();
    await Promise.all([1, 2, 3, 4].map((seed) => read(url, { messages, seed, ignore_eos: true, stream: true, max_tokens: 400 })));
    return 1600 / ((performance.now() - began) / 1000);
  };
  await four();
  const alone = [];
  const beside = [];
  let grown = 0;
  let tokens = 0;
  for (let i = 0; i < 3; i++) {
    alone.push(await four());
    const before = { memory: memory(), tokens: model.stats().generatedTokens };
    const full = Array.from({ length: 8 }, (_, seed) => fullSocket(handler, seed));
    while (model.stats().parked < 8) await new Promise((resolve) => setTimeout(resolve, 5));
    tokens = Math.max(tokens, (model.stats().generatedTokens - before.tokens) / 8);
    grown = Math.max(grown, (memory() - before.memory) / 8);
    beside.push(await four());
    for (const response of full) {
      response.destroy();
      response.emit("close");
    }
    while (model.stats().freeSlots < 12) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  console.log(`stalled: 4 readers alone ${median(alone).toFixed(0)} tokens/s, beside 8 full sockets ${median(beside).toFixed(0)} tokens/s`);
  console.log(`         generated for each full socket: ${tokens} tokens; memory for each: ${(grown / 1024).toFixed(0)} KiB`);
  server.closeAllConnections();
  server.close();
  await model.close();
}

async function burst() {
  const model = new ZSE({ threads, maxStreams: 8, maxQueue: 16, contextSize: 4096 });
  await model.ready;
  const server = await HttpServer.listen(new App(model, { name: "demo", maxQueue: 16, log: openLog("silent") }), {
    port: 0,
    host: "127.0.0.1",
  });
  const streams = Array.from({ length: 24 }, (_, seed) => model.chatStream(messages, { ignoreEos: true, seed }));
  for (const stream of streams)
    (async () => {
      for await (const _ of stream);
    })().catch(() => {});
  const pace = async (during) => {
    const [began, tokens] = [performance.now(), model.stats().generatedTokens];
    const result = await during();
    return { result, tokensPerSecond: ((model.stats().generatedTokens - tokens) / (performance.now() - began)) * 1000 };
  };
  await new Promise((resolve) => setTimeout(resolve, 500));
  const before = await pace(() => new Promise((resolve) => setTimeout(resolve, 1500)));
  const cpu = process.cpuUsage();
  const program = fileURLToPath(import.meta.url);
  const during = await pace(
    () =>
      new Promise((resolve, reject) => {
        const args = [program, "--flood", `${server.address}/v1/chat/completions`];
        execFile(process.execPath, args, (error, out) => (error ? reject(error) : resolve(JSON.parse(out))));
      }),
  );
  const { ms, statuses } = during.result;
  const used = process.cpuUsage(cpu);
  console.log(
    `burst:   8 streams ${before.tokensPerSecond.toFixed(0)} tokens/s, during the burst ${during.tokensPerSecond.toFixed(0)} tokens/s`,
  );
  console.log(
    `         1,000 requests in ${ms} ms: ${JSON.stringify(statuses)}; the whole process used ${Math.round((used.user + used.system) / 1000)} ms of CPU`,
  );
  for (const stream of streams) stream.abort();
  await server.drain(0);
  await model.close();
}

/** The client of the burst, in a process of its own. */
async function flood(url) {
  const body = JSON.stringify({ messages, max_tokens: 5 });
  const statuses = {};
  const began = performance.now();
  const one = () =>
    new Promise((resolve) => {
      const count = (status) => {
        statuses[status] = (statuses[status] ?? 0) + 1;
        resolve();
      };
      const message = request(url, { method: "POST", agent: false, headers: { "content-type": "application/json" } }, (response) => {
        response.resume().on("end", () => count(response.statusCode));
      });
      message.on("error", (error) => count(error.code)).end(body);
    });
  await Promise.all(Array.from({ length: 1000 }, one));
  console.log(JSON.stringify({ ms: Math.round(performance.now() - began), statuses }));
}

/** A request whose response takes one frame and is full from then on. */
function fullSocket(handler, seed) {
  const message = new IncomingMessage(new Socket());
  message.method = "POST";
  message.headers = { "content-type": "application/json" };
  message.body = { messages, seed, ignore_eos: true, stream: true, max_tokens: 2000 };
  const response = new ServerResponse(message);
  response.write = () => false;
  void handler(message, response);
  return response;
}

function read(url, body) {
  return new Promise((resolve, reject) => {
    const message = request(url, { method: "POST", headers: { "content-type": "application/json" } }, (response) =>
      response.resume().on("end", resolve),
    );
    message.on("error", reject).end(JSON.stringify(body));
  });
}

function memory() {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
