// Owns row h: what 64 streams cost JavaScript's main thread. Time of it per token, and how late the event loop is; first with readers
// in the same process, then with all 64 as server-sent events over loopback, where the process only serves.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { mainThreadCpuMs } from "../lib/machine.mjs";

const streams = 64;
const work = { newTokens: 192, rounds: 3 };
// node-llama-cpp makes some hundred tokens a second for so many streams: the same work would take it half an hour. What a token costs
// depends little on how many there are.
const lessWork = { newTokens: 24, rounds: 1 };
const client = fileURLToPath(new URL("../lib/sse-client.mjs", import.meta.url));

export const row = {
  name: "h",
  title: `main thread: ${streams} streams at once`,
  // A large model makes so few tokens that the cost of one is lost among the system's ticks of 10 ms.
  models: ["demo"],
  // The others have no JavaScript.
  contenders: ["zstream", "node-llama-cpp"],
  engine: () => ({ contextSize: 256, maxStreams: streams }),

  async measure(engine, { prompts }) {
    const texts = [];
    while (texts.length < streams) texts.push(await prompts.cold(16));
    await Promise.all(texts.map((text) => engine.drain(text, { maxTokens: 16 })));
    const { newTokens, rounds } = engine.model ? work : lessWork;
    const tokens = streams * newTokens * rounds;
    const inProcess = async () => {
      for (let round = 0; round < rounds; round++) {
        await Promise.all(texts.map((text) => engine.drain(text, { maxTokens: newTokens })));
      }
    };
    const measures = { cpuUs: await cpuOf(inProcess, tokens), delayMs: await delayOf(inProcess) };
    if (!engine.model) return measures;
    const sseCpuUs = await overSse(engine, texts, (serve) => cpuOf(serve, tokens));
    return { ...measures, sseCpuUs, sseDelayMs: await overSse(engine, texts, delayOf) };
  },

  figures: [
    { label: "CPU time of the main thread per token", unit: "µs", measure: "cpuUs", goals: [{ atMost: 3 }] },
    { label: "event loop, delay p99", unit: "ms", measure: "delayMs", goals: [{ atMost: 5 }] },
    { label: "CPU time per token, over SSE", unit: "µs", measure: "sseCpuUs", goals: [{ atMost: 3 }], only: ["zstream"] },
    { label: "event loop, delay p99, over SSE", unit: "ms", measure: "sseDelayMs", goals: [{ atMost: 5 }], only: ["zstream"] },
  ],
};

/** CPU time of this thread per token, in µs. Not while the delay is watched, which takes a timer a millisecond. */
async function cpuOf(task, tokens) {
  const before = mainThreadCpuMs();
  await task();
  return ((mainThreadCpuMs() - before) * 1000) / tokens;
}

/** The 99th percentile of how late a timer of 1 ms is, in ms. */
async function delayOf(task) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await task();
  delay.disable();
  // The histogram counts the timer's own millisecond.
  return Math.max(0, delay.percentile(99) / 1e6 - 1);
}

/** What `measure` says of serving all streams to a reader in another process. */
async function overSse({ model, load }, texts, measure) {
  const { nodeHandler } = await load("./sse");
  const server = createServer(nodeHandler(model));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const child = spawn(process.execPath, [client], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.write(`${JSON.stringify({ port: server.address().port, texts, ...work })}\n`);
  const said = () => once(child.stdout, "data");
  await said(); // it has read one short reply of each
  const measured = await measure(async () => {
    child.stdin.write("go\n");
    await said();
  });
  const exited = once(child, "exit");
  child.stdin.end();
  const [code] = await exited;
  if (code !== 0) throw new Error(`the reader of the server-sent events ended with ${code}`);
  server.closeAllConnections();
  server.close();
  return measured;
}
