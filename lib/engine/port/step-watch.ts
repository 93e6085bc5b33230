// Owns how long the steps of an engine take, seen from beside its decode thread: how long the one under way has taken, and the longest so far. An
// engine that hangs is told from one that computes by that. Pure; the host's JS thread.

import type { EngineStats } from "../../types.js";

export class StepWatch {
  #steps = 0;
  /** When a step ended or there began to be something to do; undefined while there is nothing. */
  #since: number | undefined;
  #longest = 0;
  #now = 0;

  /** To be called at each news of the engine, and now and then besides. `now`: ms on any clock that runs on. */
  look(stats: EngineStats, now = performance.now()): void {
    this.#now = now;
    const steps = stats.steps + stats.abortedSteps;
    const busy = stats.prefilling + stats.decoding + stats.embedding > 0;
    if (steps !== this.#steps) {
      if (this.#since !== undefined) this.#longest = Math.max(this.#longest, (now - this.#since) / Math.max(1, steps - this.#steps));
      this.#steps = steps;
      this.#since = undefined;
    }
    if (!busy) this.#since = undefined;
    else this.#since ??= now;
  }

  get stepMs(): number {
    return this.#since === undefined ? 0 : this.#now - this.#since;
  }

  /** 0 before the first step has ended. */
  get longestMs(): number {
    return this.#longest;
  }
}
