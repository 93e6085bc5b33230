// Owns the check of a conversation's messages, so that a template never meets a shape it does not expect. Runs on the
// caller's thread, before anything is queued.

import { cutName, quote } from "../base/quote.js";
import { bad, type ZSEError } from "../errors.js";
import { checkJsonText, MOST_PARTS, plainJson } from "./foreign.js";

type Check = (value: unknown, where: string) => unknown;

/** Fields each role may have, and how each is checked. The shape is OpenAI's. */
const FIELDS: Record<string, Record<string, Check>> = {
  system: { content: readContent, name: readString },
  developer: { content: readContent, name: readString },
  user: { content: readContent, name: readString },
  assistant: { content: readContent, name: readString, tool_calls: readToolCalls, reasoning_content: readString },
  tool: { content: readContent, name: readString, tool_call_id: readString },
};

/**
 * @returns a copy that holds only known fields and well-formed text (a lone surrogate becomes U+FFFD)
 * @throws ZSEError BAD_OPTION naming the message's index and the field
 */
export function validateMessages(messages: unknown): Record<string, unknown>[] {
  if (!Array.isArray(messages)) throw bad("messages", `messages must be an array of messages; given ${quote(messages)}.`);
  if (messages.length === 0) {
    throw bad("messages", 'messages must hold at least one message, such as { role: "user", content: "Hello" }; given [].');
  }
  return (plainJson(messages, "messages") as unknown[]).map(validateMessage);
}

function validateMessage(message: unknown, index: number): Record<string, unknown> {
  const where = `messages[${index}]`;
  if (!isObject(message)) throw bad(where, `${where} must be an object { role, content }; given ${quote(message)}.`);
  const { role } = message;
  const fields = typeof role === "string" && Object.hasOwn(FIELDS, role) ? FIELDS[role]! : undefined;
  if (fields === undefined) {
    const roles = Object.keys(FIELDS)
      .map((one) => `"${one}"`)
      .join(", ");
    throw bad(`${where}.role`, `${where}.role must be one of ${roles}; given ${quote(role)}.`);
  }
  const result: Record<string, unknown> = { role };
  for (const [field, value] of Object.entries(message)) {
    if (field === "role" || value === undefined) continue;
    const check = Object.hasOwn(fields, field) ? fields[field]! : undefined;
    if (check === undefined) {
      const known = ["role", ...Object.keys(fields)].join(", ");
      const at = `${where}.${cutName(field)}`;
      throw bad(at, `${at} is not a field of a message of role "${role as string}" (those are ${known}).`);
    }
    if (field !== "content" || value !== null) result[field] = check(value, `${where}.${field}`);
  }
  if (result.content === undefined) {
    const calls = result.tool_calls as unknown[] | undefined;
    if (calls === undefined || calls.length === 0) throw badContent(`${where}.content`, message.content);
    result.content = null;
  }
  return result;
}

function readContent(value: unknown, where: string): unknown {
  if (typeof value === "string") return value.toWellFormed();
  if (!Array.isArray(value)) throw badContent(where, value);
  if (value.length > MOST_PARTS) throw bad(where, `${where} takes up to ${MOST_PARTS} parts; given ${value.length}.`);
  return value.map((part: unknown, index) => {
    const at = `${where}[${index}]`;
    if (!isObject(part) || part.type !== "text") {
      const given = isObject(part) ? `a part of type ${quote(part.type)}` : quote(part);
      throw bad(at, `${at} must be { type: "text", text }, the only kind of part this engine reads; given ${given}.`);
    }
    return { type: "text", text: readString(part.text, `${at}.text`) };
  });
}

function readToolCalls(value: unknown, where: string): unknown {
  if (!Array.isArray(value)) throw bad(where, `${where} must be an array of calls; given ${quote(value)}.`);
  if (value.length > MOST_PARTS) throw bad(where, `${where} takes up to ${MOST_PARTS} calls; given ${value.length}.`);
  return value.map((call: unknown, index) => {
    const at = `${where}[${index}]`;
    if (!isObject(call) || !isObject(call.function) || (call.type !== undefined && call.type !== "function")) {
      throw bad(at, `${at} must be { id, type: "function", function: { name, arguments } }; given ${quote(call)}.`);
    }
    return {
      ...(call.id === undefined ? {} : { id: readString(call.id, `${at}.id`) }),
      type: "function",
      function: {
        name: readString(call.function.name, `${at}.function.name`),
        arguments: readArguments(call.function.arguments, `${at}.function.arguments`),
      },
    };
  });
}

function readString(value: unknown, where: string): string {
  if (typeof value === "string") return value.toWellFormed();
  throw bad(where, `${where} must be a string; given ${quote(value)}.`);
}

/** A string that holds JSON, which templates parse. A call without arguments is told in three ways: all are an empty object. */
function readArguments(value: unknown, where: string): string {
  const text = value === undefined || value === null ? "" : readString(value, where);
  if (text.trim() === "") return "{}";
  checkJsonText(text, where);
  return text;
}

function badContent(where: string, value: unknown): ZSEError {
  return bad(
    where,
    `${where} must be a string or an array of { type: "text", text } (null only in an assistant's message with tool_calls); given ${quote(value)}.`,
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
