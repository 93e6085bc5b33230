// Owns the list of what `import … from "zstream"` gives. Everything not named here is free to change.

export type { ChunkBy } from "./chunker.js";
export { ZSEError, type ZSEErrorCode } from "./errors.js";
export type {
  FinishReason,
  ModelInfo,
  NativeDevice as Device,
  NativeStats as EngineStats,
  Timings,
  Usage,
} from "./native.js";
export type { TokenStream } from "./token-stream.js";
export type * from "./types.js";
export { ZSE } from "./zse.js";
