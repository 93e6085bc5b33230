// Owns how a schema is refused: by the place in it (a JSON pointer) and a sentence. Pure; any thread.

import { cutPath } from "../base/quote.js";
import { bad, type ZSEError } from "../errors.js";

/** The names and indexes on the way to a place in a schema. */
export type Place = readonly (string | number)[];

/** RFC 6901; "" is the whole schema. */
export function pointer(place: Place): string {
  return place.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** No value fits here. A branch that says so can be left out; a whole schema that does is refused. */
export class Nothing extends Error {
  readonly place: Place;

  constructor(place: Place, why: string) {
    super(why);
    this.place = place;
  }
}

/** @param where the option that holds the schema, as the caller wrote it */
export function refused(where: string, place: Place, why: string): ZSEError {
  const at = place.length === 0 ? "" : ` at ${cutPath(pointer(place))}`;
  return bad(where, `${where} cannot be used${at}: ${why}.`);
}
