// A process with an isolated engine: it prints its engine's process id, and then does what its argument says.
import { readdirSync, readFileSync } from "node:fs";
import { ZSE } from "zstream";

const what = process.argv[2];
const model = new ZSE({ contextSize: 512, threads: 1, isolate: true });
if (what !== "loading") await model.ready;
console.log(
  readdirSync("/proc").find((pid) => {
    try {
      return readFileSync(`/proc/${pid}/status`, "utf8").includes(`\nPPid:\t${process.pid}\n`);
    } catch {
      return false; // no process, or gone
    }
  }),
);
if (what === "loading") process.exit(7);
if (what === "quiet") await model.chat([{ role: "user", content: "Hi" }], { maxTokens: 3 });
if (what === "parked")
  for await (const _ of model.chatStream([{ role: "user", content: "Hi" }], { highWaterMark: 1, ignoreEos: true })) break;
if (what === "exit") for await (const _ of model.chatStream([{ role: "user", content: "Hi" }], { ignoreEos: true })) process.exit(7);
if (what === "stream") {
  for (;;) await model.chat([{ role: "user", content: "Tell me a story" }], { ignoreEos: true, maxTokens: 400 });
}
