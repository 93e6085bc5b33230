// Owns the listening socket of `zse serve`: its limits against slow and hostile clients, and going down in good order. Main thread.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";

import { inTurn } from "../http/connection.js";
import { WireError } from "../http/formats/wire-error.js";
import { cutOff } from "../http/node.js";
import type { App } from "./app.js";
import { answerUnrouted, ofAdapter, refuse } from "./unrouted.js";

export interface ServerOptions {
  port: number;
  host: string;
  /** Time (ms) that a client may take for a request's headers. Default 10000. */
  headersTimeoutMs?: number;
  /** Time (ms) that a client may take for a whole request, its body included. Default 30000. */
  requestTimeoutMs?: number;
  /** Connections at a time; more are closed at once. Default 4096. */
  maxConnections?: number;
}

/** Connections that the system holds until they are accepted: what does not fit comes again a second later. */
const BACKLOG = 4096;

/** Time (ms) for the error events of a drain to go out. */
const LAST_WORDS_MS = 500;

export class HttpServer {
  readonly #app: App;
  readonly #server: Server;

  private constructor(app: App, server: Server) {
    this.#app = app;
    this.#server = server;
  }

  /** Rejects when the address cannot be had (in use, not this machine's). */
  static async listen(app: App, options: ServerOptions): Promise<HttpServer> {
    const { headersTimeoutMs = 10_000, requestTimeoutMs = 30_000, maxConnections = 4096, port, host } = options;
    const server = createServer({
      requireHostHeader: false, // HTTP/1.0 has none; see isNameless()
      headersTimeout: headersTimeoutMs,
      requestTimeout: Math.max(requestTimeoutMs, headersTimeoutMs),
      connectionsCheckingInterval: Math.min(2000, headersTimeoutMs),
      maxHeaderSize: 16_384,
      noDelay: true, // a token must not wait for the next one
    });
    server.maxConnections = maxConnections;
    const answer = getRequestListener(app.hono.fetch, {
      overrideGlobalObjects: false,
      hostname: "localhost", // of requests that name none
      errorHandler: ofAdapter,
    });
    const begin = (incoming: IncomingMessage, outgoing: ServerResponse) => {
      if (outgoing.destroyed) return; // its connection ended before its turn came
      if (isNameless(incoming)) return refuseNameless(outgoing);
      // Of whole replies, too: a reply that is still being made has nothing for its client to take.
      if (app.stallTimeoutMs > 0) outgoing.setTimeout(app.stallTimeoutMs, () => outgoing.writableLength > 0 && cutOff(outgoing));
      if (!app.shed(incoming, outgoing)) void answer(incoming, outgoing);
    };
    server.on("request", (incoming, outgoing) => inTurn(incoming, outgoing, () => begin(incoming, outgoing)));
    answerUnrouted(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, host, BACKLOG, () => {
        server.off("error", reject);
        app.onListening((server.address() as AddressInfo).address);
        resolve();
      });
    });
    return new HttpServer(app, server);
  }

  /** Such as http://127.0.0.1:8000 */
  get address(): string {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  /** Lets replies that are under way come to their end, for `timeoutMs` at most; what is left then ends with an error event. */
  async drain(timeoutMs: number): Promise<void> {
    this.#app.startDraining();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeIdleConnections();
    const idle = () => this.#app.active === 0;
    await waitFor(idle, timeoutMs);
    this.#app.abortAll(new WireError(503, "The server is shutting down.", { code: "closed" }));
    await waitFor(idle, LAST_WORDS_MS);
    this.#server.closeIdleConnections();
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, LAST_WORDS_MS))]);
    this.#server.closeAllConnections();
    await closed;
  }
}

/** HTTP/1.1 without a `Host` may be half of somebody else's request. The health checks of HTTP/1.0 have none. */
function isNameless({ headers, httpVersion }: IncomingMessage): boolean {
  return headers.host === undefined && httpVersion === "1.1";
}

function refuseNameless(outgoing: ServerResponse): void {
  refuse(outgoing, new WireError(400, "A request of HTTP/1.1 must have a Host header.", { code: "invalid_request" }));
}

async function waitFor(condition: () => boolean, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!condition() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
}
