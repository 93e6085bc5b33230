// Owns reading the tools of a chat: what each is called and takes, for the addon, and what runs it, for lib/tools. Runs on the caller's
// thread, before anything is queued.
//
// A tool is OpenAI's { type: "function", function: { name, description, parameters, strict } }, and may have an execute() beside it.

import { quote } from "../base/quote.js";
import { bad } from "../errors.js";
import { keptEnforceable } from "../schema/kept.js";
import { readSchema, type Validate } from "../schema/standard.js";
import type { ToolContext } from "../types.js";
import { plainJson } from "./foreign.js";
import { ALLOWED_FIELDS, checkFields, FUNCTION_FIELDS, NAME_FIELDS, NAMED_FUNCTION_FIELDS, TOOL_FIELDS } from "./known-fields.js";
import { isPlainObject } from "./rules.js";

export type Execute = (args: never, context: ToolContext) => unknown;

/** A tool, read. */
export interface ReadTool {
  name: string;
  /** Who calls it is the caller where there is none. */
  execute: Execute | undefined;
  /** Checks arguments beyond what a grammar has enforced. */
  validate: Validate | undefined;
  /** As the addon and the template take it. */
  definition: Record<string, unknown>;
  /** Its function as it was given, as plain JSON: whoever hands it on to another reader. */
  said: Record<string, unknown>;
}

const MOST_TOOLS = 1024;
/** OpenAI's names, and those of servers of tools, which have a path in them. */
const NAME = /^[A-Za-z0-9_.:/-]{1,128}$/;
const NAME_RULE = "1 to 128 of the characters A-Z a-z 0-9 _ - . : /";

/**
 * @param at how the function of a tool is called in errors
 * @param toolAt how the tool itself is called there
 * @throws ZSEError BAD_OPTION naming the tool and the field
 */
export function readTools(
  name: string,
  value: unknown,
  at = (index: number) => `${name}[${index}].function`,
  toolAt = (index: number) => `${name}[${index}]`,
): ReadTool[] {
  if (!Array.isArray(value)) throw bad(name, `${name} must be an array of tools; given ${quote(value)}.`);
  if (value.length > MOST_TOOLS) throw bad(name, `${name} takes up to ${MOST_TOOLS} tools; given ${value.length}.`);
  const parts = value.map((one: unknown, i) => readParts(one, toolAt(i), at(i)));
  const plain = plainJson(
    parts.map(({ said }) => ({ function: said })),
    name,
  ) as { function: Record<string, unknown> }[];
  const known = new Set<string>();
  return parts.map(({ execute, validate }, i) => {
    const where = at(i);
    const said = plain[i]!.function;
    const definition = checkedFunction(said, where, i);
    const called = definition.name as string;
    if (known.has(called)) throw bad(`${where}.name`, `${where}.name must be a tool's own; given ${quote(called)} twice.`);
    known.add(called);
    return { name: called, execute, validate, definition: { type: "function", function: definition }, said };
  });
}

interface Parts {
  said: Record<string, unknown>;
  execute: Execute | undefined;
  validate: Validate | undefined;
}

/** Each field is read once: a tool may be anybody's object. */
function readParts(tool: unknown, where: string, functionAt: string): Parts {
  const { type = "function", function: said, execute, schema } = (isPlainObject(tool) ? tool : {}) as Record<string, unknown>;
  if (type !== "function")
    throw bad(`${where}.type`, `${where}.type must be "function", the only kind of tool there is here; given ${quote(type)}.`);
  if (!isPlainObject(said)) {
    const what = 'must be { type: "function", function: { name, description, parameters } }, or what tool() returns';
    throw bad(where, `${where} ${what}; given ${quote(tool)}.`);
  }
  if (execute !== undefined && typeof execute !== "function") {
    throw bad(`${where}.execute`, `${where}.execute must be a function; given ${quote(execute)}.`);
  }
  checkFields(tool as object, TOOL_FIELDS, where);
  checkFields(said, FUNCTION_FIELDS, functionAt);
  const { name, description, parameters, strict } = said;
  const own = readSchema(parameters, `${functionAt}.parameters`);
  // tool() has made JSON of a library's schema, and kept the schema.
  const validate = own.validate ?? (schema === undefined ? undefined : readSchema(schema, `${where}.schema`).validate);
  return { said: { name, description, parameters: own.json, strict }, execute: execute as Execute | undefined, validate };
}

function checkedFunction(said: Record<string, unknown>, where: string, number: number): Record<string, unknown> {
  const { name, description, strict } = said;
  if (typeof name !== "string" || !NAME.test(name)) throw bad(`${where}.name`, `${where}.name must be ${NAME_RULE}; given ${quote(name)}.`);
  if (description !== undefined && description !== null && typeof description !== "string") {
    throw bad(`${where}.description`, `${where}.description must be a string; given ${quote(description)}.`);
  }
  if (strict !== undefined && strict !== null && typeof strict !== "boolean") {
    throw bad(`${where}.strict`, `${where}.strict must be true or false; given ${quote(strict)}.`);
  }
  return {
    name,
    ...(typeof description === "string" ? { description: description.toWellFormed() } : {}),
    parameters: checkedParameters(said.parameters, `${where}.parameters`, strict === true, number),
  };
}

/** Without parameters a tool takes none. What tools of others ask for and no grammar enforces is left to whoever runs them. */
function checkedParameters(given: unknown, where: string, exact: boolean, number: number): Record<string, unknown> {
  if (given === undefined || given === null) return { type: "object", properties: {} };
  if (isPlainObject(given) && Object.keys(given).length === 0) return { type: "object", properties: {} };
  const schema = keptEnforceable(given, { where, exact, number });
  if (schema.type === "object") return schema;
  throw bad(where, `${where} must be a JSON Schema of type "object"; given ${quote(given)}.`);
}

/** What is asked for by toolChoice: the tools that are shown then, and whether one must be called. */
export interface ToolChoice {
  tools: readonly ReadTool[];
  choice: "auto" | "none" | "required";
}

/** @throws ZSEError BAD_OPTION */
export function readToolChoice(name: string, value: unknown, tools: readonly ReadTool[], toolsName: string): ToolChoice {
  if (value === "auto" || value === undefined) return { tools, choice: "auto" };
  // A model that is shown tools writes calls, whatever it is told: they would be its answer.
  if (value === "none") return { tools: [], choice: "none" };
  if (value === "required") {
    if (tools.length === 0) throw bad(name, `${name} "required" needs ${toolsName}, which are not given.`);
    return { tools, choice: "required" };
  }
  if (isPlainObject(value) && value.type === "allowed_tools") return readAllowed(name, value, tools, toolsName);
  const named = nameOf(value, name);
  if (named === undefined) {
    const allowed = '{ type: "allowed_tools", allowed_tools: { mode, tools } }';
    throw bad(name, `${name} must be "auto", "none", "required", { name: "a tool's name" } or ${allowed}; given ${quote(value)}.`);
  }
  return { tools: [toolNamed(named, name, tools, toolsName)], choice: "required" };
}

function toolNamed(named: string, where: string, tools: readonly ReadTool[], toolsName: string): ReadTool {
  const found = tools.find((tool) => tool.name === named);
  if (found !== undefined) return found;
  throw bad(where, `${where} names ${quote(named)}, which is none of ${toolsName} (${quote(tools.map((tool) => tool.name))}).`);
}

/**
 * OpenAI's { type: "allowed_tools", allowed_tools: { mode, tools: [{ type: "function", function: { name } }] } }, or with the inner fields beside
 * the type, as its Responses API has it. What is not allowed is not shown to the model either: the prompt and the grammar have one list.
 */
function readAllowed(name: string, value: Record<string, unknown>, tools: readonly ReadTool[], toolsName: string): ToolChoice {
  const nested = isPlainObject(value.allowed_tools);
  const at = nested ? `${name}.allowed_tools` : name;
  const { mode = "auto", tools: allowed } = (nested ? value.allowed_tools : value) as Record<string, unknown>;
  checkFields(value, ["type", ...(nested ? ["allowed_tools"] : ALLOWED_FIELDS)], name);
  if (nested) checkFields(value.allowed_tools as object, ALLOWED_FIELDS, at);
  if (mode !== "auto" && mode !== "required") throw bad(`${at}.mode`, `${at}.mode must be "auto" or "required"; given ${quote(mode)}.`);
  if (!Array.isArray(allowed) || allowed.length === 0) {
    const what = 'must be an array of at least one { type: "function", function: { name } }';
    throw bad(`${at}.tools`, `${at}.tools ${what}; given ${quote(allowed)}.`);
  }
  if (allowed.length > MOST_TOOLS) throw bad(`${at}.tools`, `${at}.tools takes up to ${MOST_TOOLS} tools; given ${allowed.length}.`);
  const names = new Set(
    allowed.map((one: unknown, i) => {
      const where = `${at}.tools[${i}]`;
      const named = nameOf(one, where);
      if (named === undefined) throw bad(where, `${where} must be { type: "function", function: { name } }; given ${quote(one)}.`);
      return toolNamed(named, where, tools, toolsName).name;
    }),
  );
  return { tools: tools.filter((tool) => names.has(tool.name)), choice: mode };
}

/** { name }, or OpenAI's { type: "function", function: { name } }. */
function nameOf(value: unknown, where: string): string | undefined {
  if (!isPlainObject(value)) return undefined;
  const { type, name: own, function: inner } = value;
  if (type !== undefined && type !== "function") return undefined;
  const name = isPlainObject(inner) ? inner.name : own;
  if (typeof name !== "string") return undefined;
  checkFields(value, isPlainObject(inner) ? NAMED_FUNCTION_FIELDS : NAME_FIELDS, where);
  if (isPlainObject(inner)) checkFields(inner, ["name"], `${where}.function`);
  return name;
}
