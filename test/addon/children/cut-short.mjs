// Opens, inspects and converts copies of model files that are cut short meanwhile, at random moments, for some seconds: `cut-short.mjs
// FOLDER SEED SECONDS FILE …`. Prints how often each ended how.
import { copyFileSync, statSync, truncateSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ZSE } from "zstream";

const [folder, seed, seconds, ...files] = process.argv.slice(2);
const root = join(import.meta.dirname, "..", "..", "..");
const native = createRequire(import.meta.url)("node-gyp-build")(root);
const path = join(folder, "model");

let state = Number(seed);
function below(limit) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
}

async function open() {
  const model = new ZSE(path, { contextSize: 64, threads: 1 });
  try {
    await model.ready;
  } finally {
    await model.close();
  }
}
const inspect = () => native.inspect(path);
const convert = () =>
  new Promise((resolve, reject) => {
    const ended = (error, report) => (error ? reject(error) : resolve(report));
    new native.Conversion(path, join(folder, "converted"), { overwrite: true }, () => {}, ended);
  });
const ways = { open, inspect, convert };

const told = {};
const end = performance.now() + 1000 * Number(seconds);
const longest = new Map(); // microseconds that each way takes with each file, when it is left alone
while (performance.now() < end) {
  const file = files[below(files.length)];
  const name = Object.keys(ways)[below(3)];
  copyFileSync(file, path);
  const began = performance.now();
  const key = `${name} ${file}`;
  const running = ways[name]().then(
    (found) => (found?.refusal ? "refused" : "done"),
    (error) => error.code ?? String(error),
  );
  if (longest.has(key)) {
    const moment = began + below(longest.get(key)) / 1000;
    while (performance.now() < moment); // timers are too coarse
    truncateSync(path, below(4) === 0 ? 0 : below(statSync(path).size));
  }
  const ended = await running;
  if (!longest.has(key)) longest.set(key, 1000 * (performance.now() - began));
  const what = `${name}: ${ended}`;
  told[what] = (told[what] ?? 0) + 1;
}
console.log(JSON.stringify(told));
