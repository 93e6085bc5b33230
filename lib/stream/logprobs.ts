// Owns which chunk carries which log-probabilities, where text is grouped anew: those of a piece go with the chunk in which the piece
// begins. Also what a whole reply has of them. Pure; JS thread of the model.

import type { TokenLogprobs } from "../types.js";

export class ReplyLogprobs {
  /** Of everything that was given out. */
  readonly given: TokenLogprobs[] = [];
  /** Of pieces that were taken in: where in the text each begins, and its tokens'. */
  #pieces: { from: number; tokens: readonly TokenLogprobs[] }[] = [];
  #untold: TokenLogprobs[] = [];
  #takenIn = 0;
  #givenOut = 0;

  /** A piece of text comes next. */
  push(text: string, tokens: readonly TokenLogprobs[]): void {
    this.#pieces.push({ from: this.#takenIn, tokens });
    this.#takenIn += text.length;
  }

  /** A chunk of the text goes out: those that go with it. */
  take(chunk: string): TokenLogprobs[] {
    this.#givenOut += chunk.length;
    const next = this.#pieces.findIndex(({ from }) => from >= this.#givenOut);
    const pieces = this.#pieces.splice(0, next === -1 ? this.#pieces.length : next);
    const tokens = pieces.flatMap((piece) => piece.tokens);
    this.keep(tokens);
    return [...this.takeUntold(), ...tokens];
  }

  /** An item that is no text goes out with these. */
  keep(tokens: readonly TokenLogprobs[]): void {
    for (const token of tokens) this.given.push(token);
  }

  /** Of tokens that nobody is shown, the tags around a call, say: they go with whatever goes out next. */
  hide(tokens: readonly TokenLogprobs[]): void {
    this.keep(tokens);
    for (const token of tokens) this.#untold.push(token);
  }

  takeUntold(): TokenLogprobs[] {
    return this.#untold.splice(0);
  }
}
