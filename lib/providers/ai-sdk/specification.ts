// Owns the AI SDK's language model specification, as far as it is read and given here: version 4 (AI SDK 7) and version 3 (AI SDK 6). Types only.
// They are structural, so that neither version of @ai-sdk/provider has to be installed. test/types/providers.test-d.ts holds them to both.

import type { StreamEvent } from "../../types.js";

export type SpecificationVersion = "v3" | "v4";

/** What the SDK asks of one reply. What is not named here is for models behind HTTP. */
export interface CallOptions {
  prompt: readonly PromptMessage[];
  maxOutputTokens?: number | undefined;
  temperature?: number | undefined;
  topP?: number | undefined;
  topK?: number | undefined;
  presencePenalty?: number | undefined;
  frequencyPenalty?: number | undefined;
  stopSequences?: readonly string[] | undefined;
  seed?: number | undefined;
  responseFormat?: { type: "text" } | { type: "json"; schema?: object | undefined } | undefined;
  tools?: readonly CallTool[] | undefined;
  toolChoice?: { type: "auto" | "none" | "required" } | { type: "tool"; toolName: string } | undefined;
  /** Version 4 only. */
  reasoning?: "provider-default" | "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max" | undefined;
  includeRawChunks?: boolean | undefined;
  abortSignal?: AbortSignal | undefined;
  providerOptions?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined;
}

/** A function, or a tool that a provider would run. */
export type CallTool =
  | {
      type: "function";
      name: string;
      description?: string | undefined;
      inputSchema: object;
      inputExamples?: readonly unknown[] | undefined;
      strict?: boolean | undefined;
    }
  | { type: "provider"; id: string; name: string };

export interface PromptMessage {
  role: "system" | "user" | "assistant" | "tool";
  content: string | readonly PromptPart[];
}

/** A part of any kind; prompt.ts looks at what it has. */
export interface PromptPart {
  type: string;
  text?: unknown;
  data?: unknown;
  mediaType?: unknown;
  toolCallId?: unknown;
  toolName?: unknown;
  input?: unknown;
  output?: unknown;
}

export type CallWarning = { type: "unsupported" | "compatibility"; feature: string; details?: string } | { type: "other"; message: string };

/** Values are plain JSON. */
// biome-ignore lint/suspicious/noExplicitAny: the SDK's JSONValue, which `unknown` could not be assigned to
export type ProviderMetadata = { zstream: Record<string, any> };

interface Told {
  providerMetadata?: ProviderMetadata;
}

export interface FinishReason {
  unified: "stop" | "length" | "tool-calls" | "error" | "other";
  raw: string | undefined;
}

export interface CallUsage {
  inputTokens: { total: number | undefined; noCache: number | undefined; cacheRead: number | undefined; cacheWrite: undefined };
  outputTokens: { total: number | undefined; text: number | undefined; reasoning: number | undefined };
  raw?: Record<string, number>;
}

export type ToolCallPart = { type: "tool-call"; toolCallId: string; toolName: string; input: string } & Told;

export type ResponseMetadata = { id: string; timestamp: Date; modelId: string };

export type StreamPart =
  | { type: "stream-start"; warnings: CallWarning[] }
  | ({ type: "response-metadata" } & ResponseMetadata)
  | ({ type: "text-start" | "text-end" | "reasoning-start" | "reasoning-end"; id: string } & Told)
  | ({ type: "text-delta" | "reasoning-delta" | "tool-input-delta"; id: string; delta: string } & Told)
  | ({ type: "tool-input-start"; id: string; toolName: string } & Told)
  | ({ type: "tool-input-end"; id: string } & Told)
  | ToolCallPart
  | { type: "raw"; rawValue: StreamEvent }
  | { type: "error"; error: unknown }
  | ({ type: "finish"; usage: CallUsage; finishReason: FinishReason } & Told);

export type ContentPart = ({ type: "text" | "reasoning"; text: string } & Told) | ToolCallPart;

export interface GenerateResult {
  content: ContentPart[];
  finishReason: FinishReason;
  usage: CallUsage;
  providerMetadata?: ProviderMetadata;
  response: ResponseMetadata;
  warnings: CallWarning[];
}

/** What the SDK asks to be embedded. */
export interface EmbedCallOptions {
  values: readonly string[];
  abortSignal?: AbortSignal | undefined;
  providerOptions?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined;
}

export interface EmbedResult {
  embeddings: number[][];
  usage: { tokens: number };
  warnings: CallWarning[];
}

/** An embedding model of the AI SDK: for `embed` and `embedMany`. */
export interface ZSEEmbeddingModel<Version extends SpecificationVersion> {
  readonly specificationVersion: Version;
  readonly provider: "zstream";
  readonly modelId: string;
  readonly maxEmbeddingsPerCall: number;
  /** They take turns in the engine. */
  readonly supportsParallelCalls: boolean;
  doEmbed(options: EmbedCallOptions): Promise<EmbedResult>;
}

/** A language model of the AI SDK: for `streamText`, `generateText` and whatever else takes one. */
export interface ZSELanguageModel<Version extends SpecificationVersion> {
  readonly specificationVersion: Version;
  readonly provider: "zstream";
  readonly modelId: string;
  /** None: the SDK downloads what a URL names. */
  readonly supportedUrls: Record<string, RegExp[]>;
  doGenerate(options: CallOptions): Promise<GenerateResult>;
  doStream(options: CallOptions): Promise<{ stream: ReadableStream<StreamPart> }>;
}
