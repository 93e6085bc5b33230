// What the HTTP tests share: the demo model behind a real socket, requests, and waiting. One thread per model: these tests are
// about sockets, and run beside other work.

import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach } from "vitest";
import { NO_USE } from "../../lib/engine/link.js";
import type { HandlerOptions, ServedModel } from "../../lib/http/index.js";
import { nodeHandler } from "../../lib/http/index.js";
import { App, type AppOptions } from "../../lib/server/app.js";
import { HttpServer, type ServerOptions } from "../../lib/server/http-server.js";
import { openLog } from "../../lib/server/log.js";
import type { EngineOptions, StreamEvent } from "../../lib/types.js";
import type { ZSE } from "../../lib/zse.js";
import { openModel, until } from "../addon/helpers.js";
import { type Parsed, parseStrictly, type Rules } from "./strict-sse.js";

export { ENDLESS, sleep, until } from "../addon/helpers.js";

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(
    servers.splice(0).map((server) => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    }),
  );
});

/** Serves until the test ends; returns the address, such as http://127.0.0.1:41234. */
export async function listen(listener: RequestListener | Server): Promise<string> {
  const server = typeof listener === "function" ? createServer(listener) : listener;
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The demo model, or another, with one thread, loaded. */
export async function open(options: EngineOptions = {}, path?: string): Promise<ZSE> {
  const model = openModel({ threads: 1, contextSize: 512, ...options }, path);
  await model.ready;
  return model;
}

/** The demo model behind nodeHandler. */
export async function serveModel(
  engine: EngineOptions = {},
  options: HandlerOptions = {},
): Promise<{ model: ZSE; base: string; url: string }> {
  const model = await open(engine);
  const base = await listen(nodeHandler(model, { model: "qwen-7b", ...options }));
  return { model, base, url: `${base}/v1/chat/completions` };
}

export const STORY = { model: "qwen-7b", messages: [{ role: "user", content: "Tell me a story" }] } as const;

/** A fetch for providers that have no option for it: replies have no end of their own. */
export const endlessFetch: typeof fetch = (url, init) =>
  fetch(url, { ...init, body: JSON.stringify({ ...(JSON.parse(init!.body as string) as object), ignore_eos: true }) });

/** Deterministic and short. */
export const GREEDY = { ...STORY, temperature: 0, max_tokens: 40 } as const;

/** Goes on to the end of the context. */
export const LONG = { ...STORY, ignore_eos: true, seed: 1 } as const;

/** A model that says a piece only when the one before it has been `seen`: who holds pieces back never sees the end. */
export function pieceByPiece(pieces: readonly string[], seen: (piece: string) => boolean): ServedModel {
  async function* events(): AsyncGenerator<StreamEvent> {
    for (const text of pieces) {
      yield { type: "text", text };
      await until(() => seen(text), `"${text}" arrives`);
    }
    yield { type: "finish", reason: "stop", ...NO_USE, seed: 1 };
  }
  return { chatStream: () => ({ events }), completionStream: () => ({ events }) };
}

export function post(url: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
  });
}

/** A streaming request, read to its end and checked by the strict parser. */
export async function stream(url: string, body: object, rules: Rules = {}): Promise<Parsed> {
  const response = await post(url, { stream: true, ...body });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return parseStrictly(new Uint8Array(await response.arrayBuffer()), rules);
}

export async function json(response: Response): Promise<{
  error: { message: string; type: string; param: string | null; code: string | null };
  choices: { message: { content: string }; text: string; finish_reason: string; index: number }[];
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  [key: string]: unknown;
}> {
  return (await response.json()) as never;
}

/** All slots are free and nothing waits. */
export function idle(model: ZSE, slots: number): boolean {
  const { queued, prefilling, decoding, parked, freeSlots } = model.stats();
  return queued + prefilling + decoding + parked === 0 && freeSlots === slots;
}

/** `zse serve`'s app in this process. Its log lines are collected. */
export async function serveApp(
  engine: EngineOptions = {},
  options: Partial<AppOptions> = {},
  limits: Partial<ServerOptions> = {},
  path?: string,
): Promise<{ model: ZSE; app: App; server: HttpServer; base: string; url: string; lines: Record<string, unknown>[] }> {
  const model = await open(engine, path);
  const lines: Record<string, unknown>[] = [];
  const log = openLog("debug", { write: (line) => void lines.push(JSON.parse(line)) });
  // Raw requests of tests have "Host: x".
  const app = new App(model, {
    name: "qwen-7b",
    log,
    allowedHosts: ["x"],
    ...(engine.maxQueue === undefined ? {} : { maxQueue: engine.maxQueue }),
    ...options,
  });
  const server = await HttpServer.listen(app, { port: 0, host: "127.0.0.1", ...limits });
  apps.push(server);
  return { model, app, server, base: server.address, url: `${server.address}/v1/chat/completions`, lines };
}

const apps: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(apps.splice(0).map((server) => server.drain(0)));
});
