// Owns the types of structured replies: schemas, what they make of a reply, and how a call asks for one.

/** A JSON Schema as plain data; 2020-12, older spellings are read too. Any object: the types of other packages have no index signature. */
export type JsonSchema = boolean | object;

/** A schema of zod, valibot, arktype or another library that keeps Standard Schema (https://standardschema.dev). */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** What a Standard Schema says of a value. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string;
        readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
      }[];
    };

/** What a schema describes: of a Standard Schema its output, of a JSON Schema nothing is known. */
export type OutputOf<Schema> =
  Schema extends StandardSchema<never, infer Output>
    ? Output
    : Schema extends { "~standard": { types?: { output: infer Output } | undefined } }
      ? Output
      : unknown;

/** What a schema takes: of a Standard Schema its input, of a JSON Schema nothing is known. */
export type InputOf<Schema> = Schema extends { "~standard": { types?: { input: infer Input } | undefined } } ? Input : unknown;

/** The schema of a `responseFormat`, in whichever of its forms. */
type SchemaOf<Format> = Format extends { "~standard": unknown } ? Format : Format extends { schema?: infer Schema } ? Schema : unknown;

/** What `reply.object` is by a `responseFormat`: the output of its schema, where that is a library's. */
export type ObjectOf<Format> = OutputOf<SchemaOf<Format>>;

/** What the `object` events of a reply have by a `responseFormat`: of what its schema takes, as much as there is. */
export type PartialObjectOf<Format> = PartialOf<InputOf<SchemaOf<Format>>>;

/** A value that is not all there: fields may be missing on every level, and texts may go on. */
export type PartialOf<Value> = unknown extends Value
  ? unknown
  : Value extends readonly (infer Item)[]
    ? PartialOf<Item>[]
    : Value extends object
      ? { [Name in keyof Value]?: PartialOf<Value[Name]> }
      : Value extends string
        ? string
        : Value;

/** What the text of a reply must be. A schema of zod, valibot or arktype alone is taken too. */
export type ResponseFormat =
  | { type: "text" }
  | { type: "json_object"; schema?: JsonSchema | StandardSchema | undefined }
  /** With `strict: false`, what cannot be enforced is left out, and not refused. */
  | { type: "json_schema"; schema: JsonSchema | StandardSchema; strict?: boolean | undefined }
  | {
      type: "json_schema";
      json_schema: { name?: string; schema?: JsonSchema | undefined; strict?: boolean | null | undefined; description?: string };
    }
  /** A grammar in llama.cpp's GBNF. */
  | { type: "grammar"; gbnf: string }
  | StandardSchema;
