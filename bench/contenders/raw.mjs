// Owns measuring llama.cpp itself by its own llama-bench and llama-batched-bench (contenders/peers.mjs builds them). Each call is one process
// that loads the model, warms up, measures and exits.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { median } from "simple-statistics";
import { under } from "../lib/under.mjs";
import { toolPath, withLargePages } from "./peers.mjs";

/**
 * Tokens/s of decoding one stream whose prompt is in the cache (llama-bench's tg test at a depth); and the time of a prompt's
 * prefill in ms for each length of prompt (its pp tests, the median of `samples`): the last token's logits, which give the first token, are part of it.
 */
export async function oneStream({ model, threads, promptTokens, newTokens, prompts, samples }) {
  const [decoding] = await llamaBench({ model, threads, args: ["-p", 0, "-n", newTokens, "-d", promptTokens, "-r", 1] });
  const tests = await llamaBench({ model, threads, args: ["-p", prompts.join(","), "-n", 0, "-r", samples] });
  const measures = { tokensPerSecond: decoding.avg_ts };
  for (const tokens of prompts) {
    measures[`ttftMs${tokens}`] = median(tests.find((test) => test.n_prompt === tokens).samples_ns) / 1e6;
  }
  return measures;
}

/** New tokens/s over prefill and decoding together, for each number of streams. */
export async function manyStreams({ model, threads, streams, promptTokens, newTokens }) {
  const args = ["-m", model, "-t", threads, "-tb", threads, "-c", Math.max(...streams) * (promptTokens + newTokens)];
  args.push("-npp", promptTokens, "-ntg", newTokens, "-npl", streams.join(","), "--output-format", "jsonl");
  // Its log is written by a thread that may be ended before it has written: now and then a result is lost, and measured again.
  for (let tries = 0; tries < 10; tries++) {
    const output = await runTool("llama-batched-bench", args);
    const results = output.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
    if (results.length === streams.length) {
      return Object.fromEntries(results.map(({ pl, t }) => [`tokensPerSecond${pl}`, (pl * newTokens) / t]));
    }
  }
  throw new Error("llama-batched-bench printed less than all of its results, ten times");
}

/** Tokens/s of decoding a few tokens with nothing before them, while other programs are busy. */
export async function briefly({ model, threads, newTokens }) {
  const [decoding] = await llamaBench({ model, threads, args: ["-p", 0, "-n", newTokens, "-r", 1, "--no-warmup"] });
  return decoding.avg_ts;
}

async function llamaBench({ model, threads, args }) {
  return JSON.parse(await runTool("llama-bench", ["-m", model, "-t", threads, "-o", "json", ...args]));
}

async function runTool(name, args) {
  const [program, ...rest] = under(toolPath(name), ...args.map(String));
  const { stdout } = await promisify(execFile)(program, rest, { maxBuffer: 2 ** 26, env: withLargePages() });
  return stdout;
}
