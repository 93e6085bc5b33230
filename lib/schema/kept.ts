// Owns the schemas that were made enforceable lately: programs ask with the same few again and again, and a large one takes milliseconds on the thread that
// streams. Runs on the caller's thread. What comes out is shared between requests and frozen at its top; nobody changes it.

import { type EnforceOptions, enforceable } from "./enforce.js";

const MOST = 64;
/** Characters of a schema. Longer ones are not kept: together they are a few megabytes at most. */
const LONGEST = 65_536;

type Schema = ReturnType<typeof enforceable>;
/** By what they were made from, the one that was used last at the end. */
const kept = new Map<string, Schema>();

/**
 * enforceable(), of plain data.
 * @throws ZSEError BAD_OPTION naming the place
 */
export function keptEnforceable(schema: unknown, options: EnforceOptions): Schema {
  const text = JSON.stringify(schema);
  if (text.length > LONGEST) return enforceable(schema, options);
  const key = `${options.exact} ${options.number ?? 0} ${text}`;
  const made = kept.get(key) ?? Object.freeze(enforceable(schema, options));
  kept.delete(key);
  kept.set(key, made);
  if (kept.size > MOST) kept.delete(kept.keys().next().value!);
  return made;
}
