// Random JSON Schemas, from a seed alone: as people write them, and some that nobody should.

import { FORMATS } from "../lib/schema/formats.js";

export type Schema = Record<string, unknown>;

/** A generator of numbers, from its seed alone. */
export function randomOf(start: number) {
  let state = start >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    below: (n: number) => Math.floor(next() * n),
    chance: (p: number) => next() < p,
    of: <Value>(list: readonly Value[]): Value => list[Math.floor(next() * list.length)]!,
    seed: () => Math.floor(next() * 2 ** 31),
  };
}
export type Random = ReturnType<typeof randomOf>;

const NAMES = ["a", "b", "c", "id", "integral_part", "date_time", "ref", "$defs", "Name mit Leer", "x/y~z"];
export const PATTERNS = [
  "^[a-z]+$",
  "b",
  "^a|c$",
  "^\\d{3}-\\w$",
  "^(ab|cd){2,3}.?$",
  '^".*"$',
  "^\\\\x$",
  "[^a-z]$",
  "^$|^x$",
  "\\s",
  '^é+?[^"]$',
];

/** Schemas as people write them, and some that nobody should. */
function randomSchema(random: Random, depth: number, defs: readonly string[]): unknown {
  const inner = () => randomSchema(random, depth - 1, defs);
  const object = (): Schema => {
    const names = NAMES.filter(() => random.chance(0.3));
    return {
      type: "object",
      properties: Object.fromEntries(names.map((name) => [name, inner()])),
      ...(random.chance(0.7) ? { required: names.filter(() => random.chance(0.5)) } : {}),
      ...(random.chance(0.5) ? { additionalProperties: random.chance(0.2) } : {}),
    };
  };
  const leaf: (() => unknown)[] = [
    () => ({ type: "string", description: "d" }),
    () => ({ type: "string", minLength: random.below(3), maxLength: 2 + random.below(5) }),
    () => ({ type: "string", pattern: random.of(PATTERNS) }),
    () => ({ type: "string", pattern: "^[a-f]*$", minLength: 2, maxLength: 4 }),
    () => ({ type: "string", format: random.of([...FORMATS.keys()]) }),
    () => ({ type: "integer", minimum: random.below(20) - 10 }),
    () => ({ type: "integer", exclusiveMinimum: -7.5, exclusiveMaximum: random.below(9) }),
    () => ({ type: "integer", maximum: -random.below(1000) }),
    () => ({
      type: random.of(["integer", "number"]),
      multipleOf: random.of([2, 0.5, 0.1, 7]),
      minimum: -random.below(9),
      maximum: random.below(30),
    }),
    () => ({ type: "number" }),
    () => ({ type: "boolean" }),
    () => ({
      type: random.of([
        ["string", "null"],
        ["integer", "boolean"],
        ["number", "integer"],
      ]),
    }),
    () => ({ enum: ["a", 1, null, true, { x: [1] }, [], "a"], ...(random.chance(0.3) ? { type: "string" } : {}) }),
    () => ({ const: random.of(["x", 5, null, { a: { b: 1 } }]) }),
    () => true,
    () => ({}),
    () => ({ type: "number", minimum: 0 }),
    () => ({ type: "array", uniqueItems: true }),
    () => ({ minLength: 2 }),
    () => ({ type: "string", nullable: true, format: "uuid" }),
  ];
  const nest: (() => unknown)[] = [
    object,
    object,
    () => ({ type: "array", items: inner(), ...(random.chance(0.5) ? { minItems: random.below(3), maxItems: 2 + random.below(3) } : {}) }),
    () => ({ type: "array", prefixItems: [inner(), inner()], ...(random.chance(0.5) ? { items: false } : {}), minItems: random.below(4) }),
    () => ({ type: "object", additionalProperties: inner() }),
    () => ({ type: "object", required: ["q"], ...(random.chance(0.5) ? { additionalProperties: inner() } : {}) }),
    () => ({ anyOf: [inner(), inner()] }),
    () => ({ anyOf: [inner(), object()], required: ["a"] }),
    () => ({ allOf: [object(), object()] }),
    () => ({ allOf: [{ type: "integer", minimum: 3 }, { maximum: 9 }, { enum: [1, 4, 8, 12] }] }),
    () => ({
      oneOf: [
        { type: "object", properties: { k: { const: 1 }, v: inner() }, required: ["k"] },
        { type: "object", properties: { k: { const: 2 } }, required: ["k"] },
      ],
    }),
    () => ({ oneOf: [{ type: "string" }, { type: "integer" }, { type: "array", items: inner() }] }),
    () => ({ $ref: `#/$defs/${random.of(defs)}` }),
    () => ({ $ref: `#/$defs/${random.of(defs)}`, description: "d", ...(random.chance(0.3) ? { type: "object" } : {}) }),
  ];
  return depth <= 0 || random.chance(0.35) ? random.of(leaf)() : random.of(nest)();
}

/** A whole schema, with definitions that it may refer to. */
export function randomRoot(random: Random): Schema | boolean {
  const names = ["d/1", "D-1", "D_1"];
  const root = randomSchema(
    random,
    3,
    names.map((name) => name.replaceAll("/", "~1")),
  );
  if (typeof root === "boolean") return root;
  return { ...(root as Schema), $defs: Object.fromEntries(names.map((name) => [name, randomSchema(random, 2, ["D-1"])])) };
}
