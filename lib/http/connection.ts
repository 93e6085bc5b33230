// Owns what node:http leaves out of a connection's end: responses that wait behind another one on it (pipelined requests) have no
// socket yet, and Node tells only the one that has it. JS thread of the server.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** The responses that a connection still owes. One listener a socket: there may be hundreds of requests in it. */
const owed = new WeakMap<Socket, Set<ServerResponse>>();

/**
 * Sees to it that `response` says "close" when its connection ends before it is finished, as Node sees to it for the first response of a
 * connection. A client that has closed only its sending half has ended it, unless the server was made with httpAllowHalfOpen.
 */
export function closeWithSocket(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  if (request.httpVersionMajor !== 1 || response.destroyed || response.writableFinished) return; // HTTP/2 has streams of its own
  if (socket.destroyed) {
    close(response);
    return;
  }
  const responses = owed.get(socket) ?? watch(socket);
  responses.add(response);
  const forget = () => responses.delete(response);
  response.once("finish", forget).once("close", forget);
}

function watch(socket: Socket): Set<ServerResponse> {
  const responses = new Set<ServerResponse>();
  owed.set(socket, responses);
  const closeAll = () => {
    for (const response of [...responses]) close(response);
  };
  socket.once("close", closeAll);
  // node:http ends its own half then, and what waits could be written no more.
  socket.once("end", () => socket.writableEnded && closeAll());
  return responses;
}

/** As Node does it to a response that has its socket. */
function close(response: ServerResponse): void {
  if (response.socket !== null || response.destroyed) return;
  response.destroy();
  response.emit("close");
}
