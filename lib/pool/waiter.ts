// Owns what the parts of a pool say to each other: who waits for a model, and the model as the pool sees it. Types only.

import type { ModelEngine } from "../engine/engine.js";

/** Wants a model that may not be open yet. One of the two is called, once, unless it is taken back before. */
export interface Waiter {
  /** The model is open, and stays open until whoever waited has told the member that it is released. */
  grant(engine: ModelEngine): void;
  /** There is no model for it; nothing is to be released. */
  fail(error: unknown): void;
}
