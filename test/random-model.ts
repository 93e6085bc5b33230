// Makes a model that says noise: the demo model's file with random weights of the same spread, from a seed alone. What holds its replies is the
// engine, and nothing that it has learned.

import { readFileSync, writeFileSync } from "node:fs";
import { GGMLQuantizationType, gguf } from "@huggingface/gguf";
import { randomOf } from "./random-schemas.js";

/** Of Q8_0: a scale of 16 bits, and so many weights of a byte. */
const BLOCK = 32;
const SCALE_BYTES = 2;

/** Writes the model to `to`. Norms stay as they are; every matrix of `from` has to be Q8_0. */
export async function makeRandomModel(from: string, to: string, seed: number): Promise<void> {
  const { tensorInfos, tensorDataOffset } = await gguf(from, { allowLocalFile: true });
  const bytes = readFileSync(from);
  const random = randomOf(seed);
  for (const { name, dtype, shape, offset } of tensorInfos) {
    if (dtype === GGMLQuantizationType.F32) continue;
    if (dtype !== GGMLQuantizationType.Q8_0) throw new Error(`${name} is no Q8_0`);
    const blocks = Number(shape.reduce((product, size) => product * size, 1n)) / BLOCK;
    let at = Number(tensorDataOffset + offset);
    for (let block = 0; block < blocks; block++) {
      at += SCALE_BYTES;
      // The sum of four uniform numbers is nearly normal; its spread is that of trained weights, whose greatest in a block is 127.
      for (let i = 0; i < BLOCK; i++)
        bytes.writeInt8(random.below(64) + random.below(64) + random.below(64) + random.below(64) - 126, at++);
    }
  }
  writeFileSync(to, bytes);
}
