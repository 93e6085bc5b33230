// What a user's program does with the installed package, on any runtime: a stream, a cancel, a callback, the SSE handler over a socket, a
// worker, and an exit while a stream runs. Prints one line for each thing that works, "done" before it leaves with a live stream.
import { createServer, request } from "node:http";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { ZSE } from "zstream";
import { nodeHandler } from "zstream/sse";

const messages = [{ role: "user", content: "Tell me a story" }];
const threads = Number(process.env.ZSE_TEST_THREADS) || undefined;
const open = () => new ZSE(undefined, { threads, maxStreams: 2 });
const check = (what, right) => {
  if (!right) throw new Error(`${what}: wrong`);
  console.log(`ok ${what}`);
};

/** By fetch(), whose connections wine refuses, or by node:http. */
async function post(url, body) {
  const asked = { method: "POST", headers: { "content-type": "application/json" } };
  if (process.env.ZSE_TEST_CLIENT !== "node:http") {
    const answer = await fetch(url, { ...asked, body });
    return { status: answer.status, body: await answer.text() };
  }
  const answer = await new Promise((done, fail) => request(url, asked, done).on("error", fail).end(body));
  let text = "";
  for await (const piece of answer.setEncoding("utf8")) text += piece;
  return { status: answer.statusCode, body: text };
}

if (!isMainThread) {
  const model = open();
  let text = "";
  for await (const piece of model.chatStream(messages, { maxTokens: 8 })) text += piece;
  await model.close();
  parentPort.postMessage(text);
} else {
  const model = open();
  let text = "";
  for await (const piece of model.chatStream(messages, { maxTokens: 16, seed: 1 })) text += piece;
  check("a stream", text.length > 10);

  const abort = new AbortController();
  const stream = model.chatStream(messages, { maxTokens: 400, signal: abort.signal });
  let pieces = 0;
  try {
    for await (const _ of stream) if (++pieces === 3) abort.abort();
  } catch (error) {
    if (error.name !== "AbortError" && error.code !== "ABORTED") throw error;
  }
  check("a cancel", pieces >= 3 && pieces < 400);

  const server = createServer(nodeHandler(model));
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const asked = JSON.stringify({ model: "demo", messages, stream: true, max_tokens: 8 });
  const { status, body } = await post(`http://127.0.0.1:${server.address().port}/v1/chat/completions`, asked);
  check("server-sent events", status === 200 && body.includes("data: [DONE]"));
  server.closeAllConnections?.();
  server.close();

  const worker = new Worker(new URL(import.meta.url));
  const said = await new Promise((done, fail) => worker.on("message", done).on("error", fail));
  check("a worker", said.length > 3);
  await worker.terminate();

  const endless = model.chatStream(messages, { maxTokens: 2000 });
  for await (const _ of endless) break;
  const live = model.chatStream(messages, { maxTokens: 2000 })[Symbol.asyncIterator]();
  await live.next();
  console.log("done");
  process.exit(0);
}
