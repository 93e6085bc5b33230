// Isolated engines as processes: who outlives whom, and what happens to streams when a process is killed.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ask, openModel, ROOT, readAll, runChild, sleep, start, until, zse } from "./helpers.js";

const engineOf = (stdout: string) => Number(stdout.split("\n")[0]);
const runs = (pid: number) => existsSync(`/proc/${pid}`);

// /proc tells who runs.
describe.runIf(process.platform === "linux")("an engine's process", () => {
  test.each(["quiet", "parked"])("does not keep its parent, and ends with it (%s)", async (what) => {
    const { code, signal, stdout, stderr } = await runChild("isolated", what);
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: "" });
    await until(() => !runs(engineOf(stdout)), "the engine's end");
  });

  test.each(["exit", "loading"])("ends with a parent that calls process.exit() (%s)", async (what) => {
    const { code, stdout, stderr } = await runChild("isolated", what);
    expect({ code, stderr }).toEqual({ code: 7, stderr: "" });
    await until(() => !runs(engineOf(stdout)), "the engine's end");
  });

  test("ends when its parent is killed in the middle of a stream", async () => {
    let stdout = "";
    const { child, ended } = start([join(import.meta.dirname, "children", "isolated.mjs"), "stream"]);
    child.stdout!.on("data", (text: string) => {
      stdout += text;
    });
    await until(() => stdout.includes("\n"), "the engine's process id");
    await sleep(50);
    expect(runs(engineOf(stdout))).toBe(true);
    child.kill("SIGKILL");
    await ended;
    await until(() => !runs(engineOf(stdout)), "the engine's end");
  });

  test("is killed at random moments: every stream ends once, the next request is answered, nothing is left behind", async () => {
    const { code, stdout, stderr } = await start(["--expose-gc", join(ROOT, "test", "isolation", "kills.mjs"), "--kills", "6"]).ended;
    expect(code, `${stdout}${stderr}`).toBe(0);
  });

  test("is killed at random moments, and with recover every reply is what it would have been, to the byte", async () => {
    const { code, stdout, stderr } = await start([join(ROOT, "test", "isolation", "kills.mjs"), "--kills", "3", "--recover"]).ended;
    expect(code, `${stdout}${stderr}`).toBe(0);
  });
});

test("a recovered reply without deterministic goes on where it was, with the same beginning", async () => {
  const model = openModel({ isolate: { recover: true } });
  const request = { ignoreEos: true, maxTokens: 200, seed: 3, logprobs: true } as const;
  const calm = await model.chat(ask("Tell me a story"), request);
  const stream = model.chatStream(ask("Tell me a story"), request);
  const pieces: string[] = [];
  for await (const piece of stream) {
    if (pieces.push(piece) === 60) killEngine();
  }
  const reply = await stream.result;
  expect(model.stats().restarts).toBe(1);
  expect(pieces.join("")).toBe(reply.text);
  expect(reply.text.slice(0, 150)).toBe(calm.text.slice(0, 150));
  expect(reply.logprobs).toHaveLength(200);
  expect(reply.usage.completionTokens).toBe(200);
});

test("loads, tells its progress and its refusals as an engine in this process does", async () => {
  const told: number[] = [];
  const model = openModel({ isolate: true, onProgress: (part) => told.push(part) });
  expect((await model.ready).architecture).toBe("qwen2");
  expect(told.at(-1)).toBe(1);
  const missing = openModel({ isolate: true }, "/nowhere.gguf");
  await expect(missing.ready).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  await expect(readAll(missing.chatStream(ask("Hi")))).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  expect(await model.tokenize("fox")).toEqual(await openModel().tokenize("fox"));
});

test("zse serve --recover answers on while its engine is killed, and leaves at SIGTERM", async () => {
  const { child, ended } = zse("serve", "--recover", "--port", "0", "--log-level", "silent");
  let stdout = "";
  child.stdout!.on("data", (text: string) => {
    stdout += text;
  });
  await until(() => /listens on \S+/.test(stdout), "the server");
  const url = `${/listens on (\S+)/.exec(stdout)![1]}/v1/chat/completions`;
  const body = { messages: ask("Tell me a story"), max_tokens: 300, ignore_eos: true, seed: 1, stream: true };
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  let text = "";
  for await (const bytes of response.body!) {
    if (text === "") killEngine(child.pid);
    text += Buffer.from(bytes as Uint8Array).toString();
  }
  expect(text).toContain('"finish_reason":"length"');
  expect(text).toContain("data: [DONE]");
  expect(text).not.toContain("error");
  child.kill("SIGTERM");
  expect(await ended).toMatchObject({ code: 0, signal: null });
});

/** The isolated engine of this process, or of another one. */
function killEngine(parent = process.pid): void {
  execFileSync("pkill", ["-KILL", "-P", String(parent), "-f", "engine/process/child.js"]);
}
