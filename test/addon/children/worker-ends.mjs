// A worker that ends by itself with its model open and idle.
import { Worker } from "node:worker_threads";

const script = `
  const { ZSE } = require("zstream");
  (async () => {
    const model = new ZSE({ contextSize: 512, threads: 1 });
    await model.chat([{ role: "user", content: "Hi" }], { maxTokens: 3 });
  })();
`;
for (let i = 0; i < 3; i++) {
  const code = await new Promise((resolve, reject) => new Worker(script, { eval: true }).on("exit", resolve).on("error", reject));
  console.log(code);
}
