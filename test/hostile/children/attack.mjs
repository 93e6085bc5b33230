// What the children of the hostile tests share: a scratch folder, the demo model made anew with hostile metadata, and one line of JSON
// for each attack. The parent knows from the last line what was going on when a child dies.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ZSE } from "zstream";
import { rewriteGguf } from "../gguf.mjs";

const demo = fileURLToPath(new URL("../../../models/demo/demo.gguf", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "zstream-hostile-"));
process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));

/** The demo model's file with these keys of its metadata set. */
export function modelWith(keys) {
  return rewriteGguf(demo, join(scratch, "hostile.gguf"), keys);
}

export const small = { contextSize: 512, maxStreams: 2, threads: 1 };

export function open(path, options = {}) {
  return new ZSE(path ?? demo, { ...small, ...options });
}

export const user = (content) => [{ role: "user", content }];

/** "ok", or the code of the error, with its message; never longer than helps to see what went wrong. */
export async function outcome(promise) {
  try {
    const value = await promise;
    return { outcome: "ok", value: Array.isArray(value) ? value.length : undefined };
  } catch (error) {
    const name = error.name === "AbortError" ? error.name : (error.code ?? error.name);
    return { outcome: name, message: String(error.message).slice(0, 400) };
  }
}

export function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Aborts after a moment, and tells how long the abort took to be answered. */
export async function abortAfter(ms, start) {
  const leave = new AbortController();
  const promise = outcome(start(leave.signal));
  let ended = false;
  void promise.then(() => {
    ended = true;
  });
  await new Promise((resolve) => setTimeout(resolve, ms));
  const wasRunning = !ended;
  const from = performance.now();
  leave.abort();
  const result = await promise;
  return { ...result, wasRunning, abortMs: performance.now() - from };
}

/** The engine has nothing left of what was aborted, and answers: a bound in time is only a hang guard. */
export async function answers(model) {
  const end = performance.now() + 20_000;
  while (model.stats().freeSlots < small.maxStreams || model.stats().queued > 0) {
    if (performance.now() > end) return "slots are not free";
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return (await outcome(model.completion("Once upon a time", { maxTokens: 2 }))).outcome;
}
