// Owns schemas of other libraries (zod, valibot, arktype, …): by their common interfaces, Standard Schema and Standard JSON Schema
// (https://standardschema.dev), and by the functions that each has to become JSON Schema. Nothing is imported for it, and a schema of theirs
// may do anything when it is called. JS thread of the caller.

import { quote, quoteError } from "../base/quote.js";
import { bad } from "../errors.js";
import type { StandardResult, StandardSchema } from "../types.js";

interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Checks a value, and gives what the schema makes of it, or a sentence about what is wrong with it. */
export type Validate = (value: unknown) => Checked | Promise<Checked>;
export type Checked = { value: unknown } | { issue: string };

/** A schema as it was given, in both of its parts. */
export interface ReadSchema {
  /** Foreign still: to be copied and checked. */
  json: unknown;
  /** Absent for plain JSON Schema: what a grammar lets through has been checked. */
  validate?: Validate;
}

/**
 * @param where its name in errors
 * @throws ZSEError BAD_OPTION where a library's schema does not tell its JSON Schema
 */
export function readSchema(given: unknown, where: string): ReadSchema {
  const standard = standardOf(given);
  if (standard === undefined) return { json: given };
  return { json: jsonSchemaOf(given as object, standard.vendor, where), validate: validator(standard) };
}

function standardOf(given: unknown): StandardSchema["~standard"] | undefined {
  if ((typeof given !== "object" && typeof given !== "function") || given === null) return undefined;
  const standard = (given as Partial<StandardSchema>)["~standard"];
  const is = typeof standard === "object" && standard !== null && typeof standard.validate === "function";
  return is ? standard : undefined;
}

type Convert = (options?: object) => unknown;

/** What a model is to write, so the schema's input where it transforms. Standard JSON Schema first, then each library's own way. */
function jsonSchemaOf(schema: object, vendor: string, where: string): unknown {
  const {
    "~standard": standard,
    toJSONSchema,
    toJsonSchema,
  } = schema as {
    "~standard": { jsonSchema?: { input?: Convert } };
    toJSONSchema?: Convert;
    toJsonSchema?: Convert;
  };
  try {
    if (typeof standard.jsonSchema?.input === "function") return standard.jsonSchema.input({ target: "draft-2020-12" });
    if (typeof toJSONSchema === "function") return toJSONSchema.call(schema, { io: "input", target: "draft-2020-12" });
    if (typeof toJsonSchema === "function") return toJsonSchema.call(schema);
    const convert = vendor === "valibot" ? valibotConverter() : undefined;
    if (convert !== undefined) return convert(schema, { errorMode: "throw", typeMode: "input" });
  } catch (error) {
    throw bad(where, `${where} is a schema of ${quote(vendor)} that has no JSON Schema: ${quoteError(error)}.`);
  }
  throw bad(where, `${where} is a schema of ${quote(vendor)}, which tells no JSON Schema; ${remedy(vendor)}.`);
}

function remedy(vendor: string): string {
  if (vendor === "valibot") return "wrap it with toStandardJsonSchema() of @valibot/to-json-schema, or install that package";
  if (vendor === "zod") return "take zod 4, or give the schema as JSON Schema";
  return "give the schema as JSON Schema";
}

/** @valibot/to-json-schema, where the program has it. In a bundle there is nothing to look for. */
function valibotConverter(): ((schema: object, options: object) => unknown) | undefined {
  const { createRequire } = process.getBuiltinModule?.("node:module") ?? {};
  for (const from of [import.meta.url, `file://${process.cwd()}/`]) {
    try {
      const { toJsonSchema } = createRequire!(from)("@valibot/to-json-schema") as {
        toJsonSchema: (schema: object, options: object) => unknown;
      };
      return toJsonSchema;
    } catch {
      // not there
    }
  }
  return undefined;
}

function validator(standard: StandardSchema["~standard"]): Validate {
  const told = (result: StandardResult<unknown>): Checked =>
    result.issues === undefined ? { value: result.value } : { issue: sentence(result.issues) };
  return (value) => {
    const result = standard.validate(value);
    return result instanceof Promise ? result.then(told) : told(result);
  };
}

/** The first thing that is wrong, by its place. */
function sentence(issues: readonly StandardIssue[]): string {
  const [first] = issues;
  const path = (first?.path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
  return `${path.length === 0 ? "" : `${path.map((one) => `/${one}`).join("")}: `}${first?.message ?? "it does not fit"}`;
}
