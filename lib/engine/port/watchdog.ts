// Owns the judgement that a host hangs: it answers no ping, or its engine is in a step that takes too long by its own measure. JS thread that
// made the model.

import type { PongMessage } from "./protocol.js";

/** A step may take so many times the longest one before it; and so long (ms) where none has ended yet, since weights may come from a slow disk. */
const TIMES_THE_LONGEST = 64;
const FIRST_STEP_MS = 600_000;
/** Looks in the time after which silence is a hang. */
const LOOKS = 8;

/**
 * Time is counted in looks, not by the clock: a machine that sleeps, or a terminal that stops this process and the host alike, makes no look, and so no
 * hang.
 */
export class Watchdog {
  readonly #hangAfterMs: number;
  readonly #ping: () => void;
  readonly #hangs: (why: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #unanswered = 0;

  constructor(hangAfterMs: number, ping: () => void, hangs: (why: string) => void) {
    this.#hangAfterMs = hangAfterMs;
    this.#ping = ping;
    this.#hangs = hangs;
  }

  /** Whether there is anything that waits for the host. */
  watch(yes: boolean): void {
    if (yes === (this.#timer !== undefined)) return;
    if (!yes) {
      this.stop();
      return;
    }
    this.#unanswered = 0;
    this.#timer = setInterval(() => this.#look(), this.#hangAfterMs / LOOKS);
    this.#timer.unref?.(); // pages have numbers for timers
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  answered({ stepMs, longestStepMs }: PongMessage): void {
    this.#unanswered = 0;
    const most = longestStepMs === 0 ? FIRST_STEP_MS : Math.max(this.#hangAfterMs, TIMES_THE_LONGEST * longestStepMs);
    if (stepMs <= most) return;
    const measured = longestStepMs === 0 ? "its first" : `the longest before took ${Math.ceil(longestStepMs)} ms`;
    this.#hangs(`hung in a step for ${Math.round(stepMs)} ms (${measured}) and was ended`);
  }

  /** One ping at a time: to a host that has stopped, nothing piles up. */
  #look(): void {
    if (this.#unanswered === 0) this.#ping();
    if (this.#unanswered++ < LOOKS) return;
    this.#hangs(`did not answer for ${this.#hangAfterMs} ms (isolate.hangAfterMs) and was ended`);
  }
}
