// Owns turning LangChain's messages into those of a chat. Blocks of content are read as LangChain's standard has them, and as its older versions and
// other providers' packages write them. What a model of text cannot take is refused by its place. Pure; any thread.

import type { AIMessage, BaseMessage, ToolMessage } from "@langchain/core/messages";
import { quote } from "../../base/quote.js";
import { bad, ZSEError } from "../../errors.js";
import { failedParts } from "../../options/failed-result.js";
import { entriesOf } from "../../options/foreign.js";
import { isPlainObject } from "../../options/rules.js";
import type { Message, ToolCallInput } from "../../types.js";
import { checkTextual, textOfBytes } from "../text-file.js";

type Fields = Record<string, unknown>;
type Text = { type: "text"; text: string };

/** Blocks that say what `tool_calls` says already. */
const CALLS = new Set([
  "tool_call",
  "tool_call_chunk",
  "invalid_tool_call",
  "tool_use",
  "input_json_delta",
  "function_call",
  "functionCall",
]);

/** @throws ZSEError UNSUPPORTED for content that is no text, BAD_OPTION for what is no message */
export function messagesOf(messages: readonly BaseMessage[]): Message[] {
  return messages.map((message, index) => readMessage(message, `messages[${index}]`));
}

/** @returns what a model reads of a message's content; throws as messagesOf() */
export function textOfContent(content: unknown): string {
  return readContent(content, "content")
    .texts.map(({ text }) => text)
    .join("");
}

function readMessage(message: BaseMessage, where: string): Message {
  const name = typeof message.name === "string" && message.name !== "" ? { name: message.name } : {};
  const { texts, thoughts } = readContent(message.content, `${where}.content`);
  switch (roleOf(message, where)) {
    case "ai":
      return readAssistant(message as AIMessage, texts, thoughts, name);
    case "tool": {
      const { tool_call_id, status } = message as ToolMessage;
      return { role: "tool", content: status === "error" ? failedParts(texts) : texts, tool_call_id, ...name };
    }
    case "function":
      return { role: "function", content: texts.map(({ text }) => text).join("\n"), name: message.name ?? "" };
    case "system":
      return { role: message.additional_kwargs.__openai_role__ === "developer" ? "developer" : "system", content: texts, ...name };
    default:
      return { role: "user", content: texts, ...name };
  }
}

function roleOf(message: BaseMessage, where: string): "human" | "ai" | "system" | "tool" | "function" {
  const type = message.type as string;
  const role = type === "generic" ? ((message as { role?: unknown }).role as string) : type;
  switch (role) {
    case "human":
    case "user":
      return "human";
    case "ai":
    case "assistant":
      return "ai";
    case "system":
    case "developer":
      return "system";
    case "tool":
    case "function":
      return role;
    default:
      throw bad(where, `${where} must be a message of a human, an AI, the system or a tool; given one of ${quote(role)}.`);
  }
}

function readAssistant(message: AIMessage, texts: Text[], thoughts: string[], name: { name?: string }): Message {
  const { tool_calls = [], invalid_tool_calls = [], additional_kwargs } = message;
  // Where other packages of LangChain put thoughts.
  const { reasoning_content: told } = additional_kwargs;
  if (thoughts.length === 0 && typeof told === "string" && told !== "") thoughts.push(told);
  const calls: ToolCallInput[] = [
    ...tool_calls.map((call) => callOf(call.id, call.name, call.args)),
    ...invalid_tool_calls.map((call) => callOf(call.id, call.name ?? "", { arguments: call.args ?? "" })),
  ];
  return {
    role: "assistant",
    content: texts.length === 0 ? (calls.length === 0 ? "" : null) : texts,
    ...(thoughts.length === 0 ? {} : { reasoning_content: thoughts.join("\n") }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...name,
  };
}

function callOf(id: string | undefined, name: string, args: Fields): ToolCallInput {
  return { ...(id === undefined ? {} : { id }), type: "function", function: { name, arguments: args } };
}

function readContent(content: unknown, where: string): { texts: Text[]; thoughts: string[] } {
  if (typeof content === "string") return { texts: content === "" ? [] : [{ type: "text", text: content }], thoughts: [] };
  if (!Array.isArray(content)) throw bad(where, `${where} must be a string or an array of blocks; given ${quote(content)}.`);
  const texts: Text[] = [];
  const thoughts: string[] = [];
  for (const [i, given] of content.entries()) {
    const at = `${where}[${i}]`;
    if (typeof given === "string") {
      texts.push({ type: "text", text: given });
      continue;
    }
    if (!isPlainObject(given)) throw bad(at, `${at} must be a block of content; given ${quote(given)}.`);
    const block = Object.fromEntries(entriesOf(given, at));
    if (CALLS.has(block.type as string)) continue;
    if (block.type === "reasoning" || block.type === "thinking") {
      const thought = block.reasoning ?? block.thinking;
      if (typeof thought === "string" && thought !== "") thoughts.push(thought); // summaries of other providers have none
    } else texts.push({ type: "text", text: textOf(block, at) });
  }
  return { texts, thoughts };
}

/** Text, or a file that is text: of the standard (`mimeType`), or as versions before 1 had it (`source_type`, `mime_type`). */
function textOf(block: Fields, at: string): string {
  const { type, text, data, url } = block;
  if (typeof text === "string") return text;
  if (type === "text" || type === "text_delta") throw bad(`${at}.text`, `${at}.text must be a string; given ${quote(text)}.`);
  if (type !== "text-plain" && type !== "file") {
    throw new ZSEError("UNSUPPORTED", `${at} is a block of type ${quote(type)}: this engine reads text, thoughts, and calls of tools.`);
  }
  const inUrl = typeof url === "string" ? /^data:([^,;]*)[^,]*?(;base64)?,/i.exec(url) : null;
  checkTextual(inUrl?.[1] || (block.mimeType ?? block.mime_type ?? (type === "text-plain" ? "text/plain" : undefined)), at);
  if (inUrl !== null) {
    const rest = (url as string).slice(inUrl[0].length);
    return inUrl[2] === undefined ? textOfUrl(rest, `${at}.url`) : textOfBytes(rest, `${at}.url`);
  }
  if (data === undefined) throw new ZSEError("UNSUPPORTED", `${at} is a file behind a URL or an id: give its text, or its data.`);
  return textOfBytes(data, `${at}.data`);
}

function textOfUrl(rest: string, at: string): string {
  try {
    return decodeURIComponent(rest);
  } catch {
    throw bad(at, `${at} must be a data: URL; given ${quote(rest)} after its comma, which is not encoded as one.`);
  }
}
