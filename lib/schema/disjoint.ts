// Owns the question whether a value may fit two schemas at once, by what can be seen of them: then oneOf is not anyOf. Pure; any thread. Both
// are flat already (no $ref, allOf, oneOf).

import { canonical, typesOf } from "./conjunction.js";
import { isObject, isOfType, type Schema, TYPES, type Type } from "./keywords.js";

/** @param merged a schema within, flat */
export function areDisjoint(a: Schema, b: Schema, merged: (schema: Schema) => Schema, depth = 0): boolean {
  if (a.anyOf !== undefined || b.anyOf !== undefined || depth > 4) return false;
  if (a.enum !== undefined && b.enum !== undefined) {
    const known = new Set((a.enum as unknown[]).map(canonical));
    return !(b.enum as unknown[]).some((value) => known.has(canonical(value)));
  }
  const [first, second] = [possibleTypes(a), possibleTypes(b)];
  if (
    first !== undefined &&
    second !== undefined &&
    !first.some((type) => second.some((other) => type === other || isNumeric(type, other)))
  )
    return true;
  if (!isOnlyObject(first) || !isOnlyObject(second)) return false;
  const needed = ((a.required ?? []) as string[]).filter((name) => ((b.required ?? []) as string[]).includes(name));
  return needed.some((name) => {
    const [one, other] = [a, b].map(({ properties }) =>
      isObject(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined,
    );
    if (!isObject(one) || !isObject(other)) return false;
    return areDisjoint(merged(one), merged(other), merged, depth + 1);
  });
}

function possibleTypes(schema: Schema): readonly Type[] | undefined {
  if (schema.type !== undefined) return typesOf(schema.type);
  if (schema.enum === undefined) return undefined;
  return (schema.enum as unknown[]).map((value) => TYPES.find((type) => isOfType(value, type))!);
}

function isNumeric(a: Type, b: Type): boolean {
  return (a === "number" && b === "integer") || (a === "integer" && b === "number");
}

function isOnlyObject(types: readonly Type[] | undefined): boolean {
  return types?.length === 1 && types[0] === "object";
}
