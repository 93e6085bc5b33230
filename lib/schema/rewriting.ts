// Owns what the parts of the rewriting of schemas share: what they are told, and how one part asks for another. Pure; any thread.

import type { Schema } from "./keywords.js";
import { Nothing, type Place } from "./refusal.js";

/** One rewriting, as the part that writes the values of one type sees it. */
export interface Rewriting {
  /** Whether what cannot be enforced is refused, or left out. */
  readonly exact: boolean;
  /** The error that says why, by the place. */
  refused(place: Place, why: string): Error;
  /** A schema within, rewritten. Throws Nothing where no value fits. */
  schema(given: unknown, place: Place): Schema;
}

/** undefined where no value fits, unless there must be one. */
export function orNothing(make: () => Schema, needed = false): Schema | undefined {
  try {
    return make();
  } catch (error) {
    if (needed || !(error instanceof Nothing)) throw error;
    return undefined;
  }
}
