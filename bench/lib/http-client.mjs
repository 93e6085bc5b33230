// Owns the clients of bench/server.mjs, in a process of their own: http-client.mjs read|flood|bare PORT COUNT BODY. Bare sockets with a
// prepared request, since what a client computes is taken from the server that is measured. Prints "ready", begins at a line on
// stdin, prints one line of JSON at the end.
//
// read: COUNT streams, each read to its end. flood: COUNT requests at once, with the lowest priority that there is. bare: no client but
// a server that answers whatever comes with a 429, to know what a flood costs when nothing is behind the socket.
import { connect, createServer } from "node:net";
import { constants, setPriority } from "node:os";
import { createInterface } from "node:readline";

const [mode, port, count, body] = process.argv.slice(2);

if (mode === "bare") {
  const answer = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
  const server = createServer((socket) => socket.on("error", () => {}).once("data", () => socket.end(answer)));
  server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));
} else {
  if (mode === "flood") setPriority(constants.priority.PRIORITY_LOW);
  const lines = createInterface({ input: process.stdin });
  lines.once("line", async () => {
    const [began, cpu] = [performance.now(), process.cpuUsage()];
    const statuses = {};
    for (const status of await Promise.all(Array.from({ length: Number(count) }, (_, seed) => ask(seed)))) {
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
    const { user, system } = process.cpuUsage(cpu);
    console.log(JSON.stringify({ ms: performance.now() - began, cpuMs: (user + system) / 1000, statuses }));
    process.exit();
  });
  console.log("ready");
}

/** Reads the answer to its end; resolves with its status. */
function ask(seed) {
  const text = mode === "flood" ? body : JSON.stringify({ ...JSON.parse(body), seed });
  const head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n";
  return new Promise((resolve) => {
    let status = "closed";
    const socket = connect({ host: "127.0.0.1", port: Number(port), noDelay: true });
    socket.on("error", ({ code }) => resolve(code)).once("close", () => resolve(status));
    socket.once("data", (part) => {
      status = part.toString("latin1", 9, 12);
      socket.resume();
    });
    socket.write(`${head}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  });
}
