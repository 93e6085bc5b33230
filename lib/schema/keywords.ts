// Owns the words of JSON Schema: which say nothing about validity, which llama.cpp's grammars enforce, and which they would ignore in
// silence. Pure; any thread. The dialect is 2020-12, and what older ones and OpenAPI spell otherwise is read too.

import { quote } from "../base/quote.js";
import { type Place, refused } from "./refusal.js";

export type Schema = Record<string, unknown>;

/** What people and models read; passed on. */
export const ANNOTATIONS = ["title", "description", "default", "examples"] as const;

export const TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"] as const;
export type Type = (typeof TYPES)[number];

/** The words that are about values of one type. */
export const WORDS_OF: Readonly<Record<"number" | "string" | "array" | "object", readonly string[]>> = {
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  string: ["minLength", "maxLength", "pattern"],
  array: [
    "items",
    "prefixItems",
    "additionalItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "unevaluatedItems",
  ],
  object: [
    ...["properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties"],
    ...["dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties"],
  ],
};

/** Nothing generates by these; each with the test for values that ask for nothing. Others are weighed where their type is. */
const IGNORED: ReadonlyMap<string, (value: unknown) => boolean> = new Map([
  ["not", (value: unknown) => value === false],
  ["if", () => false],
  ["patternProperties", isEmpty],
  ["propertyNames", (value: unknown) => value === true || isEmpty(value) || isAnyString(value)],
  ["dependentRequired", isEmpty],
  ["dependentSchemas", isEmpty],
  ["dependencies", isEmpty],
  ["contains", () => false],
  ["uniqueItems", (value: unknown) => value === false],
  ["$dynamicRef", () => false],
  ["$recursiveRef", () => false],
]);

/** What a word's value must be; the net under what a grammar is made from, whatever a client sends. */
const SHAPES: ReadonlyMap<string, { fits: (value: unknown) => boolean; be: string }> = new Map([
  ...entries(["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"], isCount, "a whole number from 0"),
  ...entries(["minimum", "maximum"], Number.isFinite, "a number"),
  ...entries(["exclusiveMinimum", "exclusiveMaximum"], (value) => typeof value === "boolean" || Number.isFinite(value), "a number"),
  ...entries(["multipleOf"], (value) => typeof value === "number" && value > 0, "a number above 0"),
  ...entries(["pattern", "format", "$ref"], (value) => typeof value === "string", "a string"),
  ...entries(["enum", "allOf", "anyOf", "oneOf"], (value) => Array.isArray(value) && value.length > 0, "an array of at least one"),
  ...entries(["prefixItems"], Array.isArray, "an array of schemas"),
  ...entries(["items"], (value) => Array.isArray(value) || isSchema(value), "a schema"),
  ...entries(
    ["additionalProperties", "additionalItems", "unevaluatedProperties", "unevaluatedItems"],
    isSchema,
    "a schema, or true or false",
  ),
  ...entries(["properties", "$defs", "definitions"], isObject, "an object of schemas"),
  ...entries(["required"], (value) => Array.isArray(value) && value.every((one) => typeof one === "string"), "an array of names"),
]);

/**
 * @param exact whether a word that would be ignored is refused, or left out
 * @returns the schema without the words that ask for nothing
 * @throws ZSEError BAD_OPTION naming the place
 */
export function checkedWords(schema: unknown, place: Place, where: string, exact: boolean): Schema {
  if (schema === true) return {};
  if (!isObject(schema)) throw refused(where, place, `a schema is an object, or true or false; given ${quote(schema)}`);
  const kept: Schema = Object.create(null) as Schema;
  for (const [word, value] of Object.entries(schema)) {
    const shape = SHAPES.get(word);
    if (shape !== undefined && !shape.fits(value)) throw refused(where, [...place, word], `it must be ${shape.be}; given ${quote(value)}`);
    const asksNothing = IGNORED.get(word);
    if (asksNothing !== undefined) {
      if (exact && !asksNothing(value))
        throw refused(where, [...place, word], `${word} cannot be enforced while a reply is generated; leave it out`);
      continue;
    }
    kept[word] = value;
  }
  if (exact && isObject(schema) && !isEmpty(schema.dependencies ?? {})) throw refused(where, place, "dependencies cannot be enforced");
  return withoutOldWords(kept);
}

/** Draft 4's booleans beside minimum, drafts before 2020-12's tuples, OpenAPI's nullable. */
function withoutOldWords(schema: Schema): Schema {
  for (const [old, bound] of [
    ["exclusiveMinimum", "minimum"],
    ["exclusiveMaximum", "maximum"],
  ] as const) {
    if (typeof schema[old] !== "boolean") continue;
    if (schema[old] && schema[bound] !== undefined) {
      schema[old] = schema[bound];
      delete schema[bound];
    } else delete schema[old];
  }
  if (Array.isArray(schema.items)) {
    schema.prefixItems = schema.items;
    delete schema.items;
    if (schema.additionalItems !== undefined) schema.items = schema.additionalItems;
  }
  delete schema.additionalItems;
  if (schema.nullable === true && schema.type !== undefined) {
    const types = Array.isArray(schema.type) ? (schema.type as unknown[]) : [schema.type];
    if (!types.includes("null")) schema.type = [...types, "null"];
  }
  delete schema.nullable;
  return schema;
}

export function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isSchema(value: unknown): boolean {
  return typeof value === "boolean" || isObject(value);
}

function isCount(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function isEmpty(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0;
}

function isAnyString(value: unknown): boolean {
  return isObject(value) && value.type === "string" && Object.keys(value).every((key) => key === "type" || isAnnotation(key));
}

export function isAnnotation(word: string): boolean {
  return (ANNOTATIONS as readonly string[]).includes(word);
}

function entries(words: readonly string[], fits: (value: unknown) => boolean, be: string) {
  return words.map((word) => [word, { fits, be }] as const);
}

/** What of the words is for people and models. */
export function annotationsOf(words: Schema): Schema {
  return Object.fromEntries(ANNOTATIONS.filter((word) => words[word] !== undefined).map((word) => [word, words[word]]));
}

/** Words that decide what is valid. */
const ASSERTIONS: ReadonlySet<string> = new Set([
  ...Object.values(WORDS_OF).flat(),
  ...["type", "enum", "const", "format", "$ref", "allOf", "anyOf", "oneOf"],
]);

export function assertions(words: Schema): string[] {
  return Object.keys(words).filter((word) => !isAnnotation(word) && ASSERTIONS.has(word) && words[word] !== undefined);
}

export function isOfType(value: unknown, type: Type): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "array") return Array.isArray(value);
  if (type === "null") return value === null;
  if (type === "object") return isObject(value);
  return typeof value === type;
}
