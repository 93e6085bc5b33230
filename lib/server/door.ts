// Owns what happens to connections that come while the server is full: their request for a reply is refused from its first packets,
// before an HTTP parser and its objects are made, so that a flood costs little more than its connections. Main thread.
//
// Only what is beyond doubt is answered here: a whole, small POST to a route of replies, its length told by one Content-Length, and
// nothing behind it. The connection is then closed, so there is no next request to confuse it with. All else is node:http's.

import type { Server } from "node:http";
import type { Socket } from "node:net";

import { asksForReply } from "./paths.js";

/** What the door asks of the app. */
export interface Doorkeeper {
  /** Whether a request for a reply would be refused now. */
  readonly full: boolean;
  /** What a refused request is told; undefined where the routes have something else to say. */
  refusal(path: string, credentials: Credentials): Refusal | undefined;
}

/** What of a request's headers says whether it may come in. */
export interface Credentials {
  authorization?: string | undefined;
  host?: string | undefined;
}

export interface Refusal {
  /** The request's own id. */
  id: string;
  headers: Readonly<Record<string, string>>;
  body: string;
}

/** Largest request (bytes) that is looked at here. */
const SMALL = 65_536;
/** Time (ms) for a packet to come; after it node:http's own limits count. */
const PATIENCE_MS = 1000;
/** Packets that a request may come in. */
const MOST_PARTS = 8;
/** Refusals in a turn of the event loop: the running streams' frames go out in between. */
const REFUSALS_A_TURN = 32;

const REQUEST_LINE = /^POST (\/[^\s?#%]{1,256}) HTTP\/1\.1\r\n/;
/** Headers that make it more than a plain request: a browser's, one that waits for a "100 Continue", a body in chunks. */
const NOT_PLAIN = /\r\n(?:origin|expect|transfer-encoding|upgrade)[ \t]*:/i;
const CONTENT_LENGTH = /\r\ncontent-length:[ \t]*(\d{1,6})[ \t]*(?=\r\n)/gi;
const AUTHORIZATION = /\r\nauthorization:[ \t]*([^\r\n]*)/i;
const HOST = /\r\nhost:[ \t]*([^\r\n]*?)[ \t]*\r\n/i;

/** Stands before a server's own handling of connections. */
export class Door {
  readonly #callers = new Set<Caller>();

  constructor(server: Server, keeper: Doorkeeper) {
    const enter = server.listeners("connection") as ((socket: Socket) => void)[];
    const turns = new Turns();
    server.removeAllListeners("connection");
    server.on("connection", (socket: Socket) => {
      const letIn = () => {
        for (const listener of enter) listener.call(server, socket);
      };
      if (!keeper.full) return letIn();
      const caller = new Caller(socket, keeper, turns, letIn);
      this.#callers.add(caller);
      socket.once("close", () => this.#callers.delete(caller));
    });
  }

  /** Nobody stands in it any longer: who did is node:http's to look after. */
  clear(): void {
    for (const caller of this.#callers) caller.enter();
  }
}

/** A connection of which it is not known yet what it wants. */
class Caller {
  readonly #socket: Socket;
  readonly #keeper: Doorkeeper;
  readonly #turns: Turns;
  readonly #letIn: () => void;
  #bytes: Buffer | undefined;
  #parts = 0;
  /** Its connection is somebody else's now: node:http's, or closed. */
  #settled = false;

  constructor(socket: Socket, keeper: Doorkeeper, turns: Turns, letIn: () => void) {
    this.#socket = socket;
    this.#keeper = keeper;
    this.#turns = turns;
    this.#letIn = letIn;
    socket.on("error", ignore).on("data", this.#onData).on("end", this.enter).setTimeout(PATIENCE_MS, this.enter);
  }

  #onData = (part: Buffer): void => {
    this.#bytes = this.#bytes === undefined ? part : Buffer.concat([this.#bytes, part]);
    const seen = look(this.#bytes);
    if (seen === "more" && ++this.#parts < MOST_PARTS) return;
    if (typeof seen === "string") this.enter();
    else this.#turns.take(() => this.#refuse(seen));
  };

  #refuse(seen: Seen): void {
    if (this.#settled || this.#socket.destroyed) return;
    const refusal = this.#keeper.full ? this.#keeper.refusal(seen.path, seen) : undefined;
    if (refusal === undefined) {
      this.enter();
      return;
    }
    this.#settled = true;
    // All that was sent has been read: closing now loses nothing.
    this.#socket.write(asHttp(refusal));
    this.#socket.destroySoon();
  }

  /** On to node:http, with what was read put back. */
  readonly enter = (): void => {
    const socket = this.#socket;
    if (this.#settled || socket.destroyed) return;
    this.#settled = true;
    socket.off("error", ignore).off("data", this.#onData).off("end", this.enter).setTimeout(0, this.enter);
    socket.pause();
    this.#letIn();
    if (this.#bytes !== undefined) socket.unshift(this.#bytes);
    socket.resume();
  };
}

type Seen = Credentials & { path: string };

/** What the bytes of a connection are: a request to be refused, part of one, or anything else. */
export function look(bytes: Buffer): Seen | "more" | "other" {
  const text = bytes.toString("latin1", 0, Math.min(bytes.length, SMALL));
  const path = REQUEST_LINE.exec(text)?.[1];
  const end = text.indexOf("\r\n\r\n");
  if (path === undefined || end < 0 || !asksForReply(path)) return "other";
  const head = text.slice(0, end + 2);
  const lengths = [...head.matchAll(CONTENT_LENGTH)];
  if (lengths.length !== 1 || NOT_PLAIN.test(head)) return "other";
  const whole = end + 4 + Number(lengths[0]![1]);
  if (whole > SMALL || bytes.length > whole) return "other";
  if (bytes.length < whole) return "more";
  return { path, authorization: AUTHORIZATION.exec(head)?.[1], host: HOST.exec(head)?.[1] };
}

/** A refusal as the bytes of a whole response. */
function asHttp({ id, headers, body }: Refusal): string {
  let text = "HTTP/1.1 429 Too Many Requests\r\n";
  for (const name in headers) text += `${name}: ${headers[name]}\r\n`;
  return `${text}content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\nx-request-id: ${id}\r\n\r\n${body}`;
}

/** Does what it is given in portions, with the event loop's other work in between. */
class Turns {
  #waiting: (() => void)[] = [];

  take(work: () => void): void {
    this.#waiting.push(work);
    if (this.#waiting.length === 1) setImmediate(this.#turn);
  }

  #turn = (): void => {
    const portion = this.#waiting.splice(0, REFUSALS_A_TURN);
    for (const work of portion) work();
    if (this.#waiting.length > 0) setImmediate(this.#turn);
  };
}

function ignore(): void {}
