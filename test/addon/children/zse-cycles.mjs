// Opens, uses and closes a .zse again and again; prints memory after some of it and at the end, in MiB: native and mapped.
import { readFileSync } from "node:fs";
import { ZSE } from "zstream";

const path = process.argv[2];
const cycle = async () => {
  const model = new ZSE(path, { contextSize: 256, maxStreams: 1, threads: 1 });
  await model.chat([{ role: "user", content: "Hi" }], { maxTokens: 2 });
  await model.close();
};
const memory = () => {
  globalThis.gc();
  const status = readFileSync("/proc/self/status", "utf8");
  const of = (key) => Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(status)[1]) / 1024;
  return { native: of("RssAnon"), mapped: of("RssFile") };
};
for (let i = 0; i < 10; i++) await cycle();
const before = memory();
for (let i = 0; i < 30; i++) await cycle();
console.log(JSON.stringify({ before, after: memory() }));
