// What the unit tests share: a model on the fake addon, and small ways to read and to wait.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach } from "vitest";

import { setNative } from "../../lib/addon/load.js";
import type { EngineOptionsInput } from "../../lib/types.js";
import { ZSE } from "../../lib/zse.js";
import { FakeAddon, type FakeEngine, type FakeOptions } from "./fake-native.js";

export const USER = [{ role: "user", content: "Tell me a story" }] as const;

afterEach(() => setNative(undefined));

/** A ZSE on a fake addon. */
export function openFake(options: FakeOptions = {}, engineOptions: EngineOptionsInput = {}): { model: ZSE; fake: FakeEngine } {
  const addon = new FakeAddon(options);
  setNative(addon);
  const model = new ZSE("fake.gguf", engineOptions);
  return { model, fake: addon.model };
}

/** The same, loaded. */
export async function openReady(options: FakeOptions = {}, engineOptions: EngineOptionsInput = {}) {
  const opened = openFake(options, engineOptions);
  await opened.model.ready;
  return opened;
}

export async function readAll<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
}

/** Lets everything that is due happen, `turns` times. */
export async function settle(turns = 5): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** What a promise rejects with; fails when it does not. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const value = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ("error" in value) return value.error;
  throw new Error(`expected a rejection, got ${JSON.stringify(value.value)}`);
}

/** Counts unhandled rejections while `run` runs. */
export async function unhandledDuring(run: () => Promise<void>): Promise<unknown[]> {
  const seen: unknown[] = [];
  const listener = (reason: unknown) => seen.push(reason);
  const before = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", listener);
  try {
    await run();
    await settle();
  } finally {
    process.removeListener("unhandledRejection", listener);
    for (const one of before) process.on("unhandledRejection", one);
  }
  return seen;
}

/** An endless reply. */
export function* endless(): Generator<string> {
  for (let i = 0; ; i++) yield ` ${i}`;
}

/** The garbage collector, as a function. */
export function exposeGc(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
