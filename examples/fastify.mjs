// An OpenAI-compatible route in a Fastify app.
//   npm install zstream fastify

import Fastify from "fastify";
import { ZSE } from "zstream";
import { nodeHandler } from "zstream/sse";

const model = new ZSE(); // or new ZSE("qwen-7b.gguf")
const app = Fastify();
app.post("/v1/chat/completions", nodeHandler(model));

const address = await app.listen({ port: Number(process.env.PORT ?? 8000), host: "127.0.0.1" });
console.log(`${address}/v1/chat/completions`);
