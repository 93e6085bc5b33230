// Owns the check of a conversation's messages, and brings the shapes in which people send them into one: OpenAI's of both of its APIs, Ollama's, and the
// AI SDK's. So a template never meets a shape that it does not expect. Runs on the caller's thread, before anything is queued.

import { cutName, quote } from "../base/quote.js";
import { bad, type ZSEError } from "../errors.js";
import { deniedText, failedText } from "./failed-result.js";
import { checkJsonText, MOST_PARTS, plainJson } from "./foreign.js";

type Fields = Record<string, unknown>;
type Check = (value: unknown, where: string) => unknown;

/** Fields each role may have beside its content, and how each is checked. */
const FIELDS: Record<string, Record<string, Check>> = {
  system: { name: readString },
  developer: { name: readString },
  user: { name: readString },
  assistant: {
    name: readString,
    tool_calls: readToolCalls,
    function_call: readFunctionCall,
    refusal: readString,
    reasoning_content: readString,
    reasoning: readString,
    thinking: readString,
  },
  tool: { name: readString, tool_name: readString, tool_call_id: readString },
  function: { name: readString },
};
/** What replies carry beside what they say, and clients send back: nothing that a model reads. */
const NOT_READ = new Set(["id", "type", "status", "index", "annotations", "parsed", "providerOptions", "experimental_providerMetadata"]);
/** Kinds of parts that are text, and the field that has it. */
const TEXT_PARTS: Record<string, string> = { text: "text", input_text: "text", output_text: "text", refusal: "refusal" };

/**
 * @returns messages in OpenAI's shape that hold only known fields and well-formed text (a lone surrogate becomes U+FFFD). One message for each
 * given one; more only where a message of the AI SDK holds the results of several calls
 * @throws ZSEError BAD_OPTION naming the message's index and the field
 */
export function validateMessages(messages: unknown): Fields[] {
  if (!Array.isArray(messages)) throw bad("messages", `messages must be an array of messages; given ${quote(messages)}.`);
  if (messages.length === 0) {
    throw bad("messages", 'messages must hold at least one message, such as { role: "user", content: "Hello" }; given [].');
  }
  const read: Fields[] = [];
  for (const [index, message] of (plainJson(messages, "messages") as unknown[]).entries()) {
    const results = resultsOf(message, `messages[${index}]`);
    if (results === undefined) read.push(readMessage(message, `messages[${index}]`));
    else for (const result of results) read.push({ ...result, index }); // by which an error names it
    // The ones behind several results have another place than they were given.
    if (results === undefined && read.length !== index + 1) read[read.length - 1]!.index = index;
  }
  linkResults(read);
  return read;
}

function readMessage(message: unknown, where: string): Fields {
  if (!isObject(message)) throw bad(where, `${where} must be an object { role, content }; given ${quote(message)}.`);
  const { role } = message;
  const checks = typeof role === "string" && Object.hasOwn(FIELDS, role) ? FIELDS[role]! : undefined;
  if (checks === undefined) {
    const roles = Object.keys(FIELDS)
      .map((one) => `"${one}"`)
      .join(", ");
    throw bad(`${where}.role`, `${where}.role must be one of ${roles}; given ${quote(role)}.`);
  }
  const given: Fields = {};
  for (const [field, value] of Object.entries(message)) {
    if (field === "role" || field === "content" || NOT_READ.has(field) || value === undefined || value === null) continue;
    if (Object.hasOwn(checks, field)) given[field] = checks[field]!(value, `${where}.${field}`);
    else if (!isEmptyMedia(field, value)) throw stranger(where, field, role as string, checks);
  }
  const parts = readContent(message.content, role as string, `${where}.content`);
  return role === "assistant"
    ? assistant(given, parts, where, message.content)
    : other(role as string, given, parts, where, message.content);
}

/** Ollama's images and OpenAI's audio, where there are none. */
function isEmptyMedia(field: string, value: unknown): boolean {
  return ["images", "audio", "videos"].includes(field) && Array.isArray(value) && value.length === 0;
}

function stranger(where: string, field: string, role: string, checks: Record<string, Check>): ZSEError {
  const at = `${where}.${cutName(field)}`;
  if (field === "images" || field === "audio" || field === "videos")
    return bad(at, `${at} cannot be read: this engine reads text alone; leave it out.`);
  return bad(at, `${at} is not a field of a message of role "${role}" (those are role, content, ${Object.keys(checks).join(", ")}).`);
}

/** What content says: text, and in the AI SDK's messages of an assistant also thoughts and calls. */
interface Content {
  text: unknown;
  reasoning: string[];
  calls: Fields[];
}

function readContent(value: unknown, role: string, where: string): Content {
  const content: Content = { text: undefined, reasoning: [], calls: [] };
  if (value === undefined || value === null) return content;
  if (typeof value === "string") return { ...content, text: value.toWellFormed() };
  if (!Array.isArray(value)) throw badContent(where, value);
  if (value.length > MOST_PARTS) throw bad(where, `${where} takes up to ${MOST_PARTS} parts; given ${value.length}.`);
  const texts: Fields[] = [];
  for (const [index, part] of value.entries()) {
    const at = `${where}[${index}]`;
    const type = isObject(part) && typeof part.type === "string" ? part.type : "";
    if (Object.hasOwn(TEXT_PARTS, type) && (type !== "refusal" || role === "assistant")) {
      const field = TEXT_PARTS[type]!;
      texts.push({ type: "text", text: readString((part as Fields)[field], `${at}.${field}`) });
    } else if (type === "reasoning" && role === "assistant") {
      content.reasoning.push(readString((part as Fields).text, `${at}.text`));
    } else if (type === "tool-call" && role === "assistant") {
      content.calls.push(readCallPart(part as Fields, at));
    } else {
      const given = isObject(part) ? `a part of type ${quote(part.type)}` : quote(part);
      throw bad(at, `${at} must be { type: "text", text }, the only kind of part this engine reads; given ${given}.`);
    }
  }
  const onlyOther = texts.length === 0 && content.reasoning.length + content.calls.length > 0;
  return { ...content, text: onlyOther ? undefined : texts };
}

function assistant(given: Fields, content: Content, where: string, written: unknown): Fields {
  const result: Fields = { role: "assistant" };
  if (given.name !== undefined) result.name = given.name;
  const calls = [...((given.tool_calls as Fields[] | undefined) ?? []), ...content.calls];
  if (given.function_call !== undefined && calls.length === 0) calls.push(given.function_call as Fields);
  if (calls.length > 0) result.tool_calls = calls;
  const thoughts = [given.reasoning_content ?? given.reasoning ?? given.thinking, ...content.reasoning].filter((one) => one !== undefined);
  if (thoughts.length > 0) result.reasoning_content = thoughts.join("\n");
  // A refusal is what was said in place of an answer.
  const text = content.text ?? given.refusal;
  if (text === undefined && calls.length === 0 && thoughts.length === 0) throw badContent(`${where}.content`, written);
  result.content = text ?? (calls.length > 0 ? null : "");
  return result;
}

function other(role: string, given: Fields, { text }: Content, where: string, written: unknown): Fields {
  if (role === "function") return { role: "tool", content: text ?? "", ...given };
  if (text === undefined) throw badContent(`${where}.content`, written);
  const { tool_name, ...rest } = given;
  return { role, content: text, ...(tool_name === undefined ? {} : { name: tool_name }), ...rest };
}

/** The results that one message of the AI SDK holds, each as a message; nothing where it is none of those. */
function resultsOf(message: unknown, where: string): Fields[] | undefined {
  if (!isObject(message) || message.role !== "tool" || !Array.isArray(message.content)) return undefined;
  const parts = message.content as unknown[];
  if (!parts.some((part) => isObject(part) && part.type === "tool-result")) return undefined;
  if (parts.length > MOST_PARTS) throw bad(`${where}.content`, `${where}.content takes up to ${MOST_PARTS} parts; given ${parts.length}.`);
  return parts.map((part, index) => {
    const at = `${where}.content[${index}]`;
    if (!isObject(part) || part.type !== "tool-result") {
      throw bad(at, `${at} must be { type: "tool-result", toolCallId, toolName, output }, as the others are; given ${quote(part)}.`);
    }
    return {
      role: "tool",
      content: readOutput(part, at),
      name: readString(part.toolName, `${at}.toolName`),
      tool_call_id: readString(part.toolCallId, `${at}.toolCallId`),
    };
  });
}

/** `output` has a kind and a value; versions of the SDK before 5 have `result`, any JSON. */
function readOutput(part: Fields, where: string): unknown {
  const { output } = part;
  if (output === undefined) return asText(part.result);
  if (isObject(output) && output.type === "content") return readContent(output.value, "tool", `${where}.output.value`).text ?? "";
  if (isObject(output) && output.type === "execution-denied")
    return deniedText(output.reason === undefined ? undefined : asText(output.reason));
  if (isObject(output) && typeof output.type === "string" && "value" in output)
    return output.type.startsWith("error-") ? failedText(asText(output.value)) : asText(output.value);
  throw bad(`${where}.output`, `${where}.output must be { type: "text", value } or { type: "json", value }; given ${quote(output)}.`);
}

function asText(value: unknown): string {
  return typeof value === "string" ? value.toWellFormed() : JSON.stringify(value ?? null);
}

function readCallPart(part: Fields, where: string): Fields {
  const name = readString(part.toolName, `${where}.toolName`);
  const field = part.input === undefined ? "args" : "input";
  return {
    id: readString(part.toolCallId, `${where}.toolCallId`),
    type: "function",
    function: { name, arguments: readArguments(part[field], `${where}.${field}`) },
  };
}

/** Results without an id or a name (Ollama's, OpenAI's older and newer ones) get those of the call that they are of: by name, or in order. */
function linkResults(messages: Fields[]): void {
  let open = new OpenCalls([]);
  for (const message of messages) {
    if (message.role !== "tool") {
      open = new OpenCalls((message.tool_calls as Fields[] | undefined) ?? []);
      continue;
    }
    const call = open.take(message.tool_call_id, message.name);
    if (call === undefined) continue;
    message.name ??= (call.function as Fields).name;
    if (call.id !== undefined) message.tool_call_id ??= call.id;
  }
}

/** Calls of one message that wait for their results. Each is looked at once however it is asked for: there may be thousands. */
class OpenCalls {
  readonly #queues = new Map<string, Fields[]>();
  readonly #taken = new Set<Fields>();

  constructor(calls: readonly Fields[]) {
    for (const call of [...calls].reverse()) {
      for (const key of ["", `id ${call.id as string}`, `name ${(call.function as Fields).name as string}`]) {
        const queue = this.#queues.get(key);
        if (queue === undefined) this.#queues.set(key, [call]);
        else queue.push(call);
      }
    }
  }

  take(id: unknown, name: unknown): Fields | undefined {
    const queue = this.#queues.get(id !== undefined ? `id ${id as string}` : name !== undefined ? `name ${name as string}` : "");
    let call = queue?.pop();
    while (call !== undefined && this.#taken.has(call)) call = queue!.pop();
    if (call !== undefined) this.#taken.add(call);
    return call;
  }
}

function readToolCalls(value: unknown, where: string): Fields[] {
  if (!Array.isArray(value)) throw bad(where, `${where} must be an array of calls; given ${quote(value)}.`);
  if (value.length > MOST_PARTS) throw bad(where, `${where} takes up to ${MOST_PARTS} calls; given ${value.length}.`);
  return value.map((call: unknown, index) => {
    const at = `${where}[${index}]`;
    const { id, type } = isObject(call) ? call : {};
    if (!isObject(call) || !isObject(call.function) || (type !== undefined && type !== null && type !== "function")) {
      throw bad(at, `${at} must be { id, type: "function", function: { name, arguments } }; given ${quote(call)}.`);
    }
    return {
      ...(id === undefined || id === null || id === "" ? {} : { id: readString(id, `${at}.id`) }),
      type: "function",
      function: readFunction(call.function, `${at}.function`),
    };
  });
}

/** OpenAI's way before there were tools. */
function readFunctionCall(value: unknown, where: string): Fields {
  if (!isObject(value)) throw bad(where, `${where} must be { name, arguments }; given ${quote(value)}.`);
  return { type: "function", function: readFunction(value, where) };
}

function readFunction(value: Fields, where: string): Fields {
  return { name: readString(value.name, `${where}.name`), arguments: readArguments(value.arguments, `${where}.arguments`) };
}

function readString(value: unknown, where: string): string {
  if (typeof value === "string") return value.toWellFormed();
  throw bad(where, `${where} must be a string; given ${quote(value)}.`);
}

/**
 * A string that holds an object as JSON, which templates parse; Ollama and the AI SDK have the object itself. A call without arguments is told in
 * four ways: all are an empty object.
 */
function readArguments(value: unknown, where: string): string {
  if (isObject(value)) return JSON.stringify(value);
  const text = value === undefined || value === null ? "" : readString(value, where);
  if (["", "null"].includes(text.trim())) return "{}";
  checkJsonText(text, where);
  const read = parsed(text);
  if (!isObject(read)) {
    throw bad(
      where,
      `${where} must be the JSON text of an object, such as {"city":"Paris"} ("" is {}); given ${quote(text)}. Leave out a call that was cut short.`,
    );
  }
  if (LARGE_NUMBER.test(text) && holdsInfinity(read)) throw bad(where, `${where} may hold numbers up to 1.8e308; given a larger one.`);
  // No other parser takes half of a surrogate pair; JSON.stringify escapes it, and no whole one.
  const halved = SURROGATE.test(text) && SURROGATE.test(JSON.stringify(read));
  return halved ? JSON.stringify(plainJson(read, where)) : text;
}

/** The same of what a model wrote, which may be anything: what cannot be read is told as text. */
export function readableArguments(text: string): string {
  try {
    return readArguments(text, "arguments");
  } catch {
    return JSON.stringify({ arguments: text.toWellFormed() });
  }
}

/** What may be too large for a double, and what is a surrogate. */
const LARGE_NUMBER = /e\+?\d{3}|\d{309}/i;
const SURROGATE = /\\u[dD][89a-fA-F]/;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function holdsInfinity(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return typeof value === "number" && !Number.isFinite(value);
  return Object.values(value).some(holdsInfinity);
}

function badContent(where: string, value: unknown): ZSEError {
  return bad(
    where,
    `${where} must be a string or an array of { type: "text", text } (null only in an assistant's message with tool_calls); given ${quote(value)}.`,
  );
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
