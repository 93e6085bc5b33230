// Owns the contract with the native addon about model files that are not opened: inspecting and converting them. Its C++ side are inspect.cpp and
// conversion_wrap.cpp of native/node. Types alone.

import type { NativeRecommended } from "./contract.js";

/** What a conversion is told. */
export interface NativeConvertOptions {
  /** How a .zse file stores its linear weights; absent: int8. Given where GGUF is written, it is a BAD_OPTION. */
  quant?: "int4" | "int8" | "fp16";
  overwrite: boolean;
}

export interface NativeConversionReport {
  from: "gguf" | "zse1" | "zse2";
  to: "gguf" | "zse2";
  bytesRead: number;
  bytesWritten: number;
  /** What is lost or changed on the way; sentences for people. */
  notes: string[];
}

/** A running conversion. It has a thread of its own and keeps the process alive until it has ended. */
export interface NativeConversion {
  /** Ends it soon, with the error CLOSED. */
  cancel(): void;
  /** Cancels it and waits until it is over; nothing is called after that. For the end of the process. */
  close(): void;
}

/**
 * What `inspect` tells of a model file. Texts are the file's own, whatever they hold. Of a file with a `refusal`, what could not be
 * told is 0 or "".
 */
export interface NativeInspection {
  format: "gguf" | "zse";
  /** GGUF's version, or the generation of .zse. */
  version: number;
  name: string;
  architecture: string;
  /** Generation 1 only: what the file says that it was made from. */
  sourceModel?: string;
  bytes: number;
  parameters: number;
  shape: {
    layers: number;
    width: number;
    heads: number;
    kvHeads: number;
    headSize: number;
    feedForward: number;
    vocabulary: number;
    /** Tokens. */
    context: number;
  };
  tiedEmbeddings: boolean;
  /** `crc32` is the checksum that the file has for a part, and that was found right. */
  sections: { name: string; offset: number; bytes: number; crc32?: number }[];
  weights: {
    kind: "embedding" | "output" | "attention" | "feed-forward" | "norm" | "bias" | "other";
    coding: string;
    /** Values to a scale; 0 for none. */
    groupSize: number;
    /** INT4 in a .zse file only: how its codes lie, and what told it. */
    layout?: "tiled" | "row-major";
    layoutEvidence?: string;
    /** ggml's type in memory; absent where the file cannot be opened. */
    loadsAs?: string;
    lossless?: boolean;
    tensors: number;
    parameters: number;
    bytes: number;
  }[];
  tokenizer: {
    /** GGUF's name of it: "gpt2" is byte-level BPE, "llama" SentencePiece. "" for none. */
    model: string;
    preTokenizer: string;
    tokens: number;
    merges: number;
    bos?: string;
    eos?: string;
    addsBos: boolean;
    nfc: boolean;
  };
  /** "fallback": the file has none, and `name` is chosen by its control tokens. */
  chatTemplate: { source: "file" | "fallback" | ""; name: string; bytes: number };
  sampling: NativeRecommended;
  /** Why the file cannot be opened; absent where nothing was found that speaks against it. */
  refusal?: string;
  notes: string[];
}

/** What the addon does with model files that are not opened. */
export interface NativeFileTools {
  /** Rejects with an Error that has a `code` where the file is no model file at all. */
  inspect(path: string): Promise<NativeInspection>;
  /** Converts a model file; `onEnd` is called once, with an Error that has a `code`, or with the report. */
  Conversion: new (
    input: string,
    output: string,
    options: NativeConvertOptions,
    onProgress: (fraction: number) => void,
    onEnd: (error: unknown, report: NativeConversionReport | undefined) => void,
  ) => NativeConversion;
}
