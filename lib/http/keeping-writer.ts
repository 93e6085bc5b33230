// Owns the moment at which a streamed reply is kept: when its writer has written its end. JS thread of the model.

import type { StreamEvent } from "../types.js";
import type { Frame, FrameWriter, KeptReply } from "./formats/format.js";
import type { WireError } from "./formats/wire-error.js";

/** A writer whose reply somebody wants once it has ended. */
export class KeepingWriter implements FrameWriter {
  readonly #writer: FrameWriter;
  readonly #onEnd: (reply: KeptReply) => void;

  /** @param writer one that has kept() */
  constructor(writer: FrameWriter, onEnd: (reply: KeptReply) => void) {
    this.#writer = writer;
    this.#onEnd = onEnd;
  }

  begin(): Frame[] {
    return this.#writer.begin();
  }

  event(choice: number, event: StreamEvent, tokens?: number): Frame[] {
    return this.#writer.event(choice, event, tokens);
  }

  kept(): KeptReply {
    return this.#writer.kept!();
  }

  ping(): Frame {
    return this.#writer.ping();
  }

  fail(error: WireError): Frame[] {
    const last = this.#writer.fail(error);
    this.#onEnd(this.#writer.kept!());
    return last;
  }

  lastWord(error: WireError): Frame[] {
    return (this.#writer.lastWord ?? this.#writer.fail).call(this.#writer, error);
  }

  end(): Frame[] {
    const last = this.#writer.end();
    this.#onEnd(this.#writer.kept!());
    return last;
  }
}
