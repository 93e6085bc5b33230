// Owns what a full server does with requests for replies: whether there is room, and a refusal that costs as little as can be, so that
// a flood leaves the event loop to the streams that run. Main thread.

import type { IncomingMessage, ServerResponse } from "node:http";
import { formatAt, SERVED } from "../http/format-registry.js";
import type { WireFormat } from "../http/formats/format.js";
import { WireError } from "../http/formats/wire-error.js";
import { bodyArrived, isSmall } from "../http/node.js";
import type { Responder } from "../http/responder.js";
import { asksForReply } from "./paths.js";

/** Time (ms) for which what a full server says is said again as it was made. */
const REFUSAL_LIFE_MS = 50;

/** Where a refusal that is said again has the request's id, in formats that tell it. */
const ID_PLACE = "req_of_this_request";

interface Refusal {
  /** By performance.now(). */
  made: number;
  headers: Record<string, string>;
  body: string;
}

export class LoadShedder {
  readonly #hasRoom: () => boolean;
  readonly #responder: Responder;
  /** What is said in each format, made a moment ago. */
  readonly #refusals = new Map<WireFormat | undefined, Refusal>();

  /** @param hasRoom whether any model has a free slot, or a place in its queue */
  constructor(hasRoom: () => boolean, responder: Responder) {
    this.#hasRoom = hasRoom;
    this.#responder = responder;
  }

  /** @throws WireError 429 where no slot is free, and no place in the queue */
  checkRoom(): void {
    if (!this.#hasRoom()) throw this.#full();
  }

  /** Whether a request can be refused before a Request, a Response and a log record are made of it. Browsers need more headers than a refusal has. */
  sheds(incoming: IncomingMessage): boolean {
    const { method, url, headers } = incoming;
    if (method !== "POST" || url === undefined || !asksForReply(url)) return false;
    return headers.origin === undefined && isSmall(incoming) && !this.#hasRoom();
  }

  /** Answers such a request once its body is there, which would be taken for the connection's next one. */
  refuse(incoming: IncomingMessage, outgoing: ServerResponse, id: string): void {
    const { headers, body: said } = this.#said(formatAt(incoming.url ?? "", SERVED));
    const body = said.replace(ID_PLACE, id);
    void bodyArrived(incoming).then(() => {
      if (outgoing.destroyed) return;
      outgoing.writeHead(429, { ...headers, "content-length": Buffer.byteLength(body), "x-request-id": id, "request-id": id }).end(body);
    });
  }

  #said(format: WireFormat | undefined): Refusal {
    const now = performance.now();
    const said = this.#refusals.get(format);
    if (said !== undefined && now - said.made <= REFUSAL_LIFE_MS) return said;
    const { headers, body } = this.#responder.refuse(this.#full(), format, { requestId: ID_PLACE });
    const made = { made: now, headers, body };
    this.#refusals.set(format, made);
    return made;
  }

  #full(): WireError {
    const message = "All streams are taken and the queue is full; try again later.";
    const retryAfterMs = this.#responder.retryAfterMs();
    return new WireError(429, message, { type: "rate_limit_error", code: "rate_limit_exceeded", retryAfterMs });
  }
}
