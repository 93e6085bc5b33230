// Owns what a stream comes to: its text, thoughts, calls of tools and log-probabilities, as they are read, and the Reply that is made of them.
// JS thread of the model. stream-core.ts says when something has been read, and when the reply has ended.

import type { NativeFinish } from "../addon/contract.js";
import type { Item } from "../engine/items.js";
import type { MalformedCall, PromptToken, Reply } from "../types.js";
import type { ReplyLogprobs } from "./logprobs.js";
import type { Steps } from "./steps.js";
import { CallCollector } from "./tool-calls.js";

export class CollectedReply {
  readonly #logprobs: ReplyLogprobs | undefined;
  readonly #steps: Steps | undefined;
  #text = "";
  #reasoning = "";
  /** Of the reply that is read now. */
  #calls = new CallCollector();
  #malformedCall: MalformedCall | undefined;
  /** Where they were asked for. */
  #promptLogprobs: PromptToken[] | undefined;

  /** @param logprobs,steps of the stream, where it has them */
  constructor(logprobs: ReplyLogprobs | undefined, steps: Steps | undefined) {
    this.#logprobs = logprobs;
    this.#steps = steps;
  }

  /** Text counts when it is given out; what is held by a chunker as its consumer leaves is no part of the reply. */
  addText(text: string): void {
    this.#text += text;
  }

  /** What becomes part of the reply, whether its consumer wants it or not. */
  note(item: Item): void {
    if (typeof item === "string") return;
    if (item.type === "hidden") this.#logprobs?.hide(item.logprobs ?? []);
    else if ("logprobs" in item) this.#logprobs?.keep(item.logprobs ?? []);
    if (item.type === "prompt") (this.#promptLogprobs ??= []).push(...item.tokens);
    else if (item.type === "reasoning") this.#reasoning += item.text;
    else if (item.type === "toolCall") this.#calls.add(item);
    else if (item.type === "malformedCall") this.#malformedCall = { text: item.text, reason: item.reason };
    else if (item.type === "step" && this.#steps!.isRun(item.step)) this.#calls = new CallCollector();
  }

  /** With `given` as the end of its last step. */
  reply(given: NativeFinish): Reply {
    const { reason, stopString, warning, usage, timings, seed } = this.#steps?.summed(given) ?? given;
    const steps = this.#steps?.done;
    return {
      text: this.#text,
      ...(this.#logprobs === undefined ? {} : { logprobs: this.#logprobs.given }),
      ...(this.#promptLogprobs === undefined ? {} : { promptLogprobs: this.#promptLogprobs }),
      finishReason: reason,
      toolCalls: this.#calls.all(reason),
      ...(this.#malformedCall === undefined ? {} : { malformedCall: this.#malformedCall }),
      ...(this.#reasoning === "" ? {} : { reasoning: this.#reasoning }),
      ...(steps === undefined ? {} : { steps }),
      ...(stopString === undefined ? {} : { stopString }),
      ...(warning === undefined ? {} : { warning }),
      usage,
      timings,
      seed,
    };
  }
}
