// Owns one connection's view of a resumable stream: which event is next for it, its heartbeats, and its last word. JS thread of the model.

import { Alarm } from "./alarm.js";
import type { WireError } from "./formats/wire-error.js";
import type { FrameSource } from "./frame-source.js";

/** What a reader asks of its stream. */
export interface KeptEvents {
  /** The frame numbered `id`, if it is there yet; "end" after the last one. */
  take(id: number): string | "end" | undefined;
  /** A heartbeat. */
  ping(): string;
  /** Why there is no more, in the words of the stream's format. Without an id: it is no event of the stream. */
  lastWord(reason: WireError): string;
}

/** One connection's view of a stream. */
export class Reader implements FrameSource {
  readonly #stream: KeptEvents;
  readonly #heartbeatMs: number;
  readonly #onLeft: () => void;
  #last: number;
  #over = false;
  #lastWord: string | undefined;
  #settle: ((silent: boolean) => void) | undefined;
  #alarm = new Alarm(() => this.#settle?.(true));

  constructor(stream: KeptEvents, after: number, heartbeatMs: number, onLeft: () => void) {
    this.#stream = stream;
    this.#last = after;
    this.#heartbeatMs = heartbeatMs;
    this.#onLeft = onLeft;
  }

  async next(): Promise<string | undefined> {
    let silent = false;
    while (!this.#over) {
      const frame = this.#stream.take(this.#last + 1);
      if (frame === "end") {
        this.cancel(); // the stream is kept on, for its time
        return undefined;
      }
      if (frame !== undefined) {
        this.#last += 1;
        return frame;
      }
      if (silent) return this.#stream.ping();
      silent = await this.#wait();
    }
    const lastWord = this.#lastWord;
    this.#lastWord = undefined;
    return lastWord;
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#settle?.(false);
    this.#alarm.stop();
    this.#onLeft();
  }

  onStalled(): void {} // the reply does not stall: its frames are kept, within their bounds

  wake(): void {
    this.#settle?.(false);
  }

  /** Another reader has taken over, or the stream is gone. A stream that just ends would look whole, so the client is told. */
  end(reason: WireError): void {
    if (this.#over) return;
    this.#over = true;
    this.#lastWord = this.#stream.lastWord(reason);
    this.#settle?.(false);
    this.#alarm.stop();
  }

  /** Until there is something new; true when there was nothing for heartbeatMs (0: no limit). */
  #wait(): Promise<boolean> {
    return new Promise((resolve) => {
      this.#settle = (silent) => {
        this.#alarm.silence();
        this.#settle = undefined;
        resolve(silent);
      };
      this.#alarm.set(this.#heartbeatMs);
    });
  }
}
