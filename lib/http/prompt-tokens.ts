// Owns counting the tokens of a prompt that nobody wants an answer to. JS thread of the model.
//
// Only the engine knows what a template makes of a conversation. So a stream is opened, which says how long its prompt is when it begins to
// be read, and left there: it waits its turn, and costs a step at most.

import { WireError } from "./formats/wire-error.js";
import type { EventStream } from "./types.js";

export async function promptTokensOf(stream: EventStream): Promise<number> {
  const events = stream.events();
  const iterator = "next" in events ? events : events[Symbol.asyncIterator]();
  try {
    for (let { done, value } = await iterator.next(); done !== true; { done, value } = await iterator.next()) {
      if (value.type === "progress") return value.promptTokens;
      if (value.type === "finish") return value.usage.promptTokens;
    }
  } finally {
    iterator.return?.()?.then(undefined, () => {});
  }
  throw new WireError(503, "The request was cancelled.", { code: "aborted" });
}
