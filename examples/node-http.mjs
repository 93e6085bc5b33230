// The shortest server: every POST is answered in OpenAI's format.

import { createServer } from "node:http";
import { ZSE } from "zstream";
import { nodeHandler } from "zstream/sse";

const model = new ZSE(); // or new ZSE("qwen-7b.gguf")
const server = createServer(nodeHandler(model)).listen(Number(process.env.PORT ?? 8000), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/v1/chat/completions`);
});
