// Owns replies from a model that the page has itself. Runs in a page.

import type { Message, ReplyOptions } from "../types.js";
import { ChatError } from "./chat-error.js";
import type { ReplyPiece, ReplySource, StreamingModel } from "./source.js";

/** Replies of a model, such as `openModel()` of zstream/electron gives. They end with the page. */
export function modelSource(model: StreamingModel, options: Omit<ReplyOptions, "signal" | "streamCallback"> = {}): ReplySource {
  return {
    async *open(messages: readonly Message[], signal: AbortSignal): AsyncGenerator<ReplyPiece> {
      const { events } = readable(model.chatStream({ ...options, messages, signal }));
      for await (const event of events) {
        if (event.type === "text" || event.type === "reasoning") yield { type: event.type, text: event.text };
        else if (event.type === "toolCall") {
          const { type, index, id, name, argumentsDelta } = event;
          yield { type, index, argumentsDelta, ...(id === undefined ? {} : { id }), ...(name === undefined ? {} : { name }) };
        } else if (event.type === "finish") {
          if (event.reason === "cancelled") throw new ChatError("ABORTED", "The reply was ended.");
          yield { type: "finish", reason: event.reason, usage: event.usage };
        }
      }
    },
  };
}

function readable(stream: ReturnType<StreamingModel["chatStream"]>) {
  return { events: stream.events() };
}
