// An uncaught exception while streams run.
import { ZSE } from "zstream";

const model = new ZSE({ contextSize: 512, threads: 1 });
await model.ready;
for (let i = 0; i < 3; i++) {
  (async () => {
    for await (const _ of model.chatStream([{ role: "user", content: "Hi" }], { ignoreEos: true }));
  })();
}
setTimeout(() => {
  throw new Error("nobody catches this");
}, 50);
