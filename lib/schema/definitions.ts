// Owns what a schema's $refs lead to: each is a definition of its own, made once. Pure; any thread.

import { quote } from "../base/quote.js";
import { annotationsOf, type Schema } from "./keywords.js";
import { Nothing, type Place, refused } from "./refusal.js";

/** Names that llama.cpp's converter has for rules of its own. */
const ITS_RULES =
  /^(root|boolean|decimal-part|integral-part|number|integer|value|object|array|uuid|char|string|null|date|time|date-time|(date|time|date-time)-string)$/;

export class Definitions {
  readonly #root: unknown;
  readonly #where: string;
  readonly #number: number;
  /** JSON pointers of what is referred to → their names in $defs. */
  readonly #names = new Map<string, string>();
  readonly #defs = new Map<string, Schema>();
  /** What is referred to and takes no value. */
  readonly #never = new Map<string, Nothing>();

  /** @param number tells the schemas of one request apart: their definitions share one grammar */
  constructor(root: unknown, where: string, number: number) {
    this.#root = root;
    this.#where = where;
    this.#number = number;
  }

  /** How many are known to take no value. */
  get never(): number {
    return this.#never.size;
  }

  /** Forgets those that were made, and not which of them take no value. */
  clear(): void {
    this.#names.clear();
    this.#defs.clear();
  }

  /** What a $ref leads to. */
  target(ref: string, place: Place): unknown {
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

  /** The $ref of a definition, which is made at the first use of it. Throws Nothing where no value fits it. */
  refer(ref: string, place: Place, make: (given: unknown, place: Place) => Schema): string {
    const never = this.#never.get(ref);
    if (never !== undefined) throw never;
    const known = this.#names.get(ref);
    if (known !== undefined) return `#/$defs/${known}`;
    const target = this.target(ref, place);
    const name = this.#newName(ref.slice(ref.lastIndexOf("/") + 1));
    this.#names.set(ref, name);
    this.#defs.set(name, {});
    try {
      this.#defs.set(name, make(target, ref.split("/").slice(1).map(decode)));
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

  /** The root with all definitions that it refers to. Throws Nothing where no value of it ends. */
  whole(root: Schema): Schema {
    this.#checkEnds(root);
    const whole = this.#hasItsNames(root) ? this.#asDefinition(root) : root;
    return this.#defs.size === 0 ? whole : { ...whole, $defs: Object.fromEntries(this.#defs) };
  }

  #asDefinition(root: Schema): Schema {
    const name = this.#newName("");
    this.#defs.set(name, root);
    return { ...annotationsOf(root), $ref: `#/$defs/${name}` };
  }

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

/** RFC 6901, in a URI's fragment. */
function decode(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // as it stands
  }
  return text.replaceAll("~1", "/").replaceAll("~0", "~");
}
