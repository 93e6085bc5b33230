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

/** Strings, booleans, unsigned numbers, lists of strings. */
function encode(value) {
  if (typeof value === "string") return Buffer.concat([u32(STRING), text(value)]);
  if (typeof value === "boolean") return Buffer.concat([u32(7), Buffer.from([value ? 1 : 0])]);
  if (typeof value === "number") return Buffer.concat([u32(4), u32(value)]);
  return Buffer.concat([u32(ARRAY), u32(STRING), u64(value.length), ...value.map(text)]);
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
