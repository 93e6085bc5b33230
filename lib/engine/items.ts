// Owns what an event of the addon is to the reader of a stream: text, or one of the other items. Pure; JS thread of the model, once for each event.

import {
  NativeEventKind as Kind,
  type NativeMalformedCall,
  type NativeProgress,
  type NativeRequest,
  type NativeTokenLogprobs,
  type NativeToolCall,
} from "../addon/contract.js";
import type { StreamEvent, TokenLogprobs } from "../types.js";
import { toldLogprobs, toldPrompt } from "./logprobs.js";

/**
 * What a stream gives: text, as the bare string (the common case costs no object) unless it has log-probabilities, any other event, or tokens
 * that show nothing.
 */
export type Item = string | StreamEvent | Hidden;

/** Takes credit, and is nothing to see. */
export interface Hidden {
  type: "hidden";
  logprobs?: TokenLogprobs[];
}
const HIDDEN: Hidden = { type: "hidden" };

type Logprobs = readonly NativeTokenLogprobs[] | undefined;

/** undefined for an event that is none of a stream's items: its end, and what a later addon may say. */
export function itemOf(kind: number, payload: unknown, logprobs: Logprobs, request: NativeRequest): Item | undefined {
  switch (kind) {
    case Kind.Text:
      return withLogprobs(payload as string, logprobs);
    case Kind.Reasoning:
      return { type: "reasoning", text: payload as string, ...told(logprobs) };
    case Kind.ToolCall:
      return { type: "toolCall", ...(payload as NativeToolCall), ...told(logprobs) };
    case Kind.Hidden:
      return logprobs === undefined ? HIDDEN : { ...HIDDEN, ...told(logprobs) };
    case Kind.MalformedCall:
      return malformedCall(request, payload as NativeMalformedCall, told(logprobs));
    case Kind.Prompt:
      return { type: "prompt", tokens: toldPrompt(logprobs ?? []) };
    case Kind.Progress:
      return { type: "progress", ...(payload as NativeProgress) };
    default:
      return undefined;
  }
}

function told(logprobs: Logprobs): { logprobs?: TokenLogprobs[] } {
  return logprobs === undefined ? {} : { logprobs: toldLogprobs(logprobs) };
}

/** A reply that calls no tools may be out of its template's syntax, too: its warning says that. */
function malformedCall({ reply }: NativeRequest, said: NativeMalformedCall, logprobs: { logprobs?: TokenLogprobs[] }): Item {
  const mayCall = reply?.tools !== undefined && reply.toolChoice !== "none";
  return mayCall ? { type: "malformedCall", ...said, ...logprobs } : { ...HIDDEN, ...logprobs };
}

function withLogprobs(text: string, logprobs: Logprobs): Item {
  return logprobs === undefined ? text : { type: "text", text, ...told(logprobs) };
}
