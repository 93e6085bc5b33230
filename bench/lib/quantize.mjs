// Owns ggml's block formats for the weights that bench/make-model.mjs draws. Pure. Layouts: block_q4_0 and block_q8_0 in
// ggml/src/ggml-common.h; rounding as quantize_row_q4_0_ref and quantize_row_q8_0_ref in ggml/src/ggml-quants.c.

/** Weights in one block of Q4_0 or Q8_0. */
export const blockSize = 32;

/** ggml's type numbers and bytes per block (for F32: per weight). */
export const types = {
  F32: { id: 0, bytes: 4, weights: 1 },
  Q4_0: { id: 2, bytes: 18, weights: blockSize },
  Q8_0: { id: 8, bytes: 34, weights: blockSize },
};

/** Bytes that `count` weights of a type take. */
export function bytesOf(type, count) {
  return (count / type.weights) * type.bytes;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** IEEE half precision of a number, as 16 bits, ties to even; what is too large becomes infinity. */
export function toHalf(value) {
  float[0] = value;
  const sign = (bits[0] >>> 16) & 0x8000;
  const magnitude = bits[0] & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below the least normal half: an integer multiple of 2^-24.
    const scaled = Math.abs(value) * 2 ** 24;
    const floor = Math.floor(scaled);
    const rest = scaled - floor;
    return sign | (floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0));
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** Writes 32 weights as one Q4_0 block: a half-precision scale, then two weights to a byte (i and i + 16). */
export function writeQ4_0(weights, from, out, at) {
  let max = 0;
  let largest = 0;
  for (let i = 0; i < blockSize; i++) {
    const magnitude = Math.abs(weights[from + i]);
    if (magnitude > largest) {
      largest = magnitude;
      max = weights[from + i];
    }
  }
  const scale = max / -8;
  const inverse = scale === 0 ? 0 : 1 / scale;
  const half = toHalf(scale);
  out[at] = half & 0xff;
  out[at + 1] = half >>> 8;
  for (let i = 0; i < blockSize / 2; i++) {
    const low = Math.min(15, Math.floor(weights[from + i] * inverse + 8.5));
    const high = Math.min(15, Math.floor(weights[from + i + blockSize / 2] * inverse + 8.5));
    out[at + 2 + i] = low | (high << 4);
  }
}

/** Writes 32 weights as one Q8_0 block: a half-precision scale, then one signed byte each. */
export function writeQ8_0(weights, from, out, at) {
  let largest = 0;
  for (let i = 0; i < blockSize; i++) largest = Math.max(largest, Math.abs(weights[from + i]));
  const scale = largest / 127;
  const inverse = scale === 0 ? 0 : 1 / scale;
  const half = toHalf(scale);
  out[at] = half & 0xff;
  out[at + 1] = half >>> 8;
  for (let i = 0; i < blockSize; i++) out[at + 2 + i] = Math.round(weights[from + i] * inverse) & 0xff;
}
