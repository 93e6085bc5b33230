// Owns reading the messages and the system prompt of a Messages body as a conversation of the library. Pure; any thread.
//
// Blocks of text become one string, without what only Anthropic's servers read (cache_control, citations). So a message is the same prompt whether
// it came as an array or as a string: clients send it now one way, now the other, and the prompt cache compares prompts.

import { fieldPath, quote } from "../../../base/quote.js";
import { MOST_PARTS } from "../../../options/foreign.js";
import type { Message, ToolCallInput } from "../../../types.js";
import { bad, type Fields, isObject, unsupported } from "../fields.js";
import type { WireError } from "../wire-error.js";

/** Between blocks of text. What an assistant said in blocks was said in one go. */
const BETWEEN = "\n";

/** @throws WireError 400 naming the field */
export function readConversation(system: unknown, messages: unknown): Message[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw bad("messages", `messages must be an array such as [{ role: "user", content: "Hello" }]; given ${quote(messages)}.`);
  }
  const before: Message[] = system === undefined ? [] : [{ role: "system", content: textOf(withoutBilling(system), "system") }];
  return [...before, ...messages.flatMap((message: unknown, index) => readMessage(message, fieldPath(["messages", index])))];
}

/**
 * Claude Code puts a line for Anthropic's accounting in front of its system prompt. It is nothing for a model, and it changes from one session to
 * the next: with it no prompt would begin as the one before.
 */
function withoutBilling(system: unknown): unknown {
  const isBilling = (block: unknown) =>
    isObject(block) && typeof block.text === "string" && /^x-anthropic-billing-header:/.test(block.text);
  return Array.isArray(system) && isBilling(system[0]) ? system.slice(1) : system;
}

/** Whether the reply goes on with the last message, which is the assistant's and begins it. */
export function goesOn(conversation: readonly Message[]): boolean {
  const last = conversation.at(-1);
  return last?.role === "assistant" && last.tool_calls === undefined;
}

function readMessage(message: unknown, where: string): Message[] {
  if (!isObject(message)) throw bad(where, `${where} must be an object { role, content }; given ${quote(message)}.`);
  const { role, content } = message;
  switch (role) {
    case "user":
      return readUser(content, `${where}.content`);
    case "assistant":
      return [readAssistant(content, `${where}.content`)];
    case "system":
      refuseFields(message, ["clear_at", "output_config"], where);
      return [{ role: "system", content: textOf(content, `${where}.content`) }];
    default:
      throw bad(`${where}.role`, `${where}.role must be "user", "assistant" or "system"; given ${quote(role)}.`);
  }
}

/** Results of tools stand in a user's message; each is a message of its own here, in the order in which they were said. */
function readUser(content: unknown, where: string): Message[] {
  if (typeof content === "string") return [{ role: "user", content }];
  const read: Message[] = [];
  let texts: string[] = [];
  const flush = () => {
    if (texts.length > 0) read.push({ role: "user", content: texts.join(BETWEEN) });
    texts = [];
  };
  for (const [index, block] of blocksOf(content, where).entries()) {
    const at = `${where}[${index}]`;
    if (block.type === "text") texts.push(stringOf(block.text, `${at}.text`));
    else if (block.type === "document") texts.push(documentOf(block, at));
    else if (block.type === "tool_result") {
      flush();
      read.push(readResult(block, at));
    } else throw badBlock(block, at, '"text", "document" or "tool_result"');
  }
  flush();
  return read.length > 0 ? read : [{ role: "user", content: "" }];
}

function readResult({ tool_use_id, content, is_error }: Fields, where: string): Message {
  const id = stringOf(tool_use_id, `${where}.tool_use_id`);
  if (is_error !== undefined && is_error !== null && typeof is_error !== "boolean") {
    throw bad(`${where}.is_error`, `${where}.is_error must be true or false; given ${quote(is_error)}.`);
  }
  const text = content === undefined || content === null ? "" : textOf(content, `${where}.content`);
  // No template has a place for it, and the model must know.
  return { role: "tool", tool_call_id: id, content: is_error === true ? `Error: ${text}` : text };
}

function readAssistant(content: unknown, where: string): Message {
  if (typeof content === "string") return { role: "assistant", content };
  let text = "";
  const thoughts: string[] = [];
  const calls: ToolCallInput[] = [];
  for (const [index, block] of blocksOf(content, where).entries()) {
    const at = `${where}[${index}]`;
    if (block.type === "text") text += stringOf(block.text, `${at}.text`);
    else if (block.type === "thinking") thoughts.push(stringOf(block.thinking, `${at}.thinking`));
    else if (block.type === "tool_use") calls.push(readCall(block, at));
    // Encrypted for Anthropic's own models.
    else if (block.type !== "redacted_thinking") throw badBlock(block, at, '"text", "thinking" or "tool_use"');
  }
  const thought = thoughts.join(BETWEEN);
  return {
    role: "assistant",
    content: text,
    ...(thought === "" ? {} : { reasoning_content: thought }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

function readCall({ id, name, input }: Fields, where: string): ToolCallInput {
  if (input !== undefined && !isObject(input)) throw bad(`${where}.input`, `${where}.input must be an object; given ${quote(input)}.`);
  return {
    id: stringOf(id, `${where}.id`),
    type: "function",
    function: { name: stringOf(name, `${where}.name`), arguments: input ?? {} },
  };
}

/** Text, or blocks of it. */
function textOf(content: unknown, where: string): string {
  if (typeof content === "string") return content;
  return blocksOf(content, where)
    .map((block, index) => {
      const at = `${where}[${index}]`;
      if (block.type === "text") return stringOf(block.text, `${at}.text`);
      if (block.type === "document") return documentOf(block, at);
      throw badBlock(block, at, '"text"');
    })
    .join(BETWEEN);
}

/** One that is text. */
function documentOf({ source, title, context }: Fields, where: string): string {
  const { type, data } = isObject(source) ? source : {};
  if (type !== "text") {
    throw bad(
      `${where}.source`,
      `${where}.source must be { type: "text", data }, since this engine reads text alone; given ${quote(type)}.`,
    );
  }
  const heads = [title, context].filter((one) => typeof one === "string" && one !== "");
  return [...heads, stringOf(data, `${where}.source.data`)].join(BETWEEN);
}

function blocksOf(content: unknown, where: string): Fields[] {
  if (!Array.isArray(content)) throw bad(where, `${where} must be a string or an array of blocks; given ${quote(content)}.`);
  if (content.length > MOST_PARTS) throw bad(where, `${where} takes up to ${MOST_PARTS} blocks; given ${content.length}.`);
  return content.map((block: unknown, index) => {
    if (isObject(block)) return block;
    throw bad(`${where}[${index}]`, `${where}[${index}] must be a block such as { type: "text", text }; given ${quote(block)}.`);
  });
}

function stringOf(value: unknown, where: string): string {
  if (typeof value === "string") return value;
  throw bad(where, `${where} must be a string; given ${quote(value)}.`);
}

function badBlock({ type }: Fields, where: string, known: string): WireError {
  return bad(`${where}.type`, `${where}.type must be ${known}, the blocks that are read here; given ${quote(type)}.`);
}

/** @throws WireError 400 for a field that would change the answer */
export function refuseFields(given: Readonly<Fields>, fields: readonly string[], where = ""): void {
  for (const name of fields) {
    const value = given[name];
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) continue;
    const at = where === "" ? name : `${where}.${name}`;
    throw unsupported(at, `${at} is not supported here; leave it out.`);
  }
}
