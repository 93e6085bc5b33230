// Owns the types of a conversation: its messages, their parts, and the calls of tools in them.

/** One part of a message's content. Text is the only kind a language model without eyes can take; the kinds are those of OpenAI's two APIs. */
export type TextPart = { type: "text" | "input_text" | "output_text"; text: string } | { type: "refusal"; refusal: string };

/** A call of a tool, as a reply has it: OpenAI's shape. `arguments` is JSON text. */
export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
  /**
   * The reply ended within this call, by `maxTokens`, a stop string or its reader, or what the model wrote is no call: `arguments` are the beginning
   * of JSON, which JSON.parse() refuses. Such a call is never run.
   */
  incomplete?: true;
}

/** A call of a tool, in an assistant's message. `arguments` is JSON text, as in OpenAI's API, or the object itself, as in Ollama's; "" is {}. */
export interface ToolCallInput {
  id?: string;
  type?: "function";
  function: { name: string; arguments?: string | Readonly<Record<string, unknown>> | null };
}

/** One message of a conversation, in the shape of OpenAI's API. Shapes of Ollama and of the AI SDK are read too: docs/api.md lists them. */
export type Message =
  | { role: "system" | "developer" | "user"; content: string | readonly TextPart[]; name?: string }
  | {
      role: "assistant";
      /** May be null or left out where there are tool_calls, a refusal or reasoning_content. */
      content?: string | readonly TextPart[] | null;
      name?: string;
      tool_calls?: readonly ToolCallInput[] | null;
      /** What was said in place of an answer; read where there is no content. */
      refusal?: string | null;
      /** What the model thought before it answered; templates decide whether it is shown to the model again. */
      reasoning_content?: string | null;
    }
  /** The result of a call. Without an id or a name it is that of the next call of the assistant's message before it. */
  | { role: "tool"; content: string | readonly TextPart[]; tool_call_id?: string; name?: string }
  /** The same, as before there were tools. */
  | { role: "function"; content: string | null; name: string };
