// Clients that stop reading in the middle of a long reply, over real sockets whose buffers are small (stalled_clients.py): what is
// generated for them, what they hold, and that the others do not notice. How fast the others are is bench/server.mjs's to say.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getDefaultHighWaterMark } from "node:stream";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";

import type { EngineOptions } from "../../lib/types.js";
import type { ZSE } from "../../lib/zse.js";
import { idle, LONG, serveApp, serveModel, sleep, stream, until } from "./helpers.js";
import { parseStrictly } from "./strict-sse.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const missing = [
  ...(spawnSync("python3", ["--version"]).status === 0 ? [] : ["python3"]),
  ...(process.platform === "linux" ? [] : ["Linux's /proc/net/tcp"]),
];
if (missing.length > 0) console.warn(`skipped: ${missing.join(", ")} is not here`);

const STALLED = 8;
const REPLY = { ...LONG, stream: true, max_tokens: 2000 };
const HIGH_WATER_MARK = 64;
/** Every token's frame is longer than this many bytes. */
const SHORTEST_FRAME = 190;

/** So much is computed here that a busy machine takes its time. */
const GUARD_MS = 60_000;

type Serve = (engine: EngineOptions, stallTimeoutMs: number) => Promise<{ url: string; base: string; model: ZSE }>;
const SERVERS: [string, Serve][] = [
  ["nodeHandler", (engine, stallTimeoutMs) => serveModel(engine, { stallTimeoutMs })],
  ["zse serve", (engine, stallTimeoutMs) => serveApp(engine, { stallTimeoutMs })],
];

/** Eight clients that have read a byte each and then no more. */
async function stall(base: string): Promise<{ port: number; child: ChildProcess; ended: Promise<{ bytes: number; end: string }[]> }> {
  const port = Number(new URL(base).port);
  const body = JSON.stringify({ ...REPLY, seed: 0 }).replace('"seed":0', '"seed":SEED');
  const child = spawn("python3", [join(import.meta.dirname, "stalled_clients.py"), String(port), String(STALLED), body]);
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  await until(() => out.startsWith("reading\n"), "they read", GUARD_MS);
  const ended = new Promise<{ bytes: number; end: string }[]>((resolve) => {
    child.once("close", () => resolve(JSON.parse(out.slice("reading\n".length) || "[]")));
  });
  return { port, child, ended };
}

/** Bytes that the system holds of connections to a port: not yet sent or confirmed, and not yet read. */
function inSockets(port: number): number {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  let bytes = 0;
  for (const line of readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1)) {
    const [, local, remote, state, queues] = line.trim().split(/\s+/);
    if (state !== "01" || !(local!.endsWith(`:${hex}`) || remote!.endsWith(`:${hex}`))) continue;
    for (const queue of queues!.split(":")) bytes += Number.parseInt(queue, 16);
  }
  return bytes;
}

/** The same of connections that the server has closed. */
function leftInSockets(port: number): number {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const lines = readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1);
  const closed = lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(`:${hex}`) && state !== "0A" && state !== "01");
  return closed.reduce((sum, fields) => sum + Number.parseInt(fields[4]!.split(":")[0]!, 16), 0);
}

function memory(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe.skipIf(missing.length > 0).each(SERVERS)(
  "%s: clients that stop reading in a reply of 2,000 tokens",
  { timeout: 180_000 },
  (_, serve) => {
    test("are computed no further than highWaterMark and their sockets, hold less than 1 MB, and the others read theirs", async () => {
      const { url, base, model } = await serve({ maxStreams: STALLED + 4, contextSize: 2560 }, 0);
      await stream(url, { ...LONG, max_tokens: 100 });
      const [tokens, bytes] = [model.stats().generatedTokens, memory()];
      const { port, child, ended } = await stall(base);
      await until(() => model.stats().parked === STALLED, "all are parked", GUARD_MS);
      expect((memory() - bytes) / STALLED).toBeLessThan(1e6);

      const others = await Promise.all([21, 22, 23, 24].map((seed) => stream(url, { ...REPLY, seed, max_tokens: 500 })));
      for (const { finishReasons } of others) expect(finishReasons).toEqual(["length"]);

      // A socket may still have taken some at first. In the end it is full, and nothing is computed any more.
      await until(() => model.stats().parked === STALLED, "all are parked", GUARD_MS);
      const each = (model.stats().generatedTokens - tokens - 4 * 500) / STALLED;
      // The system's buffers and Node's own before them; and a frame may be on its way from one to the next.
      const buffered = inSockets(port) / STALLED + getDefaultHighWaterMark(false);
      expect(each).toBeLessThanOrEqual(HIGH_WATER_MARK + 3 + buffered / SHORTEST_FRAME);
      expect(each).toBeLessThan(1000);
      expect((memory() - bytes) / STALLED).toBeLessThan(1e6);

      child.kill("SIGKILL");
      await ended;
      await until(() => idle(model, STALLED + 4), "all slots are free", GUARD_MS);
    });

    test("and hang up then: not one more token is computed", async () => {
      const { base, model } = await serve({ maxStreams: STALLED, contextSize: 2560 }, 0);
      const { child, ended } = await stall(base);
      await until(() => model.stats().parked === STALLED, "all are parked", GUARD_MS);
      await sleep(300);
      const { generatedTokens } = model.stats();
      child.kill("SIGKILL");
      await ended;
      await until(() => idle(model, STALLED), "all slots are free", GUARD_MS);
      expect(model.stats().generatedTokens).toBe(generatedTokens);
    });

    test("are cut off after stallTimeoutMs, and their slots are free for the next", async () => {
      const { url, base, model } = await serve({ maxStreams: STALLED, contextSize: 2560 }, 400);
      const { port, child, ended } = await stall(base);
      await until(() => model.stats().parked > 0, "they are parked", GUARD_MS);
      await until(() => idle(model, STALLED), "all slots are free", GUARD_MS);
      expect(parseStrictly(await (await post(url)).text()).done).toBe(true);
      await until(() => leftInSockets(port) === 0, "nothing lies in the system for them", GUARD_MS);
      child.stdin!.write("go on\n");
      // What was in their sockets, and then an end that nobody takes for the reply's.
      for (const { end } of await ended) expect(end).not.toContain("[DONE]");
    });
  },
);

function post(url: string): Promise<Response> {
  const headers = { "content-type": "application/json" };
  return fetch(url, { method: "POST", headers, body: JSON.stringify({ ...REPLY, max_tokens: 20 }) });
}
