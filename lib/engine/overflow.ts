// Owns saying which message makes a conversation too long for the context, where one of them does. Pure; any thread.

import { ZSEError } from "../errors.js";

/**
 * The error, and where a message of a chat has more than half of all text, which one: an agent then knows which result of a tool to shorten. Other
 * errors stay as they are. Costs a look at the conversation, for errors alone.
 * @param messages of the request, as JSON; undefined for a prompt
 */
export function namingLongest(error: unknown, messages: string | undefined): unknown {
  if (!(error instanceof ZSEError) || error.code !== "CONTEXT_OVERFLOW" || messages === undefined) return error;
  const all = JSON.parse(messages) as { role: string }[];
  const sizes = all.map((message) => JSON.stringify(message).length);
  const longest = sizes.reduce((best, size, index) => (size > sizes[best]! ? index : best), 0);
  const sum = sizes.reduce((before, size) => before + size, 0);
  if (all.length < 2 || sizes[longest]! * 2 <= sum) return error;
  const option = `messages[${longest}]`;
  const isResult = all[longest]!.role === "tool" || all[longest]!.role === "function";
  return new ZSEError(error.code, `${error.message}; most of it is ${option}${isResult ? ", the result of a tool" : ""}`, { option });
}
