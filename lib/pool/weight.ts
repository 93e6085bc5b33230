// Owns the estimate of the memory that a model will take, from its file. Any thread.

import { stat } from "node:fs/promises";
import { totalmem } from "node:os";
import type { NativeEngineOptions } from "../addon/contract.js";
import type { NativeInspection } from "../addon/file-contract.js";
import { loadNative } from "../addon/load.js";
import { demoModelPath } from "../addon/package-root.js";

/** What of a model's options counts. */
export interface WeighedOptions {
  /** 0: the trained context, LARGEST_BY_ITSELF at most. */
  contextSize: number;
  maxStreams: number;
  kvType: NativeEngineOptions["kvType"];
  /** The file of the smaller model that guesses for it. */
  draftModel?: string | undefined;
  /** The addon is not to be loaded in this process. */
  isIsolated: boolean;
}

/** Tokens of context that a model gets of which nothing is said. */
const LARGEST_BY_ITSELF = 4096;
/** Bytes of a number in the KV cache: blocks of 32 with a scale of two bytes, but for halves. */
const KV_BYTES = { f16: 2, q8_0: 34 / 32, q4_0: 18 / 32 } as const satisfies Record<WeighedOptions["kvType"], number>;

/**
 * Bytes of its weights and of the KV cache of all its streams, and those of its draft model; 0 for a file that cannot be read, which opening it will
 * say better. Of an isolated model the files' size alone: reading more of them is its process's matter.
 */
export async function weigh(path: string | undefined, { draftModel, ...options }: WeighedOptions): Promise<number> {
  const file = path ?? demoModelPath();
  if (file === undefined) return 0;
  const drafts = draftModel === undefined ? 0 : await weighOne(draftModel, { ...options, kvType: "f16" });
  return drafts + (await weighOne(file, options));
}

async function weighOne(file: string, options: WeighedOptions): Promise<number> {
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

export function bytesOf(
  { bytes, shape }: Pick<NativeInspection, "bytes" | "shape">,
  { contextSize, maxStreams, kvType }: WeighedOptions,
): number {
  const { layers, kvHeads, headSize, context } = shape;
  const tokens = contextSize > 0 ? contextSize : Math.min(context, LARGEST_BY_ITSELF);
  return bytes + 2 * KV_BYTES[kvType] * layers * kvHeads * headSize * tokens * maxStreams;
}

/** Bytes of memory that this machine has, or that its container may take. */
export function machineBytes(): number {
  const container = process.constrainedMemory?.() ?? 0;
  const machine = totalmem();
  return container > 0 && container < machine ? container : machine;
}
