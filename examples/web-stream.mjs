// A web stream of text as the body of an HTTP response: fetch it with `curl -N`. A client that reads slowly slows its own
// reply only, and one that goes away cancels it.
import http from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { ZSE } from "zstream";

const model = new ZSE();

const server = http.createServer((request, response) => {
  const prompt = new URL(request.url, "http://localhost").searchParams.get("q") ?? "Tell me a story";
  const text = model.chatStream([{ role: "user", content: prompt }]).toReadableStream();
  response.setHeader("content-type", "text/plain; charset=utf-8");
  pipeline(Readable.fromWeb(text), response).catch(() => {}); // the client has left: the pipeline has cancelled the stream
});

server.listen(0, "127.0.0.1", async () => {
  const url = `http://127.0.0.1:${server.address().port}/`;
  console.log(`curl -N '${url}?q=Tell+me+a+story'\n`);
  for await (const chunk of (await fetch(url)).body) process.stdout.write(chunk); // this program is its own first client
  console.log();
  server.close();
  await model.close();
});
