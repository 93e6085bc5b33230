// Owns the rewriting of schemas of objects: those with declared properties have no others, and those without have any names. Pure; any thread.

import { assertions, isObject, type Schema } from "./keywords.js";
import type { Place } from "./refusal.js";
import { orNothing, type Rewriting } from "./rewriting.js";

/** Of one object: where a reply stands among more, a grammar cannot follow in time. */
const MOST_OPTIONAL = 1000;

/** @throws Nothing, or ZSEError BAD_OPTION by the place */
export function objectSchema(words: Schema, place: Place, rewriting: Rewriting): Schema {
  const declared = (words.properties ?? {}) as Schema;
  const required = [...new Set((words.required ?? []) as string[])];
  const rest = additional(words, place, rewriting);
  const names = [...new Set([...Object.keys(declared), ...required])];
  if (names.length === 0) return mapSchema(rest, words, place, rewriting);
  if (rewriting.exact && isObject(rest) && assertions(rest).length > 0) {
    throw rewriting.refused(
      [...place, "additionalProperties"],
      "a schema for others cannot be enforced beside declared properties; true or false can",
    );
  }
  const properties: Schema = Object.create(null) as Schema; // a name may be one of Object's own
  for (const name of names) {
    if (name === "__proto__" && rewriting.exact)
      throw rewriting.refused([...place, "properties", name], "readers of JSON do not agree on a property of this name");
    const [own, at] = Object.hasOwn(declared, name) ? [declared[name], "properties"] : [rest, "required"];
    const schema = orNothing(() => rewriting.schema(own, [...place, at, name]), required.includes(name));
    if (schema !== undefined) properties[name] = schema;
  }
  const optional = Object.keys(properties).filter((name) => !required.includes(name)).length;
  if (optional > MOST_OPTIONAL) {
    throw rewriting.refused(
      [...place, "properties"],
      `${optional} of its properties are optional, and ${MOST_OPTIONAL} can be; name others in required, or put some into objects of their own`,
    );
  }
  checkCount(words, [required.length, Object.keys(properties).length], place, rewriting);
  return { type: "object", properties, required: required.filter((name) => name in properties), additionalProperties: false };
}

function additional(words: Schema, place: Place, rewriting: Rewriting): unknown {
  const { additionalProperties = true, unevaluatedProperties = true } = words;
  if (unevaluatedProperties === false) return false;
  if (unevaluatedProperties !== true && rewriting.exact)
    throw rewriting.refused([...place, "unevaluatedProperties"], "it cannot be enforced; leave it out");
  return additionalProperties;
}

/** An object whose names are free. */
function mapSchema(rest: unknown, words: Schema, place: Place, rewriting: Rewriting): Schema {
  const value = rest === false ? undefined : orNothing(() => rewriting.schema(rest, [...place, "additionalProperties"]));
  checkCount(words, [0, value === undefined ? 0 : Number.POSITIVE_INFINITY], place, rewriting);
  if (value === undefined) return { type: "object", properties: {}, additionalProperties: false };
  return assertions(value).length === 0 ? { type: "object" } : { type: "object", additionalProperties: value };
}

function checkCount(words: Schema, [least, most]: readonly [number, number], place: Place, rewriting: Rewriting): void {
  const { minProperties = 0, maxProperties = Number.POSITIVE_INFINITY } = words;
  if (!rewriting.exact) return;
  for (const [word, holds] of [
    ["minProperties", (minProperties as number) <= least],
    ["maxProperties", (maxProperties as number) >= most],
  ] as const) {
    if (!holds)
      throw rewriting.refused([...place, word], `${word} cannot be enforced while a reply is generated; use required, or leave it out`);
  }
}
