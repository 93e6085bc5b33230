// Owns what POST /tokenize takes and gives, in llama-server's shape. Main thread. The work is done on the engine's prompt workers, within their bounds.

import { quote } from "../base/quote.js";
import { bad, isObject, unsupported } from "../http/formats/fields.js";
import { WireError } from "../http/formats/wire-error.js";

/** A model's tokenize(). */
export type Tokenize = (text: string, options?: { special?: boolean }) => Promise<number[]>;

/** Requests that may be under way: each holds its text and its tokens. */
const MOST_AT_ONCE = 16;

export class Tokenizing {
  readonly #tokenize: Tokenize;
  #underWay = 0;

  constructor(tokenize: Tokenize) {
    this.#tokenize = tokenize;
  }

  /**
   * `content` is text, or an array of texts and token ids, which stay as they are.
   * @throws WireError 400 naming the field, 429 where too many are under way
   */
  async answer(body: unknown): Promise<{ tokens: number[] }> {
    const { parts, special } = read(body);
    if (this.#underWay >= MOST_AT_ONCE) {
      const message = "Too many texts are being tokenized; try again later.";
      throw new WireError(429, message, { type: "rate_limit_error", code: "rate_limit_exceeded", retryAfterMs: 1000 });
    }
    this.#underWay += 1;
    try {
      const tokens: number[][] = [];
      for (const part of parts) tokens.push(typeof part === "number" ? [part] : await this.#tokenize(part, { special }));
      return { tokens: tokens.flat() };
    } finally {
      this.#underWay -= 1;
    }
  }
}

interface Asked {
  parts: readonly (string | number)[];
  special: boolean;
}

function read(body: unknown): Asked {
  if (!isObject(body)) throw bad("", "The body must be a JSON object.");
  const { content, add_special, parse_special = true, with_pieces } = body;
  if (typeof parse_special !== "boolean") throw bad("parse_special", `parse_special must be true or false; given ${quote(parse_special)}.`);
  for (const [name, value] of Object.entries({ add_special, with_pieces })) {
    if (value === undefined || value === null || value === false) continue;
    if (value !== true) throw bad(name, `${name} must be true or false; given ${quote(value)}.`);
    throw unsupported(name, `${name} is not supported here; leave it out.`);
  }
  const parts: unknown[] = Array.isArray(content) ? content : [content];
  const isPart = (one: unknown) => typeof one === "string" || (typeof one === "number" && Number.isInteger(one) && one >= 0);
  if (parts.every(isPart) && (Array.isArray(content) || typeof content === "string"))
    return { parts: parts as (string | number)[], special: parse_special };
  throw bad("content", `content must be text, or an array of texts and token ids; given ${quote(content)}.`);
}
