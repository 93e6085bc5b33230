// Isolated engines as processes: who outlives whom, and what happens to streams when a process is killed.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { createHandler } from "../../lib/http/index.js";
import { ask, openModel, ROOT, readAll, runChild, sleep, start, until, zse } from "./helpers.js";

const engineOf = (stdout: string) => Number(stdout.split("\n")[0]);
const runs = (pid: number) => existsSync(`/proc/${pid}`);

// /proc tells who runs.
const onLinux = process.platform === "linux";

describe.runIf(onLinux)("an engine's process", () => {
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

test.runIf(onLinux)("a recovered reply without deterministic goes on where it was, with the same beginning", async () => {
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

test.runIf(onLinux)("a process that was stopped and goes on is no crash, and its streams lose nothing", async () => {
  const model = openModel({ isolate: true });
  const request = { ignoreEos: true, maxTokens: 120, seed: 3 } as const;
  const calm = await model.chat(ask("Tell me a story"), request);
  const pieces: string[] = [];
  for await (const piece of model.chatStream(ask("Tell me a story"), request)) {
    if (pieces.push(piece) !== 40) continue;
    signalEngine("SIGSTOP");
    await sleep(300);
    signalEngine("SIGCONT");
  }
  expect(pieces.join("")).toBe(calm.text);
  expect(model.stats().restarts).toBe(0);
});

test("a reader that stands still parks its stream in the other process, and nothing piles up on the way", async () => {
  const model = openModel({ isolate: true });
  const iterator = model.chatStream(ask("Tell me a story"), { ignoreEos: true, highWaterMark: 8 })[Symbol.asyncIterator]();
  await iterator.next();
  await until(() => model.stats().parked === 1, "the stream is parked");
  await sleep(100);
  expect(model.stats().generatedTokens).toBeLessThanOrEqual(10);
  // A thread that is busy for as long as hundreds of tokens take hears of no more than its credit afterwards.
  const busyUntil = performance.now() + 300;
  while (performance.now() < busyUntil);
  await iterator.next();
  await until(() => model.stats().parked === 1, "the stream is parked again");
  expect(model.stats().generatedTokens).toBeLessThanOrEqual(12);
  await iterator.return?.();
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

test.runIf(onLinux)(
  "a resumable stream whose reader and engine are gone is the same text to the byte for a reader that comes back",
  async () => {
    const model = openModel({ isolate: { recover: true }, deterministic: true });
    const expected = await model.chat(ask("Tell me a story"), { ignoreEos: true, maxTokens: 200, seed: 3 });
    const handle = createHandler(model);
    const url = "http://127.0.0.1/v1/chat/completions";
    const asked = { messages: ask("Tell me a story"), max_tokens: 200, ignore_eos: true, seed: 3, stream: true };
    const body = JSON.stringify({ ...asked, stream_options: { resumable: true } });
    const first = await handle(new Request(url, { method: "POST", headers: { "content-type": "application/json" }, body }));
    let sent = "";
    for await (const bytes of first.body!) {
      sent += Buffer.from(bytes as Uint8Array).toString();
      if (sent.length > 3000) break;
    }
    killEngine();
    const whole = sent.slice(0, sent.lastIndexOf("\n\n") + 2);
    const id = /"id":"(chatcmpl-\w+)"/.exec(whole)![1];
    const last = [...whole.matchAll(/^id: (\d+)$/gm)].at(-1)![1]!;
    const second = await handle(new Request(`http://127.0.0.1/v1/streams/${id}`, { headers: { "last-event-id": last } }));
    const all = whole + (await second.text());
    const chunks = [...all.matchAll(/^data: (\{.*)$/gm)].map(
      ([, json]) => JSON.parse(json!) as { choices: { delta: { content?: string } }[] },
    );
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe(expected.text);
    expect(model.stats().restarts).toBe(1);
  },
);

test.runIf(onLinux)("what is asked between two crashes is answered by the engine after them", async () => {
  const model = openModel({ isolate: true });
  await model.ready;
  const before = model.ready;
  killEngine();
  await until(() => model.ready !== before, "the first crash is known");
  const asked = Promise.all([model.ready, model.tokenize("fox"), model.countTokens(ask("Hi"))]);
  await until(() => enginesOf().length === 1, "the next engine loads");
  killEngine();
  const [info, ids, count] = await asked;
  expect(info).toMatchObject({ architecture: "qwen2" });
  expect(ids).toEqual(await model.tokenize("fox"));
  expect(count).toBeGreaterThan(1);
  expect(model.stats().restarts).toBe(2);
});

test.runIf(onLinux)("log-probabilities of a prompt and its reply are whole over a crash in either", async () => {
  const request = { ignoreEos: true, maxTokens: 40, seed: 3, logprobs: true, promptLogprobs: true } as const;
  const prompt = "Once upon a time there was a quiet fox. ".repeat(12);
  const model = openModel({ isolate: { recover: true }, deterministic: true });
  const calm = await model.completion(prompt, request);
  for (const [type, at] of [
    ["prompt", 1],
    ["text", 12],
  ] as const) {
    let seen = 0;
    const stream = model.completionStream(prompt, request);
    for await (const event of stream.events()) {
      if (event.type === type && ++seen === at) killEngine();
    }
    const reply = await stream.result;
    expect(reply.text).toBe(calm.text);
    expect(reply.promptLogprobs).toEqual(calm.promptLogprobs);
    expect(reply.logprobs).toEqual(calm.logprobs);
  }
});

test.runIf(onLinux)("zse serve --recover answers on while its engine is killed, and leaves at SIGTERM", async () => {
  const { child, ended } = zse("serve", "--recover", "--port", "0", "--log-level", "silent");
  onTestFinished(() => void child.kill("SIGKILL"));
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

function killEngine(parent = process.pid): void {
  signalEngine("SIGKILL", parent);
}

/** To the isolated engine of this process, or of another one. */
function signalEngine(signal: string, parent = process.pid): void {
  for (const pid of enginesOf(parent)) process.kill(pid, signal);
}

function enginesOf(parent = process.pid): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && isEngineOf(parent, name))
    .map(Number);
}

function isEngineOf(parent: number, pid: string): boolean {
  try {
    if (!readFileSync(`/proc/${pid}/status`, "utf8").includes(`\nPPid:\t${parent}\n`)) return false;
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(join("engine", "process", "child.js"));
  } catch {
    return false; // gone meanwhile
  }
}

test.runIf(onLinux)(
  "texts that are embedded when their process is killed are embedded by the next one, with the same vectors",
  async () => {
    const model = openModel({ isolate: true, contextSize: 1024 });
    const texts = Array.from({ length: 600 }, (_, i) => `${i}: Once upon a time there was a little fox. `.repeat(12));
    const calm = await model.embed(texts);
    const before = calm.usage.promptTokens;
    await until(() => model.stats().embeddedTokens >= before, "the counters of another process have come");
    const asked = model.embed(texts);
    await until(() => model.stats().embeddedTokens > before, "they are under way");
    killEngine();
    const { embeddings, usage } = await asked;
    expect(model.stats().restarts).toBe(1);
    expect(usage).toEqual(calm.usage);
    for (const [i, vector] of embeddings.entries()) {
      expect(Math.max(...vector.map((value, j) => Math.abs(value - calm.embeddings[i]![j]!)))).toBeLessThan(1e-2);
    }
  },
);

test.runIf(onLinux)("texts that nobody waits for any more are not embedded again by the next process", async () => {
  const model = openModel({ isolate: true, contextSize: 1024 });
  await model.ready;
  const leaving = new AbortController();
  const texts = new Array<string>(2000).fill("Once upon a time there was a little fox. ".repeat(20)); // for many seconds
  const left = model.embed(texts, { signal: leaving.signal }).catch((error: unknown) => error);
  await until(() => model.stats().embeddedTokens > 0, "they are under way");
  leaving.abort(new Error("enough"));
  expect(await left).toMatchObject({ message: "enough" });
  killEngine();
  expect((await model.embed("fox")).embeddings).toHaveLength(1);
  await until(() => model.stats().embedding === 0, "nothing is left");
});
