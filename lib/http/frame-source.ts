// Owns the frames of one reply: its events, pulled one at a time, as what goes into the socket. JS thread of the model.

import type { Frame, FrameWriter } from "./formats/format.js";
import { toWireError, type WireError } from "./formats/wire-error.js";
import { frameText, lineText } from "./frames.js";
import type { Reply } from "./reply.js";

/** Frames of one stream, pulled one at a time. */
export interface FrameSource {
  /** The next frame; undefined at the end. Does not reject: errors are frames. */
  next(): Promise<string | undefined>;
  /** The client has gone. */
  cancel(): void;
  /** Calls `cut` when the client takes nothing for too long: the connection is to be destroyed. */
  onStalled(cut: () => void): void;
}

/** Frames that are kept for readers to come, each of which has silences of its own. */
export interface KeptFrames extends FrameSource {
  /** What a reader gets that has waited for long. */
  ping(): string;
  /** What a reader is told that gets no more, as one text; with `id`, as an event of the stream. */
  fail(error: WireError, id?: number): string;
}

export interface FrameForm {
  /** 0 is never. */
  heartbeatMs: number;
  /** Role chunks go out at once, not with the first token. */
  earlyRole?: boolean;
  /** Each frame has an `id:`, from 1. */
  numbered?: boolean;
  /** As WireRequest's. */
  fieldOf?: ((param: string) => string) | undefined;
  /** Frames are lines of JSON. */
  asLines?: boolean;
}

/** The frames of a reply, as its format writes them. */
export class ReplyFrames implements KeptFrames {
  readonly #reply: Reply;
  readonly #writer: FrameWriter;
  readonly #heartbeatMs: number;
  readonly #numbered: boolean;
  readonly #text: (frame: Frame, id?: number) => string;
  readonly #subject: string;
  readonly #fieldOf: ((param: string) => string) | undefined;
  #count = 0;
  #ready: string[] = [];
  #ended = false;

  /** @param subject the field of the request that says what was asked */
  constructor(reply: Reply, writer: FrameWriter, subject: string, form: FrameForm) {
    this.#reply = reply;
    this.#writer = writer;
    this.#heartbeatMs = form.heartbeatMs;
    this.#numbered = form.numbered ?? false;
    this.#text = form.asLines === true ? lineText : frameText;
    this.#subject = subject;
    this.#fieldOf = form.fieldOf;
    if (form.earlyRole === true) this.#push(writer.begin());
  }

  async next(): Promise<string | undefined> {
    // Silence is what the client hears: events that make no frame, such as a prompt's progress, do not break it.
    const pingAt = performance.now() + this.#heartbeatMs;
    while (true) {
      const ready = this.#ready.shift();
      if (ready !== undefined || this.#ended) return ready;
      const silenceMs = this.#heartbeatMs === 0 ? 0 : Math.max(1, pingAt - performance.now());
      const pulled = await this.#reply.next(silenceMs);
      if ("silence" in pulled) return this.ping();
      if ("event" in pulled) {
        this.#push(this.#writer.event(pulled.choice, pulled.event, pulled.tokens));
        if (this.#reply.over) this.#end(this.#writer.end());
      } else if ("error" in pulled) {
        this.#end(this.#writer.fail(toWireError(pulled.error, undefined, this.#subject, this.#fieldOf)));
      } else {
        this.#ended = true;
      }
    }
  }

  /** A sign of life. Without an `id:`: it is no event of the stream, so whoever comes back does not ask for it. */
  ping(): string {
    return this.#text(this.#writer.ping());
  }

  fail(error: WireError, id?: number): string {
    const writer = this.#writer;
    const last = id === undefined && writer.lastWord !== undefined ? writer.lastWord(error) : writer.fail(error);
    return last.map((frame) => this.#text(frame, id)).join("");
  }

  cancel(): void {
    this.#reply.cancel();
  }

  onStalled(cut: () => void): void {
    this.#reply.watch((error) => {
      if ((error as { code?: unknown } | undefined)?.code === "STALLED") cut();
    });
  }

  #end(last: Frame[]): void {
    this.#ended = true;
    this.#push(last);
  }

  #push(frames: Frame[]): void {
    for (const frame of frames) {
      this.#count += 1;
      this.#ready.push(this.#text(frame, this.#numbered ? this.#count : undefined));
    }
  }
}
