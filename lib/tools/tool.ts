// Owns tool(): a tool as programs write it, as OpenAI's shape with an execute() beside it. JS thread of the caller.

import { checkFields, FUNCTION_FIELDS } from "../options/known-fields.js";
import { asObject } from "../options/rules.js";
import { readTools } from "../options/tools.js";
import type { FunctionTool, JsonSchema, OutputOf, StandardSchema, ToolContext } from "../types.js";

/** A library's schema says what it makes; of a JSON Schema the compiler knows nothing, and leaves it to the program. */
// biome-ignore lint/suspicious/noExplicitAny: `unknown` could not be taken apart in a parameter list
export type ArgumentsOf<Schema> = Schema extends { "~standard": unknown } ? OutputOf<Schema> : any;

/** What tool() is given. */
export interface ToolOptions<Schema, Result> {
  /** 1 to 128 of the characters A-Z a-z 0-9 _ - . : / */
  name: string;
  /** When the model should call it, and what comes of it. */
  description?: string | undefined;
  /** What it takes: a JSON Schema of type "object", or a schema of zod, valibot or arktype. Left out: nothing. */
  parameters?: Schema | undefined;
  /** Refuses a schema that cannot be enforced exactly. Default false. */
  strict?: boolean | undefined;
  /** Runs a call. What it returns is told to the model: text as it is, anything else as JSON. Left out: calls are given back to the caller. */
  execute?: ((args: ArgumentsOf<Schema>, context: ToolContext) => Result) | undefined;
}

/** A tool with JSON for its parameters: it can be shown to any server that takes OpenAI's. */
export interface Tool extends FunctionTool {
  function: { name: string; description?: string; parameters: JsonSchema; strict?: boolean };
  /** The schema that the parameters came from, which checks them once more. */
  schema?: StandardSchema | undefined;
}

/**
 * A function that the model may call.
 * @throws ZSEError BAD_OPTION naming the field
 */
export function tool<Schema extends JsonSchema | StandardSchema = Record<never, never>, Result = unknown>(
  given: ToolOptions<Schema, Result>,
): Tool {
  const { name, description, parameters, strict, execute } = asObject(given, "tool()") as unknown as ToolOptions<Schema, Result>;
  checkFields(given ?? {}, [...FUNCTION_FIELDS, "execute"], "tool()");
  const asGiven = { type: "function", function: { name, description, parameters, strict }, execute };
  const itself = () => "tool()";
  const [read] = readTools("tool()", [asGiven], itself, itself);
  const { definition, validate } = read!;
  return {
    type: "function",
    function: { ...(definition.function as Tool["function"]), ...(strict === undefined ? {} : { strict }) },
    ...(validate === undefined ? {} : { schema: parameters as StandardSchema }),
    ...(execute === undefined ? {} : { execute: execute as FunctionTool["execute"] }),
  };
}
