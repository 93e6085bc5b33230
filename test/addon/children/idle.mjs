// An open model that nobody uses does not keep the process alive; open files, streams that ended, all the same.
import { ZSE } from "zstream";

const model = new ZSE({ contextSize: 512, threads: 1 });
const reply = await model.chat([{ role: "user", content: "Hi" }], { maxTokens: 3 });
console.log(reply.usage.completionTokens);
