// Owns the value of a structured reply: what its text has come to while it streams, and what it is at the end. JS thread of the model. Pure.

import { Allow, parse } from "partial-json";
import { quoteError } from "../base/quote.js";
import type { Checked, Validate } from "../schema/standard.js";
import type { ObjectEvent } from "../types.js";

/**
 * A text is parsed anew when it has grown by this share: each parse costs all of it, and so a token costs the same however long it is. Where one
 * parse holds up the thread of all streams for more than so many ms (a nest of thousands of levels, a hundred kilobytes), by the second share.
 */
const SHARE = 1 / 8;
const SLOW_MS = 10;
const SLOW_SHARE = 1;
/** No numbers and words that may go on, nor what is no JSON. */
const ALLOWED = Allow.STR | Allow.OBJ | Allow.ARR;

export class PartialObject {
  #text = "";
  /** Its length when it was parsed last. */
  #parsed = 0;
  #share = SHARE;

  get text(): string {
    return this.#text;
  }

  add(text: string): void {
    this.#text += text;
  }

  /** Another reply begins, whose text is the object. */
  restart(): void {
    this.#text = "";
    this.#parsed = 0;
  }

  get isDue(): boolean {
    return this.#text.length > this.#parsed * (1 + this.#share);
  }

  get isNew(): boolean {
    return this.#text.length > this.#parsed;
  }

  /** undefined while it is nothing yet, or no JSON. */
  event(): ObjectEvent | undefined {
    this.#parsed = this.#text.length;
    const began = performance.now();
    try {
      return { type: "object", partial: parse(this.#text, ALLOWED) as unknown };
    } catch {
      return undefined;
    } finally {
      this.#share = performance.now() - began > SLOW_MS ? SLOW_SHARE : SHARE;
    }
  }
}

/** The value of the whole text. What is wrong with it is a sentence: the reply is given all the same. */
export function checkedObject(text: string, validate: Validate | undefined): Checked | Promise<Checked> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { issue: "The reply is not valid JSON, so it has no object." };
  }
  if (validate === undefined) return { value };
  try {
    const checked = validate(value);
    return checked instanceof Promise ? checked.then(told, failed) : told(checked);
  } catch (error) {
    return failed(error);
  }
}

function told(checked: Checked): Checked {
  return "issue" in checked ? { issue: `The schema refuses the object: ${checked.issue}.` } : checked;
}

function failed(error: unknown): Checked {
  return { issue: `The schema's own check failed: ${quoteError(error)}.` };
}
