// Owns rearranging a row-major INT4 .zse of generation 2 into the tiled layout, as converters write it on machines with a C compiler:
// 64 rows by 16 columns, 512 bytes each. Everything else stays where it is. What the layouts are: docs/ZSE-FORMAT.md.
import { readFileSync, writeFileSync } from "node:fs";

const [tileRows, tileColumns, weightIndex, weightData] = [64, 16, 2, 3];

/** `source` is a path of a .zse whose INT4 matrices have whole tiles only; `target` is overwritten. */
export function tileZse(source, target) {
  const file = readFileSync(source);
  const section = (wanted) => {
    for (let at = 64; at < 64 + 32 * file.readUInt32LE(20); at += 32) {
      if (file.readUInt32LE(at) === wanted)
        return { offset: Number(file.readBigUInt64LE(at + 4)), size: Number(file.readBigUInt64LE(at + 12)) };
    }
    throw new Error(`${source} has no section ${wanted}`);
  };
  const data = section(weightData).offset;
  for (const entry of readValue(file, section(weightIndex).offset).value) {
    if (entry.dtype !== "int4" || entry.shape.length !== 2) continue;
    const [rows, columns] = entry.shape;
    if (rows % tileRows !== 0 || columns % tileColumns !== 0) throw new Error(`${entry.name} has no whole tiles`);
    const from = data + entry.data_offset;
    file.set(tiled(file.subarray(from, from + (rows * columns) / 2), rows, columns), from);
  }
  writeFileSync(target, file);
}

/** Eight bytes are a row of a tile. */
export function tiled(rowMajor, rows, columns) {
  const tiles = columns / tileColumns;
  const from = new BigUint64Array(rowMajor.buffer.slice(rowMajor.byteOffset, rowMajor.byteOffset + rowMajor.length));
  const to = new BigUint64Array(from.length);
  for (let row = 0; row < rows; row++) {
    const base = Math.floor(row / tileRows) * tiles * tileRows + (row % tileRows);
    for (let tile = 0; tile < tiles; tile++) to[base + tile * tileRows] = from[row * tiles + tile];
  }
  return new Uint8Array(to.buffer);
}

/** A tagged value of generation 2, with the place after it. */
function readValue(file, at) {
  const tag = file[at++];
  if (tag <= 2) return { value: [null, false, true][tag], at };
  if (tag === 0x10) return { value: Number(file.readBigInt64LE(at)), at: at + 8 };
  if (tag === 0x11) return { value: file.readDoubleLE(at), at: at + 8 };
  const count = file.readUInt32LE(at);
  at += 4;
  if (tag === 0x21) return { value: file.toString("utf8", at, at + count), at: at + count };
  const items = [];
  for (let left = tag === 0x40 ? 2 * count : count; left > 0; left--) {
    const item = readValue(file, at);
    items.push(item.value);
    at = item.at;
  }
  if (tag === 0x30) return { value: items, at };
  return { value: Object.fromEntries(Array.from({ length: count }, (_, i) => [items[2 * i], items[2 * i + 1]])), at };
}
