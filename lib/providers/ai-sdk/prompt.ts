// Owns turning a prompt of the AI SDK (versions 3 and 4 of its specification) into messages. What a model of text cannot take is refused by its place.
// Pure; any thread. What a message may hold beyond its shape is checked by lib/options, which reads what comes of this.

import { quote } from "../../base/quote.js";
import { bad, ZSEError } from "../../errors.js";
import { deniedText, failedText } from "../../options/failed-result.js";
import { entriesOf, plainJson } from "../../options/foreign.js";
import { isPlainObject } from "../../options/rules.js";
import type { Message, TextPart, ToolCallInput } from "../../types.js";
import { checkTextual, textOfBytes } from "../text-file.js";

type Fields = Record<string, unknown>;

/** @throws ZSEError UNSUPPORTED for files that are no text, and for parts that are another provider's; BAD_OPTION for what is none of the SDK's */
export function messagesOf(prompt: unknown): Message[] {
  if (!Array.isArray(prompt)) throw bad("prompt", `prompt must be an array of the AI SDK's messages; given ${quote(prompt)}.`);
  return prompt.flatMap((message: unknown, index) => readMessage(message, `prompt[${index}]`));
}

function readMessage(message: unknown, where: string): Message[] {
  const { role, content } = fieldsOf(message, where);
  switch (role) {
    case "system":
      if (typeof content === "string") return [{ role, content }];
      throw bad(`${where}.content`, `${where}.content of a system message must be a string; given ${quote(content)}.`);
    case "user":
      return [{ role, content: partsOf(content, where).map((part, i) => textOf(part, `${where}.content[${i}]`)) }];
    case "assistant":
      return readAssistant(partsOf(content, where), `${where}.content`);
    case "tool":
      return partsOf(content, where).map((part, i) => readResult(part, `${where}.content[${i}]`));
    default:
      throw bad(`${where}.role`, `${where}.role must be "system", "user", "assistant" or "tool"; given ${quote(role)}.`);
  }
}

/** Text, thoughts and calls. A result among them is that of a tool which another provider ran: the message is told in two. */
function readAssistant(parts: Fields[], where: string): Message[] {
  const messages: Message[] = [];
  let said = new Said();
  for (const [i, part] of parts.entries()) {
    const at = `${where}[${i}]`;
    if (part.type === "reasoning") said.thoughts.push(stringOf(part.text, `${at}.text`));
    else if (part.type === "tool-call") said.calls.push(readCall(part, at));
    else if (part.type === "tool-result") {
      messages.push(...said.messages(), readResult(part, at));
      said = new Said();
    } else said.texts.push(textOf(part, at));
  }
  const rest = said.messages();
  return [...messages, ...(rest.length === 0 && messages.length === 0 ? [{ role: "assistant", content: "" } as const] : rest)];
}

class Said {
  readonly texts: TextPart[] = [];
  readonly thoughts: string[] = [];
  readonly calls: ToolCallInput[] = [];

  messages(): Message[] {
    if (this.texts.length + this.thoughts.length + this.calls.length === 0) return [];
    return [
      {
        role: "assistant",
        content: this.texts.length === 0 ? (this.calls.length === 0 ? "" : null) : this.texts,
        ...(this.thoughts.length === 0 ? {} : { reasoning_content: this.thoughts.join("\n") }),
        ...(this.calls.length === 0 ? {} : { tool_calls: this.calls }),
      },
    ];
  }
}

function readCall({ toolCallId, toolName, input }: Fields, at: string): ToolCallInput {
  const name = stringOf(toolName, `${at}.toolName`);
  // A call that was no JSON comes back as the text that it was.
  const args =
    isPlainObject(input) || typeof input === "string" ? input : input === undefined || input === null ? {} : { arguments: input };
  return { id: stringOf(toolCallId, `${at}.toolCallId`), type: "function", function: { name, arguments: jsonOf(args) } };
}

/** Templates parse the arguments of the history. */
function jsonOf(args: Readonly<Fields> | string): string | Readonly<Fields> {
  if (typeof args !== "string") return args;
  try {
    JSON.parse(args);
    return args;
  } catch {
    return args.trim() === "" ? "{}" : { arguments: args };
  }
}

function readResult(part: Fields, at: string): Message {
  if (part.type !== "tool-result") throw strange(part, at);
  const content = readOutput(fieldsOf(part.output, `${at}.output`), `${at}.output`);
  return {
    role: "tool",
    tool_call_id: stringOf(part.toolCallId, `${at}.toolCallId`),
    name: stringOf(part.toolName, `${at}.toolName`),
    content,
  };
}

function readOutput(output: Fields, at: string): string | TextPart[] {
  switch (output.type) {
    case "text":
      return stringOf(output.value, `${at}.value`);
    case "error-text":
      return failedText(stringOf(output.value, `${at}.value`));
    case "json":
    case "error-json": {
      const json = JSON.stringify(plainJson(output.value ?? null, `${at}.value`));
      return output.type === "json" ? json : failedText(json);
    }
    case "execution-denied":
      return deniedText(output.reason === undefined ? undefined : stringOf(output.reason, `${at}.reason`));
    case "content": {
      if (!Array.isArray(output.value)) throw bad(`${at}.value`, `${at}.value must be an array of parts; given ${quote(output.value)}.`);
      return output.value.map((part: unknown, i) => textOf(fieldsOf(part, `${at}.value[${i}]`), `${at}.value[${i}]`));
    }
    default:
      throw bad(`${at}.type`, `${at}.type must be one of the AI SDK's kinds of tool output; given ${quote(output.type)}.`);
  }
}

/** Text, or a file that is text. */
function textOf(part: Fields, at: string): TextPart {
  if (part.type === "text") return { type: "text", text: stringOf(part.text, `${at}.text`) };
  if (part.type !== "file" && part.type !== "file-data") throw strange(part, at);
  const { mediaType, data } = part;
  // Version 4 says of what kind the data is; version 3 has a string of base64, bytes or a URL.
  const { type, ...tagged } = isPlainObject(data) ? data : { type: data instanceof URL ? "url" : "data", data };
  if (type === "text") return { type: "text", text: stringOf(tagged.text, `${at}.data.text`) };
  checkTextual(mediaType, at);
  if (type !== "data") {
    throw new ZSEError(
      "UNSUPPORTED",
      `${at} is a file behind a ${type === "reference" ? "provider's reference" : "URL"}: give its text or its bytes.`,
    );
  }
  return { type: "text", text: textOfBytes(tagged.data, `${at}.data`) };
}

function strange(part: Fields, at: string): ZSEError {
  const whose = part.type === "custom" || part.type === "tool-approval-response" ? ", which is for the provider that it came from" : "";
  return new ZSEError(
    "UNSUPPORTED",
    `${at} is a part of type ${quote(part.type)}${whose}: this engine reads text, thoughts, calls of tools and their results.`,
  );
}

function partsOf(content: unknown, where: string): Fields[] {
  if (!Array.isArray(content)) throw bad(`${where}.content`, `${where}.content must be an array of parts; given ${quote(content)}.`);
  return content.map((part: unknown, i) => fieldsOf(part, `${where}.content[${i}]`));
}

/** Read once each: prompts may be anybody's objects. */
function fieldsOf(value: unknown, at: string): Fields {
  if (isPlainObject(value)) return Object.fromEntries(entriesOf(value, at));
  throw bad(at, `${at} must be an object; given ${quote(value)}.`);
}

function stringOf(value: unknown, at: string): string {
  if (typeof value === "string") return value;
  throw bad(at, `${at} must be a string; given ${quote(value)}.`);
}
