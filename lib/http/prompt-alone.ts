// Owns completions that want their prompt back and nothing generated (`max_tokens: 0` beside `echo`). The engine draws one token, which costs nothing
// beside the prompt, and nobody hears of it. JS thread of the model.

import type { FinishEvent, StreamEvent } from "../types.js";
import { iteratorOf } from "./reply.js";
import type { EventStream } from "./types.js";

/** What tells of the prompt. */
const OF_THE_PROMPT: ReadonlySet<string> = new Set(["progress", "prompt"]);

/** The stream without what was generated: it ends as if its limit had been reached at once. */
export function promptAlone(stream: EventStream): EventStream {
  return {
    events: () => new PromptEvents(iteratorOf(stream.events())),
    includeUsage: stream.includeUsage,
    takenTokens: 0,
    ...(stream.result === undefined ? {} : { result: stream.result }),
  };
}

class PromptEvents implements AsyncIterator<StreamEvent> {
  readonly #events: AsyncIterator<StreamEvent>;

  constructor(events: AsyncIterator<StreamEvent>) {
    this.#events = events;
  }

  async next(): Promise<IteratorResult<StreamEvent>> {
    for (;;) {
      const next = await this.#events.next();
      if (next.done === true || OF_THE_PROMPT.has(next.value.type)) return next;
      if (next.value.type === "finish") return { done: false, value: withoutReply(next.value) };
    }
  }

  async return(): Promise<IteratorResult<StreamEvent>> {
    return (await this.#events.return?.()) ?? { done: true, value: undefined };
  }
}

function withoutReply({ type, reason, usage, timings, seed }: FinishEvent): FinishEvent {
  const { promptTokens, cachedTokens } = usage;
  const { ttftMs: _, ...times } = timings;
  return {
    type,
    reason: reason === "cancelled" ? reason : "length",
    usage: { promptTokens, completionTokens: 0, totalTokens: promptTokens, cachedTokens },
    timings: times,
    seed,
  };
}
