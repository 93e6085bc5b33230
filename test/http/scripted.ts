// A model that gives replies by a script, behind a real socket: every shape of a reply comes, whatever a real model would say.

import { afterEach } from "vitest";
import { setNative } from "../../lib/addon/load.js";
import { type HandlerOptions, nodeHandler } from "../../lib/http/index.js";
import { App, type AppOptions } from "../../lib/server/app.js";
import { HttpServer } from "../../lib/server/http-server.js";
import { openLog } from "../../lib/server/log.js";
import { ZSE } from "../../lib/zse.js";
import { FakeAddon, type FakeEngine, type FakeOptions, type ScriptItem } from "../unit/fake-native.js";
import { listen } from "./helpers.js";

afterEach(() => setNative(undefined));

export interface ScriptedServer {
  base: string;
  url: string;
  fake: FakeEngine;
}

/** Gives these replies in turn; of what is not an array it takes pieces as they are wanted. */
export async function serveScript(...replies: Iterable<ScriptItem>[]): Promise<ScriptedServer> {
  return serveScriptWith({}, ...replies);
}

export async function serveScriptWith(options: HandlerOptions, ...replies: Iterable<ScriptItem>[]): Promise<ScriptedServer> {
  return serveFake({ script: (_, index) => replies[index] ?? ["no more"] }, options);
}

export async function serveFake(engine: FakeOptions, options: HandlerOptions = {}): Promise<ScriptedServer> {
  const { model, fake } = await openFake(engine);
  const base = await listen(nodeHandler(model, { model: "qwen-7b", ...options }));
  return { base, url: `${base}/v1/chat/completions`, fake };
}

/** The same behind `zse serve`'s app. */
export async function serveScriptApp(
  options: Partial<AppOptions>,
  ...replies: ScriptItem[][]
): Promise<{ base: string; fake: FakeEngine; lines: Record<string, unknown>[] }> {
  const { model, fake } = await openFake({ script: (_, index) => replies[index] ?? ["no more"] });
  const lines: Record<string, unknown>[] = [];
  const log = openLog("debug", { write: (line) => void lines.push(JSON.parse(line)) });
  const server = await HttpServer.listen(new App(model, { name: "qwen-7b", log, ...options }), { port: 0, host: "127.0.0.1" });
  servers.push(server);
  return { base: server.address, fake, lines };
}

const servers: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.drain(0)));
});

async function openFake(engine: FakeOptions): Promise<{ model: ZSE; fake: FakeEngine }> {
  const addon = new FakeAddon(engine);
  setNative(addon);
  const model = new ZSE("fake.gguf");
  await model.ready;
  return { model, fake: addon.model };
}
