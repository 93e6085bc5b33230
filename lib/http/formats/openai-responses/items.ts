// Owns the items of a conversation in OpenAI's Responses: what each may be, and the messages that a list of them comes to. Pure, apart from
// drawing ids; any thread. What a message's content may be is the library's to check (lib/options/messages.ts).
//
// Items are finer than messages: a thought, a text and calls that one reply of the model had are one message again, since templates write them
// as one. Ids of items never reach a prompt: they differ where the conversation is the same, and would defeat the prompt cache.

import { quote } from "../../../base/quote.js";
import type { Message, ToolCallInput } from "../../../types.js";
import { bad, type Fields, isObject, unsupported } from "../fields.js";
import type { Memory } from "../format.js";
import { newId } from "../ids.js";
import { WireError } from "../wire-error.js";
import { argumentsOf } from "./custom-tools.js";
import { toolNameOf } from "./tools.js";

/** An item whose kind is known. Its fields are plain data. */
export interface Item extends Fields {
  type: "message" | "reasoning" | "function_call" | "function_call_output" | "custom_tool_call" | "custom_tool_call_output";
  id: string;
}

/** An item, and what the request calls it. */
export interface PlacedItem {
  item: Item;
  where: string;
}

const ROLES = ["user", "assistant", "system", "developer"];
const PREFIXES = {
  message: "msg",
  reasoning: "rs",
  function_call: "fc",
  function_call_output: "fco",
  custom_tool_call: "ctc",
  custom_tool_call_output: "ctco",
} as const satisfies Record<Item["type"], string>;
const KINDS = [...Object.keys(PREFIXES), "item_reference"];
/** What is told of a thought to clients that keep no `content`: its text, in a form that nobody takes for one of another server. */
const SEALED = "zse1.";

/**
 * @param input a text, or a list of items
 * @throws WireError naming the item
 */
export function readItems(input: unknown, memory: Memory): PlacedItem[] {
  if (typeof input === "string") return [{ item: { type: "message", id: newId("msg"), role: "user", content: input }, where: "input" }];
  if (!Array.isArray(input)) throw bad("input", `input must be a text or an array of items; given ${quote(input)}.`);
  const referred = new Set<unknown>();
  return input.map((one: unknown, index) => {
    const where = `input[${index}]`;
    const item = readItem(one, where, memory);
    const isReference = isObject(one) && kindOf(one, where) === "item_reference";
    if (isReference && referred.has(item.id)) throw bad(`${where}.id`, `${where}.id refers to ${quote(item.id)} a second time.`);
    if (isReference) referred.add(item.id);
    return { item, where };
  });
}

function readItem(given: unknown, where: string, memory: Memory): Item {
  if (!isObject(given)) throw bad(where, `${where} must be an object; given ${quote(given)}.`);
  const kind = kindOf(given, where);
  if (kind === "item_reference") return referred(given.id, where, memory);
  const id = typeof given.id === "string" && given.id !== "" ? given.id : newId(PREFIXES[kind]);
  return { ...given, type: kind, id };
}

function kindOf(given: Fields, where: string): Item["type"] | "item_reference" {
  const { type } = given;
  if (type === undefined || type === null) return "role" in given ? "message" : "item_reference";
  if (typeof type === "string" && KINDS.includes(type)) return type as Item["type"];
  const kinds = KINDS.map((one) => `"${one}"`).join(", ");
  throw unsupported(`${where}.type`, `${where}.type must be one of ${kinds}, which a model of text can read; given ${quote(type)}.`);
}

function referred(id: unknown, where: string, memory: Memory): Item {
  const item = typeof id === "string" ? memory.item(id) : undefined;
  if (item !== undefined) return item as Item;
  const message = `${where} refers to the item ${quote(id)}, which is not kept here (no longer, or its reply had store: false).`;
  throw new WireError(404, message, { param: `${where}.id`, code: "item_not_found" });
}

/** Messages, and for each of them what the request calls it, and what stands in it. */
export interface Conversation {
  messages: Message[];
  places: MessagePlace[];
}

/** Items that became one message keep their places: what is wrong with a call is not told of the text before it. */
export interface MessagePlace {
  where: string;
  content?: string;
  thought?: string;
  /** By the call's place in the message. */
  calls: CallPlace[];
}

interface CallPlace {
  where: string;
  custom: boolean;
}

/** @param rest what a chat calls a field of this message, after `messages[i]` */
export function fieldIn({ where, content, thought, calls }: MessagePlace, rest: string): string {
  // A text in place of items, and what is kept here, have no fields of their own.
  if (!where.startsWith("input[")) return where;
  const [, index, field = ""] = /^\.tool_calls\[(\d+)\](.*)$/.exec(rest) ?? [];
  const call = calls[Number(index)];
  if (call !== undefined) {
    const own = CALL_FIELDS.find(([name]) => field.startsWith(name));
    if (own?.[1] === "arguments" && call.custom) return `${call.where}.input`;
    return call.where + (own === undefined ? "" : `.${own[1]}${field.slice(own[0].length)}`);
  }
  if (rest.startsWith(".content")) return (content ?? `${where}.content`) + rest.slice(".content".length);
  if (rest.startsWith(".reasoning_content")) return thought ?? where;
  if (rest.startsWith(".tool_call_id")) return `${where}.call_id`;
  return where;
}

const CALL_FIELDS = [
  [".function.arguments", "arguments"],
  [".function.name", "name"],
  [".id", "call_id"],
] as const;

/** What a message of the assistant's is made of, item by item. */
interface AssistantMessage {
  role: "assistant";
  content?: unknown;
  reasoning_content?: string;
  tool_calls?: ToolCallInput[];
}

/** @throws WireError naming the item */
export function conversationOf(instructions: string | undefined, items: readonly PlacedItem[]): Conversation {
  const writer = new ConversationWriter();
  if (instructions !== undefined) writer.add({ role: "system", content: instructions }, "instructions");
  for (const { item, where } of items) writer.item(item, where);
  return writer;
}

class ConversationWriter implements Conversation {
  readonly messages: Message[] = [];
  readonly places: MessagePlace[] = [];
  /** The last message, where it is the assistant's and may go on. */
  #open: AssistantMessage | undefined;

  add(message: object, where: string, content?: string): void {
    this.messages.push(message as Message);
    this.places.push({ where, calls: [], ...(content === undefined ? {} : { content }) });
    this.#open = undefined;
  }

  get #place(): MessagePlace {
    return this.places.at(-1)!;
  }

  item(item: Item, where: string): void {
    if (item.type === "message") this.#message(item, where);
    else if (item.type === "reasoning") this.#thought(thoughtOf(item, where), where);
    else if (item.type === "function_call") this.#call(item, where, item.arguments as string);
    else if (item.type === "custom_tool_call") this.#call(item, where, argumentsOf(text(item.input, `${where}.input`)));
    else {
      const tool_call_id = text(item.call_id, `${where}.call_id`);
      this.add({ role: "tool", tool_call_id, content: outputOf(item, where) }, where, `${where}.output`);
    }
  }

  #message({ role, content }: Item, where: string): void {
    if (typeof role !== "string" || !ROLES.includes(role)) {
      const roles = ROLES.map((one) => `"${one}"`).join(", ");
      throw bad(`${where}.role`, `${where}.role must be one of ${roles}; given ${quote(role)}.`);
    }
    const said = contentOf(content);
    if (role === "assistant") {
      this.#assistant(where, hasOnlyThought).content = said ?? "";
      this.#place.content = `${where}.content`;
    } else this.add({ role, content: said }, where);
  }

  #thought(thought: string, where: string): void {
    if (thought === "") return;
    const open = this.#assistant(where, hasOnlyThought);
    this.#place.thought ??= where;
    open.reasoning_content = open.reasoning_content === undefined ? thought : `${open.reasoning_content}\n${thought}`;
  }

  #call(item: Item, where: string, args: string): void {
    const name = toolNameOf(text(item.name, `${where}.name`), item.namespace);
    const id = text(item.call_id, `${where}.call_id`);
    const call: ToolCallInput = { id, type: "function", function: { name, arguments: args } };
    (this.#assistant(where, () => true).tool_calls ??= []).push(call);
    this.#place.calls.push({ where, custom: item.type === "custom_tool_call" });
  }

  /** The message that goes on, or a new one. */
  #assistant(where: string, goesOn: (message: AssistantMessage) => boolean): AssistantMessage {
    if (this.#open !== undefined && goesOn(this.#open)) return this.#open;
    const message: AssistantMessage = { role: "assistant" };
    this.add(message, where);
    this.#open = message;
    return message;
  }
}

function hasOnlyThought({ content, tool_calls }: AssistantMessage): boolean {
  return content === undefined && tool_calls === undefined;
}

/** One part is as good as its text; several are the library's to read, and to refuse. */
function contentOf(content: unknown): unknown {
  if (!Array.isArray(content) || content.length !== 1 || !isObject(content[0])) return content;
  const { type, text } = content[0];
  return typeof text === "string" && (type === "input_text" || type === "output_text" || type === "text") ? text : content;
}

function outputOf({ output }: Item, where: string): unknown {
  if (typeof output === "string") return output;
  if (Array.isArray(output)) return contentOf(output);
  throw bad(`${where}.output`, `${where}.output must be a text or an array of parts; given ${quote(output)}.`);
}

/** A thought that another server has sealed cannot be read: its summary stands for it, if there is one. */
function thoughtOf({ content, summary, encrypted_content: sealed }: Item, where: string): string {
  const said = partsOf(content, `${where}.content`) || partsOf(summary, `${where}.summary`);
  if (said !== "" || typeof sealed !== "string" || !sealed.startsWith(SEALED)) return said;
  return new TextDecoder().decode(Uint8Array.from(atobUrl(sealed.slice(SEALED.length), where), (one) => one.charCodeAt(0)));
}

/** As `reasoning.encrypted_content`: clients that keep nothing of a thought but this bring it back whole. */
export function sealThought(thought: string): string {
  const bytes = new TextEncoder().encode(thought);
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return SEALED + btoa(binary);
}

function atobUrl(base64: string, where: string): string {
  try {
    return atob(base64);
  } catch {
    throw bad(`${where}.encrypted_content`, `${where}.encrypted_content is not what was sent here.`);
  }
}

function partsOf(parts: unknown, where: string): string {
  if (parts === undefined || parts === null) return "";
  if (!Array.isArray(parts)) throw bad(where, `${where} must be an array of parts; given ${quote(parts)}.`);
  return parts.map((part: unknown, i) => text(isObject(part) ? part.text : part, `${where}[${i}].text`)).join("\n");
}

function text(value: unknown, where: string): string {
  if (typeof value === "string") return value;
  throw bad(where, `${where} must be a string; given ${quote(value)}.`);
}
