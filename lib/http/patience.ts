// Owns how long a client may take nothing: between a frame that it was given and its asking for the next one, whatever the frames
// come from. JS thread of the model.

import type { FrameSource } from "./frame-source.js";

/** Frames whose reader is cut off when it does not come for the next one. */
export class PatientFrames implements FrameSource {
  readonly #source: FrameSource;
  readonly #stallTimeoutMs: number;
  /** The reader has what there is, and has not asked for more. */
  #idle = false;
  #since = 0;
  #over = false;
  #timer: NodeJS.Timeout | undefined;
  #cut: (() => void) | undefined;

  constructor(source: FrameSource, stallTimeoutMs: number) {
    this.#source = source;
    this.#stallTimeoutMs = stallTimeoutMs;
  }

  async next(): Promise<string | undefined> {
    this.#idle = false;
    const frame = await this.#source.next();
    if (frame === undefined) this.#over = true;
    else this.#wait();
    return frame;
  }

  cancel(): void {
    this.#over = true;
    this.#source.cancel();
  }

  onStalled(cut: () => void): void {
    this.#cut = cut;
    this.#source.onStalled(cut);
    this.#wait(); // for the first frame to be asked for
  }

  #wait(): void {
    this.#idle = true;
    this.#since = performance.now();
    if (this.#timer === undefined) this.#look();
  }

  /** One timer for many frames: it is set anew only when it has gone off. */
  #look = (): void => {
    this.#timer = undefined;
    if (this.#over || !this.#idle) return;
    const left = this.#since + this.#stallTimeoutMs - performance.now();
    if (left > 0) {
      this.#timer = setTimeout(this.#look, left);
      this.#timer.unref?.();
      return;
    }
    this.cancel();
    this.#cut?.();
  };
}
