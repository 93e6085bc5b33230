// Makes models whose memory cannot be cut anywhere, from a seed alone: hybrids of LFM2's shape and of Qwen 3.5's (delta), a recurrent one of Mamba's, and
// one of Gemma 3's, whose attention slides. Vocabulary and template are the demo model's. What they say is noise, and depends on every token before it.

import { join } from "node:path";
// @ts-expect-error: plain JavaScript, shared with children
import { f32, i32s, withTensors } from "./hostile/gguf.mjs";
import { randomOf } from "./random-schemas.js";

const DEMO = join(import.meta.dirname, "..", "models", "demo", "demo.gguf");

export const MEMORIES = ["hybrid", "delta", "recurrent", "sliding"] as const;
export type Memory = (typeof MEMORIES)[number];

/** Tokens that Gemma's sliding layers look back on. */
export const WINDOW = 48;

const VOCABULARY = 1536;
const CONTEXT = 8192;

interface Tensor {
  shape: number[];
  data: Float32Array;
}

/** Tensors of random numbers, by their names. */
class Weights {
  readonly tensors: Record<string, Tensor> = {};
  private readonly random;
  constructor(seed: number) {
    this.random = randomOf(seed);
  }

  numbers(name: string, shape: number[], middle: number, spread: number): void {
    const length = shape.reduce((product, size) => product * size, 1);
    const uniform = () => this.random.below(65_536) / 32_768 - 1;
    this.tensors[name] = { shape, data: Float32Array.from({ length }, () => middle + spread * uniform()) };
  }
  /** Products with numbers of about 1 are about `gain`. */
  matrix(name: string, columns: number, rows: number, gain = 1): void {
    this.numbers(`${name}.weight`, [columns, rows], 0, gain * Math.sqrt(3 / columns));
  }
  /** Hands on so many numbers as it has rows, from the one at `from` on. */
  diagonal(name: string, columns: number, rows: number, from: number): void {
    const data = new Float32Array(columns * rows);
    for (let i = 0; i < rows; i++) data[i * columns + from + i] = 1;
    this.tensors[`${name}.weight`] = { shape: [columns, rows], data };
  }
  norm(name: string, length: number): void {
    this.numbers(`${name}.weight`, [length], 1, 0.1);
  }
}

/**
 * Of a model with a head that guesses its next tokens (MTP), whether what it guesses comes. "rows": a text says its last token again and again, and the head
 * knows that from the model's row of the token alone.
 */
export type Head = "right" | "rows" | "random";

/** Of a model with a head, beside which that takes little. */
export const HEAD_LAYERS = 10;

/** What is wrong with a file: metadata, tensors that are missing, of another shape (no larger), all one number, or another's. */
export interface Damage {
  keys?: Record<string, unknown>;
  without?: RegExp;
  reshaped?: Record<string, number[]>;
  filled?: Record<string, number>;
  copied?: Record<string, string>;
}

/**
 * Writes a model of kind "delta" with such a head. A right one: the layers add so little that each token follows from the one before it, by the output matrix,
 * and the head hands that one's embedding on to the same matrix.
 */
export function writeHeadModel(to: string, head: Head, seed: number, changed: Damage = {}): string {
  const weights = new Weights(seed);
  const own = { ...delta(weights, head), ...changed.keys };
  for (const [name, from] of Object.entries(changed.copied ?? {})) weights.tensors[name] = weights.tensors[from]!;
  for (const [name, tensor] of Object.entries(weights.tensors)) {
    if (changed.without?.test(name)) delete weights.tensors[name];
    const shape = changed.reshaped?.[name];
    if (shape) weights.tensors[name] = { shape, data: tensor.data.subarray(0, shape[0]! * shape[1]!) };
    if (changed.filled && name in changed.filled) tensor.data.fill(changed.filled[name]!);
  }
  const named = Object.fromEntries(Object.entries(own).map(([key, value]) => [key.replace("*", ARCHITECTURES.delta), value]));
  return withTensors(
    DEMO,
    to,
    { "general.architecture": ARCHITECTURES.delta, "general.name": `random delta, ${head} head`, ...named },
    weights.tensors,
  ) as string;
}

/** Writes such a model to `to`, and returns that. */
export function writeMemoryModel(to: string, memory: Memory, seed: number): string {
  const weights = new Weights(seed);
  const keys = { hybrid, delta, recurrent, sliding }[memory](weights);
  const named = Object.fromEntries(Object.entries(keys).map(([key, value]) => [key.replace("*", ARCHITECTURES[memory]), value]));
  const own = { "general.architecture": ARCHITECTURES[memory], "general.name": `random ${memory}`, ...named };
  return withTensors(DEMO, to, own, weights.tensors) as string;
}

const ARCHITECTURES = { hybrid: "lfm2", delta: "qwen35", recurrent: "mamba", sliding: "gemma3" } as const;

function common(width: number, layers: number): Record<string, unknown> {
  return {
    "*.context_length": CONTEXT,
    "*.embedding_length": width,
    "*.block_count": layers,
    "*.vocab_size": VOCABULARY,
    "*.attention.layer_norm_rms_epsilon": f32(1e-5),
  };
}

function attention(weights: Weights, of: (part: string) => string, width: number, heads: number, kvHeads: number): void {
  const head = width / heads;
  weights.matrix(of("attn_q"), width, width);
  weights.matrix(of("attn_k"), width, head * kvHeads);
  weights.matrix(of("attn_v"), width, head * kvHeads);
  weights.matrix(of("attn_output"), width, width);
  weights.norm(of("attn_q_norm"), head);
  weights.norm(of("attn_k_norm"), head);
}

function feedForward(weights: Weights, of: (part: string) => string, width: number, inner: number): void {
  weights.norm(of("ffn_norm"), width);
  weights.matrix(of("ffn_gate"), width, inner);
  weights.matrix(of("ffn_up"), width, inner);
  weights.matrix(of("ffn_down"), inner, width);
}

function hybrid(weights: Weights): Record<string, unknown> {
  const [width, inner, heads, kvHeads, convolved] = [128, 256, 4, 2, 3];
  const attends = [false, true, false, true];
  weights.matrix("token_embd", width, VOCABULARY);
  weights.norm("token_embd_norm", width);
  for (const [layer, attend] of attends.entries()) {
    const of = (part: string) => `blk.${layer}.${part}`;
    weights.norm(of("attn_norm"), width);
    if (attend) {
      attention(weights, of, width, heads, kvHeads);
    } else {
      weights.numbers(`${of("shortconv.conv")}.weight`, [convolved, width], 0, 1);
      weights.matrix(of("shortconv.in_proj"), width, 3 * width);
      weights.matrix(of("shortconv.out_proj"), width, width);
    }
    feedForward(weights, of, width, inner);
  }
  return {
    ...common(width, attends.length),
    "*.feed_forward_length": inner,
    "*.attention.head_count": heads,
    "*.attention.head_count_kv": i32s(attends.map((attend) => (attend ? kvHeads : 0))),
    "*.shortconv.l_cache": convolved,
    "*.rope.freq_base": f32(10_000),
  };
}

/** A gated delta net in every second layer, as Qwen3-Next has it, too. */
function delta(weights: Weights, draftHead?: Head): Record<string, unknown> {
  const [width, inner, heads, kvHeads, head] = [128, 256, 4, 2, 32];
  const layers = draftHead ? HEAD_LAYERS : 4;
  const [keyHeads, valueHeads, convolved] = [2, 4, 4];
  const values = valueHeads * head;
  const mixed = 2 * keyHeads * head + values;
  weights.matrix("token_embd", width, VOCABULARY);
  weights.norm("output_norm", width);
  const added = draftHead === "right" || draftHead === "rows" ? 0.0005 : 1;
  if (draftHead && draftHead !== "rows") weights.matrix("output", width, VOCABULARY, 8); // it is sure of what it says
  for (let layer = 0; layer < layers + (draftHead ? 1 : 0); layer++) {
    const of = (part: string) => `blk.${layer}.${part}`;
    weights.norm(of("attn_norm"), width);
    weights.norm(of("post_attention_norm"), width);
    if (layer % 2 === 1 || layer === layers) {
      weights.matrix(of("attn_q"), width, 2 * heads * head); // and its gate
      weights.matrix(of("attn_k"), width, kvHeads * head);
      weights.matrix(of("attn_v"), width, kvHeads * head);
      weights.matrix(of("attn_output"), heads * head, width, added);
      weights.norm(of("attn_q_norm"), head);
      weights.norm(of("attn_k_norm"), head);
    } else {
      weights.matrix(of("attn_qkv"), width, mixed);
      weights.matrix(of("attn_gate"), width, values);
      weights.numbers(`${of("ssm_conv1d")}.weight`, [convolved, mixed], 0, 1);
      weights.numbers(`${of("ssm_dt")}.bias`, [valueHeads], -4, 1); // it forgets slowly
      weights.numbers(of("ssm_a"), [valueHeads], -1, 0.5);
      weights.matrix(of("ssm_beta"), width, valueHeads);
      weights.matrix(of("ssm_alpha"), width, valueHeads);
      weights.norm(of("ssm_norm"), head);
      weights.matrix(of("ssm_out"), values, width, added);
    }
    weights.matrix(of("ffn_gate"), width, inner);
    weights.matrix(of("ffn_up"), width, inner);
    weights.matrix(of("ffn_down"), inner, width, added);
  }
  if (draftHead) {
    const of = (part: string) => `blk.${layers}.nextn.${part}`;
    weights.numbers(`${of("enorm")}.weight`, [width], 1, 0);
    weights.numbers(`${of("hnorm")}.weight`, [width], 1, 0);
    if (draftHead === "random") weights.matrix(of("eh_proj"), 2 * width, width);
    else weights.diagonal(of("eh_proj"), 2 * width, width, draftHead === "rows" ? width : 0);
  }
  return {
    ...common(width, layers),
    ...(draftHead && { "*.block_count": layers + 1, "*.nextn_predict_layers": 1 }),
    "*.feed_forward_length": inner,
    "*.attention.head_count": heads,
    "*.attention.head_count_kv": kvHeads,
    "*.attention.key_length": head,
    "*.attention.value_length": head,
    "*.full_attention_interval": 2,
    "*.ssm.conv_kernel": convolved,
    "*.ssm.inner_size": values,
    "*.ssm.state_size": head,
    "*.ssm.time_step_rank": valueHeads,
    "*.ssm.group_count": keyHeads,
    "*.rope.dimension_count": 16,
    "*.rope.dimension_sections": i32s([4, 2, 2, 0]),
    "*.rope.freq_base": f32(10_000),
  };
}

function recurrent(weights: Weights): Record<string, unknown> {
  const [width, layers, convolved, states, rank] = [64, 2, 4, 8, 4];
  const inner = 2 * width;
  weights.matrix("token_embd", width, VOCABULARY);
  weights.norm("output_norm", width);
  for (let layer = 0; layer < layers; layer++) {
    const of = (part: string) => `blk.${layer}.${part}`;
    weights.norm(of("attn_norm"), width);
    weights.matrix(of("ssm_in"), width, 2 * inner);
    weights.numbers(`${of("ssm_conv1d")}.weight`, [convolved, inner], 0, 1);
    weights.numbers(`${of("ssm_conv1d")}.bias`, [inner], 0, 0.1);
    weights.matrix(of("ssm_x"), inner, rank + 2 * states);
    weights.matrix(of("ssm_dt"), rank, inner);
    weights.numbers(`${of("ssm_dt")}.bias`, [inner], -4, 1); // small steps: a state remembers hundreds of tokens
    weights.numbers(of("ssm_a"), [states, inner], -1, 0.9);
    weights.numbers(of("ssm_d"), [inner], 1, 0.1);
    weights.matrix(of("ssm_out"), inner, width);
  }
  return {
    ...common(width, layers),
    "*.feed_forward_length": 0,
    "*.attention.head_count": 0,
    "*.ssm.conv_kernel": convolved,
    "*.ssm.inner_size": inner,
    "*.ssm.state_size": states,
    "*.ssm.time_step_rank": rank,
  };
}

function sliding(weights: Weights): Record<string, unknown> {
  const [width, inner, heads, kvHeads, layers] = [128, 256, 4, 2, 6]; // of six layers the last sees everything
  weights.matrix("token_embd", width, VOCABULARY, 1 / Math.sqrt(width));
  weights.norm("output_norm", width);
  for (let layer = 0; layer < layers; layer++) {
    const of = (part: string) => `blk.${layer}.${part}`;
    weights.norm(of("attn_norm"), width);
    attention(weights, of, width, heads, kvHeads);
    weights.norm(of("post_attention_norm"), width);
    feedForward(weights, of, width, inner);
    weights.norm(of("post_ffw_norm"), width);
  }
  return {
    ...common(width, layers),
    "*.feed_forward_length": inner,
    "*.attention.head_count": heads,
    "*.attention.head_count_kv": kvHeads,
    "*.attention.key_length": width / heads,
    "*.attention.value_length": width / heads,
    "*.attention.sliding_window": WINDOW,
    "*.rope.freq_base": f32(10_000),
  };
}
