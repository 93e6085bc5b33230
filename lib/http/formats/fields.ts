// Owns what the readers of bodies share: plain fields, and the ways to refuse one. Pure; any thread.

import { quote } from "../../base/quote.js";
import { WireError } from "./wire-error.js";

export type Fields = Record<string, unknown>;

export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The fields of a body that say something: null is as good as left out. */
export function saidFields(body: object): Fields {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null && value !== undefined));
}

/**
 * @param written how it is named in errors, such as `stream_options.resumable`
 * @throws WireError 400 naming the field
 */
export function readBoolean(given: Readonly<Fields>, name: string, written = name): boolean | undefined {
  const value = given[name];
  if (value === undefined || typeof value === "boolean") return value;
  throw bad(written, `${written} must be true or false; given ${quote(value)}.`);
}

/** A wrong value of a field. */
export function bad(param: string, message: string): WireError {
  return new WireError(400, message, { param, code: "invalid_value" });
}

export function unsupported(param: string, message: string): WireError {
  return new WireError(400, message, { param, code: "unsupported_parameter" });
}
