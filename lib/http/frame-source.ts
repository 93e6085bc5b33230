// Owns the frames of one reply: its events, pulled one at a time, as what goes into the socket. JS thread of the model.

import { ChunkWriter, type Envelope, type IncludeUsage, subjectOf } from "./formats/openai-chat/chunks.js";
import { DONE, dataFrame } from "./frames.js";
import type { Reply } from "./reply.js";
import { type Subject, toWireError } from "./wire-error.js";

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
}

export interface FrameForm {
  /** 0 is never. */
  heartbeatMs: number;
  /** Role chunks go out at once, not with the first token. */
  earlyRole?: boolean;
  /** Each frame has an `id:`, from 1. */
  numbered?: boolean;
}

/** The frames of an OpenAI stream. */
export class ReplyFrames implements KeptFrames {
  readonly #reply: Reply;
  readonly #writer: ChunkWriter;
  readonly #heartbeatMs: number;
  readonly #numbered: boolean;
  readonly #subject: Subject;
  #count = 0;
  #ready: string[] = [];
  #ended = false;

  constructor(reply: Reply, envelope: Envelope, includeUsage: IncludeUsage, form: FrameForm) {
    this.#reply = reply;
    this.#writer = new ChunkWriter(envelope, reply.choices, includeUsage);
    this.#heartbeatMs = form.heartbeatMs;
    this.#numbered = form.numbered ?? false;
    this.#subject = subjectOf(envelope.kind);
    if (form.earlyRole === true) this.#ready = this.#writer.begin().map((chunk) => this.#frame(chunk));
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
        for (const chunk of this.#writer.event(pulled.choice, pulled.event)) this.#ready.push(this.#frame(chunk));
        if (this.#reply.over) this.#end(DONE);
      } else if ("error" in pulled) {
        // Without [DONE]: a stream that just ends would look whole.
        this.#end(toWireError(pulled.error, undefined, this.#subject).body);
      } else {
        this.#ended = true;
      }
    }
  }

  /** A sign of life. Without an `id:`: it is no event of the stream, so whoever comes back does not ask for it. */
  ping(): string {
    return dataFrame(this.#writer.ping());
  }

  cancel(): void {
    this.#reply.cancel();
  }

  onStalled(cut: () => void): void {
    this.#reply.watch((error) => {
      if ((error as { code?: unknown } | undefined)?.code === "STALLED") cut();
    });
  }

  #end(last: object | typeof DONE): void {
    this.#ended = true;
    this.#ready.push(this.#frame(last));
  }

  #frame(value: object | typeof DONE): string {
    this.#count += 1;
    return dataFrame(value, this.#numbered ? this.#count : undefined);
  }
}
