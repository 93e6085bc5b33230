// Owns making a GGUF file anew with other metadata (a hostile chat template, another pre-tokenizer, other tokens) and the same weights.

import { readFileSync, writeFileSync } from "node:fs";

const STRING = 8;
const ARRAY = 9;
/** Bytes of each type of number, by the type's id. */
const SIZES = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

class Reader {
  at = 0;
  constructor(bytes) {
    this.bytes = bytes;
  }
  u32() {
    this.at += 4;
    return this.bytes.readUInt32LE(this.at - 4);
  }
  u64() {
    this.at += 8;
    return Number(this.bytes.readBigUInt64LE(this.at - 8));
  }
  string() {
    const length = this.u64();
    this.at += length;
    return this.bytes.toString("utf8", this.at - length, this.at);
  }
  skipValue(type) {
    if (type === STRING) this.string();
    else if (type === ARRAY) {
      const of = this.u32();
      for (let left = this.u64(); left > 0; left--) this.skipValue(of);
    } else this.at += SIZES[type];
  }
}

const u32 = (value) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const text = (value) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

/** A number of type uint16, as the keys of a split model are. */
export const u16 = (value) => ({ type: 2, bytes: Buffer.from(Uint16Array.of(value).buffer) });

/** A list of numbers of type int32, as the types of tokens are. */
export const i32s = (values) => ({
  type: ARRAY,
  bytes: Buffer.concat([u32(5), u64(values.length), Buffer.from(Int32Array.from(values).buffer)]),
});

/** Strings, booleans, unsigned numbers, lists of strings; others as { type, bytes }. */
function encode(value) {
  if (typeof value === "string") return Buffer.concat([u32(STRING), text(value)]);
  if (typeof value === "boolean") return Buffer.concat([u32(7), Buffer.from([value ? 1 : 0])]);
  if (typeof value === "number") return Buffer.concat([u32(4), u32(value)]);
  if (!Array.isArray(value)) return Buffer.concat([u32(value.type), value.bytes]);
  return Buffer.concat([u32(ARRAY), u32(STRING), u64(value.length), ...value.map(text)]);
}

/** The value of a key that is a list of strings or of int32. */
export function readList(from, wanted) {
  const reader = new Reader(readFileSync(from));
  reader.at = 16;
  for (let count = reader.u64(); count > 0; count--) {
    const key = reader.string();
    const type = reader.u32();
    if (key !== wanted) {
      reader.skipValue(type);
      continue;
    }
    const of = reader.u32();
    return Array.from({ length: reader.u64() }, () => (of === STRING ? reader.string() : reader.u32()));
  }
  throw new Error(`${from} has no ${wanted}`);
}

/** Writes `from` to `to` with these keys set; `undefined` takes one away. Returns `to`. */
export function rewriteGguf(from, to, keys) {
  const reader = new Reader(readFileSync(from));
  reader.at = 8;
  const tensors = reader.u64();
  const count = reader.u64();
  const kept = [];
  let alignment = 32;
  for (let i = 0; i < count; i++) {
    const start = reader.at;
    const key = reader.string();
    const type = reader.u32();
    if (key === "general.alignment") alignment = reader.bytes.readUInt32LE(reader.at);
    reader.skipValue(type);
    if (!(key in keys)) kept.push(reader.bytes.subarray(start, reader.at));
  }
  for (const [key, value] of Object.entries(keys)) {
    if (value !== undefined) kept.push(Buffer.concat([text(key), encode(value)]));
  }
  const infos = reader.at;
  for (let i = 0; i < tensors; i++) {
    reader.string();
    const dimensions = reader.u32();
    reader.at += 8 * dimensions + 4 + 8;
  }
  const head = Buffer.concat([
    Buffer.from("GGUF"),
    u32(3),
    u64(tensors),
    u64(kept.length),
    ...kept,
    reader.bytes.subarray(infos, reader.at),
  ]);
  const data = reader.bytes.subarray(Math.ceil(reader.at / alignment) * alignment);
  writeFileSync(to, Buffer.concat([head, Buffer.alloc(Math.ceil(head.length / alignment) * alignment - head.length), data]));
  return to;
}

/** A number of type float32. */
export const f32 = (value) => ({ type: 6, bytes: Buffer.from(Float32Array.of(value).buffer) });

/** Writes the metadata of `from` to `to`, with these keys set, and these tensors of float32 in place of its own: { shape, data } by their names. */
export function withTensors(from, to, keys, tensors) {
  const reader = new Reader(readFileSync(from));
  reader.at = 16;
  const count = reader.u64();
  const kept = [];
  for (let i = 0; i < count; i++) {
    const start = reader.at;
    const key = reader.string();
    reader.skipValue(reader.u32());
    if (!(key in keys)) kept.push(reader.bytes.subarray(start, reader.at));
  }
  for (const [key, value] of Object.entries(keys)) {
    if (value !== undefined) kept.push(Buffer.concat([text(key), encode(value)]));
  }
  const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc((32 - (bytes.length % 32)) % 32)]);
  const infos = [];
  const parts = [];
  let offset = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    infos.push(text(name), u32(shape.length), ...shape.map(u64), u32(0), u64(offset));
    parts.push(padded(Buffer.from(data.buffer, data.byteOffset, data.byteLength)));
    offset += parts.at(-1).length;
  }
  const head = Buffer.concat([Buffer.from("GGUF"), u32(3), u64(parts.length), u64(kept.length), ...kept, ...infos]);
  writeFileSync(to, Buffer.concat([padded(head), ...parts]));
  return to;
}

/** Splits `from` into two files as llama.cpp's tool does: the metadata and some tensors in the first, the rest in the second. */
export function splitGguf(from, first, second) {
  const whole = readFileSync(from);
  const reader = new Reader(whole);
  reader.at = 8;
  const tensors = reader.u64();
  const keys = reader.u64();
  const metadata = reader.at;
  for (let i = 0; i < keys; i++) {
    reader.string();
    reader.skipValue(reader.u32());
  }
  const end = reader.at;
  const infos = [];
  for (let i = 0; i < tensors; i++) {
    const start = reader.at;
    reader.string();
    const dimensions = reader.u32();
    reader.at += 8 * dimensions + 4;
    infos.push({ head: whole.subarray(start, reader.at), offset: reader.u64() });
  }
  const data = whole.subarray(Math.ceil(reader.at / 32) * 32);
  const half = Math.floor(tensors / 2);
  const write = (to, number, own, ownKeys, kept) => {
    const base = kept[0].offset;
    const splitKeys = [
      ["split.no", u16(number)],
      ["split.count", u16(2)],
      ["split.tensors.count", { type: 5, bytes: u32(tensors) }],
    ].map(([key, value]) => Buffer.concat([text(key), encode(value)]));
    const table = kept.map(({ head, offset }) => Buffer.concat([head, u64(offset - base)]));
    const head = Buffer.concat([Buffer.from("GGUF"), u32(3), u64(kept.length), u64(ownKeys + 3), own, ...splitKeys, ...table]);
    const until = kept.at(-1) === infos.at(-1) ? data.length : infos[half].offset;
    writeFileSync(to, Buffer.concat([head, Buffer.alloc(Math.ceil(head.length / 32) * 32 - head.length), data.subarray(base, until)]));
  };
  write(first, 0, whole.subarray(metadata, end), keys, infos.slice(0, half));
  write(second, 1, Buffer.alloc(0), 0, infos.slice(half));
}
