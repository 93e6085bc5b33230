// What the hub's tests share: a hub and a cache folder of their own for each test, and pulling with waits that are none.

import { createCipheriv } from "node:crypto";
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { type PullContext, pullContext, pullModel } from "../../lib/hub/pull.js";
import { readReference } from "../../lib/hub/reference.js";
import { type HubSettings, readSettings } from "../../lib/hub/settings.js";
import type { FetchEvent, PulledModel } from "../../lib/types.js";
import { HostileHub } from "./hostile-hub.js";

export const ROOT = join(import.meta.dirname, "..", "..");
export const DEMO = readFileSync(join(ROOT, "models", "demo", "demo.gguf"));
export const REPO = "org/demo-GGUF";

/** Bytes that no two places have in common, of any length, the same for the same seed. */
export function bytesOf(length: number, seed = 1): Buffer {
  return createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(length));
}

export interface World {
  hub: HostileHub;
  /** HF_HOME; the cache folder is hub/ in it. */
  home: string;
  settings: HubSettings;
  environment: Record<string, string>;
  pull(reference: string, more?: Partial<PullContext>): Promise<PulledModel>;
  events: FetchEvent[];
}

/** A hub with the demo model in Q8_0, and an empty home folder, for each test of a file. */
export function worlds(options: { prefix?: string } = {}): { readonly now: World } {
  const state = {} as { now: World };
  beforeEach(async () => {
    const hub = await HostileHub.open(options);
    hub.add(REPO, "demo-Q8_0.gguf", DEMO);
    state.now = worldOf(hub, mkdtempSync(join(tmpdir(), "zstream-hub-")));
  });
  afterEach(async () => {
    await state.now.hub.close();
    rmSync(state.now.home, { recursive: true, force: true });
  });
  return state;
}

function worldOf(hub: HostileHub, home: string): World {
  const environment = { HF_HOME: home, HF_ENDPOINT: hub.endpoint };
  const settings: HubSettings = { ...readSettings(environment), silenceMs: 500, firstWaitMs: 1 };
  const events: FetchEvent[] = [];
  const pull = (reference: string, more: Partial<PullContext> = {}) =>
    pullModel(readReference(reference), pullContext({ settings, onEvent: (event) => void events.push(event), ...more }));
  return { hub, home, settings, environment, events, pull };
}

/** Every file and link below a folder, with slashes. */
export function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => !lstatSync(path).isDirectory())
    .map((path) => relative(folder, path).replaceAll("\\", "/"))
    .sort();
}

export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string; option?: string }> {
  return await promise.then(
    () => {
      throw new Error("it was to fail");
    },
    (error) => error,
  );
}
