// process.exit() in the middle of a stream.
import { ZSE } from "zstream";

const model = new ZSE({ contextSize: 512, threads: 1 });
let pieces = 0;
for await (const _ of model.chatStream([{ role: "user", content: "Hi" }], { ignoreEos: true })) if (++pieces === 5) process.exit(7);
