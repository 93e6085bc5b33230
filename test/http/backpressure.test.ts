// From the socket back to the engine, through both writers (nodeHandler, and Hono's under zse serve): a model that always has more
// to say is asked for no more than the connection takes.

import { createServer, type Server } from "node:http";
import { connect, type Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { NO_STATS } from "../../lib/engine/link.js";
import { ZSEError } from "../../lib/errors.js";
import { type EventStream, nodeHandler, type ServedModel } from "../../lib/http/index.js";
import { App } from "../../lib/server/app.js";
import { HttpServer } from "../../lib/server/http-server.js";
import { openLog } from "../../lib/server/log.js";
import type { StreamEvent } from "../../lib/types.js";
import { listen, STORY, sleep, until } from "./helpers.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const PIECE = "x".repeat(8000);

/** Says one large piece after another, as fast as it is asked. */
class Talker implements ServedModel {
  streams: { asked: number; left: boolean }[] = [];
  /** What the engine does to a stream that is parked for too long. */
  stall: (error: Error) => void = () => {};

  chatStream(): EventStream {
    const stream = { asked: 0, left: false };
    this.streams.push(stream);
    const next = async (): Promise<IteratorResult<StreamEvent>> => {
      stream.asked++;
      return { done: false, value: { type: "text", text: PIECE } };
    };
    const leave = async (): Promise<IteratorResult<StreamEvent>> => {
      stream.left = true;
      return { done: true, value: undefined };
    };
    const result = new Promise((_, reject) => {
      this.stall = reject;
    });
    return { events: () => ({ next, return: leave }), result };
  }
  completionStream = this.chatStream;
  stats = () => ({ ...NO_STATS, freeSlots: 4 });
}

const WRITERS: [string, (model: Talker) => Promise<{ base: string; close: () => Promise<unknown> }>][] = [
  [
    "nodeHandler",
    async (model) => {
      const server: Server = createServer(nodeHandler(model));
      return { base: await listen(server), close: async () => server.closeAllConnections() };
    },
  ],
  [
    "Hono's writer",
    async (model) => {
      const app = new App(model, { name: "qwen-7b", log: openLog("silent") });
      const server = await HttpServer.listen(app, { port: 0, host: "127.0.0.1" });
      return { base: server.address, close: () => server.drain(0) };
    },
  ],
];

async function ask(base: string, path = "/v1/chat/completions"): Promise<Socket> {
  const { hostname, port } = new URL(base);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => {});
  const asked = path === "/v1/responses" ? { input: "Tell me a story" } : STORY;
  const body = JSON.stringify({ ...asked, stream: true });
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  socket.write(head + body);
  await new Promise((resolve) => socket.once("readable", resolve)); // and then nothing is read
  return socket;
}

/** Waits until nobody has been asked for anything for a while. */
async function quiet(model: Talker): Promise<number> {
  const total = () => model.streams.reduce((sum, { asked }) => sum + asked, 0);
  for (let before = -1, now = total(); ; before = now, now = total()) {
    if (now === before) return now;
    await sleep(200);
  }
}

describe.each(WRITERS)("%s", (writer, serve) => {
  // Ollama's routes are the server's alone.
  const paths = ["/v1/chat/completions", "/v1/messages", "/v1/responses", ...(writer === "nodeHandler" ? [] : ["/api/chat"])];
  test.each(paths)("%s asks for what the socket takes, goes on at drain, and stops when the client has gone", async (path) => {
    const model = new Talker();
    const { base, close } = await serve(model);
    const socket = await ask(base, path);
    const asked = await quiet(model);
    // What fits into the buffers of two sockets on one machine is some MB.
    expect(asked * PIECE.length).toBeLessThan(40e6);
    await sleep(300);
    expect(model.streams[0]!.asked).toBe(asked);

    socket.on("data", () => {}); // now it reads
    await until(() => model.streams[0]!.asked > asked + 1000, "it goes on");
    socket.pause();
    await quiet(model);

    socket.destroy(); // there will be no drain
    await until(() => model.streams[0]!.left, "the stream is left");
    const { asked: last } = model.streams[0]!;
    await sleep(100);
    expect(model.streams[0]!.asked).toBe(last);
    await close();
  });

  test("cuts off a client whose stream has stalled, though nobody is there to be told", async () => {
    const model = new Talker();
    const { base, close } = await serve(model);
    const socket = await ask(base);
    await quiet(model);
    model.stall(new ZSEError("STALLED", "nobody reads"));
    await until(() => model.streams[0]!.left, "the stream is left");
    socket.resume(); // what was under way still comes, and then the end, without [DONE]
    await new Promise((resolve) => socket.once("close", resolve));
    await close();
  });

  test("keeps less than 1 MB for each client that does not read", async () => {
    const model = new Talker();
    const { base, close } = await serve(model);
    const warm = await ask(base);
    await quiet(model);
    const used = () => {
      collectGarbage();
      const { heapUsed, external, arrayBuffers } = process.memoryUsage();
      return heapUsed + Math.max(external, arrayBuffers);
    };
    const before = used();
    const sockets = await Promise.all(Array.from({ length: 8 }, () => ask(base)));
    await quiet(model);
    expect((used() - before) / 8).toBeLessThan(1e6);
    for (const socket of [warm, ...sockets]) socket.destroy();
    await until(() => model.streams.every(({ left }) => left), "all streams are left");
    await close();
  });
});
