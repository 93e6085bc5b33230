// Makes a LoRA adapter that says noise: random matrices of a small rank for some of a model's weights, from a seed alone.

import { writeFileSync } from "node:fs";
import { gguf } from "@huggingface/gguf";
import { randomOf } from "./random-schemas.js";

const ALIGNMENT = 32;
const [STRING, FLOAT32, F32] = [8, 6, 0];

export interface AdapterTensor {
  name: string;
  shape: number[];
  values: Float32Array;
}

export interface AdapterSettings {
  seed: number;
  /** How much it changes: 0 changes nothing. Default 0.2. */
  spread?: number;
  /** Which weights. Default: those of every layer's attention and feed-forward net. */
  weights?: RegExp;
  /** Metadata in place of its own; null leaves a key out. */
  metadata?: Record<string, string | number | null>;
  /** Changes what would be written. */
  edit?: (tensors: AdapterTensor[]) => AdapterTensor[];
}

/** Writes an adapter for the model `from` to `to`. */
export async function makeRandomAdapter(from: string, to: string, settings: AdapterSettings): Promise<void> {
  const {
    seed,
    spread = 0.2,
    weights = /^blk\..*(attn_[qkv]|attn_output|ffn_(gate|up|down))\.weight$/,
    metadata = {},
    edit = (all) => all,
  } = settings;
  const model = await gguf(from, { allowLocalFile: true });
  const random = randomOf(seed);
  const matrix = (name: string, shape: number[], size: number): AdapterTensor => {
    const values = Float32Array.from({ length: shape[0]! * shape[1]! }, () => (size * (random.below(2001) - 1000)) / 1000);
    return { name, shape, values };
  };
  const rank = 4;
  const tensors = model.tensorInfos
    .filter(({ name }) => weights.test(name))
    .flatMap(({ name, shape }) => {
      const [columns, rows] = shape.map(Number) as [number, number];
      return [matrix(`${name}.lora_a`, [columns, rank], spread), matrix(`${name}.lora_b`, [rank, rows], spread)];
    });
  const known = {
    "general.type": "adapter",
    "general.architecture": String(model.metadata["general.architecture"]),
    "adapter.type": "lora",
    "adapter.lora.alpha": rank,
    ...metadata,
  };
  writeFileSync(to, written(known, edit(tensors)));
}

function written(metadata: Record<string, string | number | null>, tensors: readonly AdapterTensor[]): Buffer {
  const entries = Object.entries(metadata).filter(([, value]) => value !== null);
  const head = [Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(entries.length)];
  for (const [key, value] of entries) {
    head.push(text(key), ...(typeof value === "string" ? [u32(STRING), text(value)] : [u32(FLOAT32), f32(value as number)]));
  }
  const data: Buffer[] = [];
  let offset = 0;
  for (const { name, shape, values } of tensors) {
    head.push(text(name), u32(shape.length), ...shape.map(u64), u32(F32), u64(offset));
    const bytes = padded(Buffer.from(values.buffer, values.byteOffset, values.byteLength));
    data.push(bytes);
    offset += bytes.length;
  }
  return Buffer.concat([padded(Buffer.concat(head)), ...data]);
}

const padded = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT)]);
function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
