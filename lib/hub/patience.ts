// Owns how often and after how long something is tried again. Any thread.

import { setTimeout as sleep } from "node:timers/promises";
import { failed, Passing } from "./failures.js";

/** Tries in vain, one after the other. */
const MOST_TRIES = 6;
const LONGEST_WAIT_MS = 30_000;
/** A server that asks for more than this is not waited for: somebody sits before this program. */
const LONGEST_ASKED_MS = 120_000;

export interface Retry {
  inMs: number;
  because: string;
}

export class Patience {
  readonly #firstWaitMs: number;
  readonly #signal: AbortSignal;
  readonly #onRetry: (retry: Retry) => void;
  #inVain = 0;

  constructor(firstWaitMs: number, signal: AbortSignal, onRetry: (retry: Retry) => void) {
    this.#firstWaitMs = firstWaitMs;
    this.#signal = signal;
    this.#onRetry = onRetry;
  }

  /** The last try has brought something. */
  gained(): void {
    this.#inVain = 0;
  }

  /** Waits for another try, or throws: what does not pass, what has not passed for too long, and the signal's reason. */
  async wait(error: unknown): Promise<void> {
    this.#signal.throwIfAborted();
    if (!(error instanceof Passing)) throw error;
    this.#inVain += 1;
    if (error.waitMs !== undefined && error.waitMs > LONGEST_ASKED_MS) {
      throw failed(`${error.message}, in ${Math.ceil(error.waitMs / 1000)} seconds. Try again then.`, error);
    }
    if (this.#inVain === MOST_TRIES) throw failed(`${error.message}. That was try ${MOST_TRIES}.`, error);
    const usual = Math.min(this.#firstWaitMs * 2 ** (this.#inVain - 1), LONGEST_WAIT_MS);
    // Between the half and the whole: many that were cut off at once do not come back at once.
    const inMs = Math.round(Math.max(error.waitMs ?? 0, usual * (0.5 + Math.random() / 2)));
    this.#onRetry({ inMs, because: error.message });
    try {
      await sleep(inMs, undefined, { signal: this.#signal });
    } catch {
      this.#signal.throwIfAborted();
    }
  }

  /** Calls it until it does not fail in a way that passes. */
  async over<Result>(work: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        await this.wait(error);
      }
    }
  }
}
