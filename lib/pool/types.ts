// Owns the public types of a pool. Types only.

import type { ZSEError } from "../errors.js";
import type { EngineOptionsInput, ModelInfo } from "../types.js";
import type { ZSE } from "../zse.js";

/** A model of a pool: its file, and how it is opened. */
export type PooledModelOptions = EngineOptionsInput & {
  /** A .gguf or .zse file, or its file: URL; left out: the embedded demo model. */
  path?: string | URL | undefined;
  /** More names that it answers to. */
  aliases?: readonly string[] | undefined;
};

export interface ModelPoolOptions {
  /** The models by their names; of each its file, or its options. The first is the one that requests mean which name none. */
  models: Readonly<Record<string, string | URL | PooledModelOptions>>;
  /** Models that may be in memory at a time; 0 is no limit. 0 to 65536, default 0. */
  maxOpen?: number | undefined;
  /**
   * Bytes that the models in memory may take together, those that are being loaded included: weights, and the KV cache of all their streams. It is an
   * estimate from the files. Default: three quarters of the machine's memory, or of the container's.
   */
  maxBytes?: number | undefined;
  /** Time (ms) after its last use after which a model is closed; 0 is never. Default 300000. */
  idleMs?: number | undefined;
  /**
   * Time (ms) for which a model that waits for room lets the others take new requests. From then on those of one of them wait, until its streams have
   * ended and its place is free. Default 5000.
   */
  patienceMs?: number | undefined;
  /** Called when a model's state has changed. */
  onChange?: ((model: PooledModelInfo) => void) | undefined;
}

/**
 * "closed": it is opened when it is next asked for. "waiting": it was asked for, and there is no room for it yet. "opening", "open" and "closing": it
 * takes memory.
 */
export type PooledModelState = "closed" | "waiting" | "opening" | "open" | "closing";

export interface PooledModelInfo {
  name: string;
  aliases: readonly string[];
  /** Its file; undefined of the embedded demo model while it was never opened. */
  path: string | undefined;
  state: PooledModelState;
  /** Streams and calls that it is kept open for. */
  uses: number;
  /** Requests that wait for it to be opened. */
  waiting: number;
  /** Bytes that it takes while it is open, by estimate; undefined while it was never asked for. */
  bytes: number | undefined;
  /** What is known of it since it was last open. */
  info: ModelInfo | undefined;
  /** Why it could not be opened, when that was last tried. */
  error: ZSEError | undefined;
  /** When its last use ended, or began; undefined before the first one. */
  usedAt: Date | undefined;
}

/** A model that is open, and stays so until it is released. Its streams keep it open by themselves. */
export interface ModelLease extends Disposable {
  /** The model's own name, whichever of its names was asked for. */
  readonly name: string;
  readonly model: ZSE;
  /** May be called again. */
  release(): void;
}
