// Many requests on one connection: how many are begun, what is read of the rest, and that all are answered.

import { createServer, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";

import { inTurn } from "../../lib/http/connection.js";

const GET = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** A server whose requests take their turns, and a client that has sent `text`. */
async function begin(text: string, onTurn: (response: ServerResponse, body: string) => void) {
  const seen = { emitted: 0, begun: 0, closed: 0, accepted: undefined as unknown as Socket };
  server = createServer((request, response) => {
    seen.emitted += 1;
    response.on("close", () => (seen.closed += 1));
    inTurn(request, response, () => {
      seen.begun += 1;
      let body = "";
      request.on("data", (part) => (body += part)).on("end", () => onTurn(response, body));
    });
  });
  server.on("connection", (socket) => {
    seen.accepted = socket;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => {});
  let received = "";
  client.on("data", (part) => (received += part));
  client.write(text);
  return { seen, client, received: () => received };
}

describe("requests pipelined on one connection", () => {
  test("are begun eight at a time, and the socket is read no further", async () => {
    const { seen } = await begin(GET.repeat(200_000), () => {}); // 5 MB
    await sleep(300);
    expect(seen.begun).toBe(8);
    expect(seen.emitted).toBeLessThan(66_000 / GET.length);
    expect(seen.accepted.bytesRead).toBeLessThan(70_000);
  });

  test("leave turns of the event loop to others, however quick the answers are", async () => {
    let begun = 0;
    let most = 0;
    const { seen } = await begin(GET.repeat(500), (response) => {
      begun += 1;
      if (begun === 1) setImmediate(count);
      response.end();
    });
    const count = () => {
      most = Math.max(most, begun);
      begun = 0;
      if (seen.begun < 500) setImmediate(count);
    };
    while (seen.begun < 500) await sleep(5);
    expect(most).toBeLessThanOrEqual(16);
  });

  test("are all answered, in order", async () => {
    const count = 5000;
    let number = 0;
    const { seen, received } = await begin(GET.repeat(count), (response) => void response.end(`<${number++}>`));
    while (!received().includes(`<${count - 1}>`)) await sleep(10);
    expect([...received().matchAll(/<(\d+)>/g)].map(([, one]) => Number(one))).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(seen.begun).toBe(count);
  });

  test("have their bodies, also one that comes when the socket is read again", async () => {
    const post = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n";
    const answers: (() => void)[] = [];
    const { received, client, seen } = await begin(GET.repeat(100) + post, (response, body) => {
      answers.push(() => response.end(`<${body.length}>`));
    });
    client.write("b".repeat(200_000));
    while (seen.emitted < 101) await sleep(5);
    for (const timer = Date.now(); !received().includes("<200000>") && Date.now() - timer < 5000; ) {
      answers.shift()?.();
      await sleep(1);
    }
    expect(received()).toContain("<200000>");
  });

  test("end with their connection, those that wait too", async () => {
    const { seen, client } = await begin(GET.repeat(40), (response) => void response.flushHeaders());
    while (seen.emitted < 40) await sleep(5);
    client.resetAndDestroy();
    server.closeAllConnections();
    while (seen.closed < 40) await sleep(5);
    expect(seen.begun).toBe(40); // those that waited were told, and find their response destroyed
  });
});
