// Owns the types of an open model: its options, what is known of it, its devices and its counters.

import type { LoadEvent } from "./files.js";
import type { ReplyOptions, SnakeCased } from "./requests.js";

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
   * logits. `draftModel`: a smaller model of the same vocabulary that guesses where nothing is looked up: a GGUF or .zse file. Without one, the file's own head
   * does where it has one (Qwen3.5). Nothing is guessed with
   * `deterministic: true`, nor by models whose memory cannot be cut (recurrent and hybrid ones). Default "auto".
   */
  speculate?:
    | "auto"
    | false
    | { tokens?: number | undefined; match?: number | undefined; draftModel?: string | URL | undefined }
    | undefined;
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
  /**
   * How the KV cache stores keys and values. "q8_0" takes 0.53 of the memory of "f16", "q4_0" 0.28, and texts come out slightly different. A model whose
   * heads are no multiple of 32 is UNSUPPORTED with them. What embeds and ranks texts always computes with "f16". Default "f16".
   */
  kvType?: "f16" | "q8_0" | "q4_0" | undefined;
  /** Longest step (ms) that the planner aims at while streams are decoding. 1 to 10000, default 150. */
  latencyTargetMs?: number | undefined;
  /** Other streams cannot change a stream's rounding, at a cost in speed. Default false. */
  deterministic?: boolean | undefined;
  /**
   * Prefixes of prompts that were computed before are used again: from the KV cache, from RAM (`ram`: bytes at most, default 256 MiB),
   * and, when `dir` names a folder, from disk, where they survive a restart (`disk`: bytes at most in the whole folder, default 4 GiB). What was asked
   * and answered can be read out of those files, unless `key` (32 bytes) seals them; they are readable by their owner alone. `false` turns it off. `usage.cachedTokens`
   * tells what it saved. RAM also holds what was in the slots of paused readers that are lent to others. Default `{}`.
   *
   * `moved: true`: parts of a prompt of 64 tokens or more that were computed elsewhere (behind another line at the beginning, or in another order) are
   * taken over from there, too. What a text meant behind other words is not what it means here, so replies may differ from those without. Not with
   * `deterministic`, nor with recurrent, hybrid and sliding-window models (UNSUPPORTED).
   */
  promptCache?:
    | false
    | {
        ram?: number | undefined;
        dir?: string | undefined;
        disk?: number | undefined;
        key?: Uint8Array | undefined;
        moved?: boolean | undefined;
      }
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

/** Options of a model, in either spelling. */
export type EngineOptionsInput = EngineOptions & SnakeCased<EngineOptions>;

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
  /** How keys and values are stored: "f16", "q8_0" or "q4_0". */
  kvType: string;
  /** Bytes that the KV cache of all streams takes once it is full; 0 of a model that generates no text. On a CPU it takes memory as streams fill it. What a draft model or a head keeps is part of it. */
  kvCacheBytes: number;
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
  /** The file of the smaller model that guesses for it (`speculate.draftModel`). Absent: none. */
  draftModel?: string;
  /** Whether the file's own head guesses for it (multi-token prediction). Absent: it has none, or none that is used. */
  draftHead?: boolean;
  /** Why the head that the file has guesses nothing. */
  unusedHead?: string;
}

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
  /** Given up in the middle: for a stream that was cancelled, or to be begun anew with a short prompt that came just after. */
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
  /**
   * Bytes that lay in `promptCache.dir` when it was opened, are of this model's file, and cannot be used: they were written with another `key`, or with one
   * and there is none now, or with another template, device or `maxStreams`. 0 after a restart with the right key.
   */
  cacheUnusableBytes: number;
  spilledBytes: number;
  /** Times that an isolated engine (`isolate`) was started again, also after its end. Absent where the engine runs in this process. */
  restarts?: number;
}
