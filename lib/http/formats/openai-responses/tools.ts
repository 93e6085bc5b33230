// Owns the tools of OpenAI's Responses: functions and custom ones, alone or in a namespace, as functions of a chat, and their calls' names back. Pure; any thread.
// What a function's parameters may be is the library's to check (lib/options/tools.ts).

import { quote } from "../../../base/quote.js";
import { bad, type Fields, isObject, unsupported } from "../fields.js";
import type { WireError } from "../wire-error.js";
import { asFunction } from "./custom-tools.js";

/** What a call is called on the wire. */
export interface ToolName {
  name: string;
  namespace?: string;
  /** Its input is free text. */
  custom?: true;
}

/** The tools of a request. */
export interface ReadTools {
  /** As a chat has them. */
  tools: Fields[];
  /** What the request calls each of them, such as `tools[2].tools[0]`. */
  places: string[];
  /** By the names that the model knows. */
  names: ReadonlyMap<string, ToolName>;
}

/** Of tools that a model calls and the client runs. */
const KINDS = ["function", "custom"];

function isKind(type: unknown): boolean {
  return typeof type === "string" && KINDS.includes(type);
}

/** How the model knows a function of a namespace. */
export function toolNameOf(name: string, namespace: unknown): string {
  return typeof namespace === "string" && namespace !== "" ? `${namespace}.${name}` : name;
}

/** @throws WireError naming the tool: one that only another company's servers can run is none here */
export function readTools(given: unknown): ReadTools {
  const read = { tools: [] as Fields[], places: [] as string[], names: new Map<string, ToolName>() };
  if (given === undefined) return read;
  if (!Array.isArray(given)) throw bad("tools", `tools must be an array of tools; given ${quote(given)}.`);
  for (const [index, tool] of given.entries()) {
    const where = `tools[${index}]`;
    const type = isObject(tool) ? tool.type : undefined;
    if (isKind(type)) add(read, tool as Fields, where);
    else if (type === "namespace") addNamespace(read, tool as Fields, where);
    else throw stranger(type, where, [...KINDS, "namespace"]);
  }
  return read;
}

/** What the namespace is for stands before the description of its first function. */
function addNamespace(read: ReadTools, { name, description, tools }: Fields, where: string): void {
  if (typeof name !== "string" || name === "") throw bad(`${where}.name`, `${where}.name must be a text; given ${quote(name)}.`);
  if (!Array.isArray(tools)) throw bad(`${where}.tools`, `${where}.tools must be an array of functions; given ${quote(tools)}.`);
  for (const [index, tool] of tools.entries()) {
    const at = `${where}.tools[${index}]`;
    if (!isObject(tool) || !isKind(tool.type)) throw stranger(isObject(tool) ? tool.type : undefined, at, KINDS);
    const about = index === 0 && typeof description === "string" && description !== "" ? [description] : [];
    const own = typeof tool.description === "string" ? [tool.description] : [];
    add(read, about.length === 0 ? tool : { ...tool, description: [...about, ...own].join("\n\n") }, at, name);
  }
}

function add(read: ReadTools, tool: Fields, where: string, namespace?: string): void {
  const isCustom = tool.type === "custom";
  const { name, description, parameters, strict } = isCustom ? asFunction(tool, where) : tool;
  if (typeof name !== "string") throw bad(`${where}.name`, `${where}.name must be a text; given ${quote(name)}.`);
  const known = toolNameOf(name, namespace);
  const called: ToolName = { name, ...(namespace === undefined ? {} : { namespace }), ...(isCustom ? { custom: true } : {}) };
  (read.names as Map<string, ToolName>).set(known, called);
  read.tools.push({ type: "function", function: { name: known, description, parameters, strict } });
  read.places.push(where);
}

/**
 * @returns tools and tool_choice of a chat: of allowed tools, those alone are shown to the model
 * @throws WireError naming the choice
 */
export function readChoice(choice: unknown, { tools, places, names }: ReadTools): { tools: Fields[]; places: string[]; choice: unknown } {
  if (!isObject(choice)) return { tools, places, choice };
  switch (choice.type) {
    case "function":
    case "custom": {
      const name = knownName(choice, "tool_choice", names);
      return { tools, places, choice: { type: "function", function: { name } } };
    }
    case "allowed_tools": {
      if (choice.mode !== "auto" && choice.mode !== "required") {
        throw bad("tool_choice.mode", `tool_choice.mode must be "auto" or "required"; given ${quote(choice.mode)}.`);
      }
      if (!Array.isArray(choice.tools)) throw bad("tool_choice.tools", `tool_choice.tools must be an array; given ${quote(choice.tools)}.`);
      const allowed = new Set(choice.tools.map((one: unknown, i) => knownName(one, `tool_choice.tools[${i}]`, names)));
      const kept = [...tools.keys()].filter((i) => allowed.has((tools[i]!.function as { name: string }).name));
      return { tools: kept.map((i) => tools[i]!), places: kept.map((i) => places[i]!), choice: choice.mode };
    }
    default:
      throw stranger(choice.type, "tool_choice", [...KINDS, "allowed_tools"]);
  }
}

function knownName(given: unknown, where: string, names: ReadonlyMap<string, ToolName>): string {
  const { type, name, namespace } = isObject(given) ? given : ({} as Fields);
  if (!isKind(type)) throw stranger(type, where, KINDS);
  const known = typeof name === "string" ? toolNameOf(name, namespace) : "";
  if (names.has(known) && (names.get(known)!.custom === true) === (type === "custom")) return known;
  throw bad(`${where}.name`, `${where}.name must be that of one of the tools; given ${quote(name)}.`);
}

function stranger(type: unknown, where: string, kinds: readonly string[]): WireError {
  const known = kinds.map((one) => `"${one}"`).join(" or ");
  const message = `${where}.type must be ${known}: a tool that OpenAI's servers run is not run here; given ${quote(type)}.`;
  return unsupported(`${where}.type`, message);
}
