// Owns what is told of a model on its way, and how often. Pure but for the clock.

import type { FetchEvent } from "../types.js";
import type { BlobListener } from "./blob.js";
import type { HubFile } from "./listing.js";

/** Shortest time (ms) between two news: nobody looks more often. */
const NEWS_MS = 100;

/** News of all files of a model, one after the other. */
export class News {
  readonly #totalBytes: number;
  readonly #onEvent: (event: FetchEvent) => void;
  /** Bytes of the files that are there. */
  #before = 0;
  #last = Number.NEGATIVE_INFINITY;

  constructor(totalBytes: number, onEvent: (event: FetchEvent) => void) {
    this.#totalBytes = totalBytes;
    this.#onEvent = onEvent;
  }

  of({ path: file, bytes }: HubFile): BlobListener {
    const totalBytes = this.#totalBytes;
    return {
      onBytes: (there, shared) => {
        const receivedBytes = this.#before + Math.min(there, bytes);
        this.#tell(there === bytes, { type: "download", file, receivedBytes, totalBytes, shared });
      },
      onChecked: (checkedBytes, of) => this.#tell(checkedBytes === of, { type: "verify", file, checkedBytes, totalBytes: of }),
      onRetry: (retry) => this.#onEvent({ type: "retry", ...retry }),
    };
  }

  /** Its bytes are there. */
  done({ bytes }: HubFile): void {
    this.#before += bytes;
  }

  #tell(isLast: boolean, event: FetchEvent): void {
    const now = performance.now();
    if (!isLast && now - this.#last < NEWS_MS) return;
    this.#last = now;
    this.#onEvent(event);
  }
}

/** The part that is done, event after event of one model: what is there of it, or of what is read again. */
export function fractionOf(): (event: FetchEvent) => number {
  let received = 0;
  return (event) => {
    if (event.type === "download") received = event.totalBytes === 0 ? 1 : event.receivedBytes / event.totalBytes;
    return event.type === "verify" ? event.checkedBytes / event.totalBytes : received;
  };
}
