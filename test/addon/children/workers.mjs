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

// Many at once, each with several streams, ended at any moment: in some a wake-up is being delivered just then. They import the library:
// Node 20 ends the whole process where a worker is terminated within require() of any ES module (docs/BUNDLERS.md, "CommonJS").
const storm = `
  import("zstream").then(({ ZSE }) => {
    const model = new ZSE({ contextSize: 256, threads: 1, maxStreams: 4 });
    const again = async () => {
      for (;;) await model.chat([{ role: "user", content: "Hi" }], { ignoreEos: true, maxTokens: 20, streamCallback() {} });
    };
    for (let i = 0; i < 4; i++) again().catch(() => {});
  });
`;
const lane = async (offset) => {
  for (let i = 0; i < 12; i++) {
    const worker = new Worker(storm, { eval: true });
    worker.on("error", (error) => console.log(error));
    await new Promise((resolve) => setTimeout(resolve, 60 + ((i * 37 + offset * 53) % 140)));
    await worker.terminate();
  }
};
await Promise.all([lane(0), lane(1), lane(2)]);

const after = (await model.chat([messages], { temperature: 0, maxTokens: 30 })).text;
console.log(before === after ? "same" : "different");
await model.close();
