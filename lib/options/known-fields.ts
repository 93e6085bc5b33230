// Owns which fields the objects inside an option have: a tool's, those of what is chosen, a format's. The library refuses others, and bodies leave them
// out: newer clients send more than older servers know. Pure; any thread.

import { fieldPath, quote } from "../base/quote.js";
import { bad } from "../errors.js";

/** `schema` is tool()'s own: the library's schema that the parameters came from. */
export const TOOL_FIELDS = ["type", "function", "execute", "schema"] as const;
export const FUNCTION_FIELDS = ["name", "description", "parameters", "strict"] as const;
/** A tool by its name, in both forms. */
export const NAME_FIELDS = ["type", "name"] as const;
export const NAMED_FUNCTION_FIELDS = ["type", "function"] as const;
/** Of { type: "allowed_tools" }: OpenAI's chat API has the two of its Responses one level below. */
export const ALLOWED_FIELDS = ["mode", "tools"] as const;
/** Of { type: "json_schema" }: the same. */
export const SCHEMA_FIELDS = ["name", "description", "schema", "strict"] as const;
/** Of the other formats, by their type; `grammar` is the name that some servers have for `gbnf`. */
export const FORMAT_FIELDS: Readonly<Record<string, readonly string[]>> = {
  text: ["type"],
  json_object: ["type", "schema"],
  grammar: ["type", "gbnf", "grammar"],
};

/**
 * One without a value says nothing, as among options.
 * @param where how the object is called in errors
 * @throws ZSEError BAD_OPTION naming the first field that is none of the known ones
 */
export function checkFields(given: object, known: readonly string[], where: string): void {
  const stranger = Object.keys(given).find((name) => !known.includes(name) && (given as Record<string, unknown>)[name] !== undefined);
  if (stranger === undefined) return;
  throw bad(fieldPath([where, stranger]), `${where} has no ${quote(stranger)}; there are: ${known.join(", ")}.`);
}
