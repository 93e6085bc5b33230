// Worker threads that are terminated while they load, or in the middle of a stream; the main thread's own model goes on.
import { Worker } from "node:worker_threads";
import { ZSE } from "zstream";

const script = `
  const { parentPort } = require("node:worker_threads");
  const { ZSE } = require("zstream");
  const model = new ZSE({ contextSize: 512, threads: 1 });
  parentPort.postMessage("loading");
  (async () => {
    for await (const text of model.chatStream([{ role: "user", content: "Hi" }], { ignoreEos: true })) parentPort.postMessage("text");
  })();
`;
const messages = { role: "user", content: "Tell me a story" };
const model = new ZSE({ contextSize: 512, threads: 1 });
const before = (await model.chat([messages], { temperature: 0, maxTokens: 30 })).text;

for (let i = 0; i < 8; i++) {
  const worker = new Worker(script, { eval: true });
  await new Promise((resolve, reject) => {
    worker.on("error", reject);
    worker.on("message", (message) => {
      if (message === (i % 2 === 0 ? "loading" : "text")) setTimeout(resolve, i);
    });
  });
  await worker.terminate();
}

const after = (await model.chat([messages], { temperature: 0, maxTokens: 30 })).text;
console.log(before === after ? "same" : "different");
await model.close();
