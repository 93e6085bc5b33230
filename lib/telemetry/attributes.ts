// Owns what is told of a reply: OpenTelemetry's GenAI conventions (gen_ai.*), and ours for what they have no name for (zstream.*, seconds). What was
// said is never told: no message, no text, no arguments. Pure; any thread.

import type { Attributes } from "@opentelemetry/api";
import type { NativeFinish, NativeRequest } from "../addon/contract.js";
import type { Ending } from "../engine/engine.js";
import { ZSEError } from "../errors.js";
import type { FinishReason } from "../types.js";

export type Operation = "chat" | "text_completion";

/** What every span and every point of a metric has. */
export function commonAttributes(operation: string, model: string): Attributes {
  return { "gen_ai.operation.name": operation, "gen_ai.provider.name": "zstream", "gen_ai.request.model": model };
}

/** What a call has said. `unsaid`: options whose values are defaults. */
export function requestAttributes(request: NativeRequest, unsaid: readonly string[], streams: boolean): Attributes {
  const { maxTokens, temperature, topP, topK, presencePenalty, frequencyPenalty, stop, seed, reply } = request;
  const said = (name: string) => !unsaid.includes(name);
  return {
    "gen_ai.output.type": reply?.jsonSchema === undefined ? "text" : "json",
    ...(streams ? { "gen_ai.request.stream": true } : {}),
    ...(maxTokens > 0 ? { "gen_ai.request.max_tokens": maxTokens } : {}),
    ...(said("temperature") ? { "gen_ai.request.temperature": temperature } : {}),
    ...(said("topP") ? { "gen_ai.request.top_p": topP } : {}),
    ...(said("topK") ? { "gen_ai.request.top_k": topK } : {}),
    ...(presencePenalty === 0 ? {} : { "gen_ai.request.presence_penalty": presencePenalty }),
    ...(frequencyPenalty === 0 ? {} : { "gen_ai.request.frequency_penalty": frequencyPenalty }),
    ...(stop.length === 0 ? {} : { "gen_ai.request.stop_sequences": [...stop] }),
    ...(seed === undefined ? {} : { "gen_ai.request.seed": seed }),
  };
}

const REASONS: Record<FinishReason, string> = { stop: "stop", length: "length", toolCalls: "tool_calls", cancelled: "cancelled" };

export function finishAttributes({ reason, usage, timings }: NativeFinish, model: string): Attributes {
  const perToken = secondsPerToken(timings);
  return {
    "gen_ai.response.model": model,
    "gen_ai.response.finish_reasons": [REASONS[reason]],
    "gen_ai.usage.input_tokens": usage.promptTokens,
    "gen_ai.usage.output_tokens": usage.completionTokens,
    "gen_ai.usage.cache_read.input_tokens": usage.cachedTokens,
    ...(usage.reasoningTokens === undefined ? {} : { "gen_ai.usage.reasoning.output_tokens": usage.reasoningTokens }),
    ...(timings.ttftMs === undefined ? {} : { "gen_ai.response.time_to_first_chunk": timings.ttftMs / 1000 }),
    ...(perToken === undefined ? {} : { "zstream.time_per_output_token": perToken }),
    "zstream.queue.duration": timings.queueMs / 1000,
    "zstream.prefill.duration": timings.prefillMs / 1000,
    "zstream.parked.duration": timings.pausedMs / 1000,
  };
}

/** Of the tokens after the first one, without the time parked; undefined where there was none. */
export function secondsPerToken({ tokensPerSecond }: NativeFinish["timings"]): number | undefined {
  return tokensPerSecond > 0 ? 1 / tokensPerSecond : undefined;
}

/** A code of ours, or the name of somebody's error. */
export function errorType(error: unknown): string {
  if (error instanceof ZSEError) return error.code;
  return error instanceof Error ? error.name : "_OTHER";
}

export function errorOf(ending: Ending | undefined): unknown {
  return ending !== undefined && "error" in ending ? ending.error : undefined;
}
