// Owns two schemas that hold at once, as one: what allOf means, and what stands beside a $ref or an anyOf. Pure; any thread. Both are flat
// already (no $ref, allOf, oneOf), and their words are checked.

import { isAnnotation, type Schema, TYPES, type Type } from "./keywords.js";
import { Nothing, type Place, refused } from "./refusal.js";

/** Branches that anyOfs multiply to. */
const MOST_BRANCHES = 256;

/** @throws ZSEError BAD_OPTION where it cannot be one schema; Nothing where no value fits both */
export function conjunction(a: Schema, b: Schema, place: Place, where: string): Schema {
  const both: Schema = Object.assign(Object.create(null), a);
  for (const [word, value] of Object.entries(b)) {
    if (both[word] === undefined) both[word] = value;
    else if (!isAnnotation(word) && !OBJECT_WORDS.has(word)) both[word] = together(word, both[word], value, place, where);
  }
  if (
    a.properties !== undefined ||
    b.properties !== undefined ||
    a.additionalProperties !== undefined ||
    b.additionalProperties !== undefined
  ) {
    Object.assign(both, properties(a, b));
  }
  if (a.required !== undefined && b.required !== undefined)
    both.required = [...new Set([...(a.required as string[]), ...(b.required as string[])])];
  if ((a.prefixItems !== undefined || b.prefixItems !== undefined) && (a.items !== undefined || a.prefixItems !== undefined)) {
    if (b.items !== undefined || b.prefixItems !== undefined)
      throw refused(where, place, "two descriptions of the same array's items cannot be enforced at once");
  }
  return both;
}

const OBJECT_WORDS = new Set(["properties", "additionalProperties", "required"]);

function together(word: string, a: unknown, b: unknown, place: Place, where: string): unknown {
  switch (word) {
    case "type":
      return commonTypes(a, b, place);
    case "enum": {
      const known = new Set((b as unknown[]).map(canonical));
      const left = (a as unknown[]).filter((value) => known.has(canonical(value)));
      if (left.length === 0) throw new Nothing(place, "no value is in both of two enums");
      return left;
    }
    case "minimum":
    case "exclusiveMinimum":
    case "minLength":
    case "minItems":
    case "minProperties":
      return Math.max(a as number, b as number);
    case "maximum":
    case "exclusiveMaximum":
    case "maxLength":
    case "maxItems":
    case "maxProperties":
      return Math.min(a as number, b as number);
    case "items":
      return { allOf: [a, b] };
    case "anyOf": {
      const [first, second] = [a as unknown[], b as unknown[]];
      if (first.length * second.length > MOST_BRANCHES)
        throw refused(where, place, `its anyOfs multiply to more than ${MOST_BRANCHES} branches`);
      return first.flatMap((one) => second.map((other) => ({ allOf: [one, other] })));
    }
    default:
      if (canonical(a) === canonical(b)) return a;
      throw refused(where, place, `two of ${word} at once cannot be enforced`);
  }
}

/** Where one of the two says nothing of a property, its additionalProperties does. */
function properties(a: Schema, b: Schema): Schema {
  const own = (schema: Schema) => (schema.properties ?? {}) as Schema;
  const merged: Schema = Object.create(null) as Schema;
  for (const name of new Set([...Object.keys(own(a)), ...Object.keys(own(b))])) {
    merged[name] = all([a, b].map((schema) => (Object.hasOwn(own(schema), name) ? own(schema)[name] : schema.additionalProperties)));
  }
  const rest = all([a.additionalProperties, b.additionalProperties]);
  return { properties: merged, ...(rest === true ? {} : { additionalProperties: rest }) };
}

function all(schemas: readonly unknown[]): unknown {
  if (schemas.includes(false)) return false;
  const said = schemas.filter((schema) => schema !== undefined && schema !== true);
  return said.length === 0 ? true : said.length === 1 ? said[0] : { allOf: said };
}

export function typesOf(type: unknown): readonly Type[] {
  return (Array.isArray(type) ? type : [type]) as Type[];
}

function commonTypes(a: unknown, b: unknown, place: Place): unknown {
  const [first, second] = [typesOf(a), typesOf(b)];
  const has = (types: readonly Type[], type: Type) => types.includes(type) || (type === "integer" && types.includes("number"));
  const common = TYPES.filter((type) => has(first, type) && has(second, type) && (first.includes(type) || second.includes(type)));
  if (common.length === 0) throw new Nothing(place, "no value has two types that exclude each other");
  return common.length === 1 ? common[0] : common;
}

/** JSON with its keys in order: equal for equal values. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) =>
    typeof one === "object" && one !== null && !Array.isArray(one)
      ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1)))
      : one,
  );
}
