// Owns where a page's replies come from, in one shape: a server's event stream, or a model that the page has itself. Types only; any thread.

import type { FinishReason, Message, StreamEvent, ToolCallEvent, Usage } from "../types.js";

/** What a chat hears of a reply, in order; `finish` is the last of one that did not fail. */
export type ReplyPiece =
  /** The reply can be found again by this name, after the page was loaded anew. */
  | { type: "name"; name: string }
  | { type: "text"; text: string }
  | { type: "reasoning"; text: string }
  | Pick<ToolCallEvent, "type" | "index" | "id" | "name" | "argumentsDelta">
  | { type: "finish"; reason: FinishReason; usage: Usage | undefined };

/** Somewhere that replies come from. */
export interface ReplySource {
  /** Asks for a reply. `signal` ends it; with the reason LEFT (chat-error.ts) a reply that has a name is only left, and goes on. */
  open(messages: readonly Message[], signal: AbortSignal): AsyncIterable<ReplyPiece>;
  /** A reply from its beginning, by its name. Absent: replies end with the page. */
  resume?(name: string, signal: AbortSignal): AsyncIterable<ReplyPiece>;
}

/** What is used of a model: one of `zstream/electron`, or anything that streams as it does. */
export interface StreamingModel {
  chatStream(request: { messages: readonly Message[]; signal: AbortSignal }): { events(): AsyncIterable<StreamEvent> };
}
