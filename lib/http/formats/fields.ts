// Owns what the readers of this format share: plain fields, and the two ways to refuse one. Pure; any thread.

import { WireError } from "../wire-error.js";

export type Fields = Record<string, unknown>;

export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function bad(param: string, message: string): WireError {
  return new WireError(400, message, { param, code: "invalid_value" });
}

export function unsupported(param: string, message: string): WireError {
  return new WireError(400, message, { param, code: "unsupported_parameter" });
}

/** Such as msg_0123…: unguessable, since it may name something that is kept. */
export function newId(prefix: string): string {
  return `${prefix}_${crypto.randomUUID().replaceAll("-", "")}`;
}
