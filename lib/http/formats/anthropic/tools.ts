// Owns reading the tools of a Messages body. Pure; any thread. What a tool's name and schema may be is the library's to check.

import { cutName, quote } from "../../../base/quote.js";
import { bad, type Fields, isObject } from "../fields.js";
import { WireError } from "../wire-error.js";

/** @returns the library's option, under its name in a body */
export function readTools(tools: unknown): Fields {
  if (tools === undefined) return {};
  if (!Array.isArray(tools)) throw bad("tools", `tools must be an array of tools; given ${quote(tools)}.`);
  return tools.length === 0 ? {} : { tools: tools.map((tool: unknown, index) => readTool(tool, `tools[${index}]`)) };
}

function readTool(tool: unknown, where: string): object {
  if (!isObject(tool)) throw bad(where, `${where} must be { name, description, input_schema }; given ${quote(tool)}.`);
  const { type, name, description, input_schema: parameters, strict, allowed_callers: callers } = tool;
  if (type !== undefined && type !== null && type !== "custom") throw hosted(type, where);
  if (Array.isArray(callers) && !callers.includes("direct")) {
    const message = `${where}.allowed_callers must have "direct": here the model itself calls tools; given ${quote(callers)}.`;
    throw bad(`${where}.allowed_callers`, message);
  }
  if (description !== undefined && description !== null && typeof description !== "string")
    throw bad(`${where}.description`, `${where}.description must be a string; given ${quote(description)}.`);
  if (!isObject(parameters))
    throw bad(`${where}.input_schema`, `${where}.input_schema must be a JSON Schema of type "object"; given ${quote(parameters)}.`);
  const said = [description ?? "", ...examplesOf(tool.input_examples, where)].filter((one) => one !== "");
  return {
    type: "function",
    function: {
      name,
      ...(said.length === 0 ? {} : { description: said.join("\n") }),
      parameters,
      ...(typeof strict === "boolean" ? { strict } : {}),
    },
  };
}

/** Tools whose work is done on Anthropic's servers, or whose schema only its models know. */
function hosted(type: unknown, where: string): WireError {
  const given = typeof type === "string" ? cutName(type) : quote(type);
  const message = `${where} is of type ${given}, a tool of Anthropic's own, which is not supported here; give tools with an input_schema.`;
  return new WireError(400, message, { param: `${where}.type`, code: "unsupported_parameter" });
}

/** Templates have no place for them but the description. */
function examplesOf(examples: unknown, where: string): string[] {
  if (examples === undefined || examples === null) return [];
  if (!Array.isArray(examples)) throw bad(`${where}.input_examples`, `${where}.input_examples must be an array; given ${quote(examples)}.`);
  return examples.map((one: unknown) => `Example: ${JSON.stringify(one)}`);
}

/** @returns the library's options, under their names in a body */
export function readToolChoice(choice: unknown, hasTools: boolean): Fields {
  if (choice === undefined) return {};
  const { type, name, disable_parallel_tool_use: one } = isObject(choice) ? choice : {};
  const parallel = one === true ? { parallel_tool_calls: false } : {};
  switch (type) {
    case "auto":
    case "none":
      return { tool_choice: type, ...parallel };
    case "any":
      if (!hasTools) throw bad("tool_choice", 'tool_choice of type "any" needs tools, which are not given.');
      return { tool_choice: "required", ...parallel };
    case "tool":
      if (typeof name !== "string") throw bad("tool_choice.name", `tool_choice.name must be a tool's name; given ${quote(name)}.`);
      return { tool_choice: { name }, ...parallel };
    default:
      throw bad("tool_choice.type", `tool_choice.type must be "auto", "any", "tool" or "none"; given ${quote(type)}.`);
  }
}
