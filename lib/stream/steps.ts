// Owns the seam by which a stream is several replies, one after the other: what is asked of whoever runs the calls between them
// (lib/tools/loop.ts). Types only.

import type { NativeFinish, NativeRequest } from "../addon/contract.js";
import type { Item } from "../engine/items.js";
import type { Step } from "../types.js";

/** What comes of a reply's end. */
export interface NextStep {
  step: Step;
  /** What is asked next; absent after the last one. */
  request?: NativeRequest | undefined;
  finish: NativeFinish;
}

export interface Steps {
  /** Hears all of every reply, as it comes. */
  on(item: Item): void;
  /** A reply has ended. undefined: there are no steps, and it ends the stream. A rejection is what the consumer is told. */
  next(finish: NativeFinish): Promise<NextStep> | undefined;
  /** Nobody waits for it any more: what runs is told. */
  abort(reason: unknown): void;
  /** Whether the calls of the step were run, and another one follows. */
  isRun(step: Step): boolean;
  /** The usage of all steps. */
  summed(finish: NativeFinish): NativeFinish;
  /** Those that have ended; undefined where no call was run. */
  readonly done: readonly Step[] | undefined;
}
