// Owns the estimate of when a full server has room again, from the replies it has just given. Pure but for the clock.

import type { Occupancy } from "./types.js";

/** Bounds (ms) of what clients are told: neither a busy loop nor forever. */
const SHORTEST = 200;
const LONGEST = 60_000;
/** Before the first reply has ended nothing is known. */
const GUESS = 1000;

/** Keeps a moving average of how long replies hold a slot. */
export class Pace {
  #meanMs: number | undefined;

  /** A reply ended that was generated (not waited for) in `ms`. */
  onReply(ms: number): void {
    this.#meanMs = this.#meanMs === undefined ? ms : this.#meanMs + 0.2 * (ms - this.#meanMs);
  }

  /** With slots ending one every mean/slots, the time until the queue has moved up by one place and a retry fits in. */
  retryAfterMs(slots: number, queued: number): number {
    if (this.#meanMs === undefined) return GUESS;
    // A client that comes back when one place is free meets all the others that were told the same: spread them over the queue.
    const estimate = (this.#meanMs / Math.max(1, slots)) * (1 + queued / 2);
    return Math.round(Math.min(LONGEST, Math.max(SHORTEST, estimate)));
  }

  retryAfter(stats: Occupancy | undefined): number {
    if (stats === undefined) return GUESS;
    const running = stats.decoding + stats.prefilling + stats.parked;
    return this.retryAfterMs(running + stats.freeSlots, stats.queued);
  }
}
