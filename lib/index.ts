// Owns the list of what `import … from "zstream"` gives. Everything not named here is free to change.

export { ZSEError, type ZSEErrorCode } from "./errors.js";
export { pull } from "./hub/index.js";
export type { CacheFileOptions, CacheTarget, ModelCache } from "./model-cache.js";
export { ModelPool } from "./pool/model-pool.js";
export type { ModelLease, ModelPoolOptions, PooledModelInfo, PooledModelOptions, PooledModelState } from "./pool/types.js";
export type { TokenStream } from "./stream/token-stream.js";
export { type Tool, type ToolOptions, tool } from "./tools/tool.js";
export type * from "./types.js";
export { ZSE } from "./zse.js";
