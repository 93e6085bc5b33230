// Owns when an engine's process that has ended is started again. Pure, but for the clock; the main process.
//
// Pauses grow, so that a machine is not kept busy with starting what ends at once, and are forgotten once a process has done its work. A model that
// ended the process while it was opened, several times in a row, is not tried for ever.

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
/** A process that has lived for so long has done its work, streams or not. */
const GOOD_SERVICE_MS = 60_000;
/** Times that a model may end the process while it is opened. */
const MOST_FAILED_LOADS = 3;

export class Restarts {
  #inARow = 0;
  #startedAt = 0;
  /** By model: loads in a row in which the process has ended. */
  readonly #failedLoads = new Map<string, number>();
  /** Times that a process has ended unexpectedly. */
  crashes = 0;

  started(now: number): void {
    this.#startedAt = now;
  }

  /** @param loading models that were being opened; returns the time (ms) to wait before it is started again */
  ended(now: number, loading: Iterable<string>): number {
    this.crashes += 1;
    if (now - this.#startedAt >= GOOD_SERVICE_MS) this.#inARow = 0;
    this.#inARow += 1;
    for (const model of loading) this.#failedLoads.set(model, (this.#failedLoads.get(model) ?? 0) + 1);
    return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#inARow - 1));
  }

  /** A stream of the process's has come to its end. */
  worked(): void {
    this.#inARow = 0;
  }

  loaded(model: string): void {
    this.#failedLoads.delete(model);
  }

  /** Why a model is not opened any more. */
  refusal(model: string): string | undefined {
    const times = this.#failedLoads.get(model) ?? 0;
    if (times < MOST_FAILED_LOADS) return undefined;
    return `The model "${model}" has ended the engine's process ${times} times while it was opened, and is not tried again until the app is started anew.`;
  }
}
