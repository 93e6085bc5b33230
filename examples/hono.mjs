// An OpenAI-compatible route in a Hono app; the same handler serves Bun and Deno.
//   npm install zstream hono @hono/node-server

import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { ZSE } from "zstream";
import { createHandler } from "zstream/sse";

const model = new ZSE(); // or new ZSE("qwen-7b.gguf")
const handler = createHandler(model);
const app = new Hono();
app.post("/v1/chat/completions", (c) => handler(c.req.raw));

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 8000), hostname: "127.0.0.1" }, ({ port }) => {
  console.log(`http://127.0.0.1:${port}/v1/chat/completions`);
});
