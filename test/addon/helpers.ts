// What the addon tests share: models on the embedded demo model that are closed after each test, children, and waiting.

import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from "node:child_process";
import { ftruncateSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterEach } from "vitest";

import type { EngineOptions } from "../../lib/types.js";
import { ZSE } from "../../lib/zse.js";

export const ROOT = join(import.meta.dirname, "..", "..");
export const DEMO = join(ROOT, "models", "demo", "demo.gguf");

const open: ZSE[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((model) => model.close()));
});

/** ZSE_TEST_ISOLATE=1 runs the engine of every test in a process of its own; =recover with recovery. */
const { ZSE_TEST_ISOLATE, ZSE_TEST_KV } = process.env;
const isolate = ZSE_TEST_ISOLATE === "recover" ? { recover: true } : ZSE_TEST_ISOLATE === "1";

/** ZSE_TEST_KV=q8_0 (or q4_0) stores the keys and values of every test so. */
const kvType = ZSE_TEST_KV as EngineOptions["kvType"];

/** A model that is closed after the test. Small, and with one thread: two would wait for each other at every node of the graph while other work holds a core. */
export function openModel(options: EngineOptions = {}, path = DEMO): ZSE {
  if (isolate !== false) buildLibrary();
  const model = new ZSE(path, { contextSize: 512, threads: 1, isolate, kvType, ...options });
  open.push(model);
  return model;
}

export async function openReady(options: EngineOptions = {}): Promise<ZSE> {
  const model = openModel(options);
  await model.ready;
  return model;
}

export const ask = (content: string) => [{ role: "user", content }] as const;

/** An endless reply: its end-of-text tokens are not heeded and maxTokens is far away. */
export const ENDLESS = { ignoreEos: true, temperature: 0.8, seed: 1 } as const;

export async function readAll<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
}

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until it is true; a hang guard, not a measurement. */
export async function until(condition: () => boolean, what: string, timeoutMs = 20_000): Promise<void> {
  for (let waitedMs = 0; !condition(); ) {
    if (waitedMs > timeoutMs) throw new Error(`still waiting after ${timeoutMs} ms: ${what}`);
    const before = performance.now();
    await sleep(2);
    waitedMs += Math.min(performance.now() - before, 250); // no longer: the process may have been stopped meanwhile
  }
}

export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const settled = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ("error" in settled) return settled.error;
  throw new Error(`expected a rejection, got ${JSON.stringify(settled.value)}`);
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

let built = false;
/** Children run what users run: the compiled library. */
export function buildLibrary(): void {
  if (built) return;
  execFileSync(process.execPath, [join(ROOT, "scripts", "build-ts.mjs")], { cwd: ROOT, stdio: "inherit" });
  built = true;
}

/** Starts a child, of node where no other program is given; `ended` resolves when it is gone, and kills it when it hangs. */
export function start(
  args: string[],
  options: SpawnOptions & { timeoutMs?: number; program?: string } = {},
): { child: ChildProcess; ended: Promise<Ended> } {
  buildLibrary();
  const child = spawn(options.program ?? process.execPath, args, { cwd: ROOT, stdio: ["pipe", "pipe", "pipe"], ...options });
  const result: Ended = { code: null, signal: null, stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    result.stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    result.stderr += text;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    const timeoutMs = options.timeoutMs ?? 40_000;
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`node ${args.join(" ")} hung for ${timeoutMs} ms\n${result.stdout}\n${result.stderr}`));
    }, timeoutMs);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ ...result, code, signal });
    });
  });
  return { child, ended };
}

/** Runs test/addon/children/<name>.mjs to its end. */
export function runChild(name: string, ...args: string[]): Promise<Ended> {
  const { child, ended } = start([join(import.meta.dirname, "children", `${name}.mjs`), ...args]);
  child.stdin?.end();
  return ended;
}

/** Starts `zse …`. */
export function zse(...args: string[]): ReturnType<typeof start> {
  return start([join(ROOT, "dist", "cli", "main.js"), ...args]);
}

/** A model of zeros that takes no room on disk, and more time to convert or to load than a signal needs: 16 × width² × 4 × 3 bytes and more. */
export function writeSparseModel(path: string, width = 4096): void {
  const parts: Buffer[] = [];
  const u32 = (value: number) => parts.push(Buffer.from(Uint32Array.of(value).buffer));
  const u64 = (value: number) => parts.push(Buffer.from(BigUint64Array.of(BigInt(value)).buffer));
  const text = (value: string) => {
    u64(Buffer.byteLength(value));
    parts.push(Buffer.from(value));
  };
  const tokens = Array.from({ length: 64 }, (_, i) => `t${i}`);
  const tensors: [string, number[]][] = [
    ["token_embd.weight", [width, tokens.length]],
    ["output_norm.weight", [width]],
    ...["attn_norm", "ffn_norm"].map((name): [string, number[]] => [`blk.0.${name}.weight`, [width]]),
    ...["attn_q", "attn_k", "attn_v", "attn_output"].map((name): [string, number[]] => [`blk.0.${name}.weight`, [width, width]]),
    ["blk.0.ffn_gate.weight", [width, 16 * width]],
    ["blk.0.ffn_up.weight", [width, 16 * width]],
    ["blk.0.ffn_down.weight", [16 * width, width]],
  ];
  const string = (value: string) => () => {
    u32(8);
    text(value);
  };
  const number = (value: number) => () => {
    u32(4);
    u32(value);
  };
  const float = (value: number) => () => {
    u32(6);
    parts.push(Buffer.from(Float32Array.of(value).buffer));
  };
  const strings = (values: string[]) => () => {
    u32(9);
    u32(8);
    u64(values.length);
    for (const value of values) text(value);
  };
  const sizes = {
    block_count: 1,
    context_length: 64,
    embedding_length: width,
    feed_forward_length: 16 * width,
    "attention.head_count": 32,
  };
  const keys: [string, () => void][] = [
    ["general.architecture", string("qwen2")],
    ...Object.entries(sizes).map(([name, value]): [string, () => void] => [`qwen2.${name}`, number(value)]),
    ["qwen2.attention.layer_norm_rms_epsilon", float(1e-6)],
    ["tokenizer.ggml.model", string("gpt2")],
    ["tokenizer.ggml.tokens", strings(tokens)],
    ["tokenizer.ggml.merges", strings([])],
  ];
  parts.push(Buffer.from("GGUF"));
  u32(3);
  u64(tensors.length);
  u64(keys.length);
  for (const [key, write] of keys) {
    text(key);
    write();
  }
  let offset = 0;
  for (const [name, shape] of tensors) {
    text(name);
    u32(shape.length);
    for (const length of shape) u64(length);
    u32(0);
    u64(offset);
    offset += shape.reduce((a, b) => a * b, 4);
  }
  const header = Buffer.concat(parts);
  const file = openSync(path, "w");
  writeSync(file, header);
  ftruncateSync(file, Math.ceil(header.length / 32) * 32 + offset);
}
