// The built page and the API on one port.

import { serve } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";
import { ZSE } from "zstream";
import { createHandler } from "zstream/sse";

const model = new ZSE({ threads: Number(process.env.THREADS ?? 0) }); // or new ZSE("qwen-7b.gguf")
const handler = createHandler(model);
const app = new Hono();
app.all("/v1/*", (c) => handler(c.req.raw)); // chats, and the resumable streams of pages that were loaded again
app.use(serveStatic({ root: import.meta.dirname, rewriteRequestPath: (path) => `/dist${path}` }));

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000), hostname: "127.0.0.1" }, ({ port }) => {
  console.log(`http://127.0.0.1:${port}/`);
});
