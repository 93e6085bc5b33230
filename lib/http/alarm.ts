// Owns a deadline that moves ahead with every token: it goes off when nothing has moved it for its time. A timer made and cleared for each
// token would cost more than all else that is done for it here, so one timer stays, and looks again when it was too early. JS thread.

export class Alarm {
  readonly #onRing: () => void;
  /** When it is to go off; Infinity: not at all. */
  #at = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer goes off. */
  #due = 0;

  constructor(onRing: () => void) {
    this.#onRing = onRing;
  }

  /** @param ms from now on; 0 is never */
  set(ms: number): void {
    if (ms === 0) {
      this.#at = Number.POSITIVE_INFINITY;
      return;
    }
    this.#at = performance.now() + ms;
    if (this.#timer !== undefined && this.#due <= this.#at) return;
    clearTimeout(this.#timer);
    this.#start(ms);
  }

  /** It does not go off, and may be set again at no cost. */
  silence(): void {
    this.#at = Number.POSITIVE_INFINITY;
  }

  /** Nothing of it is left that would keep a process. */
  stop(): void {
    this.silence();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #start(ms: number): void {
    this.#due = performance.now() + ms;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const left = this.#at - performance.now();
      if (left === Number.POSITIVE_INFINITY) return;
      if (left >= 1) this.#start(left);
      else {
        this.silence();
        this.#onRing();
      }
    }, ms);
  }
}
