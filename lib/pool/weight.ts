// Owns the estimate of the memory that a model will take, from its file. Any thread.

import { stat } from "node:fs/promises";
import { totalmem } from "node:os";
import type { NativeInspection } from "../addon/contract.js";
import { loadNative } from "../addon/load.js";
import { demoModelPath } from "../addon/package-root.js";

/** What of a model's options counts. */
export interface WeighedOptions {
  /** 0: the trained context, LARGEST_BY_ITSELF at most. */
  contextSize: number;
  maxStreams: number;
  /** The addon is not to be loaded in this process. */
  isIsolated: boolean;
}

/** Tokens of context that a model gets of which nothing is said. */
const LARGEST_BY_ITSELF = 4096;
/** Keys and values are kept as halves. */
const KV_BYTES = 2 * 2;

/**
 * Bytes of its weights and of the KV cache of all its streams; 0 where the file cannot be read, which opening it will say better. Of an isolated
 * model the file's size alone: reading more of it is its process's matter.
 */
export async function weigh(path: string | undefined, options: WeighedOptions): Promise<number> {
  const file = path ?? demoModelPath();
  if (file === undefined) return 0;
  if (!options.isIsolated) {
    try {
      const { inspect } = loadNative();
      if (inspect !== undefined) return bytesOf(await inspect(file), options);
    } catch {
      // opening it says why
    }
  }
  return await stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

export function bytesOf({ bytes, shape }: Pick<NativeInspection, "bytes" | "shape">, { contextSize, maxStreams }: WeighedOptions): number {
  const { layers, kvHeads, headSize, context } = shape;
  const tokens = contextSize > 0 ? contextSize : Math.min(context, LARGEST_BY_ITSELF);
  return bytes + KV_BYTES * layers * kvHeads * headSize * tokens * maxStreams;
}

/** Bytes of memory that this machine has, or that its container may take. */
export function machineBytes(): number {
  const container = process.constrainedMemory?.() ?? 0;
  const machine = totalmem();
  return container > 0 && container < machine ? container : machine;
}
