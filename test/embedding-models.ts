// Makes models that embed, from a seed alone: an encoder of BERT's shape with BERT's own vocabulary, a reranker of the same shape, and the demo model as
// one that pools the last token. Their vectors mean nothing; they are the same as llama.cpp's or they are wrong.

import { join } from "node:path";
// @ts-expect-error: plain JavaScript, shared with children
import { f32, rewriteGguf, withTensors } from "./hostile/gguf.mjs";
import { randomOf } from "./random-schemas.js";

const ROOT = join(import.meta.dirname, "..");
const DEMO = join(ROOT, "models", "demo", "demo.gguf");
const VOCABULARY = join(ROOT, "vendor", "llama.cpp", "models", "ggml-vocab-bert-bge.gguf");

const POOLING = { none: 0, mean: 1, cls: 2, last: 3, rank: 4 } as const;
export type Pooling = keyof typeof POOLING;

/** What an encoder's shape is. */
export const ENCODER = { width: 64, layers: 2, heads: 4, inner: 128, context: 128, vocabulary: 30_522 } as const;

interface Tensor {
  shape: number[];
  data: Float32Array;
}

/** Writes an encoder to `to`, and returns that. A reranker where `pooling` is "rank". `damaged`: what it computes is not made of numbers. */
export function writeEncoder(to: string, pooling: Pooling, seed: number, { damaged = false } = {}): string {
  const { width, layers, heads, inner, context, vocabulary } = ENCODER;
  const random = randomOf(seed);
  const tensors: Record<string, Tensor> = {};
  const uniform = () => random.below(65_536) / 32_768 - 1;
  /** Weights whose products with numbers of about 1 are about 1. */
  const matrix = (name: string, columns: number, rows: number, spread = Math.sqrt(3 / columns)) => {
    tensors[`${name}.weight`] = { shape: [columns, rows], data: Float32Array.from({ length: columns * rows }, () => spread * uniform()) };
  };
  const vector = (name: string, length: number, middle: number) => {
    tensors[name] = { shape: [length], data: Float32Array.from({ length }, () => middle + 0.1 * uniform()) };
  };
  const norm = (name: string) => {
    vector(`${name}.weight`, width, 1);
    vector(`${name}.bias`, width, 0);
  };
  matrix("token_embd", width, vocabulary, 1);
  matrix("position_embd", width, context, 0.5);
  matrix("token_types", width, 2, 0.1);
  norm("token_embd_norm");
  for (let layer = 0; layer < layers; layer++) {
    const of = (name: string) => `blk.${layer}.${name}`;
    for (const name of ["attn_q", "attn_k", "attn_v", "attn_output"]) {
      matrix(of(name), width, width);
      vector(`${of(name)}.bias`, width, 0);
    }
    matrix(of("ffn_up"), width, inner);
    vector(`${of("ffn_up")}.bias`, inner, 0);
    matrix(of("ffn_down"), inner, width);
    vector(`${of("ffn_down")}.bias`, width, 0);
    norm(of("attn_output_norm"));
    norm(of("layer_output_norm"));
  }
  if (pooling === "rank") {
    matrix("cls", width, width);
    vector("cls.bias", width, 0);
    matrix("cls.output", width, 1);
    vector("cls.output.bias", 1, 0);
  }
  const sizes = {
    "bert.block_count": layers,
    "bert.context_length": context,
    "bert.embedding_length": width,
    "bert.feed_forward_length": inner,
    "bert.attention.head_count": heads,
    "bert.attention.layer_norm_epsilon": f32(1e-12),
    "bert.pooling_type": POOLING[pooling],
  };
  if (damaged) tensors[`blk.${layers - 1}.layer_output_norm.bias`]!.data.fill(Number.NaN);
  return withTensors(VOCABULARY, to, sizes, tensors) as string;
}

/** Writes a file with other metadata to `to`, and returns that. */
export function withKeys(from: string, to: string, keys: Record<string, unknown>): string {
  return rewriteGguf(from, to, keys) as string;
}

/**
 * Writes the demo model as one that embeds, to `to`, and returns that. `ends`: texts end with its end-of-text token. `form`: of pairs that are ranked, with
 * {query} and {document} in it.
 */
export function writeDecoder(to: string, pooling: Pooling, ends: boolean, form?: string): string {
  const keys = { "qwen2.pooling_type": POOLING[pooling], "tokenizer.ggml.add_eos_token": ends };
  return rewriteGguf(DEMO, to, { ...keys, "tokenizer.chat_template.rerank": form }) as string;
}
