// Owns the guess whether a prompt may be longer than the context, made of its text alone, before anybody has counted. Pure; JS thread of the model.

import type { WireRequest } from "./formats/format.js";

/** Tokens that a chat template adds at most, as far as is known: to a conversation, and to each of its messages. */
const TEMPLATE_TOKENS = 256;
const MESSAGE_TOKENS = 32;
/** The context of a model that does not tell it. */
const USUAL_CONTEXT = 4096;

/** Whether the prompt may have more tokens than the context: a token is a byte at least. */
export function mayOverflow({ ask, options }: WireRequest, contextSize = USUAL_CONTEXT): boolean {
  const asked = "messages" in ask ? [ask.messages, options.tools] : [ask.prompts, ask.suffix];
  if ("prompts" in ask && ask.prompts.some((prompt) => typeof prompt !== "string" && prompt.length >= contextSize)) return true;
  const more = "messages" in ask ? TEMPLATE_TOKENS + MESSAGE_TOKENS * ask.messages.length : 1;
  if (textOf(asked, (text) => text.length) + more >= contextSize) return true;
  const encoder = new TextEncoder();
  return textOf(asked, (text) => encoder.encode(text).length) + more >= contextSize;
}

/** The sum of what `measure` says of all strings in plain data. */
function textOf(value: unknown, measure: (text: string) => number): number {
  if (typeof value === "string") return measure(value);
  if (typeof value !== "object" || value === null) return 0;
  const keys = Array.isArray(value) ? 0 : Object.keys(value).reduce((sum, key) => sum + measure(key), 0);
  return Object.values(value).reduce((sum: number, one) => sum + textOf(one, measure), keys);
}
