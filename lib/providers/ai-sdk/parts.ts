// Owns what a stream's events are as parts of the AI SDK's streams: blocks of text and thought that open and close, and calls of tools. Pure; any thread.

import { isJson } from "../../base/json.js";
import type { FinishEvent, StreamEvent, TokenLogprobs, ToolCallEvent, Usage } from "../../types.js";
import type { CallUsage, FinishReason, ProviderMetadata, StreamPart } from "./specification.js";

/** Nothing is known of the tokens of a reply that failed. */
const NO_USAGE: CallUsage = {
  inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: undefined, text: undefined, reasoning: undefined },
};

type Open = { kind: "text" | "reasoning"; id: string } | { kind: "call"; index: number; id: string; name: string; input: string };

export class PartWriter {
  #blocks = 0;
  #open: Open | undefined;
  #calls = 0;

  /** The parts that an event makes: none for what the SDK has no place for. */
  event(event: StreamEvent): StreamPart[] {
    switch (event.type) {
      case "text":
      case "reasoning":
        return this.#block(event.type, event.text, event.logprobs);
      case "toolCall":
        return this.#call(event);
      case "finish":
        return [...this.#close(event.reason === "length"), finishPart(event, this.#calls > 0)];
      default:
        return [];
    }
  }

  /** A reply that fails in the middle: the SDK wants an end all the same. */
  fail(error: unknown): StreamPart[] {
    return [
      ...this.#close(true),
      { type: "error", error },
      { type: "finish", usage: NO_USAGE, finishReason: { unified: "error", raw: undefined } },
    ];
  }

  #block(kind: "text" | "reasoning", delta: string, logprobs: TokenLogprobs[] | undefined): StreamPart[] {
    const parts: StreamPart[] = [];
    if (this.#open?.kind !== kind) {
      parts.push(...this.#close(false));
      this.#open = { kind, id: String(this.#blocks++) };
      parts.push({ type: `${kind}-start`, id: this.#open.id });
    }
    parts.push({ type: `${kind}-delta`, id: this.#open!.id, delta, ...told(logprobs) });
    return parts;
  }

  #call({ index, id, name, argumentsDelta, logprobs }: ToolCallEvent): StreamPart[] {
    const parts: StreamPart[] = [];
    if (this.#open?.kind !== "call" || this.#open.index !== index) {
      parts.push(...this.#close(false));
      this.#open = { kind: "call", index, id: id ?? String(index), name: name ?? "", input: "" };
      parts.push({ type: "tool-input-start", id: this.#open.id, toolName: this.#open.name });
    }
    const call = this.#open as Open & { kind: "call" };
    call.input += argumentsDelta;
    if (argumentsDelta !== "") parts.push({ type: "tool-input-delta", id: call.id, delta: argumentsDelta, ...told(logprobs) });
    return parts;
  }

  /** @param isCut the reply ends here before its end: a call without all of its arguments is none then */
  #close(isCut: boolean): StreamPart[] {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return [];
    if (open.kind !== "call") return [{ type: `${open.kind}-end`, id: open.id }];
    const end: StreamPart = { type: "tool-input-end", id: open.id };
    if (isCut && !isJson(open.input)) return [end];
    this.#calls += 1;
    return [end, { type: "tool-call", toolCallId: open.id, toolName: open.name, input: open.input.trim() === "" ? "{}" : open.input }];
  }
}

/** A stop string may end a reply behind a call. */
function finishPart({ reason, usage, timings, seed, stopString, warning }: FinishEvent, hasCalls: boolean): StreamPart {
  const more = { ...(stopString === undefined ? {} : { stopString }), ...(warning === undefined ? {} : { warning }) };
  return {
    type: "finish",
    usage: usageOf(usage),
    finishReason: { unified: UNIFIED[reason === "stop" && hasCalls ? "toolCalls" : reason], raw: reason },
    providerMetadata: { zstream: { seed, timings, ...more } },
  };
}

const UNIFIED: Record<FinishEvent["reason"], FinishReason["unified"]> = {
  stop: "stop",
  length: "length",
  toolCalls: "tool-calls",
  cancelled: "other",
};

function usageOf(usage: Usage): CallUsage {
  const { promptTokens, completionTokens, cachedTokens, reasoningTokens = 0 } = usage;
  return {
    inputTokens: { total: promptTokens, noCache: promptTokens - cachedTokens, cacheRead: cachedTokens, cacheWrite: undefined },
    outputTokens: { total: completionTokens, text: completionTokens - reasoningTokens, reasoning: reasoningTokens },
    raw: { ...usage },
  };
}

function told(logprobs: TokenLogprobs[] | undefined): { providerMetadata?: ProviderMetadata } {
  return logprobs === undefined ? {} : { providerMetadata: { zstream: { logprobs } } };
}
