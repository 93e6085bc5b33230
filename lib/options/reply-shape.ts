// Owns reading what a reply is made of besides plain text: tools, structured output, reasoning. Runs on the caller's thread, before anything is
// queued. What comes out is the addon's part (NativeReplyShape), and what stays on this side.

import type { NativeReplyShape } from "../addon/contract.js";
import { cutName, quote } from "../base/quote.js";
import { bad } from "../errors.js";
import { keptEnforceable } from "../schema/kept.js";
import { readSchema, type Validate } from "../schema/standard.js";
import { plainJson } from "./foreign.js";
import { checkFields, FORMAT_FIELDS, SCHEMA_FIELDS } from "./known-fields.js";
import type { Named } from "./named.js";
import { isPlainObject } from "./rules.js";
import { type ReadTool, readToolChoice, readTools } from "./tools.js";

/** What of the options is read here, after all of them were met. */
export interface ShapeOptions {
  tools?: Named;
  toolChoice?: Named;
  responseFormat?: Named;
  reasoning?: Named;
  templateArguments?: Named;
  parallelToolCalls: boolean;
  continueFinalMessage: boolean;
}

export interface ReplyShape {
  native: NativeReplyShape | undefined;
  tools: readonly ReadTool[];
  /** A structured reply: its text is JSON. `said`: its schema as it was given, as plain JSON, and whether all of it must be enforced. */
  object: { validate: Validate | undefined; said: { schema: unknown; strict: boolean } } | undefined;
}

const MOST_GRAMMAR = 1 << 20;
const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh"];
/** Variables of a template that are the engine's. */
const RESERVED = new Set(["messages", "tools", "add_generation_prompt", "bos_token", "eos_token", "documents"]);

/** @throws ZSEError BAD_OPTION */
export function readChatShape(options: ShapeOptions, messages: readonly Record<string, unknown>[]): ReplyShape {
  const { tools: given, toolChoice, responseFormat, reasoning, templateArguments, parallelToolCalls, continueFinalMessage } = options;
  const all = given === undefined ? [] : readTools(given.name, given.value);
  const chosen = readToolChoice(toolChoice?.name ?? "toolChoice", toolChoice?.value, all, given?.name ?? "tools");
  const format = readResponseFormat(responseFormat);
  if (format.grammar !== undefined && chosen.tools.length > 0)
    throw bad(responseFormat!.name, `${responseFormat!.name} and ${given!.name} exclude each other: a grammar holds the whole reply.`);
  if (continueFinalMessage) checkContinued(messages.at(-1)!);
  const native: NativeReplyShape = {
    ...(chosen.tools.length === 0
      ? {}
      : { tools: JSON.stringify(chosen.tools.map(({ definition }) => definition)), toolChoice: chosen.choice, parallelToolCalls }),
    ...(format.jsonSchema === undefined ? {} : { jsonSchema: format.jsonSchema }),
    ...(format.grammar === undefined ? {} : { grammar: format.grammar }),
    ...readReasoning(reasoning, templateArguments),
    ...(continueFinalMessage ? { continueFinalMessage } : {}),
  };
  return { native, tools: chosen.tools, object: format.object };
}

/** @throws ZSEError BAD_OPTION for what only a chat can have */
export function readPromptShape(options: ShapeOptions): ReplyShape {
  for (const one of [options.tools, options.toolChoice, options.reasoning, options.templateArguments]) {
    if (one !== undefined) throw bad(one.name, `${one.name} is for chats, whose template says how it is told; a completion has none.`);
  }
  if (options.continueFinalMessage)
    throw bad("continueFinalMessage", "continueFinalMessage is for chats; a completion goes on with its prompt in any case.");
  const { object, ...native } = readResponseFormat(options.responseFormat);
  const { jsonSchema, grammar } = native;
  const held = jsonSchema !== undefined || grammar !== undefined;
  return { native: held ? { ...(jsonSchema === undefined ? { grammar: grammar! } : { jsonSchema }) } : undefined, tools: [], object };
}

interface Format {
  jsonSchema?: string;
  grammar?: string;
  object: ReplyShape["object"];
}

const FORMATS = '{ type: "json_schema", schema }, { type: "json_object" }, { type: "grammar", gbnf } or { type: "text" }';

function readResponseFormat(given: Named | undefined): Format {
  if (given === undefined) return { object: undefined };
  const { name, value } = given;
  if (isStandardSchema(value)) return readJsonSchema(value, name, true);
  if (!isPlainObject(value)) throw bad(name, `${name} must be ${FORMATS}; given ${quote(value)}.`);
  const { type } = value;
  if (typeof type === "string" && Object.hasOwn(FORMAT_FIELDS, type)) checkFields(value, FORMAT_FIELDS[type]!, name);
  switch (type) {
    case "text":
      return { object: undefined };
    case "json_object":
      return readJsonSchema(value.schema ?? { type: "object" }, `${name}.schema`, true);
    case "json_schema":
      return readNamedSchema(value, name);
    case "grammar":
      return { grammar: readGrammar(value.gbnf ?? value.grammar, `${name}.gbnf`), object: undefined };
    default:
      throw bad(`${name}.type`, `${name} must be ${FORMATS}; given type ${quote(type)}.`);
  }
}

/** OpenAI's chat API has all of it one level below. Its name and description mean nothing to a grammar. */
function readNamedSchema(value: Record<string, unknown>, name: string): Format {
  const nested = isPlainObject(value.json_schema);
  const at = nested ? `${name}.json_schema` : name;
  const { schema, strict } = (nested ? value.json_schema : value) as Record<string, unknown>;
  checkFields(value, ["type", ...(nested ? ["json_schema"] : SCHEMA_FIELDS)], name);
  if (nested) checkFields(value.json_schema as object, SCHEMA_FIELDS, at);
  if (schema === undefined || schema === null)
    throw bad(`${at}.schema`, `${at}.schema must be a JSON Schema, or a schema of zod, valibot or arktype; given nothing.`);
  if (strict !== undefined && strict !== null && typeof strict !== "boolean")
    throw bad(`${at}.strict`, `${at}.strict must be true or false; given ${quote(strict)}.`);
  return readJsonSchema(schema, `${at}.schema`, strict !== false);
}

function isStandardSchema(value: unknown): boolean {
  return ((typeof value === "object" && value !== null) || typeof value === "function") && "~standard" in value;
}

function readJsonSchema(given: unknown, where: string, exact: boolean): Format {
  const { json, validate } = readSchema(given, where);
  const plain = plainJson(json, where);
  const schema = keptEnforceable(plain, { where, exact });
  return { jsonSchema: JSON.stringify(schema), object: { validate, said: { schema: plain, strict: exact } } };
}

/** llama.cpp takes one that begins with %llguidance for another language, and ends the process. */
function readGrammar(given: unknown, where: string): string {
  if (typeof given !== "string" || given.trim() === "")
    throw bad(where, `${where} must be a grammar in llama.cpp's GBNF; given ${quote(given)}.`);
  if (given.length > MOST_GRAMMAR) throw bad(where, `${where} may have up to ${MOST_GRAMMAR} characters; given ${given.length}.`);
  if (given.trimStart().startsWith("%llguidance"))
    throw bad(where, `${where} must be a grammar in llama.cpp's GBNF; those of llguidance are not part of this build.`);
  return given.toWellFormed();
}

type Thinking = Pick<NativeReplyShape, "thinking" | "reasoningBudget" | "templateArguments">;

function readReasoning(reasoning: Named | undefined, templateArguments: Named | undefined): Thinking {
  const variables = templateArguments === undefined ? {} : readTemplateArguments(templateArguments);
  const { effort, ...thinking } = reasoning === undefined ? {} : thinkingOf(reasoning);
  const told = { enable_thinking: thinking.thinking, thinking: thinking.thinking, reasoning_effort: effort };
  for (const [variable, value] of Object.entries(told)) {
    const other = variables[variable];
    if (value === undefined || other === undefined || other === value) continue;
    throw bad(
      `${templateArguments!.name}.${variable}`,
      `${reasoning!.name} ${quote(reasoning!.value)} and ${templateArguments!.name}.${variable} ${quote(other)} contradict each other; give one of them.`,
    );
  }
  const all = effort === undefined ? variables : { ...variables, reasoning_effort: effort };
  return { ...thinking, ...(Object.keys(all).length === 0 ? {} : { templateArguments: JSON.stringify(all) }) };
}

function thinkingOf({ name, value }: Named): Pick<Thinking, "thinking" | "reasoningBudget"> & { effort?: string } {
  if (value === "auto") return {};
  if (value === "on" || value === "off") return { thinking: value === "on" };
  const what = `${name} must be "auto", "on", "off" or { effort, budgetTokens }`;
  if (!isPlainObject(value)) throw bad(name, `${what}; given ${quote(value)}.`);
  const stranger = Object.keys(value).find((key) => key !== "effort" && key !== "budgetTokens" && key !== "budget_tokens");
  if (stranger !== undefined) throw bad(`${name}.${cutName(stranger)}`, `${what}; given ${quote(stranger)}.`);
  const { effort, budgetTokens = value.budget_tokens } = value;
  if (effort !== undefined && !EFFORTS.includes(effort as string)) {
    throw bad(`${name}.effort`, `${name}.effort must be one of ${EFFORTS.map((one) => `"${one}"`).join(", ")}; given ${quote(effort)}.`);
  }
  if (
    budgetTokens !== undefined &&
    !(Number.isInteger(budgetTokens) && (budgetTokens as number) >= 0 && (budgetTokens as number) < 2 ** 31)
  ) {
    throw bad(
      `${name}.budgetTokens`,
      `${name}.budgetTokens must be a whole number of tokens from 0 to 2147483647; given ${quote(budgetTokens)}.`,
    );
  }
  if (effort === "none" && (budgetTokens as number) > 0)
    throw bad(name, `${name}.effort "none" and ${name}.budgetTokens ${quote(budgetTokens)} contradict each other; give one of them.`);
  return {
    ...(effort === undefined ? {} : { thinking: effort !== "none", ...(effort === "none" ? {} : { effort: effort as string }) }),
    ...(budgetTokens === undefined ? {} : { reasoningBudget: budgetTokens as number }),
  };
}

function readTemplateArguments({ name, value }: Named): Record<string, unknown> {
  if (!isPlainObject(value)) throw bad(name, `${name} must be an object of variables for the chat template; given ${quote(value)}.`);
  const plain = plainJson(value, name) as Record<string, unknown>;
  const reserved = Object.keys(plain).find((key) => RESERVED.has(key));
  if (reserved !== undefined) throw bad(`${name}.${reserved}`, `${name}.${reserved} is the engine's own variable; leave it out.`);
  return plain;
}

function checkContinued(last: Record<string, unknown>): void {
  if (last.role === "assistant" && last.tool_calls === undefined) return;
  const given = last.role === "assistant" ? "one with tool_calls" : `one of role ${quote(last.role)}`;
  throw bad(
    "continueFinalMessage",
    `continueFinalMessage: true needs a last message of role "assistant" without tool_calls, to go on with; given ${given}.`,
  );
}
