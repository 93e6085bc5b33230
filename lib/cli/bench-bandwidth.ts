// Owns measuring how fast this machine reads memory: what no engine can exceed that reads all weights for each token. Main thread; the reading is
// done by as many threads as the engine has.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { spreadOf } from "./bench-statistics.js";

/** More than any cache holds; reading a larger model measures nothing else. */
const LARGEST_BYTES = 2 ** 30;
/** Time (ms) of one measurement. */
const LONG_ENOUGH_MS = 200;
const TIMES = 5;

/**
 * Bytes a second that are read from `bytes` of memory, over and over, by so many threads, each its share: so a model that fits into the caches is
 * compared with reading from the caches. The best of five measurements.
 */
export async function readBandwidth(bytes: number, threads: number): Promise<number> {
  const share = Math.ceil(Math.min(bytes, LARGEST_BYTES) / threads);
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL("./bench-reader.js", import.meta.url), { workerData: { bytes: share } }),
  );
  try {
    await Promise.all(workers.map((worker) => once(worker, "message")));
    const rates: number[] = [];
    for (let i = 0; i < TIMES; i++) rates.push(await readAtOnce(workers));
    return spreadOf(rates).most;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

async function readAtOnce(workers: readonly Worker[]): Promise<number> {
  const answers = workers.map((worker) => once(worker, "message") as Promise<[{ bytes: number; ms: number }]>);
  for (const worker of workers) worker.postMessage({ untilMs: LONG_ENOUGH_MS });
  const read = await Promise.all(answers);
  return read.reduce((sum, [{ bytes, ms }]) => sum + bytes / (ms / 1000), 0);
}
