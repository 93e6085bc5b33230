// Owns the types of calls: what a reply, a prompt that is computed ahead, and vectors are asked for with.

import type { Message } from "./messages.js";
import type { ResponseFormat } from "./shapes.js";
import type { FunctionTool, Step, ToolChoice } from "./tools.js";

/** How the text of a reply is grouped. */
export type ChunkBy = "token" | "word" | "sentence";

/** Whether the model thinks before it answers. "auto": as its template does by itself. */
export type ReasoningOption =
  | "auto"
  | "on"
  | "off"
  | {
      /** For templates that know it; "none" is "off". */
      effort?: "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | undefined;
      /** Tokens of thought at most; then the thought is closed, and the answer begins. */
      budgetTokens?: number | undefined;
    };

/** Called with each chunk of text. A promise that it returns is awaited before the next call. */
export type StreamCallback = (text: string) => unknown;

/** Samplers, by llama.cpp's names for them. */
export type SamplerName =
  | "penalties"
  | "dry"
  | "topNSigma"
  | "topK"
  | "typicalP"
  | "topP"
  | "minP"
  | "xtc"
  | "temperature"
  | "infill"
  | "adaptiveP";

/** What most of a reply will be. */
export interface Prediction {
  type: "content";
  content: string | readonly { type: "text"; text: string }[];
}

/** Options of one reply. docs/api.md lists ranges and defaults. `Format`: of its responseFormat, by which the type of `reply.object` is known. */
export interface ReplyOptions<Format extends ResponseFormat = ResponseFormat> {
  /** Tokens to generate at most; 0 means up to the end of the context. Default 0. */
  maxTokens?: number | undefined;
  /**
   * A LoRA adapter of the model's (`adapters` of its options), by name; or several, by name, each with its strength: 1 is as trained, 0 is without it.
   * Default: the model alone.
   */
  adapter?: string | Readonly<Record<string, number>> | undefined;
  /** Tokens before which neither the model nor a stop string ends the reply; at most maxTokens, where that is given. Default 0. */
  minTokens?: number | undefined;
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
  /** XTC: the chance, for each token, that the likeliest are left out. 0 to 1, default 0: off. */
  xtcProbability?: number | undefined;
  /** XTC leaves, of the tokens that are at least as likely, the least likely alone. 0 to 1, default 0.1; more than 0.5 turns it off. */
  xtcThreshold?: number | undefined;
  /** DRY: how hard a token is punished that goes on with a repetition. 0 to 100, default 0: off. */
  dryMultiplier?: number | undefined;
  /** DRY: how much harder with each token of the repetition. 1 to 10, default 1.75. */
  dryBase?: number | undefined;
  /** DRY: tokens of a repetition that are let pass. Default 2. */
  dryAllowedLength?: number | undefined;
  /** DRY: tokens of prompt and reply in which repetitions are looked for; -1 is the whole context. Default 64. */
  dryPenaltyLastN?: number | undefined;
  /** DRY: texts at which a repetition ends. Up to 16 of 1 to 40 bytes, default `["\n", ":", "\"", "*"]`. */
  drySequenceBreakers?: readonly string[] | undefined;
  /** The temperature is lower by up to this much where the model is certain, and higher where it is not. 0 to 5, default 0: off. */
  dynatempRange?: number | undefined;
  /** How certainty is turned into temperature. 0 to 10, default 1. */
  dynatempExponent?: number | undefined;
  /** 1 or 2: mirostat of that version keeps the text's surprise at mirostatTau, in place of the samplers that leave tokens out. Default 0: off. */
  mirostat?: number | undefined;
  /** The surprise that mirostat aims at, in bits. 0 to 100, default 5. */
  mirostatTau?: number | undefined;
  /** How fast mirostat learns. 0 to 1, default 0.1. */
  mirostatEta?: number | undefined;
  /** Prefers tokens of about this probability. -1 to 1, default -1; less than 0 turns it off. */
  adaptiveTarget?: number | undefined;
  /** How long adaptiveTarget remembers what was chosen. 0 to 0.99, default 0.9. */
  adaptiveDecay?: number | undefined;
  /** Tokens that topP, minP, typicalP and XTC each leave at least. Default 0. */
  minKeep?: number | undefined;
  /** Which samplers act, in this order; one that is not named does not. docs/api.md lists the names. */
  samplers?: readonly SamplerName[] | undefined;
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
  /** Tokens of prompt and reply that repeatPenalty looks back on; -1 is the whole context. Default 64. */
  repeatLastN?: number | undefined;
  /** Token id → bias, -100 (never) to 100 (nearly always). */
  logitBias?: Readonly<Record<number, number>> | undefined;
  /** Tells each token's log-probability, in the model's own distribution: before penalties, biases, temperature and the other samplers. Default false. */
  logprobs?: boolean | undefined;
  /** Tells, beside each token, so many of the likeliest in its place. Wants `logprobs: true`. 0 to 20, default 0. */
  topLogprobs?: number | undefined;
  /** Generates past the model's end-of-text tokens. For benchmarks and tests: the text beyond is noise. Default false. */
  ignoreEos?: boolean | undefined;
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
  /** Functions that the model may call. */
  tools?: readonly FunctionTool[] | undefined;
  /** Default "auto". */
  toolChoice?: ToolChoice | undefined;
  /** Several calls in one reply. Default true. */
  parallelToolCalls?: boolean | undefined;
  /** What the text must be; `reply.object` is its value then. Default any text. */
  responseFormat?: Format | undefined;
  /** Default "auto". */
  reasoning?: ReasoningOption | undefined;
  /**
   * Tokens of the reply are guessed and several of them computed in one step, which changes no text. "auto": from what followed the same tokens before,
   * as long as that pays. `tokens`: at most so many in a step, 0 to 64, default 16, and no more than the model's own. `match`: tokens that must have
   * stood before, 1 to 32, default 4. Default "auto".
   */
  speculate?: "auto" | false | { tokens?: number | undefined; match?: number | undefined } | undefined;
  /** What most of the reply will be, as OpenAI has it, or its token ids: it is guessed from that first. */
  prediction?: string | readonly number[] | Int32Array | Prediction | undefined;
  /** Variables for the chat template beside those that it gets in any case. */
  templateArguments?: Readonly<Record<string, unknown>> | undefined;
  /** The last message is the assistant's, and the reply goes on with it. Default false. */
  continueFinalMessage?: boolean | undefined;
  /** Replies at most, where the calls of tools with an execute() are run in between. 1 only gives the calls back. 1 to 1000, default 5. */
  maxSteps?: number | undefined;
  /** Who is told what execute() throws: the model, as the call's result, or the caller, whose reply fails with it. Default "model". */
  toolErrors?: "model" | "throw" | undefined;
  /** Called after each reply of the model and the calls that were run for it. A promise that it returns is awaited. */
  onStep?: ((step: Step) => unknown) | undefined;
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
export type ReplyOptionsInput<Format extends ResponseFormat = ResponseFormat> = ReplyOptions<Format> & SnakeCased<ReplyOptions<Format>>;

/** The keyword form of a chat call. */
export type ChatRequest<Format extends ResponseFormat = ResponseFormat> = { messages: readonly Message[] } & ReplyOptionsInput<Format>;

/** Ids of a model's vocabulary, from 0 to `info.vocabularySize - 1`; up to 4,194,304 of them. */
export type TokenIds = readonly number[] | Int32Array;

/** Options of a completion, in either spelling. */
export type CompletionOptionsInput<Format extends ResponseFormat = ResponseFormat> = ReplyOptionsInput<Format> & {
  /**
   * What follows the text that is to be written: the reply stands between a prompt that is text and this. "" is none. UNSUPPORTED where the model
   * has no tokens for it (`info.fillsInTheMiddle`).
   */
  suffix?: string | undefined;
  /**
   * The log-probability of each token of the prompt is told, as `reply.promptLogprobs` and in `prompt` events, with those of `topLogprobs` others. All of
   * the prompt is computed for it. Of at most 262,144 log-probabilities. Default false.
   */
  promptLogprobs?: boolean | undefined;
  /** The same, in snake_case. */
  prompt_logprobs?: boolean | undefined;
};

/** The keyword form of a completion call. Token ids are continued as they are: no BOS is put before them. */
export type CompletionRequest<Format extends ResponseFormat = ResponseFormat> = {
  prompt: string | TokenIds;
} & CompletionOptionsInput<Format>;

/** Options of prepare(): those of the call that it prepares, and whose place it takes. */
export interface PrepareOptions {
  /** A newer prepare() of the same model with the same key takes this one's place. Default "". */
  key?: string | undefined;
}

/** Options of embed(). */
export interface EmbedOptions {
  /** The first so many of each vector's numbers, made a length of 1 again: for models trained so that they can be cut (Matryoshka). Default: all. */
  dimensions?: number;
  /** Vectors have a length of 1. Default true. */
  normalize?: boolean;
  /** Texts longer than the context are cut at its end; otherwise they are CONTEXT_OVERFLOW. Default false. */
  truncate?: boolean;
  /** Ends it; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Options of rerank(). */
export interface RerankOptions {
  /** The best so many; default: all. */
  topN?: number;
  /** Documents that do not fit into the context beside the query are cut; otherwise they are CONTEXT_OVERFLOW. Default false. */
  truncate?: boolean;
  /** Ends it; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
}
