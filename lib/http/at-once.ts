// Owns the bound on questions to a model that are under way at a time: each holds its text and its answer, and takes no slot that would bound it.
// JS thread of the model.

import { WireError } from "./formats/wire-error.js";

/** More wait in the engine for no use: it answers one after the other. */
const MOST_AT_ONCE = 16;

export class AtOnce {
  #underWay = 0;

  /** @throws WireError 429 where too many are under way */
  async run<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    if (this.#underWay >= MOST_AT_ONCE) {
      const message = "Too many texts are being tokenized; try again later.";
      throw new WireError(429, message, { type: "rate_limit_error", code: "rate_limit_exceeded", retryAfterMs: 1000 });
    }
    this.#underWay += 1;
    try {
      return await ask();
    } finally {
      this.#underWay -= 1;
    }
  }
}
