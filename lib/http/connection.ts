// Owns what node:http leaves out of a connection with many requests on it (pipelined ones): how many are worked on at a time, when its
// socket is read on, and its end. JS thread of the server.
//
// Node emits all requests of what it reads (up to 64 KB, two thousand requests) in one turn, and only their responses wait for one another.
// Responses that wait have no socket yet, and Node tells of its end only the one that has it.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Requests of a connection that are begun and not answered. */
const MOST_BEGUN = 8;
/** Requests beyond those that may wait before the socket is read no further. */
const MOST_WAITING = 16;

/** One set of listeners a socket: there may be hundreds of requests in it. */
const connections = new WeakMap<Socket, Connection>();

/**
 * Calls `begin` once, when it is the request's turn: at once, unless its connection owes several answers already. The response says "close"
 * when its connection ends before it is finished, as Node sees to it for the first response of a connection; `begin` is then called too, so
 * that whoever waits for it goes on. A client that has closed only its sending half has ended it, unless the server was made with
 * httpAllowHalfOpen.
 */
export function inTurn(request: IncomingMessage, response: ServerResponse, begin: () => void): void {
  const { socket } = request;
  if (request.httpVersionMajor !== 1 || response.destroyed || response.writableFinished) {
    begin(); // HTTP/2 has streams of its own
    return;
  }
  if (socket.destroyed) {
    close(response);
    begin();
    return;
  }
  let connection = connections.get(socket);
  if (connection === undefined) {
    connection = new Connection(socket);
    connections.set(socket, connection);
  }
  connection.take(response, begin);
}

/** Whether an answer is on its way on this socket, which anything else would be taken for a part of. */
export function isAnswering(socket: object): boolean {
  return connections.get(socket as Socket)?.isAnswering ?? false;
}

class Connection {
  readonly #socket: Socket;
  readonly #begun = new Set<ServerResponse>();
  readonly #waiting = new Map<ServerResponse, () => void>();
  /** Whether the socket is not to be read. */
  #held = false;
  /** Pending until the next ones begin. */
  #turn: NodeJS.Immediate | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.once("close", this.#closeAll);
    // node:http ends its own half then, and what waits could be written no more.
    socket.once("end", () => socket.writableEnded && this.#closeAll());
    // node:http reads on by itself after each request; this comes before it has read anything.
    socket.on("resume", () => this.#held && socket.pause());
  }

  get isAnswering(): boolean {
    return [...this.#begun].some(({ headersSent, socket }) => headersSent && socket !== null);
  }

  take(response: ServerResponse, begin: () => void): void {
    if (this.#begun.has(response) || this.#waiting.has(response)) {
      begin(); // two parts of one server ask for the same
      return;
    }
    if (this.#begun.size < MOST_BEGUN && this.#waiting.size === 0) {
      this.#begin(response, begin);
      return;
    }
    this.#waiting.set(response, begin);
    if (this.#held || this.#waiting.size <= MOST_WAITING) return;
    this.#held = true;
    this.#socket.pause();
  }

  #begin(response: ServerResponse, begin: () => void): void {
    this.#begun.add(response);
    const onDone = () => {
      if (!this.#begun.delete(response) || this.#waiting.size === 0) return;
      this.#turn ??= setImmediate(this.#next); // quick answers would follow each other without an end, and nobody else's turn come
    };
    response.once("finish", onDone).once("close", onDone);
    begin();
  }

  #next = (): void => {
    this.#turn = undefined;
    for (const [response, begin] of this.#waiting) {
      if (this.#begun.size >= MOST_BEGUN) return;
      this.#waiting.delete(response);
      this.#begin(response, begin);
    }
    // Not before the last one has begun: its body may be what comes next.
    if (!this.#held || this.#waiting.size > 0) return;
    this.#held = false;
    this.#socket.resume();
  };

  #closeAll = (): void => {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    this.#held = false;
    for (const response of [...this.#begun]) close(response);
    for (const [response, begin] of waiting) {
      close(response);
      begin();
    }
  };
}

/** As Node does it to a response that has its socket. */
function close(response: ServerResponse): void {
  if (response.socket !== null || response.destroyed) return;
  response.destroy();
  response.emit("close");
}
