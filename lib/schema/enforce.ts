// Owns the rewriting of a JSON Schema (2020-12) to one that llama.cpp's json-schema-to-grammar enforces exactly, so that what it lets through
// is valid by construction. Pure; any thread. What was given is plain data of bounded depth (lib/options/foreign.ts).
//
// What that converter would ignore in silence is written anew where it means the same, or refused by its place. The result may be narrower than
// what was given (objects have their declared properties only, lengths end at 2,000), never wider. For the parameters of tools, which others than
// a grammar check as well, `exact` is false: what cannot be enforced is left out there.

import { quote } from "../base/quote.js";
import { arraySchema } from "./arrays.js";
import { canonical, conjunction, typesOf } from "./conjunction.js";
import { Definitions } from "./definitions.js";
import { areDisjoint } from "./disjoint.js";
import { FORMATS } from "./formats.js";
import { annotationsOf, assertions, checkedWords, isOfType, type Schema, TYPES, type Type, WORDS_OF } from "./keywords.js";
import { integerSchema, numberSchema } from "./numbers.js";
import { objectSchema } from "./objects.js";
import { Nothing, type Place, refused } from "./refusal.js";
import type { Rewriting } from "./rewriting.js";
import { stringSchema } from "./strings.js";

/** A grammar goes through all values for each token. */
const MOST_VALUES = 1000;

/** Schemas that one schema may come to: $refs that are merged multiply. */
const MOST_SCHEMAS = 20_000;
/** Names and indexes on the way to a place: data may nest 100 levels deep (lib/options/foreign.ts). */
const MOST_PARTS = 200;
/** $refs that are merged into one another. */
const MOST_MERGES = 64;

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

class Rewriter implements Rewriting {
  readonly #root: unknown;
  readonly #where: string;
  readonly exact: boolean;
  readonly #definitions: Definitions;
  #schemas = 0;
  #merges = 0;

  constructor(root: unknown, { where, exact, number = 0 }: EnforceOptions) {
    this.#root = root;
    this.#where = where;
    this.exact = exact;
    this.#definitions = new Definitions(root, where, number);
  }

  result(): Schema {
    try {
      return this.#definitions.whole(this.#consistent());
    } catch (error) {
      if (error instanceof Nothing) throw this.refused(error.place, `no value can fit it: ${error.message}`);
      throw error;
    }
  }

  /** Others may have referred to a definition before it was known to take no value: then all is made anew, without it. */
  #consistent(): Schema {
    while (true) {
      const { never } = this.#definitions;
      this.#definitions.clear();
      try {
        const root = this.schema(this.#root, []);
        if (this.#definitions.never === never) return root;
      } catch (error) {
        if (!(error instanceof Nothing) || this.#definitions.never === never) throw error;
      }
    }
  }

  // ---- one schema ----

  /** @throws Nothing where no value fits */
  schema(given: unknown, place: Place): Schema {
    if (++this.#schemas > MOST_SCHEMAS) throw this.refused([], `it comes to more than ${MOST_SCHEMAS} schemas`);
    if (place.length > MOST_PARTS)
      throw this.refused(place, "it nests without end, or too deep, once its $refs are merged with what stands beside them");
    if (given === false) throw new Nothing(place, "false takes no value");
    const words = checkedWords(given, place, this.#where, this.exact);
    if (words.$ref !== undefined && assertions(words).length === 1)
      return { ...annotationsOf(words), $ref: this.#definitions.refer(words.$ref as string, place, (given, at) => this.schema(given, at)) };
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
      if (this.exact) this.#checkDisjoint(oneOf as unknown[], [...place, "oneOf"]);
      and({ anyOf: oneOf });
    }
    if ($ref !== undefined) and(this.#merged(this.#definitions.target($ref as string, place), place));
    for (const [i, one] of ((allOf ?? []) as unknown[]).entries()) and(this.#merged(one, [...place, "allOf", i]));
    return flat;
  }

  #merged(given: unknown, place: Place): Schema {
    if (given === false) throw new Nothing(place, "false takes no value");
    if (++this.#schemas > MOST_SCHEMAS) throw this.refused([], `it comes to more than ${MOST_SCHEMAS} schemas`);
    if (++this.#merges > MOST_MERGES) throw this.refused(place, "it refers to itself in what must hold at once, or is nested too deep");
    try {
      return this.#flatten(checkedWords(given, place, this.#where, this.exact), place);
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
        branches.map((branch, i) => () => this.schema(branch, [...place, "anyOf", i])),
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
        throw this.refused([...place, "type"], `it must be of ${TYPES.join(", ")}; given ${quote(stranger ?? [])}`);
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
    if (others.length > 0 && this.exact)
      throw this.refused([...place, others[0]!], `${others[0]!} beside enum or const cannot be enforced; list the values that fit`);
    const seen = new Set<string>();
    const values = (words.enum as unknown[]).filter((value) => {
      const text = canonical(value);
      return !seen.has(text) && seen.add(text) && (types === undefined || types.some((type) => isOfType(value, type)));
    });
    if (values.length === 0) throw new Nothing(place, "no value of its enum has its type");
    if (values.length > MOST_VALUES) {
      throw this.refused(
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
        return { ...annotations, ...integerSchema(words, place, this) };
      case "number":
        return { ...annotations, ...numberSchema(words, place, this) };
      case "string":
        return { ...annotations, ...stringSchema(words, place, this) };
      case "array":
        return { ...annotations, ...arraySchema(words, place, this) };
      case "object":
        return { ...annotations, ...objectSchema(words, place, this) };
      default:
        return { ...annotations, type };
    }
  }

  // ---- oneOf ----

  /** Grammars take oneOf for anyOf, which is the same where no value fits two branches. */
  #checkDisjoint(branches: readonly unknown[], place: Place): void {
    const flat = branches.map((branch, i) => (branch === false ? { enum: [] } : this.#merged(branch, [...place, i])));
    for (let i = 0; i < flat.length; i++) {
      for (let j = 0; j < i; j++) {
        if (!areDisjoint(flat[i]!, flat[j]!, (one) => this.#merged(one, [])))
          throw this.refused(
            [...place, i],
            `a value may fit this branch and branch ${j}; use anyOf, or tell them apart by a property with const`,
          );
      }
    }
  }

  refused(place: Place, why: string): Error {
    return refused(this.#where, place, why);
  }
}
