// Owns the types of tools: what a model may call, how a call is told to its program, and the steps of a reply with calls.

import type { Message, ToolCall } from "./messages.js";
import type { FinishReason, Timings, Usage } from "./replies.js";
import type { JsonSchema, StandardSchema } from "./shapes.js";

/** A function that the model may call, in OpenAI's shape. */
export interface FunctionTool {
  type: "function";
  function: {
    /** 1 to 128 of the characters A-Z a-z 0-9 _ - . : / */
    name: string;
    description?: string | undefined;
    /** What it takes: a schema of type "object". Left out: nothing. */
    parameters?: JsonSchema | StandardSchema | undefined;
    /** A schema that cannot be enforced exactly is then refused. Default false: what cannot be enforced is left to whoever runs the tool. */
    strict?: boolean | undefined;
  };
  /** Runs a call; see `tool()`. Left out: calls are given back to the caller. */
  execute?: ((args: never, context: ToolContext) => unknown) | undefined;
}

/** What execute() is told beside the arguments. */
export interface ToolContext {
  /** Aborted when the reply is: nobody waits for the result any more. */
  signal: AbortSignal;
  toolCallId: string;
  /** The conversation up to the message that calls the tool, that one included. */
  messages: readonly Message[];
}

/** A tool by its name; the second form is OpenAI's. */
export type ToolName = { name: string } | { type: "function"; function: { name: string } };

/**
 * Which tool must be called: any or none, none (the model is shown no tools then, and answers), at least one, or this one. "allowed_tools", in either of OpenAI's forms: some of the tools are
 * offered, and one of them must be called where the mode is "required". The model is shown those alone.
 */
export type ToolChoice =
  | "auto"
  | "none"
  | "required"
  | ToolName
  | { type: "allowed_tools"; allowed_tools: { mode?: "auto" | "required"; tools: readonly ToolName[] } }
  | { type: "allowed_tools"; mode?: "auto" | "required"; tools: readonly ToolName[] };

/** One reply of the model on the way to the last one, and what came of its calls. */
export interface Step {
  /** From 0. */
  index: number;
  text: string;
  reasoning?: string;
  toolCalls: readonly ToolCall[];
  /** Of the calls that were run, in their order. */
  toolResults: readonly ToolResult[];
  finishReason: FinishReason;
  usage: Usage;
  timings: Timings;
}

/** What came of a call: the text that the model is given, and why it is one, where the call failed. */
export interface ToolResult {
  toolCallId: string;
  name: string;
  content: string;
  /** "arguments": they are no JSON or do not fit the schema, and nothing was run; "execute": the tool itself failed; "unknown": there is no such tool. */
  failure?: "arguments" | "execute" | "unknown";
}
