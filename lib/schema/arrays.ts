// Owns the rewriting of schemas of arrays. Pure; any thread.

import { isObject, type Schema } from "./keywords.js";
import { MOST_REPEATS } from "./pattern.js";
import { Nothing, type Place } from "./refusal.js";
import { orNothing, type Rewriting } from "./rewriting.js";

/** @throws Nothing, or ZSEError BAD_OPTION by the place */
export function arraySchema(words: Schema, place: Place, rewriting: Rewriting): Schema {
  const { minItems = 0 } = words as { minItems?: number };
  const maxItems = (words.maxItems as number | undefined) ?? Number.POSITIVE_INFINITY;
  if (minItems > maxItems) throw new Nothing(place, `no array has from ${minItems} to ${maxItems} items`);
  if (minItems > MOST_REPEATS) throw rewriting.refused([...place, "minItems"], `it may be ${MOST_REPEATS} at most`);
  const closed = words.unevaluatedItems === false && words.items === undefined;
  const items = words.items ?? !closed;
  if (rewriting.exact && isObject(words.unevaluatedItems))
    throw rewriting.refused([...place, "unevaluatedItems"], "it cannot be enforced; leave it out");
  if (words.prefixItems !== undefined) return tupleSchema(words.prefixItems as unknown[], items, [minItems, maxItems], place, rewriting);
  const item = items === false ? undefined : orNothing(() => rewriting.schema(items, [...place, "items"]));
  if (item === undefined) {
    if (minItems > 0) throw new Nothing(place, "its items take no value");
    return { type: "array", items: {}, maxItems: 0 };
  }
  const least = minItems === 0 ? {} : { minItems };
  const most = maxItems === Number.POSITIVE_INFINITY ? {} : { maxItems: Math.min(maxItems, MOST_REPEATS) };
  return { type: "array", items: item, ...least, ...most };
}

/** Of exactly so many items: the shortest that is allowed would do, the declared ones are meant. */
function tupleSchema(
  declared: readonly unknown[],
  items: unknown,
  [minItems, maxItems]: readonly [number, number],
  place: Place,
  rewriting: Rewriting,
): Schema {
  const length = Math.min(Math.max(declared.length, minItems), maxItems);
  if (length > declared.length && items === false) throw new Nothing(place, `it has ${declared.length} items at most`);
  const all = Array.from({ length }, (_, i) =>
    i < declared.length ? rewriting.schema(declared[i], [...place, "prefixItems", i]) : rewriting.schema(items, [...place, "items"]),
  );
  return all.length === 0 ? { type: "array", items: {}, maxItems: 0 } : { type: "array", prefixItems: all };
}
