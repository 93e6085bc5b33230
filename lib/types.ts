// Owns the public types: what callers pass in and what streams give out. Types only; nothing of this file exists at run time.
// Their validation is lib/options', and defaults and ranges stand there in one table.

/** How the text of a reply is grouped. */
export type ChunkBy = "token" | "word" | "sentence";

/** One part of a message's content. Text is the only kind a language model without eyes can take; the kinds are those of OpenAI's two APIs. */
export type TextPart = { type: "text" | "input_text" | "output_text"; text: string } | { type: "refusal"; refusal: string };

/** A call of a tool, in an assistant's message. `arguments` is JSON text, as in OpenAI's API, or the object itself, as in Ollama's; "" is {}. */
export interface ToolCall {
  id?: string;
  type?: "function";
  function: { name: string; arguments?: string | Readonly<Record<string, unknown>> | null };
}

/** One message of a conversation, in the shape of OpenAI's API. Shapes of Ollama and of the AI SDK are read too: docs/api.md lists them. */
export type Message =
  | { role: "system" | "developer" | "user"; content: string | readonly TextPart[]; name?: string }
  | {
      role: "assistant";
      /** May be null or left out where there are tool_calls, a refusal or reasoning_content. */
      content?: string | readonly TextPart[] | null;
      name?: string;
      tool_calls?: readonly ToolCall[] | null;
      /** What was said in place of an answer; read where there is no content. */
      refusal?: string | null;
      /** What the model thought before it answered; templates decide whether it is shown to the model again. */
      reasoning_content?: string | null;
    }
  /** The result of a call. Without an id or a name it is that of the next call of the assistant's message before it. */
  | { role: "tool"; content: string | readonly TextPart[]; tool_call_id?: string; name?: string }
  /** The same, as before there were tools. */
  | { role: "function"; content: string | null; name: string };

/** Called with each chunk of text. A promise that it returns is awaited before the next call. */
export type StreamCallback = (text: string) => unknown;

/** Options of one reply. docs/api.md lists ranges and defaults. */
export interface ReplyOptions {
  /** Tokens to generate at most; 0 means up to the end of the context. Default 0. */
  maxTokens?: number | undefined;
  /** 0 always takes the likeliest token. 0 to 5, default 0.8. */
  temperature?: number | undefined;
  /** Keeps the likeliest tokens that together reach this probability. 0 to 1, default 0.95. */
  topP?: number | undefined;
  /** Keeps this many of the likeliest tokens; 0 keeps all. Default 40. */
  topK?: number | undefined;
  /** Drops tokens less likely than this share of the likeliest. 0 to 1, default 0.05. */
  minP?: number | undefined;
  /** Locally typical sampling; 1 turns it off. 0 to 1, default 1. */
  typicalP?: number | undefined;
  /** Drops tokens whose logit is more than this many standard deviations below the greatest; 0 turns it off. 0 to 100, default 0. */
  topNSigma?: number | undefined;
  /** The same seed gives the same text on the same machine. Left out: drawn, and reported in the result. */
  seed?: number | undefined;
  /** Text that ends the reply; it is not part of the reply. Up to 16 strings of 1 to 256 characters. */
  stop?: string | readonly string[] | undefined;
  /** -2 to 2, default 0. */
  presencePenalty?: number | undefined;
  /** -2 to 2, default 0. */
  frequencyPenalty?: number | undefined;
  /** Divides the likelihood of recent tokens; 1 turns it off. 0.1 to 10, default 1. */
  repeatPenalty?: number | undefined;
  /** Token id → bias, -100 (never) to 100 (nearly always). */
  logitBias?: Readonly<Record<number, number>> | undefined;
  /** Generates past the model's end-of-text tokens. For benchmarks and tests: the text beyond is noise. Default false. */
  ignoreEos?: boolean | undefined;
  /** The reply goes on where the last message ends, which must be an assistant's without tool_calls. For chats alone. Default false. */
  continueFinalMessage?: boolean | undefined;
  /** Aborts the reply in whatever state it is; the stream then fails with the signal's own reason. */
  signal?: AbortSignal | undefined;
  /** Units of chunkBy per chunk. Default 1. */
  chunkSize?: number | undefined;
  /** How text is grouped; "token" passes every piece on as it comes. Default "token". */
  chunkBy?: ChunkBy | undefined;
  /** Longest time (ms) that grouping may hold text back, even in the middle of a word or grapheme; 0 means no limit. Default 0. */
  chunkMaxDelayMs?: number | undefined;
  /** What adapters do with usage (see docs/api.md). `result` and the finish event have it in any case. */
  includeUsage?: boolean | undefined;
  /** The callback style: takes every chunk. A throw ends the stream with that very error. */
  streamCallback?: StreamCallback | undefined;
  /** Tokens that the engine may be ahead of the consumer before it pauses this stream. 1 to 65536, default 64. */
  highWaterMark?: number | undefined;
  /** A stream paused for longer than this many ms ends with STALLED; 0 means never. Default 0. */
  stallTimeoutMs?: number | undefined;
}

type Snake<Name extends string> = Name extends `${infer Head}${infer Tail}`
  ? Head extends Lowercase<Head>
    ? `${Head}${Snake<Tail>}`
    : `_${Lowercase<Head>}${Snake<Tail>}`
  : Name;

/** The same options in snake_case (`max_tokens`, `stream_callback`, …); giving one in both spellings is an error. */
export type SnakeCased<Options> = {
  [Name in keyof Options as Name extends string ? (Snake<Name> extends Name ? never : Snake<Name>) : never]?: Options[Name];
};

/** Options of one reply, in either spelling. */
export type ReplyOptionsInput = ReplyOptions & SnakeCased<ReplyOptions>;

/** The keyword form of a chat call. */
export type ChatRequest = { messages: readonly Message[] } & ReplyOptionsInput;

/** The keyword form of a completion call. */
export type CompletionRequest = { prompt: string } & ReplyOptionsInput;

/** Settings of a model, fixed when it is opened. docs/api.md lists ranges and defaults. */
export interface EngineOptions {
  /** Tokens of context per stream; 0 means the trained context, at most 4096. Default 0. */
  contextSize?: number | undefined;
  /** Streams that are generated at once. 1 to 256, default 4. */
  maxStreams?: number | undefined;
  /** Requests that may wait beyond maxStreams; one more is OVERLOADED. Default 64. */
  maxQueue?: number | undefined;
  /** Compute threads; 0 means the physical cores. Default 0. */
  threads?: number | undefined;
  /** Layers on the GPU; "auto" takes as many as fit. Default "auto". */
  gpuLayers?: "auto" | number | undefined;
  /** The kind of device to use; one that is not there is UNSUPPORTED. Default "auto". */
  device?: "auto" | "cpu" | "cuda" | "metal" | "vulkan" | undefined;
  /** Longest step (ms) that the planner aims at while streams are decoding. 1 to 10000, default 150. */
  latencyTargetMs?: number | undefined;
  /** Other streams cannot change a stream's rounding, at a cost in speed. Default false. */
  deterministic?: boolean | undefined;
  /**
   * Prefixes of prompts that were computed before are used again: from the KV cache, from RAM (`ram`: bytes at most, default 256 MiB),
   * and, when `dir` names a folder, from disk, where they survive a restart (`disk`: bytes at most in the whole folder, default 4 GiB). What was asked
   * and answered can be read out of those files; they are readable by their owner alone. `false` turns it off. `usage.cachedTokens`
   * tells what it saved. RAM also holds what was in the slots of paused readers that are lent to others. Default `{}`.
   */
  promptCache?: false | { ram?: number | undefined; dir?: string | undefined; disk?: number | undefined } | undefined;
  /** Called while the model loads, with the part that is done, 0 to 1. */
  onProgress?: ((fraction: number) => void) | undefined;
}

/** Options of a model, in either spelling. */
export type EngineOptionsInput = EngineOptions & SnakeCased<EngineOptions>;

/** A collected reply. */
export interface Reply {
  text: string;
  /** "stop": the model ended, or a stop string was found; "length": maxTokens or the context's end; "cancelled": the consumer left. */
  finishReason: FinishReason;
  /** The stop string that was found, if one was. */
  stopString?: string;
  usage: Usage;
  timings: Timings;
  /** The seed in use, given or drawn: the same call with it gives the same text. */
  seed: number;
}

/** The prompt is being read: how far it is. Only the newest is kept for a consumer that is slow. */
export interface ProgressEvent {
  type: "progress";
  processedTokens: number;
  promptTokens: number;
  cachedTokens: number;
}

/** A chunk of the reply, never empty. */
export interface TextEvent {
  type: "text";
  text: string;
}

/** A piece of what the model thinks before it answers. Comes with the reply parser of a later version. */
export interface ReasoningEvent {
  type: "reasoning";
  text: string;
}

/** A piece of a call of a tool. Comes with the reply parser of a later version. */
export interface ToolCallEvent {
  type: "toolCall";
  /** Which of the reply's calls this belongs to, from 0. */
  index: number;
  /** Only in a call's first event. */
  id?: string;
  /** Only in a call's first event. */
  name?: string;
  /** The next piece of the arguments' JSON text. */
  argumentsDelta: string;
}

/** The end of a reply that was not aborted and did not fail; the last event. */
export interface FinishEvent {
  type: "finish";
  reason: FinishReason;
  stopString?: string;
  usage: Usage;
  timings: Timings;
  seed: number;
}

/** What `events()` gives. Take care of unknown types: later versions may add some. */
export type StreamEvent = ProgressEvent | TextEvent | ReasoningEvent | ToolCallEvent | FinishEvent;

/** What a device listing says of one device, from ggml's backend registry. */
export interface Device {
  name: string;
  description: string;
  kind: "cpu" | "gpu" | "igpu" | "accel";
  /** The backend the device belongs to, in ggml's spelling ("CPU", "CUDA", "Metal", "Vulkan"). */
  backend: string;
  memoryFreeBytes: number;
  memoryTotalBytes: number;
}

/** What is known of an open model. */
export interface ModelInfo {
  path: string;
  /** general.name of the file, or its base name; this, architecture and description are cut to 256 characters. */
  name: string;
  architecture: string;
  /** llama.cpp's own one-line description, such as "qwen2 1B Q4_0"; of sizes it does not know, "qwen2 ?B Q8_0". */
  description: string;
  parameters: number;
  sizeBytes: number;
  layers: number;
  embeddingSize: number;
  vocabularySize: number;
  /** Tokens of context the model was trained for. */
  trainedContextSize: number;
  /** Tokens of context each stream has here. */
  contextSize: number;
  maxStreams: number;
  threads: number;
  gpuLayers: number;
  /** Name of the device that holds the layers. */
  device: string;
  chatTemplate: {
    /** "model": the file's own; "fallback": chosen by its architecture and control tokens. */
    source: "model" | "fallback";
    /** Name of the fallback, such as "chatml"; "own" when it is the model's. */
    name: string;
    /** The Jinja source in use. */
    text: string;
  };
  /** Unicode normalization that the model's tokenizer wants of every text; the engine does it. Absent: none. */
  normalizer?: "NFC";
  /** Whether the file names no pre-tokenizer (tokenizer.ggml.pre) where its tokenizer needs one: texts are cut in a default way then. */
  guessesPreTokenizer: boolean;
  deterministic: boolean;
}

/** Tokens used by a request. */
export interface Usage {
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
  /** Prompt tokens taken from the prefix cache instead of being computed. */
  cachedTokens: number;
}

/** Times of a request, in milliseconds, measured in the engine (a slow reader changes only pausedMs). */
export interface Timings {
  /** From submit to the first prefill step. */
  queueMs: number;
  /** From the first prefill step to the first sampled token. */
  prefillMs: number;
  /** From submit to the first token's being handed over; 0 when there was none. */
  ttftMs: number;
  /** Time between consecutive tokens, without the time the sequence was parked; waiting for a slot that was lent meanwhile is part of it. */
  itlMs: { p50: number; p99: number; max: number };
  /** Tokens per second after the first one, without the time parked. */
  tokensPerSecond: number;
  /** Time parked at highWaterMark, until the reader is back. */
  pausedMs: number;
}

export type FinishReason = "stop" | "length" | "cancelled";

/** Gauges and counters of a model, as `stats()` gives them. */
export interface EngineStats {
  queued: number;
  prefilling: number;
  decoding: number;
  /** Ahead of their readers by highWaterMark. */
  parked: number;
  /** Of the parked, those whose slot is lent to another stream; what it held is in RAM. */
  spilled: number;
  /** Free slots of maxStreams. */
  freeSlots: number;
  /** Since the model was opened. */
  steps: number;
  generatedTokens: number;
  prefilledTokens: number;
  abortedSteps: number;
  /** Prompt tokens taken from another stream's computation instead of being computed. */
  cachedTokens: number;
  /** Times that a parked stream's slot was lent. */
  spills: number;
  /** Bytes now: prefixes in RAM, prefixes on disk, and what lent slots held. */
  cacheRamBytes: number;
  cacheDiskBytes: number;
  spilledBytes: number;
}
