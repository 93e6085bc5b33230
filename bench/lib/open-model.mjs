// Owns the process that opens one model and says how long that took and what it held at most, as one line of JSON: row j starts it. So small a
// context that the weights are what memory is taken for. Linux (the peak is VmHWM of proc(5)). Arguments: path, threads.
import { readFileSync } from "node:fs";
import { loadNative } from "../../dist/addon/load.js";
import { ZSE } from "../../dist/index.js";

const [path, threads] = process.argv.slice(2);
loadNative(); // the library itself is loaded before the clock starts
const started = performance.now();
const model = new ZSE(path, { contextSize: 256, maxStreams: 1, threads: Number(threads) });
await model.ready;
const milliseconds = performance.now() - started;
const peakMb = (Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024) / 1e6;
await model.close();
console.log(JSON.stringify({ milliseconds, peakMb }));
