// Owns killing an isolated engine at random moments, 16 streams each time, and looking whether what is promised held: every stream ends once, the next
// request is answered by a fresh engine, and no process, file or memory is left behind. Linux only: it looks for processes in /proc.
// `node test/isolation/kills.mjs [--kills 200] [--seed N] [--recover] [--cache]`; --recover compares every text with an undisturbed run's, to the byte.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ZSE } from "../../dist/index.js";

const STREAMS = 16;
const SIGNALS = ["SIGKILL", "SIGSEGV", "SIGABRT", "SIGSTOP"];
const MOMENTS = ["prefill", "decode", "parked", "loading", "closing"];
/** Short, so that a stopped engine is found soon; and long beside what a machine under load takes to answer. */
const HANG_AFTER_MS = 3000;

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "200" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    recover: { type: "boolean", default: false },
    cache: { type: "boolean", default: false },
  },
});
const kills = Number(values.kills);
const random = generator(Number(values.seed));
const folder = values.cache ? mkdtempSync(join(tmpdir(), "zse-kills-")) : undefined;
const options = {
  threads: 1,
  contextSize: 1024,
  maxStreams: STREAMS,
  ...(folder === undefined ? {} : { promptCache: { dir: folder } }),
};
console.log(`seed ${values.seed}, ${kills} kills, ${values.recover ? "recovered" : "lost"} streams`);
try {
  await (values.recover ? killAndRecover() : killAndLose());
  if (folder !== undefined) await checkFolder(folder);
} finally {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
}
await until(() => engines().length === 0, "no process is left behind");
console.log("all kept");

/** Streams end with ENGINE_FAILED, and the next request is answered. */
async function killAndLose() {
  const tally = {};
  let model = await open({ isolate: { hangAfterMs: HANG_AFTER_MS } });
  let before;
  for (let kill = 1; kill <= kills; kill++) {
    const [moment, signal] = [pick(MOMENTS), pick(SIGNALS)];
    const { restarts } = model.stats();
    const streams = Array.from({ length: STREAMS }, (_, i) => watch(model, i, moment));
    if (moment === "prefill") await sleep(random() * 15);
    else await until(() => streams.some(({ pieces }) => pieces > 0), "a first piece of text");
    if (moment === "decode" || moment === "closing") await sleep(random() * 100);
    if (moment === "parked") await until(() => model.stats().parked > 0, "a parked stream");
    const closed = moment === "closing" ? model.close() : undefined;
    if (closed !== undefined) await sleep(random() * 3);
    strike(signal);
    if (moment === "loading" && signal !== "SIGSTOP") {
      await until(() => engines().length > 0 && model.stats().restarts > restarts, "another engine");
      await sleep(random() * 10);
      strike(pick(SIGNALS.slice(0, 3)));
    }
    for (const { ends } of streams) {
      const [code] = await Promise.all(ends);
      check(
        ["ENGINE_FAILED", "CLOSED", "stop", "length"].includes(code),
        `kill ${kill} (${signal} while ${moment}): a stream ended with ${code}`,
      );
      tally[code] = (tally[code] ?? 0) + 1;
    }
    for (const one of streams) check(one.ended === 1, `kill ${kill}: a stream ended ${one.ended} times`);
    if (closed !== undefined) {
      await closed;
      await until(() => engines().length === 0, "no engine is left by a model that was closed");
      model = await open({ isolate: { hangAfterMs: HANG_AFTER_MS } });
    }
    const { text } = await model.chat([{ role: "user", content: "Hi" }], { seed: 1, maxTokens: 4 });
    check(text !== "", `kill ${kill}: the next request has no text`);
    check(engines().length === 1, `kill ${kill}: ${engines().length} engines run`);
    if (kill === Math.min(20, kills)) before = footprint();
  }
  const after = footprint();
  console.log("ends:", tally, "\nafter 20 kills:", before, "\nat the end:   ", after);
  check(after.handles <= before.handles + 2, "file descriptors grow");
  check(after.heapMb <= before.heapMb + 10, "the heap grows");
  await model.close();
}

/** Text, JSON, tools and log-probabilities go on, and are what they would have been. */
async function killAndRecover() {
  const works = Array.from({ length: STREAMS }, (_, i) => workOf(i));
  const deterministic = { deterministic: true };
  const calm = new ZSE({ ...options, ...deterministic, promptCache: false });
  const wanted = await Promise.all(works.map((work) => told(calm, work)));
  await calm.close();
  const model = await open({ ...deterministic, isolate: { recover: true, hangAfterMs: HANG_AFTER_MS } });
  const lost = [];
  for (let kill = 0; kill < kills; ) {
    const got = Promise.all(works.map((work) => told(model, work)));
    let ended = false;
    got.finally(() => (ended = true)).catch(() => {});
    for (let times = 0; times < 2 && kill < kills; times++) {
      await sleep(20 + random() * 600);
      if (ended || engines().length !== 1) break;
      const started = performance.now();
      const { restarts } = model.stats();
      const signal = pick(SIGNALS);
      strike(signal);
      kill++;
      await until(() => model.stats().restarts > restarts, "another engine");
      await model.ready;
      if (signal !== "SIGSTOP") lost.push(performance.now() - started);
    }
    for (const [i, text] of (await got).entries())
      check(text === wanted[i], `stream ${i} reads otherwise:\n${text}\nin place of\n${wanted[i]}`);
  }
  lost.sort((a, b) => a - b);
  console.log(
    `${kill_s(lost.length)}: a new engine was ready after ${lost[lost.length >> 1]?.toFixed(0)} ms (median), ${lost.at(-1)?.toFixed(0)} ms at most`,
  );
  await model.close();
}

function kill_s(count) {
  return `${count} kills without a stop`;
}

function workOf(i) {
  const messages = [{ role: "user", content: `Tell me story ${i}` }];
  const weather = { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } };
  const base = { messages, seed: i + 1, maxTokens: 60, highWaterMark: 2 ** (i % 7) };
  if (i % 4 === 1)
    return {
      ...base,
      responseFormat: {
        type: "json_schema",
        json_schema: {
          name: "s",
          schema: {
            type: "object",
            properties: { title: { type: "string" }, words: { type: "array", items: { type: "string" } } },
            required: ["title", "words"],
          },
        },
      },
    };
  if (i % 4 === 2) return { ...base, tools: [{ type: "function", function: weather }], toolChoice: "required" };
  if (i % 4 === 3)
    return {
      ...base,
      logprobs: true,
      topLogprobs: 2,
      frequencyPenalty: 0.5,
      repeatPenalty: 1.1,
      mirostat: i % 8 === 3 ? 2 : 0,
      ignoreEos: true,
    };
  return { ...base, ignoreEos: true };
}

/** All that a reader has of a reply, in the order of its parts. */
async function told(model, work) {
  let text = "";
  let calls = "";
  const logprobs = [];
  let finish;
  for await (const event of model.chatStream(work).events()) {
    if (event.type === "text") text += event.text;
    if (event.type === "toolCall") calls += `${event.name ?? ""}${event.argumentsDelta}`;
    if (event.type === "error") throw event.error;
    if (event.type === "finish") finish = event;
    if (event.logprobs !== undefined) logprobs.push(...event.logprobs.map(({ id, logprob }) => [id, logprob]));
  }
  const { reason, usage } = finish;
  return JSON.stringify({ text, calls, logprobs, reason, completionTokens: usage.completionTokens });
}

function watch(model, i, moment) {
  const long = moment === "prefill" ? "a cat ran ".repeat(100) : "";
  const request = {
    messages: [{ role: "user", content: `${long}Tell me story ${i}` }],
    ignoreEos: true,
    seed: i,
    maxTokens: 350,
    highWaterMark: moment === "parked" ? 4 : 64,
  };
  const stream = model.chatStream(request);
  const one = { pieces: 0, ended: 0, ends: [] };
  const reading = (async () => {
    try {
      for await (const _ of stream) {
        one.pieces++;
        if (moment === "parked") await sleep(5);
      }
      return (await stream.result).finishReason;
    } catch (error) {
      return error.code;
    } finally {
      one.ended++;
    }
  })();
  const result = stream.result.then(
    ({ finishReason }) => finishReason,
    (error) => error.code,
  );
  one.ends = [reading, result];
  return one;
}

async function open(more) {
  const model = new ZSE({ ...options, ...more });
  await model.ready;
  return model;
}

/** Process ids of engines that this process has started. */
function engines() {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const parent = /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1];
      return Number(parent) === process.pid && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("engine/process/child.js");
    } catch {
      return false; // gone meanwhile
    }
  });
}

function strike(signal) {
  for (const pid of engines()) {
    try {
      process.kill(Number(pid), signal);
    } catch {} // gone by itself
  }
}

function footprint() {
  globalThis.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  return { heapMb: Math.round(heapUsed / 1e6), rssMb: Math.round(rss / 1e6), handles: readdirSync("/proc/self/fd").length };
}

/** Only whole files, and no temporary ones whose writers are gone. */
async function checkFolder(path) {
  const model = new ZSE({ ...options }); // the next process clears up after the last
  await model.chat([{ role: "user", content: "Hi" }], { maxTokens: 1 });
  await model.close();
  const names = readdirSync(path, { recursive: true }).map(String);
  const odd = names.filter((name) => /tmp|partial/i.test(name));
  check(odd.length === 0, `the prompt cache keeps ${odd.join(", ")}`);
}

function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function pick(list) {
  return list[Math.floor(random() * list.length)];
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A hang guard, not a measurement. */
async function until(condition, what) {
  const end = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`in vain: ${what}`);
    await sleep(2);
  }
}

function check(holds, otherwise) {
  if (!holds) throw new Error(otherwise);
}
