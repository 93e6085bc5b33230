// Under a limit of threads: opens a model, uses it, converts a file. Prints what became of each, and how many threads are left.
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { ZSE } from "zstream";

const root = join(import.meta.dirname, "..", "..", "..");
const native = createRequire(import.meta.url)("node-gyp-build")(root);

const [folder, model] = process.argv.slice(2);
const threads = () => readdirSync("/proc/self/task").length;
const outcome = (promise) =>
  promise.then(
    () => ["done", ""],
    (error) => [error.code ?? error.name, error.message],
  );

console.log("begun");
const before = threads();
const zse = new ZSE(model, { contextSize: 512, threads: 4, promptCache: { dir: join(folder, "cache") } });
const opened = await outcome(zse.ready);
const answered = await outcome(zse.chat([{ role: "user", content: "Hi" }], { maxTokens: 3 }));
await zse.close();
const converted = await outcome(
  new Promise((resolve, reject) => {
    const ended = (error, report) => (error ? reject(error) : resolve(report));
    new native.Conversion(model, join(folder, "out.zse"), { quant: "int8", overwrite: true }, () => {}, ended);
  }),
);
console.log(JSON.stringify({ opened, answered, converted, left: threads() - before }));
