// Owns the answers to what never reaches a route: bytes that are no request, an address or Host that is none, CONNECT, expectations. They are
// errors like all others, in JSON, and their connection is closed: what follows on it may be anything. Main thread.

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { RequestError } from "@hono/node-server";

import { isAnswering } from "../http/connection.js";
import { toWireError, WireError } from "../http/formats/wire-error.js";

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Payload Too Large",
  431: "Request Header Fields Too Large",
};

/** Answers in place of node:http, whose answers have no body, or which closes without one. */
export function answerUnrouted(server: Server): void {
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    // Within another answer it would be taken for a part of it.
    if (!socket.writable || error.code === "ECONNRESET" || isAnswering(socket)) socket.destroy();
    else say(socket, ofParser(error.code));
  });
  server.on("connect", (incoming: IncomingMessage, socket: Duplex) => {
    socket.on("error", () => {});
    say(socket, WireError.badMethod(incoming.method, "GET, HEAD, POST, DELETE"));
  });
  server.on("checkExpectation", (_: IncomingMessage, outgoing: ServerResponse) => {
    refuse(outgoing, new WireError(417, "The only expectation that is met here is 100-continue.", { code: "invalid_request" }));
  });
}

/** A response that says nothing else, and is the last on its connection. */
export function refuse(outgoing: ServerResponse, { status, headers, body }: WireError): void {
  outgoing.writeHead(status, { ...headers, connection: "close" }).end(JSON.stringify(body));
}

/** What the adapter has no Request for: its address or Host makes no URL. */
export function ofAdapter(error: unknown): Response {
  const told =
    error instanceof RequestError
      ? new WireError(400, `The request's address or Host is not one: ${error.message}.`, { code: "invalid_request" })
      : toWireError(error);
  return new Response(JSON.stringify(told.body), { status: told.status, headers: { ...told.headers, connection: "close" } });
}

function ofParser(code: string | undefined): WireError {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new WireError(408, "The request did not arrive in time.", { code: "request_timeout" });
    case "HPE_HEADER_OVERFLOW":
      return new WireError(431, "The request's headers are too large.", { code: "headers_too_large" });
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return new WireError(413, "The extensions of the body's chunks are too large.", { code: "body_too_large" });
    default:
      return new WireError(400, "This is not a request of HTTP/1.1.", { code: "invalid_request" });
  }
}

function say(socket: Duplex & { destroySoon?(): void }, { status, headers, body }: WireError): void {
  const text = JSON.stringify(body);
  let head = `HTTP/1.1 ${status} ${REASONS[status]}\r\n`;
  for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
  socket.write(`${head}content-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`);
  if (socket.destroySoon === undefined) socket.end();
  else socket.destroySoon();
}
