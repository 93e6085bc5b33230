// Owns the calls of tools of one reply, put together from their pieces. JS thread of the model. Pure, but for drawing an id.

import { isJson } from "../base/json.js";
import type { FinishReason, ToolCall, ToolCallEvent } from "../types.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** As OpenAI's: `call_` and 24 letters and digits. */
export function newCallId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return `call_${Array.from(bytes, (byte) => LETTERS[byte % LETTERS.length]).join("")}`;
}

export class CallCollector {
  readonly #calls: { id: string; name: string; arguments: string }[] = [];

  add({ index, id, name, argumentsDelta }: ToolCallEvent): void {
    const call = (this.#calls[index] ??= { id: "", name: "", arguments: "" });
    if (id !== undefined) call.id = id;
    if (name !== undefined) call.name = name;
    call.arguments += argumentsDelta;
  }

  /** In OpenAI's shape. A reply that ended by itself has whole calls, whatever the model wrote into them. */
  all(reason: FinishReason): ToolCall[] {
    return this.#calls.map(({ id, ...fn }) => ({
      id,
      type: "function",
      function: fn,
      ...(reason === "toolCalls" || isJson(fn.arguments) ? {} : { incomplete: true }),
    }));
  }
}
