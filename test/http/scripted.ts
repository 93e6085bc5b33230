// A model that gives replies by a script, behind a real socket: every shape of a reply comes, whatever a real model would say.

import { afterEach } from "vitest";
import { setNative } from "../../lib/addon/load.js";
import { type HandlerOptions, nodeHandler } from "../../lib/http/index.js";
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
  const addon = new FakeAddon(engine);
  setNative(addon);
  const model = new ZSE("fake.gguf");
  await model.ready;
  const base = await listen(nodeHandler(model, { model: "qwen-7b", onError: () => {}, ...options }));
  return { base, url: `${base}/v1/chat/completions`, fake: addon.model };
}
