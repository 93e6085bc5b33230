// Owns how token ids come in, from whoever calls. Runs on the caller's thread. Whether a vocabulary has them is known to the loaded model alone.

import { quote } from "../base/quote.js";
import { bad } from "../errors.js";
import { INT32_MAX } from "./rules.js";

/** Of one call: more than any context holds. */
const MOST_TOKENS = 2 ** 22;

export function isTokens(given: unknown): given is readonly unknown[] | Int32Array {
  return Array.isArray(given) || given instanceof Int32Array;
}

/**
 * A copy, so that nobody changes it later.
 * @param what it must be, in a sentence
 * @throws ZSEError BAD_OPTION naming it, or the token
 */
export function readTokens(name: string, given: unknown, what = "an array of token ids"): Int32Array {
  if (!isTokens(given)) throw bad(name, `${name} must be ${what}; given ${quote(given)}.`);
  const { length } = given;
  if (length > MOST_TOKENS) throw bad(name, `${name} may have up to ${MOST_TOKENS} token ids; given ${length}.`);
  const tokens = new Int32Array(length);
  for (let i = 0; i < length; i++) {
    const token = given[i];
    if (typeof token !== "number" || !Number.isInteger(token) || token < 0 || token > INT32_MAX) throw wrong(`${name}[${i}]`, token);
    tokens[i] = token;
  }
  return tokens;
}

function wrong(at: string, token: unknown) {
  return bad(at, `${at} must be a token id, a whole number from 0; given ${quote(token)}.`);
}
