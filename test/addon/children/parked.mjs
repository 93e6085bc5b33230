// A stream that nobody reads, at the end of the program.
import { ZSE } from "zstream";

const model = new ZSE({ contextSize: 512, threads: 1 });
await model.ready;
globalThis.kept = model.chatStream([{ role: "user", content: "Hi" }], { ignoreEos: true, highWaterMark: 2 });
setTimeout(() => process.exit(0), 200);
