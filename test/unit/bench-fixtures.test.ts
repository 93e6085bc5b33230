// The benchmark's fixtures: its prompts, and the weights of its model. bench/ is plain JavaScript.
import { describe, expect, it } from "vitest";

const load = (path: string) => import(new URL(`../../bench/${path}`, import.meta.url).href);
const { Prompts } = await load("lib/prompts.mjs");
const { toHalf, writeQ4_0, writeQ8_0 } = await load("lib/quantize.mjs");
const { tiled } = await load("lib/tile-zse.mjs");
const { kvBytesPerToken } = await load("models.mjs");

describe("prompts", () => {
  // One token for every started four characters of a word: most words take one or two, so exact lengths are not for free.
  const tokenize = async (text: string) => text.split(/(?= )/).flatMap((word) => word.match(/.{1,4}/g) ?? []);

  it("have exactly as many tokens as asked, whatever the length", async () => {
    const prompts = new Prompts(tokenize, 1);
    for (let count = 8; count <= 80; count++) expect(await tokenize(await prompts.cold(count))).toHaveLength(count);
    expect(await tokenize(await prompts.cold(3000))).toHaveLength(3000);
    expect(await tokenize(await prompts.more(30))).toHaveLength(30);
  });

  it("begin with a token that no other begins with, so that no cache of prefixes can help one by another", async () => {
    const prompts = new Prompts(tokenize, 2);
    const starts = new Set<string | undefined>();
    for (let number = 0; number < 300; number++) starts.add((await tokenize(await prompts.cold(16)))[0]);
    expect(starts.size).toBe(300);
  });

  it("are the same for every contender, and others in the next repetition", async () => {
    const texts = async (seed: number) => {
      const prompts = new Prompts(tokenize, seed);
      return [await prompts.cold(20), await prompts.more(20)];
    };
    expect(await texts(3)).toEqual(await texts(3));
    expect(await texts(3)).not.toEqual(await texts(4));
  });

  it("give up instead of returning another length, or one that begins like another", async () => {
    const pairs = async (text: string) => Array.from({ length: 2 * text.length }, (_, i) => text[i >> 1]);
    await expect(new Prompts(pairs, 0).cold(65)).rejects.toThrow("no text of 65 tokens");
    const always = async (text: string) => text.split(" ").map(() => "same");
    const prompts = new Prompts(always, 0);
    await prompts.cold(5);
    await expect(prompts.cold(5)).rejects.toThrow("after 1 prompts");
  });
});

describe("KV cache", () => {
  it("takes keys and values of every layer in half precision", () => {
    const metadata = {
      "general.architecture": "qwen2",
      "qwen2.block_count": 24,
      "qwen2.embedding_length": 896,
      "qwen2.attention.head_count": 14,
      "qwen2.attention.head_count_kv": 2,
    };
    expect(kvBytesPerToken(metadata)).toBe(24 * 2 * 2 * 64 * 2);
  });
});

describe("quantized blocks", () => {
  const weights = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i * 1.7) * 0.05);

  const fromHalf = (half: number) => {
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    return (half & 0x8000 ? -1 : 1) * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
  };

  it("round to half precision to the nearest, ties to even", () => {
    const cases: [number, number][] = [
      [0, 0],
      [1, 0x3c00],
      [-2, 0xc000],
      [65504, 0x7bff],
      [65520, 0x7c00],
      [2 ** -14, 0x0400],
      [2 ** -24, 1],
      [2 ** -25, 0],
      [3 * 2 ** -25, 2],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [0.1, 0x2e66],
    ];
    for (const [value, half] of cases) expect(toHalf(value), String(value)).toBe(half);
  });

  it("give Q4_0's weights back within half a step, the largest exactly", () => {
    const block = new Uint8Array(18);
    writeQ4_0(weights, 0, block, 0);
    const scale = fromHalf(block[0]! | (block[1]! << 8));
    const back = [...weights.keys()].map((i) => scale * (((block[2 + (i % 16)]! >> (i < 16 ? 0 : 4)) & 15) - 8));
    // The one value of the other sign beyond 7 steps is clamped: a whole step at most.
    for (const [i, value] of weights.entries()) expect(Math.abs(back[i]! - value)).toBeLessThanOrEqual(Math.abs(scale) * 1.01);
    const largest = weights.reduce((best, value, i) => (Math.abs(value) > Math.abs(weights[best]!) ? i : best), 0);
    expect(Math.abs(back[largest]! / weights[largest]! - 1)).toBeLessThan(1e-3);
  });

  it("give Q8_0's weights back within half a step", () => {
    const block = new Uint8Array(34);
    writeQ8_0(weights, 0, block, 0);
    const scale = fromHalf(block[0]! | (block[1]! << 8));
    const back = [...new Int8Array(block.buffer, 2)].map((quant) => quant * scale);
    for (const [i, value] of weights.entries()) expect(Math.abs(back[i]! - value)).toBeLessThanOrEqual(scale * 0.57);
  });
});

it("tiles are 64 rows by 16 columns, eight bytes to each row of a tile", () => {
  const [rows, columns] = [128, 48];
  const bytes = Uint8Array.from({ length: (rows * columns) / 2 }, (_, i) => (i * 37) % 251);
  const result = tiled(bytes, rows, columns);
  for (let row = 0; row < rows; row++) {
    for (let byte = 0; byte < columns / 2; byte++) {
      const at = (Math.floor(row / 64) * (columns / 16) + Math.floor(byte / 8)) * 512 + (row % 64) * 8 + (byte % 8);
      expect(result[at]).toBe(bytes[(row * columns) / 2 + byte]);
    }
  }
});
