// Owns the rewriting of a JSON Schema (2020-12) to one that llama.cpp's json-schema-to-grammar enforces exactly, so that what it lets through
// is valid by construction. Pure; any thread. What was given is plain data of bounded depth (lib/options/foreign.ts).
//
// What that converter would ignore in silence is written anew where it means the same, or refused by its place. The result may be narrower than
// what was given (objects have their declared properties only, lengths end at 2,000), never wider. For the parameters of tools, which others than
// a grammar check as well, `exact` is false: what cannot be enforced is left out there.

import { quote } from "../base/quote.js";
import { canonical, conjunction, typesOf } from "./conjunction.js";
import { FORMATS, isSaidTwice, NO_FORMATS, SHORT_FORMATS } from "./formats.js";
import { ANNOTATIONS, checkedWords, isAnnotation, isObject, type Schema, TYPES, type Type, WORDS_OF } from "./keywords.js";
import { enforceablePattern, lengthPattern, MOST_REPEATS, PatternRefusal } from "./pattern.js";
import { Nothing, type Place, refused } from "./refusal.js";

/** A grammar goes through all values for each token. */
const MOST_VALUES = 1000;

/** Schemas that one schema may come to: $refs that are merged multiply. */
const MOST_SCHEMAS = 20_000;
/** Names and indexes on the way to a place: data may nest 100 levels deep (lib/options/foreign.ts). */
const MOST_PARTS = 200;
/** $refs that are merged into one another. */
const MOST_MERGES = 64;
/** Whole numbers are written with up to 15 digits, which every reader of JSON takes exactly. */
const LARGEST_INTEGER = 999_999_999_999_999;
/** Names that llama.cpp's converter has for rules of its own. */
const ITS_RULES =
  /^(root|boolean|decimal-part|integral-part|number|integer|value|object|array|uuid|char|string|null|date|time|date-time|(date|time|date-time)-string)$/;

export interface EnforceOptions {
  /** The option that holds the schema, as the caller wrote it. */
  where: string;
  /** Whether what cannot be enforced is refused, or left out. */
  exact: boolean;
  /** Tells the schemas of one request apart: their definitions share one grammar. */
  number?: number;
}

/** @throws ZSEError BAD_OPTION naming the place */
export function enforceable(schema: unknown, options: EnforceOptions): Schema {
  return new Rewriter(schema, options).result();
}

class Rewriter {
  readonly #root: unknown;
  readonly #where: string;
  readonly #exact: boolean;
  readonly #number: number;
  /** JSON pointers of what is referred to → their names in $defs. */
  readonly #names = new Map<string, string>();
  readonly #defs = new Map<string, Schema>();
  /** What is referred to and takes no value. */
  readonly #never = new Map<string, Nothing>();
  #schemas = 0;
  #merges = 0;

  constructor(root: unknown, { where, exact, number = 0 }: EnforceOptions) {
    this.#root = root;
    this.#where = where;
    this.#exact = exact;
    this.#number = number;
  }

  result(): Schema {
    try {
      const root = this.#consistent();
      this.#checkEnds(root);
      const whole = this.#hasItsNames(root) ? this.#asDefinition(root) : root;
      return this.#defs.size === 0 ? whole : { ...whole, $defs: Object.fromEntries(this.#defs) };
    } catch (error) {
      if (error instanceof Nothing) throw this.#refused(error.place, `no value can fit it: ${error.message}`);
      throw error;
    }
  }

  /** Others may have referred to a definition before it was known to take no value: then all is made anew, without it. */
  #consistent(): Schema {
    while (true) {
      const { size } = this.#never;
      this.#names.clear();
      this.#defs.clear();
      try {
        const root = this.#schema(this.#root, []);
        if (this.#never.size === size) return root;
      } catch (error) {
        if (!(error instanceof Nothing) || this.#never.size === size) throw error;
      }
    }
  }

  // ---- one schema ----

  /** @throws Nothing where no value fits */
  #schema(given: unknown, place: Place): Schema {
    if (++this.#schemas > MOST_SCHEMAS) throw this.#refused([], `it comes to more than ${MOST_SCHEMAS} schemas`);
    if (place.length > MOST_PARTS)
      throw this.#refused(place, "it nests without end, or too deep, once its $refs are merged with what stands beside them");
    if (given === false) throw new Nothing(place, "false takes no value");
    const words = checkedWords(given, place, this.#where, this.#exact);
    if (words.$ref !== undefined && assertions(words).length === 1)
      return { ...annotationsOf(words), $ref: this.#refer(words.$ref as string, place) };
    return this.#flat(this.#flatten(words, place), place);
  }

  /** Without $ref, allOf, oneOf and const: all that holds at once as one schema, perhaps with an anyOf. */
  #flatten(words: Schema, place: Place): Schema {
    const { $ref, allOf, oneOf, const: constant, ...rest } = words;
    let flat: Schema = rest;
    const and = (more: Schema) => {
      flat = conjunction(flat, more, place, this.#where);
    };
    if ("const" in words) and({ enum: [constant] });
    if (oneOf !== undefined) {
      if (this.#exact) this.#checkDisjoint(oneOf as unknown[], [...place, "oneOf"]);
      and({ anyOf: oneOf });
    }
    if ($ref !== undefined) and(this.#merged(this.#target($ref as string, place), place));
    for (const [i, one] of ((allOf ?? []) as unknown[]).entries()) and(this.#merged(one, [...place, "allOf", i]));
    return flat;
  }

  #merged(given: unknown, place: Place): Schema {
    if (given === false) throw new Nothing(place, "false takes no value");
    if (++this.#schemas > MOST_SCHEMAS) throw this.#refused([], `it comes to more than ${MOST_SCHEMAS} schemas`);
    if (++this.#merges > MOST_MERGES) throw this.#refused(place, "it refers to itself in what must hold at once, or is nested too deep");
    try {
      return this.#flatten(checkedWords(given, place, this.#where, this.#exact), place);
    } finally {
      this.#merges -= 1;
    }
  }

  #flat(words: Schema, place: Place): Schema {
    const { anyOf, ...rest } = words;
    if (anyOf !== undefined) {
      const beside = Object.fromEntries(assertions(rest).map((word) => [word, rest[word]]));
      const branches = (anyOf as unknown[]).map((branch) => (Object.keys(beside).length === 0 ? branch : { allOf: [branch, beside] }));
      return this.#anyOf(
        branches.map((branch, i) => () => this.#schema(branch, [...place, "anyOf", i])),
        rest,
        place,
      );
    }
    if (rest.enum !== undefined) return this.#enum(rest, place);
    const types = this.#types(rest, place);
    if (types === undefined) return annotationsOf(rest);
    return this.#anyOf(
      types.map((type) => () => this.#ofType(type, rest, place)),
      rest,
      place,
    );
  }

  /** Branches that take no value are left out. */
  #anyOf(branches: readonly (() => Schema)[], words: Schema, place: Place): Schema {
    const left: Schema[] = [];
    let nothing: Nothing | undefined;
    for (const branch of branches) {
      try {
        left.push(branch());
      } catch (error) {
        if (!(error instanceof Nothing)) throw error;
        nothing ??= error;
      }
    }
    if (left.length === 0) throw nothing ?? new Nothing(place, "it has no branch");
    return left.length === 1 ? { ...annotationsOf(words), ...left[0] } : { ...annotationsOf(words), anyOf: left };
  }

  /** undefined: all. Without a type, the words that are there say which is meant. */
  #types(words: Schema, place: Place): readonly Type[] | undefined {
    if (words.type !== undefined) {
      const types = [...new Set(typesOf(words.type))];
      const stranger = types.find((type) => !TYPES.includes(type));
      if (stranger !== undefined || types.length === 0) {
        throw this.#refused([...place, "type"], `it must be of ${TYPES.join(", ")}; given ${quote(stranger ?? [])}`);
      }
      return types;
    }
    const meant = (Object.keys(WORDS_OF) as (keyof typeof WORDS_OF)[]).filter((type) =>
      WORDS_OF[type].some((word) => words[word] !== undefined),
    );
    if (typeof words.format === "string" && FORMATS.has(words.format) && !meant.includes("string")) meant.push("string");
    return meant.length === 0 ? undefined : meant;
  }

  #enum(words: Schema, place: Place): Schema {
    const types = words.type === undefined ? undefined : typesOf(words.type);
    const others = assertions(words).filter(
      (word) => word !== "enum" && word !== "type" && !(word === "format" && !FORMATS.has(words.format as string)),
    );
    if (others.length > 0 && this.#exact)
      throw this.#refused([...place, others[0]!], `${others[0]!} beside enum or const cannot be enforced; list the values that fit`);
    const seen = new Set<string>();
    const values = (words.enum as unknown[]).filter((value) => {
      const text = canonical(value);
      return !seen.has(text) && seen.add(text) && (types === undefined || types.some((type) => isOfType(value, type)));
    });
    if (values.length === 0) throw new Nothing(place, "no value of its enum has its type");
    if (values.length > MOST_VALUES) {
      throw this.#refused(
        [...place, "enum"],
        `${values.length} values are more than the ${MOST_VALUES} that can be enforced; list fewer, or take a pattern`,
      );
    }
    return { ...annotationsOf(words), ...(types?.length === 1 ? { type: types[0] } : {}), enum: values };
  }

  #ofType(type: Type, words: Schema, place: Place): Schema {
    const annotations = typesOf(words.type).length > 1 ? {} : annotationsOf(words);
    switch (type) {
      case "integer":
        return { ...annotations, ...this.#integer(words, place) };
      case "number":
        return { ...annotations, ...this.#numberSchema(words, place) };
      case "string":
        return { ...annotations, ...this.#string(words, place) };
      case "array":
        return { ...annotations, ...this.#array(words, place) };
      case "object":
        return { ...annotations, ...this.#object(words, place) };
      default:
        return { ...annotations, type };
    }
  }

  // ---- numbers ----

  #integer(words: Schema, place: Place): Schema {
    this.#checkMultiple(words, place);
    const { least, most, isBounded } = integerBounds(words);
    if (least > most) throw new Nothing(place, `there is no whole number of up to 15 digits from ${least} to ${most}`);
    return isBounded ? { type: "integer", minimum: least, maximum: most } : { type: "integer" };
  }

  #numberSchema(words: Schema, place: Place): Schema {
    if (words.multipleOf !== undefined && Number.isInteger(words.multipleOf)) return this.#integer(words, place);
    this.#checkMultiple(words, place);
    const bound = WORDS_OF.number.find((word) => words[word] !== undefined && word !== "multipleOf");
    if (bound !== undefined && this.#exact) {
      throw this.#refused(
        [...place, bound],
        `${bound} can be enforced for type "integer" only; leave it out, or list the values in an enum`,
      );
    }
    return { type: "number" };
  }

  #checkMultiple(words: Schema, place: Place): void {
    if (words.multipleOf === undefined || words.multipleOf === 1 || !this.#exact) return;
    throw this.#refused([...place, "multipleOf"], "multipleOf cannot be enforced while a reply is generated; leave it out");
  }

  // ---- strings ----

  #string(words: Schema, place: Place): Schema {
    const {
      pattern,
      minLength = 0,
      maxLength = Number.POSITIVE_INFINITY,
    } = words as { pattern?: string; minLength?: number; maxLength?: number };
    if (minLength > maxLength) throw new Nothing(place, `no string has from ${minLength} to ${maxLength} characters`);
    const format = this.#format(words, place);
    try {
      if (format !== undefined) return { type: "string", pattern: formatPattern(words.format as string, minLength, maxLength) };
      if (pattern !== undefined) return { type: "string", pattern: enforceablePattern(pattern, minLength, maxLength) };
      if (minLength === 0 && maxLength === Number.POSITIVE_INFINITY) return { type: "string" };
      return { type: "string", pattern: lengthPattern(minLength, maxLength) };
    } catch (error) {
      if (!(error instanceof PatternRefusal)) throw error;
      if (!this.#exact) return { type: "string" };
      const { word, message } = error;
      if (format === undefined && pattern === undefined) throw this.#refused([...place, "minLength"], `it cannot be enforced: ${message}`);
      const shape = format !== undefined && pattern === undefined ? "format" : "pattern";
      const beside = word === undefined ? "" : ` beside ${shape === "format" ? `format ${quote(words.format)}` : shape}`;
      throw this.#refused([...place, word ?? shape], `it cannot be enforced${beside}: ${message}`);
    }
  }

  /** The pattern that stands for the format, and for a pattern beside it that says the same. */
  #format({ format, pattern }: Schema, place: Place): string | undefined {
    if (typeof format !== "string" || NO_FORMATS.has(format)) return undefined;
    const known = FORMATS.get(format);
    if (known !== undefined && (pattern === undefined || isSaidTwice(format, pattern as string))) return known;
    if (!this.#exact) return undefined;
    if (known !== undefined)
      throw this.#refused([...place, "format"], "format and pattern cannot be enforced at once; leave one of them out");
    if (pattern !== undefined) return undefined; // it is told by its pattern, whatever it is called
    throw this.#refused([...place, "format"], `format ${quote(format)} is not known; there are: ${[...FORMATS.keys()].join(", ")}`);
  }

  // ---- arrays ----

  #array(words: Schema, place: Place): Schema {
    const { minItems = 0 } = words as { minItems?: number };
    const maxItems = (words.maxItems as number | undefined) ?? Number.POSITIVE_INFINITY;
    if (minItems > maxItems) throw new Nothing(place, `no array has from ${minItems} to ${maxItems} items`);
    if (minItems > MOST_REPEATS) throw this.#refused([...place, "minItems"], `it may be ${MOST_REPEATS} at most`);
    const closed = words.unevaluatedItems === false && words.items === undefined;
    const items = words.items ?? !closed;
    if (this.#exact && isObject(words.unevaluatedItems))
      throw this.#refused([...place, "unevaluatedItems"], "it cannot be enforced; leave it out");
    if (words.prefixItems !== undefined) return this.#tuple(words.prefixItems as unknown[], items, minItems, maxItems, place);
    const item = items === false ? undefined : this.#orNothing(() => this.#schema(items, [...place, "items"]));
    if (item === undefined) {
      if (minItems > 0) throw new Nothing(place, "its items take no value");
      return { type: "array", items: {}, maxItems: 0 };
    }
    const least = minItems === 0 ? {} : { minItems };
    const most = maxItems === Number.POSITIVE_INFINITY ? {} : { maxItems: Math.min(maxItems, MOST_REPEATS) };
    return { type: "array", items: item, ...least, ...most };
  }

  /** Of exactly so many items: the shortest that is allowed would do, the declared ones are meant. */
  #tuple(declared: readonly unknown[], items: unknown, minItems: number, maxItems: number, place: Place): Schema {
    const length = Math.min(Math.max(declared.length, minItems), maxItems);
    if (length > declared.length && items === false) throw new Nothing(place, `it has ${declared.length} items at most`);
    const all = Array.from({ length }, (_, i) =>
      i < declared.length ? this.#schema(declared[i], [...place, "prefixItems", i]) : this.#schema(items, [...place, "items"]),
    );
    return all.length === 0 ? { type: "array", items: {}, maxItems: 0 } : { type: "array", prefixItems: all };
  }

  // ---- objects ----

  #object(words: Schema, place: Place): Schema {
    const declared = (words.properties ?? {}) as Schema;
    const required = [...new Set((words.required ?? []) as string[])];
    const rest = this.#additional(words, place);
    const names = [...new Set([...Object.keys(declared), ...required])];
    if (names.length === 0) return this.#map(rest, words, place);
    if (this.#exact && isObject(rest) && assertions(rest).length > 0) {
      throw this.#refused(
        [...place, "additionalProperties"],
        "a schema for others cannot be enforced beside declared properties; true or false can",
      );
    }
    const properties: Schema = Object.create(null) as Schema;
    for (const name of names) {
      if (name === "__proto__") {
        if (this.#exact) throw this.#refused([...place, "properties", name], "readers of JSON do not agree on a property of this name");
        continue;
      }
      const [own, at] = Object.hasOwn(declared, name) ? [declared[name], "properties"] : [rest, "required"];
      const schema = this.#orNothing(() => this.#schema(own, [...place, at, name]), required.includes(name));
      if (schema !== undefined) properties[name] = schema;
    }
    this.#checkCount(words, required.length, Object.keys(properties).length, place);
    return { type: "object", properties, required: required.filter((name) => name in properties), additionalProperties: false };
  }

  #additional(words: Schema, place: Place): unknown {
    const { additionalProperties = true, unevaluatedProperties = true } = words;
    if (unevaluatedProperties === false) return false;
    if (unevaluatedProperties !== true && this.#exact)
      throw this.#refused([...place, "unevaluatedProperties"], "it cannot be enforced; leave it out");
    return additionalProperties;
  }

  /** An object whose names are free. */
  #map(rest: unknown, words: Schema, place: Place): Schema {
    const value = rest === false ? undefined : this.#orNothing(() => this.#schema(rest, [...place, "additionalProperties"]));
    this.#checkCount(words, 0, value === undefined ? 0 : Number.POSITIVE_INFINITY, place);
    if (value === undefined) return { type: "object", properties: {}, additionalProperties: false };
    return assertions(value).length === 0 ? { type: "object" } : { type: "object", additionalProperties: value };
  }

  #checkCount({ minProperties = 0, maxProperties = Number.POSITIVE_INFINITY }: Schema, least: number, most: number, place: Place): void {
    if (!this.#exact) return;
    for (const [word, holds] of [
      ["minProperties", (minProperties as number) <= least],
      ["maxProperties", (maxProperties as number) >= most],
    ] as const) {
      if (!holds)
        throw this.#refused([...place, word], `${word} cannot be enforced while a reply is generated; use required, or leave it out`);
    }
  }

  /** undefined where no value fits, unless there must be one. */
  #orNothing(make: () => Schema, needed = false): Schema | undefined {
    try {
      return make();
    } catch (error) {
      if (needed || !(error instanceof Nothing)) throw error;
      return undefined;
    }
  }

  // ---- oneOf ----

  /** Grammars take oneOf for anyOf, which is the same where no value fits two branches. */
  #checkDisjoint(branches: readonly unknown[], place: Place): void {
    const flat = branches.map((branch, i) => (branch === false ? { enum: [] } : this.#merged(branch, [...place, i])));
    for (let i = 0; i < flat.length; i++) {
      for (let j = 0; j < i; j++) {
        if (!this.#areDisjoint(flat[i]!, flat[j]!, 0))
          throw this.#refused(
            [...place, i],
            `a value may fit this branch and branch ${j}; use anyOf, or tell them apart by a property with const`,
          );
      }
    }
  }

  #areDisjoint(a: Schema, b: Schema, depth: number): boolean {
    if (a.anyOf !== undefined || b.anyOf !== undefined || depth > 4) return false;
    if (a.enum !== undefined && b.enum !== undefined) {
      const known = new Set((a.enum as unknown[]).map(canonical));
      return !(b.enum as unknown[]).some((value) => known.has(canonical(value)));
    }
    const [first, second] = [this.#possibleTypes(a), this.#possibleTypes(b)];
    if (
      first !== undefined &&
      second !== undefined &&
      !first.some((type) => second.some((other) => type === other || isNumeric(type, other)))
    )
      return true;
    if (!isOnlyObject(first) || !isOnlyObject(second)) return false;
    const needed = ((a.required ?? []) as string[]).filter((name) => ((b.required ?? []) as string[]).includes(name));
    return needed.some((name) => {
      const [one, other] = [a, b].map((schema) => (schema.properties as Schema | undefined)?.[name]);
      if (!isObject(one) || !isObject(other)) return false;
      return this.#areDisjoint(this.#merged(one, []), this.#merged(other, []), depth + 1);
    });
  }

  #possibleTypes(schema: Schema): readonly Type[] | undefined {
    if (schema.type !== undefined) return typesOf(schema.type);
    if (schema.enum === undefined) return undefined;
    return (schema.enum as unknown[]).map((value) => TYPES.find((type) => isOfType(value, type))!);
  }

  // ---- references ----

  #target(ref: string, place: Place): unknown {
    if (ref !== "#" && !ref.startsWith("#/"))
      throw this.#refused([...place, "$ref"], `it must lead into this document (#/$defs/…); given ${quote(ref)}`);
    let target: unknown = this.#root;
    for (const part of ref.split("/").slice(1)) {
      const name = decode(part);
      const isThere = typeof target === "object" && target !== null && Object.hasOwn(target, name);
      if (!isThere) throw this.#refused([...place, "$ref"], `there is nothing at ${quote(ref)}`);
      target = (target as Schema)[name];
    }
    return target;
  }

  /** The name of a definition, which is made at the first use of it. */
  #refer(ref: string, place: Place): string {
    const never = this.#never.get(ref);
    if (never !== undefined) throw never;
    const known = this.#names.get(ref);
    if (known !== undefined) return `#/$defs/${known}`;
    const target = this.#target(ref, place);
    const name = this.#newName(ref.slice(ref.lastIndexOf("/") + 1));
    this.#names.set(ref, name);
    this.#defs.set(name, {});
    try {
      this.#defs.set(name, this.#schema(target, ref.split("/").slice(1).map(decode)));
    } catch (error) {
      if (error instanceof Nothing) this.#never.set(ref, error);
      throw error;
    }
    return `#/$defs/${name}`;
  }

  /** llama.cpp makes names of rules from these, for all tools in one grammar: no other rule's name must come to the same. */
  #newName(said: string): string {
    const plain = said.replace(/[^A-Za-z0-9]/g, "").slice(0, 32);
    return `${plain === "" ? "Root" : plain}-${this.#number}-${this.#names.size}z`;
  }

  /** Whether a property's rule would take the place of one of llama.cpp's own. */
  #hasItsNames(root: Schema): boolean {
    return [root, ...((root.anyOf ?? []) as Schema[])]
      .flatMap((schema) => Object.keys((schema.properties ?? {}) as Schema))
      .some(
        (name) =>
          name === "" ||
          /^ref(?![A-Za-z0-9])/.test(name) ||
          (/[^A-Za-z0-9-]/.test(name) && ITS_RULES.test(name.replace(/[^A-Za-z0-9-]+/g, "-"))),
      );
  }

  #asDefinition(root: Schema): Schema {
    const name = this.#newName("");
    this.#defs.set(name, root);
    return { ...annotationsOf(root), $ref: `#/$defs/${name}` };
  }

  // ---- what ends ----

  /** A definition must not be itself before anything is said, and must have an end. */
  #checkEnds(root: Schema): void {
    const placeOf = new Map([...this.#names].map(([ref, name]) => [name, ref.split("/").slice(1).map(decode)]));
    for (const name of this.#defs.keys()) {
      const met = new Set<string>();
      const open = [...refsAtOnce(this.#defs.get(name)!)];
      for (let next = open.pop(); next !== undefined; next = open.pop()) {
        if (next === name) throw this.#refused(placeOf.get(name) ?? [], "it is nothing but itself");
        if (met.has(next)) continue;
        met.add(next);
        open.push(...refsAtOnce(this.#defs.get(next)!));
      }
    }
    const ending = new Set<string>();
    for (let before = -1; before !== ending.size; ) {
      before = ending.size;
      for (const [name, schema] of this.#defs) if (ends(schema, ending)) ending.add(name);
    }
    if (!ends(root, ending)) throw new Nothing([], "every value of it would hold another one without end");
  }

  #refused(place: Place, why: string) {
    return refused(this.#where, place, why);
  }
}

const NAME = /^#\/\$defs\//;

function refsAtOnce({ $ref, anyOf }: Schema): string[] {
  if ($ref !== undefined) return [($ref as string).replace(NAME, "")];
  return ((anyOf ?? []) as Schema[]).flatMap(refsAtOnce);
}

/** Whether a value can end, where those definitions can. */
function ends(schema: Schema, ending: ReadonlySet<string>): boolean {
  if (schema.$ref !== undefined) return ending.has((schema.$ref as string).replace(NAME, ""));
  if (schema.anyOf !== undefined) return (schema.anyOf as Schema[]).some((one) => ends(one, ending));
  if (schema.prefixItems !== undefined) return (schema.prefixItems as Schema[]).every((one) => ends(one, ending));
  if (schema.minItems !== undefined) return ends(schema.items as Schema, ending);
  const properties = (schema.properties ?? {}) as Record<string, Schema>;
  return ((schema.required ?? []) as string[]).every((name) => ends(properties[name]!, ending));
}

function annotationsOf(words: Schema): Schema {
  return Object.fromEntries(ANNOTATIONS.filter((word) => words[word] !== undefined).map((word) => [word, words[word]]));
}

/** Words that decide what is valid. */
const ASSERTIONS: ReadonlySet<string> = new Set([
  ...Object.values(WORDS_OF).flat(),
  ...["type", "enum", "const", "format", "$ref", "allOf", "anyOf", "oneOf"],
]);

function assertions(words: Schema): string[] {
  return Object.keys(words).filter((word) => !isAnnotation(word) && ASSERTIONS.has(word) && words[word] !== undefined);
}

function isOfType(value: unknown, type: Type): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "array") return Array.isArray(value);
  if (type === "null") return value === null;
  if (type === "object") return isObject(value);
  return typeof value === type;
}

function isNumeric(a: Type, b: Type): boolean {
  return (a === "number" && b === "integer") || (a === "integer" && b === "number");
}

function isOnlyObject(types: readonly Type[] | undefined): boolean {
  return types?.length === 1 && types[0] === "object";
}

function integerBounds(words: Schema): { least: number; most: number; isBounded: boolean } {
  const bounds = words as Record<string, number | undefined>;
  let least = -LARGEST_INTEGER;
  let most = LARGEST_INTEGER;
  if (bounds.minimum !== undefined) least = Math.max(least, Math.ceil(bounds.minimum));
  if (bounds.exclusiveMinimum !== undefined) least = Math.max(least, Math.floor(bounds.exclusiveMinimum) + 1);
  if (bounds.maximum !== undefined) most = Math.min(most, Math.floor(bounds.maximum));
  if (bounds.exclusiveMaximum !== undefined) most = Math.min(most, Math.ceil(bounds.exclusiveMaximum) - 1);
  const ranges: Record<string, readonly [number, number]> = {
    int32: [-(2 ** 31), 2 ** 31 - 1],
    uint32: [0, 2 ** 32 - 1],
    int8: [-128, 127],
    uint8: [0, 255],
  };
  const range = typeof words.format === "string" && Object.hasOwn(ranges, words.format) ? ranges[words.format] : undefined;
  if (range !== undefined) {
    least = Math.max(least, range[0]);
    most = Math.min(most, range[1]);
  }
  const isBounded =
    range !== undefined || ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].some((word) => words[word] !== undefined);
  return { least: least + 0, most: most + 0, isBounded };
}

/** RFC 6901, in a URI's fragment. */
/** Of the strings of the format that can be generated, those of that length. Throws PatternRefusal. */
function formatPattern(format: string, minLength: number, maxLength: number): string {
  const short = SHORT_FORMATS.get(format);
  try {
    return enforceablePattern(FORMATS.get(format)!, minLength, maxLength);
  } catch (error) {
    if (short === undefined || !(error instanceof PatternRefusal) || error.word !== "maxLength") throw error;
    return enforceablePattern(short, minLength, maxLength);
  }
}

function decode(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // as it stands
  }
  return text.replaceAll("~1", "/").replaceAll("~0", "~");
}
