// Owns what the server asks of one model or of a pool, and how either is told to clients. Main thread.

import type { ServedModel } from "../http/types.js";
import type { EngineStats, ModelInfo } from "../types.js";
import type { ModelStatus, Served } from "./served-models.js";
import type { TextModel } from "./texts.js";
import type { VectorModel } from "./vectors.js";

/**
 * What the server needs of a model: a ZSE. Without the methods of a TextModel there is no /tokenize and /detokenize, without those of a VectorModel no
 * /v1/embeddings and what goes with it.
 */
export type AppModel = Omit<ServedModel, "stats" | "info"> & {
  stats(): EngineStats;
  readonly info?: ModelInfo | undefined;
} & Partial<TextModel> &
  Partial<VectorModel>;

/** What the server needs of several models: a ModelPool. */
export interface AppPool {
  readonly names: readonly string[];
  model(name: string): AppModel;
  acquire(name: string, options?: { signal?: AbortSignal | undefined }): Promise<{ readonly model: AppModel; release(): void }>;
  list(): readonly PooledModel[];
  /** Resolves with whether the model is out of memory. */
  unload(name: string): Promise<boolean>;
}

/** How a model of a pool is. */
export interface PooledModel {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly state: "closed" | "waiting" | "opening" | "open" | "closing";
  readonly error: unknown;
  readonly usedAt: Date | undefined;
}

/** Of one model. */
interface Naming {
  name?: string;
  aliases?: readonly string[];
}

/** One model, which is open for as long as the server runs. */
export function servedAlone(model: AppModel, { name = model.info?.name ?? "local", aliases = [] }: Naming): Served {
  return { names: [...new Set([name, ...aliases])], info: () => model.info, stats: () => model.stats() };
}

export function servedOf(pool: AppPool): Served[] {
  return pool.list().map(({ name, aliases }, index): Served => {
    const model = pool.model(name);
    return {
      names: [...new Set([name, ...aliases])],
      info: () => model.info,
      stats: () => model.stats(),
      status: () => statusOf(pool.list()[index]!),
    };
  });
}

function statusOf({ state, error }: PooledModel): ModelStatus {
  if (state === "open") return { value: "loaded" };
  if (state === "waiting" || state === "opening") return { value: "loading" };
  return { value: "unloaded", ...(error === undefined ? {} : { failed: true }) };
}

export function isTextModel(model: AppModel): boolean {
  return model.tokenize !== undefined && model.detokenize !== undefined && model.tokenBytes !== undefined;
}
