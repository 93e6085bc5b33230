// Owns reading the body of a request for OpenAI's Responses: which of its fields are whose of a chat's, and which mean nothing here. The rest is
// the chat's own reader, so that fields of local servers work here too. Pure; any thread.

import { quote } from "../../../base/quote.js";
import { bad, type Fields, isObject, readBoolean, saidFields, unsupported } from "../fields.js";
import type { Memory, WireRequest } from "../format.js";
import { readRequest } from "../openai-chat/request.js";
import { WireError } from "../wire-error.js";
import { conversationOf, fieldIn, type MessagePlace, type PlacedItem, readItems } from "./items.js";
import { readChoice, readTools, type ToolName } from "./tools.js";

/** What the writer must know of a request. */
export interface Echo {
  /** Fields that the reply repeats. */
  fields: Fields;
  /** All of the conversation. */
  input: readonly object[];
  /** Names of calls, by those that the model knows. */
  names: ReadonlyMap<string, ToolName>;
  /** Thoughts are told as their own summary. */
  summary: boolean;
  /** Thoughts are told sealed, too. */
  sealed: boolean;
}

/** Of what a response may include, what there is here, and what there is none of. */
const LOGPROBS = "message.output_text.logprobs";
const SEALED = "reasoning.encrypted_content";
const INCLUDABLE = [
  ...[LOGPROBS, SEALED, "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs"],
  ...["file_search_call.results", "web_search_call.results", "web_search_call.action.sources"],
];
/** Fields that are read here; a chat has them under other names, or not at all. */
const READ_HERE = new Set([
  ...["input", "instructions", "previous_response_id", "tools", "tool_choice", "text", "reasoning", "max_output_tokens", "include"],
  ...["background", "store", "top_logprobs", "truncation"],
]);
/** Known, without a meaning for a local model. */
const MEANINGLESS = new Set([
  ...["metadata", "user", "safety_identifier", "service_tier", "client_metadata", "max_tool_calls"],
  ...["prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"],
]);
/** They change what the answer is, and are not supported. */
const REFUSED = ["conversation", "prompt", "context_management", "moderation", "messages"];
/** What a reply repeats of a request, and what stands for it where there is none. */
const REPEATED: Fields = {
  ...{ background: false, instructions: null, max_output_tokens: null, max_tool_calls: null, metadata: {} },
  ...{ parallel_tool_calls: true, previous_response_id: null, prompt_cache_key: null, reasoning: { effort: null, summary: null } },
  ...{ safety_identifier: null, store: true, temperature: null, text: { format: { type: "text" } }, tool_choice: "auto", tools: [] },
  ...{ top_logprobs: 0, top_p: null, truncation: "disabled", user: null },
};
const METADATA = 16;

/** @throws WireError naming the field */
export function readResponse(body: unknown, memory: Memory): WireRequest {
  if (!isObject(body)) throw new WireError(400, "The body must be a JSON object.", { code: "invalid_value" });
  const given = saidFields(body);
  refuse(given);
  const items = itemsOf(given, memory);
  const { messages, places } = conversationOf(readText(given, "instructions"), items);
  if (messages.length === 0) throw bad("input", 'input is missing: a text, or an array such as [{ role: "user", content: "Hello" }].');
  const read = readTools(given.tools);
  const chosen = readChoice(given.tool_choice, read);
  const { include, effort, summary, ...asked } = { ...readInclude(given), ...readReasoning(given.reasoning) };
  const fieldOf = fieldsOf({ messages: places, tools: chosen.places });
  const store = readBoolean(given, "store") ?? true;
  const background = readBoolean(given, "background") ?? false;
  if (background && !store) throw bad("background", "background: true needs store: true: the reply is there for who comes back for it.");
  const chat: Fields = {
    ...chatFields(given),
    ...asked,
    messages,
    ...(read.tools.length === 0 ? {} : { tools: chosen.tools }),
    ...(chosen.choice === undefined ? {} : { tool_choice: chosen.choice }),
    ...readFormat(given.text),
    ...(effort === undefined ? {} : { reasoning_effort: effort }),
  };
  if (given.max_output_tokens !== undefined) chat.max_completion_tokens = given.max_output_tokens;
  const request = named(fieldOf, () => readRequest(chat, 1));
  const echo: Echo = {
    fields: repeated(given),
    input: items.map(({ item }) => item),
    names: read.names,
    summary,
    sealed: include.includes(SEALED),
  };
  return {
    ...request,
    resumable: request.resumable || (background && request.stream),
    background,
    truncates: given.truncation === "auto",
    keep: store,
    echo,
    fieldOf,
  };
}

/** A chat's errors, by the names that the fields have here. */
function named<T>(fieldOf: (param: string) => string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof WireError ? error.named(fieldOf) : error;
  }
}

/** The fields that pass as they are: those of a chat that are spelled alike, and what no one knows. */
function chatFields(given: Fields): Fields {
  return Object.fromEntries(Object.entries(given).filter(([name]) => !READ_HERE.has(name) && !MEANINGLESS.has(name)));
}

function refuse(given: Fields): void {
  const name = REFUSED.find((one) => one in given && (one === "messages" || !isEmpty(given[one])));
  if (name === "messages") throw bad("messages", "A response has input, not messages; those are for /v1/chat/completions.");
  if (name !== undefined) throw unsupported(name, `${name} is not supported by this version; leave it out.`);
  checkMetadata(given.metadata);
  const { truncation } = given;
  if (truncation !== undefined && truncation !== "auto" && truncation !== "disabled")
    throw bad("truncation", `truncation must be "auto" or "disabled"; given ${quote(truncation)}.`);
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

/** It is kept and given back, so it has OpenAI's bounds. */
function checkMetadata(metadata: unknown): void {
  if (metadata === undefined) return;
  const entries = isObject(metadata) ? Object.entries(metadata) : undefined;
  const fits = entries?.every(([key, value]) => key.length <= 64 && typeof value === "string" && value.length <= 512);
  if (entries === undefined || entries.length > METADATA || fits !== true) {
    const rule = `an object of up to ${METADATA} texts of up to 512 characters, by names of up to 64`;
    throw bad("metadata", `metadata must be ${rule}; given ${quote(metadata)}.`);
  }
}

/** All of the conversation: what the reply that is gone on from was asked, what it said, and what is new. */
function itemsOf(given: Fields, memory: Memory): PlacedItem[] {
  const items = given.input === undefined ? [] : readItems(given.input, memory);
  const id = readText(given, "previous_response_id");
  if (id === undefined) return items;
  const previous = memory.reply(id);
  if (previous === undefined) {
    const message = `previous_response_id is ${quote(id)}, and there is no such response: it is no longer kept, or never was (store: false).`;
    throw new WireError(400, message, { param: "previous_response_id", code: "previous_response_not_found" });
  }
  if ((previous.object as { status?: unknown }).status === "in_progress") {
    throw bad("previous_response_id", `previous_response_id is ${quote(id)}, which is still in progress; wait for its end, or cancel it.`);
  }
  const before = [...previous.input, ...previous.object.output] as PlacedItem["item"][];
  return [...before.map((item) => ({ item, where: "previous_response_id" })), ...items];
}

function readInclude({ include = [], top_logprobs }: Fields): { include: string[]; logprobs?: true; top_logprobs?: unknown } {
  if (!Array.isArray(include)) throw bad("include", `include must be an array of texts; given ${quote(include)}.`);
  const stranger = include.findIndex((one) => !INCLUDABLE.includes(one as string));
  if (stranger >= 0) {
    const known = INCLUDABLE.map((one) => `"${one}"`).join(", ");
    throw bad(`include[${stranger}]`, `include[${stranger}] must be one of ${known}; given ${quote(include[stranger])}.`);
  }
  const told = include.includes(LOGPROBS) || (top_logprobs !== undefined && top_logprobs !== 0);
  return { include: include as string[], ...(told ? { logprobs: true, ...(top_logprobs === undefined ? {} : { top_logprobs }) } : {}) };
}

function readReasoning(given: unknown): { effort?: unknown; summary: boolean } {
  if (given === undefined) return { summary: false };
  if (!isObject(given)) throw bad("reasoning", `reasoning must be { effort, summary }; given ${quote(given)}.`);
  const summary = given.summary ?? given.generate_summary ?? null;
  if (![null, "none", "auto", "concise", "detailed"].includes(summary as string | null))
    throw bad("reasoning.summary", `reasoning.summary must be "auto", "concise" or "detailed"; given ${quote(summary)}.`);
  return { ...(given.effort === null ? {} : { effort: given.effort }), summary: summary !== null && summary !== "none" };
}

function readFormat(text: unknown): Fields {
  if (text === undefined) return {};
  if (!isObject(text)) throw bad("text", `text must be { format, verbosity }; given ${quote(text)}.`);
  const { format } = text;
  if (format === undefined || format === null) return {};
  if (!isObject(format)) throw bad("text.format", `text.format must be an object; given ${quote(format)}.`);
  const { type, schema, strict } = format;
  if (type !== "json_schema") return { response_format: format };
  return { response_format: { type, schema, ...(typeof strict === "boolean" ? { strict } : {}) } };
}

/** The chat's names of fields, in this format's words. */
function fieldsOf(places: { messages: readonly MessagePlace[]; tools: readonly string[] }): (param: string) => string {
  return (param) => {
    const [, list, index, rest = ""] = /^(messages|tools)\[(\d+)\](.*)$/.exec(param) ?? [];
    if (list === "messages") {
      const place = places.messages[Number(index)];
      return place === undefined ? "input" : fieldIn(place, rest);
    }
    if (list === "tools") return (places.tools[Number(index)] ?? "tools") + rest.replace(/^\.function/, "");
    if (param.startsWith("response_format")) return param.replace("response_format", "text.format").replace(".json_schema", "");
    return OTHER_NAMES[param] ?? param;
  };
}

const OTHER_NAMES: Readonly<Record<string, string>> = {
  messages: "input",
  max_completion_tokens: "max_output_tokens",
  max_tokens: "max_output_tokens",
  reasoning_effort: "reasoning.effort",
};

function repeated(given: Fields): Fields {
  const fields: Fields = {};
  for (const name in REPEATED) fields[name] = given[name] ?? REPEATED[name];
  if (isObject(fields.text) && fields.text.format === undefined) fields.text = { ...(REPEATED.text as Fields), ...fields.text };
  if (isObject(fields.reasoning)) fields.reasoning = { ...(REPEATED.reasoning as Fields), ...fields.reasoning };
  return { ...fields, service_tier: "default" };
}

function readText(given: Fields, name: string): string | undefined {
  const value = given[name];
  if (value === undefined || typeof value === "string") return value;
  throw bad(name, `${name} must be a text; given ${quote(value)}.`);
}
