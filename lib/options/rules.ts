// Owns how options are read, whoever's they are: a table of rules in, checked values out, and the sentence that says what was wrong.
// Pure; any thread.

import { cutName, quote } from "../base/quote.js";
import { bad, type ZSEError } from "../errors.js";
import { entriesOf } from "./foreign.js";

/** What one option may be, and what it is when it is left out. */
export type Rule =
  | { kind: "number" | "integer"; min: number; max: number; default?: number; hint?: string }
  | { kind: "boolean"; default?: boolean }
  | { kind: "enum"; values: readonly string[]; default: string }
  | { kind: "function" }
  | { kind: "custom"; read: (name: string, value: unknown) => unknown; default?: unknown };

export const INT32_MAX = 2 ** 31 - 1;

export function asObject(value: unknown, call: string): Record<string, unknown> {
  if (value === undefined) return {};
  if (isPlainObject(value)) return value;
  throw bad("options", `The options of ${call} must be an object; given ${quote(value)}.`);
}

/** Not null, nor an array, Map, Date or Promise, whose entries would silently be nothing. Other realms' objects pass. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.prototype.toString.call(value) === "[object Object]";
}

/**
 * Aliases (snake_case), unknown names, checks and defaults: all in this one pass. `of` names whose options they are, for people.
 * @throws ZSEError BAD_OPTION (or UNSUPPORTED) naming the option, what was given and what is allowed
 */
export function readOptions(rules: Record<string, Rule>, given: unknown, of: string): Record<string, unknown> {
  const options = asObject(given, of);
  const spelling = new Map<string, string>();
  const result: Record<string, unknown> = {};
  for (const [written, value] of entriesOf(options)) {
    if (value === undefined) continue;
    const name = Object.hasOwn(rules, written) ? written : camelCase(written);
    if (!Object.hasOwn(rules, name)) throw unknownOption(rules, written, of);
    const before = spelling.get(name);
    if (before !== undefined) throw bad(written, `${before} and ${written} are the same option; give one of them.`);
    spelling.set(name, written);
    result[name] = check(rules[name]!, written, value);
  }
  for (const [name, rule] of Object.entries(rules)) {
    if (result[name] === undefined && "default" in rule) result[name] = rule.default;
  }
  return result;
}

function check(rule: Rule, name: string, value: unknown): unknown {
  switch (rule.kind) {
    case "number":
    case "integer": {
      const fits = typeof value === "number" && value >= rule.min && value <= rule.max; // false for NaN
      if (fits && (rule.kind === "number" || Number.isInteger(value))) return value;
      const noun = rule.kind === "number" ? "a number" : "a whole number";
      const hint = rule.hint === undefined ? "" : ` (${rule.hint})`;
      throw bad(name, `${name} must be ${noun} from ${rule.min} to ${rule.max}${hint}; given ${quote(value)}.`);
    }
    case "boolean":
      if (typeof value === "boolean") return value;
      throw bad(name, `${name} must be true or false; given ${quote(value)}.`);
    case "enum":
      if (rule.values.includes(value as string)) return value;
      throw bad(name, `${name} must be one of ${rule.values.map((one) => `"${one}"`).join(", ")}; given ${quote(value)}.`);
    case "function":
      if (typeof value === "function") return value;
      throw bad(name, `${name} must be a function; given ${quote(value)}.`);
    case "custom":
      return rule.read(name, value);
  }
}

function unknownOption(rules: Record<string, Rule>, given: string, of: string): ZSEError {
  const written = cutName(given); // guessing costs the length of both names
  const names = Object.keys(rules);
  const wanted = camelCase(written).toLowerCase();
  const near = names
    .map((name) => ({ name, distance: editDistance(name.toLowerCase(), wanted) }))
    .sort((a, b) => a.distance - b.distance)[0];
  const guess = near !== undefined && near.distance <= Math.max(1, wanted.length / 3) ? ` Did you mean ${near.name}?` : "";
  return bad(written, `${written} is not an option of ${of}.${guess} There are: ${names.join(", ")}.`);
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
