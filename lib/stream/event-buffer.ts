// Owns what the engine has delivered and the consumer has not yet taken: a queue of text and events, with the tokens that
// each takes from the stream's credit. JS thread of the model. Pure: no promises, no timers, no engine.
//
// Its length is bounded by the credits (highWaterMark tokens): the engine stops delivering when they are used up.

import type { Item } from "../engine/items.js";

export class EventBuffer {
  #items: Item[] = [];
  #tokens: number[] = [];
  #head = 0;
  /** Tokens of the item that shift() gave out last. */
  shiftedTokens = 0;

  get empty(): boolean {
    return this.#head === this.#items.length;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** `tokens` is the credit that the item takes. Of progress events in a row only the newest is kept. */
  push(item: Item, tokens: number): void {
    const items = this.#items;
    if (typeof item !== "string" && item.type === "progress" && !this.empty) {
      const last = items[items.length - 1]!;
      if (typeof last !== "string" && last.type === "progress") {
        items[items.length - 1] = item;
        return;
      }
    }
    items.push(item);
    this.#tokens.push(tokens);
  }

  /** Takes the oldest item; undefined when there is none. */
  shift(): Item | undefined {
    const head = this.#head;
    if (head === this.#items.length) return undefined;
    const item = this.#items[head]!;
    this.shiftedTokens = this.#tokens[head]!;
    if (head + 1 === this.#items.length) {
      // A consumer that keeps up has one item at a time: taking it off is much cheaper than setting a length.
      if (head > 0) this.clear();
      else {
        this.#items.pop();
        this.#tokens.pop();
      }
    } else {
      this.#head = head + 1;
      // A consumer that is always a little behind never empties the queue: drop what it has read now and then.
      if (this.#head === 256) this.#compact();
    }
    return item;
  }

  clear(): void {
    this.#items.length = 0;
    this.#tokens.length = 0;
    this.#head = 0;
  }

  #compact(): void {
    this.#items.splice(0, this.#head);
    this.#tokens.splice(0, this.#head);
    this.#head = 0;
  }
}
