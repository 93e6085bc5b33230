// Owns one thread that reads memory as fast as it can. A worker's thread. Its parent says when.

import { parentPort, workerData } from "node:worker_threads";

const { bytes } = workerData as { bytes: number };
const memory = Buffer.alloc(bytes, 1); // written, so that each page is memory of its own
const port = parentPort!;

// Looking for a byte that is not there reads all of it, by the C library's memchr.
port.on("message", ({ untilMs }: { untilMs: number }) => {
  const began = performance.now();
  let times = 0;
  do {
    if (memory.indexOf(2) !== -1) throw new Error("memory is not what was written");
    times += 1;
  } while (performance.now() - began < untilMs);
  port.postMessage({ bytes: times * bytes, ms: performance.now() - began });
});
port.postMessage("ready");
