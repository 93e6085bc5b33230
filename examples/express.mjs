// An OpenAI-compatible route in an Express app. Compression middleware may stand in front: streams are not held back by it.
//   npm install zstream express compression

import compression from "compression";
import express from "express";
import { ZSE } from "zstream";
import { nodeHandler } from "zstream/sse";

const model = new ZSE(); // or new ZSE("qwen-7b.gguf")
const app = express();
app.use(compression());
app.post("/v1/chat/completions", nodeHandler(model));

const server = app.listen(Number(process.env.PORT ?? 8000), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/v1/chat/completions`);
});
