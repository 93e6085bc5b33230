// Owns measuring llama.cpp itself: its own llama-bench and llama-batched-bench, compiled in the same build as the addon, from the
// same source and with the same options. Each call is one process that loads the model, warms up, measures and exits.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { buildAddon } from "../../scripts/build.mjs";
import { placesOf } from "../../scripts/paths.mjs";

const tools = ["llama-bench", "llama-batched-bench"];

/** Builds the tools beside the addon; does nothing when they are there and current. */
export async function buildRawTools() {
  process.env.ZSE_BENCH_TOOLS = "1";
  await buildAddon({ targets: tools });
}

/**
 * Tokens/s of decoding one stream whose prompt is in the cache (llama-bench's tg test at a depth).
 * @returns {Promise<{tokensPerSecond: number}>}
 */
export async function single({ model, threads, promptTokens, newTokens }) {
  const [test] = await llamaBench({ model, threads, args: ["-p", "0", "-n", newTokens, "-d", promptTokens, "-r", 1] });
  return { tokensPerSecond: test.avg_ts };
}

/** Time of a prompt's prefill plus one token, in ms, for each length of prompt: pp and tg tests; the median of `samples`. */
export async function ttft({ model, threads, prompts, samples }) {
  const tests = await llamaBench({ model, threads, args: ["-p", prompts.join(","), "-n", 16, "-r", samples] });
  const generation = tests.find((test) => test.n_gen > 0);
  const tokenMs = 1000 / generation.avg_ts;
  return Object.fromEntries(
    prompts.map((promptTokens) => {
      const test = tests.find((candidate) => candidate.n_prompt === promptTokens && candidate.n_gen === 0);
      const sorted = test.samples_ns.toSorted((a, b) => a - b);
      return [`ttftMs${promptTokens}`, sorted[sorted.length >> 1] / 1e6 + tokenMs];
    }),
  );
}

/** New tokens/s of several streams: over prefill and decoding together, and while decoding. */
export async function eight({ model, threads, streams, promptTokens, newTokens }) {
  const args = ["-m", model, "-t", threads, "-tb", threads, "-c", streams * (promptTokens + newTokens)];
  args.push("-npp", promptTokens, "-ntg", newTokens, "-npl", streams, "--output-format", "jsonl");
  // Its log is written by a thread that may be ended before it has written: now and then the result is lost, and measured again.
  let line;
  for (let tries = 0; line === undefined; tries++) {
    if (tries === 10) throw new Error("llama-batched-bench printed no result, ten times");
    const output = await runTool("llama-batched-bench", args);
    line = output.split("\n").find((candidate) => candidate.startsWith("{"));
  }
  const result = JSON.parse(line);
  return { tokensPerSecond: (streams * newTokens) / result.t, tokensPerSecondDecoding: result.speed_tg };
}

async function llamaBench({ model, threads, args }) {
  return JSON.parse(await runTool("llama-bench", ["-m", model, "-t", threads, "-o", "json", ...args]));
}

async function runTool(name, args) {
  const file = join(placesOf().cmake, "bin", process.platform === "win32" ? `${name}.exe` : name);
  const { stdout } = await promisify(execFile)(file, args.map(String), { maxBuffer: 2 ** 26 });
  return stdout;
}
