// What is let through by the check of schemas is valid by construction: here by values drawn as llama.cpp's converter would write them,
// which ajv must find valid against the schema as it was given. The engine's own grammars are tried in test/addon.

import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { ZSEError } from "../../lib/errors.js";
import { enforceable } from "../../lib/schema/enforce.js";
import { FORMATS, SHORT_FORMATS } from "../../lib/schema/formats.js";
import { enforceablePattern } from "../../lib/schema/pattern.js";
import { PATTERNS, type Random, randomOf, randomRoot, type Schema } from "../random-schemas.js";

const seed = Number(process.env.ZSE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const ajv = new Ajv2020({ strict: false, addUsedSchema: false });
formats.default(ajv);
const exact = (schema: unknown) => enforceable(schema, { where: "responseFormat.schema", exact: true });
const refusal = (schema: unknown): string => {
  try {
    exact(schema);
  } catch (error) {
    expect((error as ZSEError).code).toBe("BAD_OPTION");
    return (error as Error).message;
  }
  throw new Error(`nothing was refused in ${JSON.stringify(schema)}`);
};

/** JSON text that llama.cpp's grammar of the rewritten schema would let through; "" beyond the depth. */
function write(schema: Schema, root: Schema, random: Random, depth = 0): string {
  if (depth > 24) throw new Error("too deep");
  const inner = (one: unknown) => write(one as Schema, root, random, depth + 1);
  if (schema.$ref !== undefined) return inner((root.$defs as Schema)[(schema.$ref as string).slice("#/$defs/".length)]);
  if (schema.anyOf !== undefined) return inner(random.of(schema.anyOf as Schema[]));
  if (schema.enum !== undefined) return JSON.stringify(random.of(schema.enum as unknown[]));
  switch (schema.type) {
    case undefined:
      return random.of(["null", "true", "-0", "[]", "{}", '"\\ud83d"', "[1,{}]", '{"a":1,"a":"b"}']);
    case "null":
      return "null";
    case "boolean":
      return random.of(["true", "false"]);
    case "integer": {
      const { minimum: min = -(10 ** 15), maximum: max = 10 ** 15 } = schema as { minimum?: number; maximum?: number };
      return String(random.of([min, max, min + random.below(Math.min(max - min + 1, 1000))]));
    }
    case "number":
      if (schema.pattern !== undefined) return matching(schema.pattern as string, random);
      return random.of(["0", "-0", "1.5", "-12e3", "9999999999999999e99", "0.25E-7"]);
    case "string":
      return `"${schema.pattern === undefined ? random.of(["", "a", "\\n\\u0041", "ü", "\\\\", "\\ud83d\\ude00"]) : matching(schema.pattern as string, random)}"`;
    case "array": {
      if (schema.prefixItems !== undefined) return `[${(schema.prefixItems as Schema[]).map(inner).join(",")}]`;
      const { minItems = 0, maxItems = minItems + 3 } = schema as { minItems?: number; maxItems?: number };
      const length = depth > 6 ? minItems : minItems + random.below(Math.min(maxItems - minItems, 3) + 1);
      return `[${Array.from({ length }, () => inner(schema.items)).join(",")}]`;
    }
    case "object": {
      const properties = (schema.properties ?? {}) as Schema;
      const required = (schema.required ?? []) as string[];
      const names = [...Object.keys(properties)].filter((name) => required.includes(name) || (depth < 6 && random.chance(0.5)));
      const others = schema.properties === undefined && depth < 6 ? Array.from({ length: random.below(3) }, (_, i) => `other ${i}`) : [];
      const value = (name: string) => inner(properties[name] ?? schema.additionalProperties ?? {});
      return `{${[...names, ...others].map((name) => `${JSON.stringify(name)}:${value(name)}`).join(",")}}`;
    }
    default:
      throw new Error(`not a schema that the converter knows: ${JSON.stringify(schema)}`);
  }
}

/** A string of such a pattern, by a reading of it that knows no more than llama.cpp's converter does. */
function matching(pattern: string, random: Random): string {
  let at = 1;
  const body = pattern.slice(0, -1);
  const code = (): number => {
    const hex = /^\\(?:x(..)|u(....)|U(.{8}))/.exec(body.slice(at, at + 10));
    if (hex !== null) {
      at += hex[0].length;
      return Number.parseInt(hex[1] ?? hex[2] ?? hex[3]!, 16);
    }
    if (!/[A-Za-z0-9]/.test(body[at]!)) throw new Error(`no character of a class: ${body.slice(at, at + 10)}`);
    return body.charCodeAt(at++);
  };
  const klass = (): (() => string) => {
    const ranges: [number, number][] = [];
    for (at += 1; body[at] !== "]"; ) {
      const from = code();
      if (body[at] === "-") at += 1;
      ranges.push([from, body[at - 1] === "-" ? code() : from]);
    }
    at += 1;
    return () => {
      const [from, to] = random.of(ranges);
      return String.fromCodePoint(from + random.below(random.chance(0.5) ? to - from + 1 : Math.min(to - from + 1, 100)));
    };
  };
  const times = (): [number, number] => {
    const found = /^(?:[*+?]|\{(\d+)(,(\d+))?\})/.exec(body.slice(at));
    if (found === null) return [1, 1];
    at += found[0].length;
    const [all, least, , most] = found;
    if (least !== undefined) return [Number(least), Number(most ?? least)];
    return all === "*" ? [0, 4] : all === "+" ? [1, 4] : [0, 1];
  };
  const choice = (): (() => string) => {
    const options: (() => string)[][] = [[]];
    while (at < body.length && body[at] !== ")") {
      if (body[at] === "|") {
        at += 1;
        options.push([]);
        continue;
      }
      if (body[at] !== "[" && body[at] !== "(") throw new Error(`not written as it should be: ${body.slice(at)}`);
      let item: () => string;
      if (body[at] === "[") item = klass();
      else {
        at += 1;
        item = choice();
        if (body[at++] !== ")") throw new Error("a group is open");
      }
      const [least, most] = times();
      options.at(-1)!.push(() => Array.from({ length: least + random.below(Math.min(most - least, 6) + 1) }, item).join(""));
    }
    return () =>
      random
        .of(options)
        .map((one) => one())
        .join("");
  };
  return choice()();
}

/** undefined for what ajv follows without an end: a definition that is nothing but itself, used or not. */
function compiled(schema: Schema | boolean) {
  try {
    return ajv.compile(schema);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

test("random schemas: what passes the check can only give what ajv finds valid", () => {
  const random = randomOf(seed);
  let passed = 0;
  for (let i = 0; i < 400; i++) {
    const schema = randomRoot(random);
    let rewritten: Schema;
    try {
      rewritten = exact(schema);
    } catch (error) {
      expect((error as ZSEError).code, `seed ${seed}, schema ${i}: ${String(error)}`).toBe("BAD_OPTION");
      continue;
    }
    passed += 1;
    const validate = compiled(schema);
    if (validate === undefined) continue;
    for (let drawn = 0; drawn < 6; drawn++) {
      let text: string;
      try {
        text = write(rewritten, rewritten, random);
      } catch (error) {
        if ((error as Error).message === "too deep") continue;
        throw error;
      }
      const valid = validate(JSON.parse(text));
      expect(
        valid,
        `seed ${seed}, schema ${i}: ${JSON.stringify(schema)} → ${JSON.stringify(rewritten)} → ${text}: ${ajv.errorsText(validate.errors)}`,
      ).toBe(true);
    }
  }
  expect(passed, `seed ${seed}`).toBeGreaterThan(130);
}, 60_000);

describe("what would be ignored in silence is refused by its place", () => {
  test.each([
    [{ properties: { a: { items: { uniqueItems: true } } } }, "/properties/a/items/uniqueItems"],
    [{ type: "integer", multipleOf: 3 }, "/multipleOf"],
    [{ not: { type: "string" } }, "/not"],
    [{ if: {}, else: { type: "string" } }, "/if"],
    [{ type: "object", patternProperties: { "^a": {} } }, "/patternProperties"],
    [{ type: "object", minProperties: 1 }, "/minProperties"],
    [{ type: "object", dependentRequired: { a: ["b"] } }, "/dependentRequired"],
    [{ type: "object", dependentSchemas: { a: {} } }, ""],
    [{ type: "array", contains: {} }, "/contains"],
    [{ type: "object", unevaluatedProperties: { type: "string" } }, "/unevaluatedProperties"],
    [{ type: "object", propertyNames: { pattern: "^a" } }, "/propertyNames"],
    [{ type: "string", format: "klingon" }, "/format"],
    [{ type: "string", format: "regex" }, "/format"],
    [{ type: "object", properties: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`p${i}`, {}])) }, "/properties"],
    [{ type: "string", format: "date", pattern: "^2" }, "/format"],
    [{ $ref: "https://example.com/schema" }, "/$ref"],
    [{ $ref: "#/$defs/none" }, "/$ref"],
    [{ $dynamicRef: "#a" }, "/$dynamicRef"],
    [{ type: "string", pattern: "^(?=a)b$" }, "/pattern"],
    [{ type: "string", pattern: "(a)\\1" }, "/pattern"],
    [{ type: "string", pattern: "a^b" }, "/pattern"],
    [{ type: "string", pattern: "(" }, "/pattern"],
    [{ type: "string", pattern: "^(ab)+$", maxLength: 3 }, "/maxLength"],
    [{ type: "string", pattern: "^(ab)+$", minLength: 3 }, "/minLength"],
    [{ type: "string", format: "email", maxLength: 30 }, "/maxLength"],
    [{ type: "string", format: "date", minLength: 12 }, "/minLength"],
    [{ type: "string", format: "uuid", maxLength: 12 }, "/maxLength"],
    [{ type: "string", minLength: 3000 }, "/minLength"],
    [{ type: "number", multipleOf: 0.01 }, "/multipleOf"],
    [{ type: "number", multipleOf: 0.01, minimum: 0, maximum: 100 }, "/multipleOf"],
    [{ type: "number", multipleOf: 5, minimum: 0 }, "/multipleOf"],
    [{ type: "integer", multipleOf: 7, minimum: 0, maximum: 1e9 }, "/multipleOf"],
    [{ oneOf: [{ type: "string" }, { minLength: 3 }] }, "/oneOf/1"],
    [{ type: "strnig" }, "/type"],
    [{ type: "object", properties: { a: 5 } }, "/properties/a"],
    [{ minLength: -1 }, "/minLength"],
    [{ enum: [] }, "/enum"],
    [{ type: "object", properties: { a: {} }, additionalProperties: { type: "string" } }, "/additionalProperties"],
    [{ allOf: [{ pattern: "^a" }, { pattern: "b$" }] }, ""],
    [{ enum: ["a"], minLength: 3 }, "/minLength"],
    [JSON.parse('{"type":"object","properties":{"__proto__":{}}}'), "/properties/__proto__"],
  ])("%j at %s", (schema, place) => {
    const message = refusal(schema);
    expect(message).toContain(place === "" ? "responseFormat.schema cannot be used" : `responseFormat.schema cannot be used at ${place}: `);
  });

  test("bounds of a number are enforced by a pattern of its text", () => {
    const random = randomOf(seed);
    for (const schema of [z.number().min(0), z.number().gt(-1).lt(1), z.number().min(-273.15).max(99.5), z.number().max(-2.5)]) {
      const given = z.toJSONSchema(schema);
      const { pattern } = exact(given);
      for (let i = 0; i < 200; i++) {
        const text = matching(pattern as string, random);
        expect(ajv.validate(given, JSON.parse(text)), `seed ${seed}: ${text} by ${JSON.stringify(given)}`).toBe(true);
      }
    }
  });
  test("multiples between two bounds are listed, those alone that every reader finds to be some", () => {
    const values = (schema: object) => exact(schema).enum as number[];
    expect(values({ type: "integer", multipleOf: 5, minimum: -7, exclusiveMaximum: 10 })).toEqual([-5, 0, 5]);
    expect(values({ type: "integer", multipleOf: 100, format: "uint8" })).toEqual([0, 100, 200]);
    expect(values({ type: "number", multipleOf: 0.25, exclusiveMinimum: 0, maximum: 1 })).toEqual([0.25, 0.5, 0.75, 1]);
    expect(values({ type: "integer", multipleOf: 1.5, minimum: 0, maximum: 7 })).toEqual([0, 3, 6]);
    const given = z.toJSONSchema(z.number().min(0).max(1).multipleOf(0.01));
    const cents = values(given);
    expect(cents.length).toBeGreaterThan(90);
    expect(cents).toContain(0.99);
    expect(cents).not.toContain(0.57); // 0.57 / 0.01 is 56.99999999999999 to who divides doubles, as ajv does
    for (const value of cents) expect(ajv.validate(given, value), `${value}`).toBe(true);
    expect(
      enforceable({ type: "object", properties: { n: { type: "integer", multipleOf: 3 } } }, { where: "x", exact: false }).properties,
    ).toEqual({
      n: { type: "integer" },
    });
  });
  test("bounds of a number that no reply can reach are none", () => {
    for (const schema of [z.float64(), z.number().max(Number.MAX_VALUE)]) expect(exact(z.toJSONSchema(schema)).type).toBe("number");
  });
  test("a length beside a format or a pattern says which lengths there are", () => {
    const said = (schema: object) => refusal({ type: "string", ...schema });
    expect(said({ format: "date", maxLength: 5 })).toContain('at /maxLength: it cannot be enforced beside format "date"');
    expect(said({ format: "date", maxLength: 5 })).toContain("has 10 to 10 characters");
    expect(said({ pattern: "^(ab)+$", maxLength: 3 })).toContain(
      "beside pattern: what could be generated has 2 to any number of characters",
    );
  });
  test("a format with room for less is enforced by shorter strings", () => {
    const pattern = (maxLength: number) => exact({ type: "string", format: "email", maxLength }).pattern;
    expect(pattern(400)).toBe(enforceablePattern(FORMATS.get("email")!));
    expect(pattern(254)).toBe(enforceablePattern(SHORT_FORMATS.get("email")!));
    const random = randomOf(seed);
    for (const [format, schema] of [["email", z.email().max(254)] as const, ["uri", z.url().max(60)] as const]) {
      const given = z.toJSONSchema(schema);
      const written = exact(given).pattern as string;
      for (let i = 0; i < 200; i++) {
        const value = JSON.parse(`"${matching(written, random)}"`) as string;
        expect(schema.safeParse(value).success, `${format}, seed ${seed}: ${value}`).toBe(true);
        expect(ajv.validate(given, value), `${format}, seed ${seed}: ${value}`).toBe(true);
      }
    }
  });

  test.each([
    [false],
    [{ type: "string", minLength: 5, maxLength: 3 }],
    [{ allOf: [{ type: "string" }, { type: "integer" }] }],
    [{ type: "object", required: ["a"], additionalProperties: false }],
    [{ type: "integer", minimum: 3, maximum: 2 }],
    [{ type: "string", enum: [1] }],
    [{ type: "number", minimum: 3, maximum: 2 }],
    [{ type: "number", minimum: 1e200 }],
    [{ type: "number", minimum: 3, exclusiveMaximum: 3 }],
    [{ type: "integer", multipleOf: 10, minimum: 1, maximum: 9 }],
    [{ $defs: { a: { type: "object", properties: { next: { $ref: "#/$defs/a" } }, required: ["next"] } }, $ref: "#/$defs/a" }],
  ])("no value fits %j", (schema) => {
    expect(refusal(schema)).toContain("no value can fit it");
  });

  test("a definition that no value fits is left out wherever it is referred to, before and after that is known", () => {
    const schema = exact({
      type: "object",
      properties: { a: { $ref: "#/$defs/never" }, b: { $ref: "#/$defs/never" }, c: { $ref: "#/$defs/list" } },
      $defs: {
        never: { type: "object", properties: { x: { $ref: "#/$defs/list" }, y: false }, required: ["y"] },
        list: { type: "array", items: { $ref: "#/$defs/never" } },
      },
    });
    expect(Object.keys(schema.properties as Schema)).toEqual(["c"]);
    expect(Object.values(schema.$defs as Schema)).toEqual([{ type: "array", items: {}, maxItems: 0 }]);
  });

  test("a schema that is nothing but itself, and one that multiplies without end, are refused and end", () => {
    expect(refusal({ $defs: { a: { anyOf: [{ $ref: "#/$defs/a" }, { type: "string" }] } }, $ref: "#/$defs/a" })).toContain(
      "nothing but itself",
    );
    expect(refusal({ $defs: { a: { allOf: [{ $ref: "#/$defs/a" }] } }, $ref: "#/$defs/a" })).toContain("refers to itself");
    const defs = Object.fromEntries(
      Array.from({ length: 30 }, (_, i) => [
        `d${i}`,
        {
          allOf: [
            { $ref: `#/$defs/d${i + 1}` },
            { properties: { a: { $ref: `#/$defs/d${i + 1}`, type: "object" }, b: { $ref: `#/$defs/d${i + 1}`, type: "object" } } },
          ],
        },
      ]),
    );
    expect(refusal({ $defs: { ...defs, d30: { type: "object" } }, $ref: "#/$defs/d0" })).toMatch(
      /more than 20000 schemas|refers to itself/,
    );
  });
});

describe("what means the same is written anew", () => {
  test("annotations are kept, and say nothing", () => {
    const schema = {
      $schema: "x",
      $id: "y",
      title: "T",
      type: "object",
      properties: { a: { type: "string", description: "D", default: "x", readOnly: true } },
    };
    expect(exact(schema)).toEqual({
      title: "T",
      type: "object",
      properties: { a: { type: "string", description: "D", default: "x" } },
      required: [],
      additionalProperties: false,
    });
  });
  test("a recursive schema keeps its recursion", () => {
    const tree = { type: "object", properties: { v: { type: "integer" }, kids: { type: "array", items: { $ref: "#" } } }, required: ["v"] };
    const { $defs, properties } = exact(tree) as { $defs: Schema; properties: { kids: { items: { $ref: string } } } };
    expect(properties.kids.items.$ref).toBe(`#/$defs/${Object.keys($defs)[0]!}`);
  });
  test("names that llama.cpp's converter would take for its own rules cannot replace them", () => {
    const schema = exact({ type: "object", properties: { date_time: { type: "string" }, at: { format: "date-time" } } });
    expect(schema.$ref).toMatch(/^#\/\$defs\/Root-/);
  });
  test("the definitions of two tools have different names", () => {
    const schema = { type: "object", properties: { a: { $ref: "#/$defs/x" } }, $defs: { x: { type: "string" } } };
    const names = [0, 1].map((number) => Object.keys(enforceable(schema, { where: "tools", exact: false, number }).$defs as Schema)[0]);
    expect(names[0]).not.toBe(names[1]);
  });
  test("a tool's parameters lose what cannot be enforced, and are not refused", () => {
    const given = {
      type: "object",
      properties: {
        n: { type: "number", minimum: 0 },
        s: { type: "string", format: "klingon" },
        u: { type: "array", items: { type: "string" }, uniqueItems: true },
      },
    };
    expect(enforceable(given, { where: "tools", exact: false }).properties).toEqual({
      n: { type: "number" },
      s: { type: "string" },
      u: { type: "array", items: { type: "string" } },
    });
  });
});

describe("patterns", () => {
  test.each(PATTERNS)("what %s is written as matches nothing that it does not", (pattern) => {
    const random = randomOf(seed);
    const written = enforceablePattern(pattern);
    expect(written).toMatch(/^\^.*\$$/s);
    for (let i = 0; i < 50; i++) {
      const value = JSON.parse(`"${matching(written, random)}"`) as string;
      expect(new RegExp(pattern, "u").test(value), `seed ${seed}: ${JSON.stringify(value)}`).toBe(true);
    }
  });
  test.each([...FORMATS, ...SHORT_FORMATS])("format %s", (format, pattern) => {
    const random = randomOf(seed);
    const validate = ajv.compile({ type: "string", format });
    for (let i = 0; i < 100; i++) {
      const value = JSON.parse(`"${matching(enforceablePattern(pattern), random)}"`) as string;
      expect(validate(value), `seed ${seed}: ${value}`).toBe(true);
    }
  });
  test("the formats of zod are taken with the patterns that it sends, and zod takes what is written by ours", () => {
    const all = {
      date: z.iso.date(),
      "date-time": z.iso.datetime(),
      duration: z.iso.duration(),
      email: z.email(),
      hostname: z.hostname(),
      ipv4: z.ipv4(),
      ipv6: z.ipv6(),
      uuid: z.uuid(),
      uri: z.url(),
    };
    const random = randomOf(seed);
    for (const [format, schema] of Object.entries(all)) {
      const written = exact(z.toJSONSchema(schema)).pattern as string;
      expect(written, format).toBe(enforceablePattern(FORMATS.get(format)!));
      for (let i = 0; i < 100; i++) {
        const value = JSON.parse(`"${matching(written, random)}"`) as string;
        expect(schema.safeParse(value).success, `${format}, seed ${seed}: ${value}`).toBe(true);
      }
    }
    expect(exact(z.toJSONSchema(z.uuidv4())).pattern).toBe(enforceablePattern(FORMATS.get("uuid")!));
  });
});
