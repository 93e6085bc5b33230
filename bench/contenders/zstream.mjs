// Owns measuring zStream through its public library. Runs as a process of its own for each repetition, as llama-bench does for
// the other side: it loads the model, warms up, measures, prints one line of JSON, exits.
// Argument: JSON of { workload, model, threads, number, ... } (bench/rows.mjs says which workloads there are).
import { ZSE } from "../../dist/index.js";
import { mainThreadCpuMs } from "../lib/machine.mjs";
import { promptOf } from "../lib/prompts.mjs";

/** Reply options of a measurement: nothing may end a reply early, and the greedy ones take no time for a lottery. */
const greedy = { temperature: 0, ignoreEos: true };
/** The defaults of the library but for the end: temperature 0.8, top-k 40, top-p 0.95, min-p 0.05. */
const defaults = { ignoreEos: true, seed: 1 };

const workloads = { info, single, ttft, eight, cpu };
const job = JSON.parse(process.argv[2]);
const opened = [];
const measured = await workloads[job.workload](job);
for (const model of opened) await model.close();
process.stdout.write(`${JSON.stringify(measured)}\n`);

/** What the engine chose by itself. */
async function info(job) {
  const bench = await open({ number: 0, ...job }, { contextSize: 64, maxStreams: 1 });
  return { threads: bench.model.info.threads };
}

/** Tokens/s of one stream after its first token, for greedy and for default sampling. */
async function single({ promptTokens, newTokens, ...job }) {
  const bench = await open(job, { contextSize: promptTokens + newTokens, maxStreams: 1 });
  await bench.read(await bench.prompt(promptTokens), { ...greedy, maxTokens: 8 });
  const rate = async (options) => {
    const reply = await bench.read(await bench.prompt(promptTokens), { ...options, maxTokens: newTokens });
    // To the last event's arrival in JS, from the engine's own time of the first token: the text of a first token may be held
    // back for the rest of its character, so that its arrival here does not tell.
    return ((newTokens - 1) / (reply.wallMs - reply.firstTokenMs)) * 1000;
  };
  return { tokensPerSecond: await rate(greedy), tokensPerSecondDefaults: await rate(defaults) };
}

/** Time to the first token, in ms, by the engine's clock and by JS's, for each length of prompt: the median of `samples`. */
async function ttft({ prompts, samples, ...job }) {
  const bench = await open(job, { contextSize: Math.max(...prompts) + 8, maxStreams: 1 });
  const measured = {};
  for (const promptTokens of prompts) {
    await bench.read(await bench.prompt(promptTokens), { ...greedy, maxTokens: 2 });
    const replies = [];
    for (let tries = 0; replies.length < samples; tries++) {
      if (tries > 10 * samples) throw new Error("the model's first tokens are never whole characters");
      const reply = await bench.read(await bench.prompt(promptTokens), { ...greedy, maxTokens: 2 });
      // A first token that is only a part of a character shows with the second one.
      if (reply.timings.ttftMs - reply.firstTokenMs < 0.25 * reply.timings.itlMs.max) replies.push(reply);
    }
    measured[`ttftMs${promptTokens}`] = median(replies.map((reply) => reply.timings.ttftMs));
    measured[`wallMs${promptTokens}`] = median(replies.map((reply) => reply.firstTextMs));
  }
  return measured;
}

/** New tokens/s of several streams begun at once: over the whole run, and while all of them decode. */
async function eight({ streams, promptTokens, newTokens, ...job }) {
  const bench = await open(job, { contextSize: promptTokens + newTokens, maxStreams: streams });
  await bench.read(await bench.prompt(promptTokens), { ...greedy, maxTokens: 8 });
  const prompts = [];
  while (prompts.length < streams) prompts.push(await bench.prompt(promptTokens));

  // All have begun and none has ended: only there the batch is full, as it always is in llama-batched-bench.
  const now = () => ({ at: performance.now(), tokens: bench.model.stats().generatedTokens });
  let begun = 0;
  let full;
  let firstEnd;
  const started = performance.now();
  await Promise.all(
    prompts.map(async (prompt) => {
      await bench.read(prompt, { ...greedy, maxTokens: newTokens }, () => {
        if (++begun === streams) full = now();
      });
      firstEnd ??= now();
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  return {
    tokensPerSecond: (streams * newTokens) / seconds,
    tokensPerSecondDecoding: ((firstEnd.tokens - full.tokens) / (firstEnd.at - full.at)) * 1000,
  };
}

/** Main thread's CPU time per token, in µs, with many streams read at once and with one. */
async function cpu({ streams, newTokens, rounds, ...job }) {
  const bench = await open(job, { contextSize: newTokens + 32, maxStreams: streams });
  const prompts = [];
  while (prompts.length < streams) prompts.push(await bench.prompt(16));
  const perToken = async (prompts, rounds, newTokens) => {
    const before = mainThreadCpuMs();
    for (let round = 0; round < rounds; round++) {
      await Promise.all(
        prompts.map(async (prompt) => {
          // The plainest consumer there is; what a consumer does with the text is its own cost.
          let length = 0;
          for await (const text of bench.model.completionStream(prompt, { ...greedy, maxTokens: newTokens })) length += text.length;
          return length;
        }),
      );
    }
    return ((mainThreadCpuMs() - before) * 1000) / (prompts.length * rounds * newTokens);
  };
  await perToken(prompts, 1, 64);
  return { cpuUs: await perToken(prompts, rounds, newTokens), cpuUsAlone: await perToken(prompts.slice(0, 1), 4 * rounds, newTokens) };
}

/** The model, opened, with what every workload does with it. */
async function open({ model: path, threads, number }, options) {
  const model = new ZSE(path, { ...options, threads });
  opened.push(model);
  await model.ready;
  let prompts = number * 1000;
  return {
    model,
    /** The next prompt of this many tokens. */
    prompt: (tokens) => promptOf((text) => model.tokenize(text), tokens, prompts++),
    /** Reads one reply to its end, with times by this thread's clock; fails where it is not as long as was asked. */
    read: (prompt, options, onFirstText) => read(model, prompt, options, onFirstText),
  };
}

async function read(model, prompt, options, onFirstText) {
  const started = performance.now();
  let firstTextMs;
  for await (const event of model.completionStream(prompt, options).events()) {
    if (event.type === "text" && firstTextMs === undefined) {
      firstTextMs = performance.now() - started;
      onFirstText?.();
    } else if (event.type === "finish") {
      const wallMs = performance.now() - started;
      if (event.usage.completionTokens !== options.maxTokens) {
        throw new Error(`a reply has ${event.usage.completionTokens} tokens instead of ${options.maxTokens}`);
      }
      const { timings } = event;
      return { wallMs, firstTextMs, firstTokenMs: timings.queueMs + timings.prefillMs, timings };
    }
  }
  throw new Error("a reply ended without a finish event");
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
