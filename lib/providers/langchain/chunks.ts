// Owns what a stream's events are as chunks of LangChain's messages. JS thread of the model. Pure.
//
// Content is plain text as long as there is nothing else. With the first thought it becomes LangChain's standard blocks, each with its index, by which
// chunks are put together. Calls take indexes of the same kind, since LangChain's own events count both as blocks.

import { AIMessageChunk, type UsageMetadata } from "@langchain/core/messages";
import { ChatGenerationChunk } from "@langchain/core/outputs";
import type { FinishEvent, StreamEvent, Usage } from "../../types.js";

type Open = { kind: "text" | "reasoning"; index: number } | { kind: "call"; index: number; call: number };

export class ChunkWriter {
  readonly #model: string;
  #blocks = 0;
  #open: Open | undefined;
  #thinks = false;
  #calls = false;

  constructor(model: string) {
    this.#model = model;
  }

  /** The chunk that an event makes; undefined for what LangChain has no place for. */
  event(event: StreamEvent): ChatGenerationChunk | undefined {
    const logprobs = "logprobs" in event && event.logprobs !== undefined ? { response_metadata: { logprobs: event.logprobs } } : {};
    switch (event.type) {
      case "text": {
        const { index } = this.#block("text");
        const content = this.#thinks ? [{ type: "text", text: event.text, index }] : event.text;
        return new ChatGenerationChunk({ text: event.text, message: new AIMessageChunk({ content, ...logprobs }) });
      }
      case "reasoning": {
        this.#thinks = true;
        const { index } = this.#block("reasoning");
        const content = [{ type: "reasoning", reasoning: event.text, index }];
        return new ChatGenerationChunk({ text: "", message: new AIMessageChunk({ content, ...logprobs }) });
      }
      case "toolCall": {
        this.#calls = true;
        const { index } = this.#call(event.index);
        const { id, name, argumentsDelta: args } = event;
        const chunk = {
          type: "tool_call_chunk" as const,
          ...(id === undefined ? {} : { id }),
          ...(name === undefined ? {} : { name }),
          args,
          index,
        };
        return new ChatGenerationChunk({ text: "", message: new AIMessageChunk({ content: "", tool_call_chunks: [chunk], ...logprobs }) });
      }
      case "finish":
        return this.#finish(event);
      default:
        return undefined;
    }
  }

  #block(kind: "text" | "reasoning"): Open {
    if (this.#open?.kind !== kind) this.#open = { kind, index: this.#blocks++ };
    return this.#open;
  }

  #call(call: number): Open {
    if (this.#open?.kind !== "call" || this.#open.call !== call) this.#open = { kind: "call", index: this.#blocks++, call };
    return this.#open;
  }

  #finish({ reason, usage, timings, seed, stopString, warning }: FinishEvent): ChatGenerationChunk {
    const called = reason === "toolCalls" || (reason === "stop" && this.#calls); // a stop string may end a reply behind a call
    const response_metadata = {
      model: this.#model,
      model_provider: "zstream",
      finish_reason: called ? "tool_calls" : reason,
      seed,
      timings,
      ...(stopString === undefined ? {} : { stop_string: stopString }),
      ...(warning === undefined ? {} : { warning }),
    };
    const message = new AIMessageChunk({ content: "", response_metadata, usage_metadata: usageOf(usage) });
    return new ChatGenerationChunk({ text: "", message, generationInfo: { finish_reason: response_metadata.finish_reason } });
  }
}

function usageOf({ promptTokens, completionTokens, totalTokens, cachedTokens, reasoningTokens = 0 }: Usage): UsageMetadata {
  return {
    input_tokens: promptTokens,
    output_tokens: completionTokens,
    total_tokens: totalTokens,
    input_token_details: { cache_read: cachedTokens },
    output_token_details: { reasoning: reasoningTokens },
  };
}
