// What a packed application does with zStream: a stream of the demo model, and a name of zstream/sse. Prints "done", or the error's code and text.
import { ZSE } from "zstream";
import { toResponse } from "zstream/sse";

async function main() {
  const model = new ZSE({ threads: Number(process.env.ZSE_TEST_THREADS) || undefined });
  let text = "";
  for await (const piece of model.chatStream([{ role: "user", content: "Tell me a story" }], { maxTokens: 8, seed: 1 })) text += piece;
  await model.close();
  console.log(typeof toResponse === "function" && text.length > 5 ? "done" : `wrong: ${text}`);
}

main().catch((error) => console.log(error.code, error.message));
