// Owns the public types: what callers pass in and what streams give out. Types only; nothing of this file exists at run time.
// Their validation is lib/options', and defaults and ranges stand there in one table.

/** How the text of a reply is grouped. */
export type ChunkBy = "token" | "word" | "sentence";

/** One part of a message's content. Text is the only kind a language model without eyes can take; the kinds are those of OpenAI's two APIs. */
export type TextPart = { type: "text" | "input_text" | "output_text"; text: string } | { type: "refusal"; refusal: string };

/** A call of a tool, as a reply has it: OpenAI's shape. `arguments` is JSON text. */
export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
  /**
   * The reply ended within this call, by `maxTokens`, a stop string or its reader, or what the model wrote is no call: `arguments` are the beginning
   * of JSON, which JSON.parse() refuses. Such a call is never run.
   */
  incomplete?: true;
}

/** A call of a tool, in an assistant's message. `arguments` is JSON text, as in OpenAI's API, or the object itself, as in Ollama's; "" is {}. */
export interface ToolCallInput {
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
      tool_calls?: readonly ToolCallInput[] | null;
      /** What was said in place of an answer; read where there is no content. */
      refusal?: string | null;
      /** What the model thought before it answered; templates decide whether it is shown to the model again. */
      reasoning_content?: string | null;
    }
  /** The result of a call. Without an id or a name it is that of the next call of the assistant's message before it. */
  | { role: "tool"; content: string | readonly TextPart[]; tool_call_id?: string; name?: string }
  /** The same, as before there were tools. */
  | { role: "function"; content: string | null; name: string };

/** A JSON Schema as plain data; 2020-12, older spellings are read too. Any object: the types of other packages have no index signature. */
export type JsonSchema = boolean | object;

/** A schema of zod, valibot, arktype or another library that keeps Standard Schema (https://standardschema.dev). */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** What a Standard Schema says of a value. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string;
        readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
      }[];
    };

/** What a schema describes: of a Standard Schema its output, of a JSON Schema nothing is known. */
export type OutputOf<Schema> =
  Schema extends StandardSchema<never, infer Output>
    ? Output
    : Schema extends { "~standard": { types?: { output: infer Output } | undefined } }
      ? Output
      : unknown;

/** What a schema takes: of a Standard Schema its input, of a JSON Schema nothing is known. */
export type InputOf<Schema> = Schema extends { "~standard": { types?: { input: infer Input } | undefined } } ? Input : unknown;

/** The schema of a `responseFormat`, in whichever of its forms. */
type SchemaOf<Format> = Format extends { "~standard": unknown } ? Format : Format extends { schema?: infer Schema } ? Schema : unknown;

/** What `reply.object` is by a `responseFormat`: the output of its schema, where that is a library's. */
export type ObjectOf<Format> = OutputOf<SchemaOf<Format>>;

/** What the `object` events of a reply have by a `responseFormat`: of what its schema takes, as much as there is. */
export type PartialObjectOf<Format> = PartialOf<InputOf<SchemaOf<Format>>>;

/** A value that is not all there: fields may be missing on every level, and texts may go on. */
export type PartialOf<Value> = unknown extends Value
  ? unknown
  : Value extends readonly (infer Item)[]
    ? PartialOf<Item>[]
    : Value extends object
      ? { [Name in keyof Value]?: PartialOf<Value[Name]> }
      : Value extends string
        ? string
        : Value;

/** A function that the model may call, in OpenAI's shape. */
export interface FunctionTool {
  type: "function";
  function: {
    /** 1 to 128 of the characters A-Z a-z 0-9 _ - . : / */
    name: string;
    description?: string | undefined;
    /** What it takes: a schema of type "object". Left out: nothing. */
    parameters?: JsonSchema | StandardSchema | undefined;
    /** A schema that cannot be enforced exactly is then refused. Default false: what cannot be enforced is left to whoever runs the tool. */
    strict?: boolean | undefined;
  };
  /** Runs a call; see `tool()`. Left out: calls are given back to the caller. */
  execute?: ((args: never, context: ToolContext) => unknown) | undefined;
}

/** What execute() is told beside the arguments. */
export interface ToolContext {
  /** Aborted when the reply is: nobody waits for the result any more. */
  signal: AbortSignal;
  toolCallId: string;
  /** The conversation up to the message that calls the tool, that one included. */
  messages: readonly Message[];
}

/** A tool by its name; the second form is OpenAI's. */
export type ToolName = { name: string } | { type: "function"; function: { name: string } };

/**
 * Which tool must be called: any or none, none (the model is shown no tools then, and answers), at least one, or this one. "allowed_tools", in either of OpenAI's forms: some of the tools are
 * offered, and one of them must be called where the mode is "required". The model is shown those alone.
 */
export type ToolChoice =
  | "auto"
  | "none"
  | "required"
  | ToolName
  | { type: "allowed_tools"; allowed_tools: { mode?: "auto" | "required"; tools: readonly ToolName[] } }
  | { type: "allowed_tools"; mode?: "auto" | "required"; tools: readonly ToolName[] };

/** What the text of a reply must be. A schema of zod, valibot or arktype alone is taken too. */
export type ResponseFormat =
  | { type: "text" }
  | { type: "json_object"; schema?: JsonSchema | StandardSchema | undefined }
  /** With `strict: false`, what cannot be enforced is left out, and not refused. */
  | { type: "json_schema"; schema: JsonSchema | StandardSchema; strict?: boolean | undefined }
  | {
      type: "json_schema";
      json_schema: { name?: string; schema?: JsonSchema | undefined; strict?: boolean | null | undefined; description?: string };
    }
  /** A grammar in llama.cpp's GBNF. */
  | { type: "grammar"; gbnf: string }
  | StandardSchema;

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

/** One reply of the model on the way to the last one, and what came of its calls. */
export interface Step {
  /** From 0. */
  index: number;
  text: string;
  reasoning?: string;
  toolCalls: readonly ToolCall[];
  /** Of the calls that were run, in their order. */
  toolResults: readonly ToolResult[];
  finishReason: FinishReason;
  usage: Usage;
  timings: Timings;
}

/** What came of a call: the text that the model is given, and why it is one, where the call failed. */
export interface ToolResult {
  toolCallId: string;
  name: string;
  content: string;
  /** "arguments": they are no JSON or do not fit the schema, and nothing was run; "execute": the tool itself failed; "unknown": there is no such tool. */
  failure?: "arguments" | "execute" | "unknown";
}

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

/** How far a prompt is that was computed ahead. In tokens. */
export interface Prepared {
  /** Of the whole prompt; 0 where that was not looked at, for want of room. */
  promptTokens: number;
  /** Those that need not be computed any more. All of them unless something else wanted the slot, or a newer call took its place. */
  readyTokens: number;
  /** Of these, the ones that were known before. */
  cachedTokens: number;
}

/** A beginning of a prompt that is kept, as `model.cache.list()` tells it. */
export interface CacheEntry {
  /** Of its tokens: 16 digits, base 16. The same text has the same id in every engine of the model. */
  id: string;
  tokens: number;
  /** Of its image in RAM, or else of its file; of one that is only in a slot, those that its image would have. */
  bytes: number;
  /** Where it is: in a free slot of the KV cache, where the next stream may need the place; in RAM; in a file of `promptCache.dir`. */
  in: ("slot" | "ram" | "disk")[];
  pinned: boolean;
  /** How it begins, some 24 tokens: what a person knows it by. */
  text: string;
}

/** What a conversation becomes for the model, as applyTemplate() gives it. */
export interface RenderedPrompt {
  /** What the chat template writes. */
  prompt: string;
  /** Ids of what the model reads. A control token's name in a message is text here, which tokenize() does not know of the text alone. */
  tokens: number[];
}

/** Settings of a model, fixed when it is opened. docs/api.md lists ranges and defaults. */
/** A LoRA adapter: a GGUF file as llama.cpp's convert_lora_to_gguf.py makes it, of the same base model. */
export interface AdapterFile {
  /** By which streams ask for it: 1 to 64 characters, none of them a control character, a colon, a comma or a slash. */
  name: string;
  path: string | URL;
  /** Its strength where a stream says no other. -100 to 100, default 1. */
  scale?: number | undefined;
}

export interface EngineOptions {
  /**
   * Whether replies are guessed ahead (`speculate` of a reply). `tokens`: of all streams in one step at most, 0 to 64, default 16; each takes memory for a row of
   * logits. Nothing is guessed with `deterministic: true`, nor by models whose memory cannot be cut (recurrent and hybrid ones). Default "auto".
   */
  speculate?: "auto" | false | { tokens?: number | undefined; match?: number | undefined } | undefined;
  /** LoRA adapters that streams may ask for, 64 at most: loaded with the model. Default: none. */
  adapters?: readonly AdapterFile[] | undefined;
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
   * and answered can be read out of those files, unless `key` (32 bytes) seals them; they are readable by their owner alone. `false` turns it off. `usage.cachedTokens`
   * tells what it saved. RAM also holds what was in the slots of paused readers that are lent to others. Default `{}`.
   */
  promptCache?:
    | false
    | { ram?: number | undefined; dir?: string | undefined; disk?: number | undefined; key?: Uint8Array | undefined }
    | undefined;
  /**
   * The engine runs in a process of its own, so that its crash ends its streams with ENGINE_FAILED and not this process; it is started again then.
   * `recover`: streams that were running go on after that, with no character lost or doubled. `hangAfterMs`: silence after which the process counts
   * as hanging and is ended, 1000 to 3600000, default 10000. Default false.
   */
  isolate?: boolean | { recover?: boolean | undefined; hangAfterMs?: number | undefined } | undefined;
  /**
   * Called while the model is fetched and while it loads, with the part that is done, 0 to 1. `event` says of what; of a model that is fetched the part begins anew
   * when it loads.
   */
  onProgress?: ((fraction: number, event: LoadEvent) => void) | undefined;
}

/** How far a model is on its way to being ready. Take care of unknown types: later versions may add some. */
export type LoadEvent = FetchEvent | { type: "load"; fraction: number };

/** How far a model of Hugging Face (`hf:`) is on its way into the cache folder. */
export type FetchEvent =
  /** No quantization was named, and this one was chosen. */
  | {
      type: "chosen";
      /** The file in the repository; of a split model its first part. */
      file: string;
      /** Such as "Q4_K_M"; absent where the file's name has none. */
      quant?: string;
      bytes: number;
      /** Why; a sentence for people. */
      because: string;
    }
  | {
      type: "download";
      /** The file in the repository that is on its way. */
      file: string;
      /** Of all files of the model, those bytes included that an earlier try has left. */
      receivedBytes: number;
      totalBytes: number;
      /** Whether another process fetches the file, and this one waits for it. */
      shared: boolean;
    }
  /** What an earlier try has left is read again for its checksum. */
  | { type: "verify"; file: string; checkedBytes: number; totalBytes: number }
  /** A try failed in a way that may pass, and is made again after `inMs` milliseconds. */
  | { type: "retry"; inMs: number; because: string };

/** How a model is fetched. */
export interface PullOptions {
  /** Ends it with the signal's reason; what is there is kept for the next try. */
  signal?: AbortSignal | undefined;
  /** Called with the part of the model that is there, 0 to 1, and with what it is told for. */
  onProgress?: ((fraction: number, event: FetchEvent) => void) | undefined;
  /** Asks the hub whether there is a newer one, also where one is there. Default false. */
  update?: boolean | undefined;
}

/** A model of Hugging Face in the cache folder. */
export interface PulledModel {
  /** What new ZSE() opens, as an absolute path; of a split model the first part. */
  path: string;
  /** All files of the model, as absolute paths. */
  files: string[];
  repo: string;
  commit: string;
  /** Such as "Q4_K_M"; absent where the file's name has none. */
  quant?: string;
  bytes: number;
  /** Whether anything had to be fetched. */
  fetched: boolean;
}

/** Options of a model, in either spelling. */
export type EngineOptionsInput = EngineOptions & SnakeCased<EngineOptions>;

/** A token, and how likely the model itself held it to be. */
export interface TokenLogprob {
  /** Its id in the vocabulary. */
  id: number;
  /** Its text, in which half a code point is U+FFFD. Of a control token, its name. */
  token: string;
  /** Its bytes, which with those of its neighbours are the text's. A control token has none. */
  bytes: number[];
  /** Natural logarithm of its probability, 0 at most. */
  logprob: number;
}

/** A token of a reply. */
export interface TokenLogprobs extends TokenLogprob {
  /** The likeliest tokens in its place, `topLogprobs` of them at most, the likeliest first. */
  top: TokenLogprob[];
}

/** A token of a prompt. The first one has no log-probability, since nothing stands before it. */
export interface PromptToken extends Omit<TokenLogprobs, "logprob"> {
  logprob: number | null;
}

/** A collected reply. `Value`: what its `object` is. */
export interface Reply<Value = unknown> {
  /** All text, of all steps. */
  text: string;
  /** Of the tokens whose text the consumer had, where `logprobs` asked for them. */
  logprobs?: TokenLogprobs[];
  /** The prompt's tokens, where `promptLogprobs` asked for them. */
  promptLogprobs?: PromptToken[];
  /**
   * "stop": the model ended, or a stop string was found; "length": maxTokens or the context's end; "toolCalls": it calls tools, which were not
   * run; "cancelled": the consumer left.
   */
  finishReason: FinishReason;
  /** The calls that are left to the caller. One in whose middle the reply ended is `incomplete`. */
  toolCalls: readonly ToolCall[];
  /** Where tools were given: what looked like a call and is none. `text` has it as well. */
  malformedCall?: MalformedCall;
  /** What the model thought before it answered, of all steps. Absent where it did not. */
  reasoning?: string;
  /** The value of a structured reply (`responseFormat`), as its schema makes it. Absent where the reply was cut short (finishReason "length"), or the schema refuses it. */
  object?: Value;
  /** The steps, where calls of tools were run. */
  steps?: readonly Step[];
  /** What looks wrong with a reply that is given all the same; a sentence for people. */
  warning?: string;
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

/** The next tokens of the prompt, where `promptLogprobs` asked for them; all of them come before the reply. */
export interface PromptEvent {
  type: "prompt";
  tokens: PromptToken[];
}

/** A chunk of the reply, never empty. */
export interface TextEvent {
  type: "text";
  text: string;
  /** Of the tokens that begin in it, where they were asked for. Empty where its text is the rest of a token that was told before. */
  logprobs?: TokenLogprobs[];
}

/** A piece of what the model thinks before it answers. */
export interface ReasoningEvent {
  type: "reasoning";
  text: string;
  /** As a text's. */
  logprobs?: TokenLogprobs[];
}

/** A piece of a call of a tool. */
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
  /** As a text's. */
  logprobs?: TokenLogprobs[];
}

/** What looked like a call of a tool, and is not in the syntax of the model's template. */
export interface MalformedCall {
  /** What of the reply could not be read, as it is in the reply's text. "" where all of it had come as pieces of a call, which is `incomplete` then. */
  text: string;
  /** Why; a sentence for people. */
  reason: string;
}

/** The reply is over, and what looked like a call of a tool is none: the text before this event has it. Comes just before `finish`. */
export interface MalformedCallEvent extends MalformedCall {
  type: "malformedCall";
  /** As a text's. */
  logprobs?: TokenLogprobs[];
}

/** What a structured reply has come to: its value so far, and at the end all of it. Comes as the text grows by an eighth. */
export interface ObjectEvent<Partial = unknown> {
  type: "object";
  partial: Partial;
}

/** The calls of a reply were run, and another one begins with their results; or the last step is over. */
export interface StepEvent {
  type: "step";
  step: Step;
}

/** The end of a reply that was not aborted and did not fail; the last event. */
export interface FinishEvent {
  type: "finish";
  reason: FinishReason;
  stopString?: string;
  warning?: string;
  /** Of the tokens that no event before it has told, where they were asked for: a tag that closes a call, say. */
  logprobs?: TokenLogprobs[];
  usage: Usage;
  timings: Timings;
  seed: number;
}

/** What `events()` gives. Take care of unknown types: later versions may add some. */
export type StreamEvent<Partial = unknown> =
  | ProgressEvent
  | PromptEvent
  | TextEvent
  | ReasoningEvent
  | ToolCallEvent
  | MalformedCallEvent
  | ObjectEvent<Partial>
  | StepEvent
  | FinishEvent;

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

/** What a model file may recommend for drawing its tokens. */
export type RecommendedSampling = Pick<
  ReplyOptions,
  | "temperature"
  | "topP"
  | "topK"
  | "minP"
  | "xtcProbability"
  | "xtcThreshold"
  | "mirostat"
  | "mirostatTau"
  | "mirostatEta"
  | "repeatPenalty"
  | "repeatLastN"
  | "samplers"
>;

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
  /** Whether its vocabulary has the tokens for a completion's `suffix`. */
  fillsInTheMiddle: boolean;
  /** Whether it writes text. Otherwise it is an encoder (BERT and its like), which embeds texts and knows no streams. */
  generates: boolean;
  /**
   * What makes one vector of a text's: the mean over its tokens, the first ("cls") or the last of them. "none": the file says none, and embed() takes the last,
   * or the mean of an encoder's. "rank": a score instead, for rerank().
   */
  pooling: "mean" | "cls" | "last" | "rank" | "none";
  /** Numbers of a text's vector. */
  vectorSize: number;
  /** What the file recommends (`general.sampling.*`); used where a call does not say. What is out of range there is left out. */
  sampling: RecommendedSampling;
  deterministic: boolean;
  /** The LoRA adapters that streams may name, and their strengths where a stream says no other. */
  adapters: readonly Readonly<{ name: string; scale: number }>[];
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

/** Tokens that a call without a reply has used. */
export interface TextUsage {
  promptTokens: number;
  /** The same. */
  totalTokens: number;
}

export interface Embeddings {
  /** One for each text, in their order; memory of its own. */
  embeddings: Float32Array[];
  usage: TextUsage;
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

export interface Ranking {
  /** The best first. `index` is that of the document as it was given; `score` is the model's own, and means something only beside others of the same call. */
  results: { index: number; score: number }[];
  usage: TextUsage;
}

/** Tokens used by a request. */
export interface Usage {
  promptTokens: number;
  completionTokens: number;
  totalTokens: number;
  /** Prompt tokens taken from the prefix cache instead of being computed. */
  cachedTokens: number;
  /** Of the completion's tokens, those of the model's thought. Absent where it had none. */
  reasoningTokens?: number;
  /** Tokens of the `prediction` that were computed ahead and are in the completion, and those that are not. Absent where nothing was predicted. */
  acceptedPredictionTokens?: number;
  rejectedPredictionTokens?: number;
}

/** Times of a request, in milliseconds, measured in the engine (a slow reader changes only pausedMs). */
export interface Timings {
  /** From submit to the first prefill step. */
  queueMs: number;
  /** From the first prefill step to the first sampled token. */
  prefillMs: number;
  /** From submit to the first token's being handed over. Absent where none was: a reply that ended before it, or was cancelled. */
  ttftMs?: number;
  /** Time between consecutive tokens, without the time the sequence was parked; waiting for a slot that was lent meanwhile is part of it. */
  itlMs: { p50: number; p99: number; max: number };
  /** Tokens per second after the first one, without the time parked. */
  tokensPerSecond: number;
  /** Time parked at highWaterMark, until the reader is back. */
  pausedMs: number;
  /** Tokens that were guessed and computed ahead, and of those the ones that came. Absent where none were. */
  draftedTokens?: number;
  acceptedTokens?: number;
  /** Where the part of the prompt ended that was known, and why. Absent where the prompt was never begun. */
  prefix?: PrefixBreak;
}

/**
 * Why no more of a prompt was known.
 *
 * - `whole`: all of it was; the last token is computed all the same.
 * - `new`: nothing that is held begins as it does.
 * - `continued`: what is held ends there, and the prompt goes on: a conversation's next turn.
 * - `differs`: what is held goes on with another token there. Something before that place changes from call to call: a date, say.
 * - `evicted`: more was known once, and had to make way (`promptCache`, `maxStreams`).
 * - `adapter`: more is known, and was computed with other adapters.
 * - `coarse`: all up to there is known, and can be used only up to an earlier place (`usage.cachedTokens`): a hybrid, recurrent or sliding-window
 *   model is cut at its checkpoints alone, and `deterministic` at whole pieces.
 * - `lost`: what was kept could not be read any more.
 * - `off`: nothing is looked for: `promptCache` is false, or `promptLogprobs` are told.
 */
export type PrefixReason = "whole" | "new" | "continued" | "differs" | "evicted" | "adapter" | "coarse" | "lost" | "off";

/** Where the known part of a prompt ended. */
export interface PrefixBreak {
  /**
   * The first token of the prompt, counted from 0, that was not known; the prompt's length where all are. Fewer may have been taken over
   * (`usage.cachedTokens`): fewer than 64 in common are not worth a copy.
   */
  brokeAt: number;
  reason: PrefixReason;
  /** What the prompt goes on with there: a few tokens of it, to find the place by. Absent where that tells nothing. */
  text?: string;
}

export type FinishReason = "stop" | "length" | "toolCalls" | "cancelled";

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
  /** Tokens of replies that were guessed and computed ahead, and of those the ones that came. */
  draftedTokens: number;
  acceptedTokens: number;
  /** Texts whose vectors are wanted, those under way included. */
  embedding: number;
  /** Of such texts and of documents to be ranked, those that were computed. */
  embeddedTokens: number;
  /** Bytes that the memory for it takes, 0 before the first text. On a CPU that is the most it may take. */
  embeddingBytes: number;
  /** Bytes now: prefixes in RAM, prefixes on disk, and what lent slots held. */
  cacheRamBytes: number;
  cacheDiskBytes: number;
  spilledBytes: number;
  /** Times that an isolated engine (`isolate`) was started again, also after its end. Absent where the engine runs in this process. */
  restarts?: number;
}
