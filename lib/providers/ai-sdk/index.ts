// Owns the export "zstream/ai-sdk": a model as the AI SDK takes it, in process. `ai` is a peer, and nothing of it is loaded.

export type { EmbeddingSource, StreamingModel } from "../model.js";
export { type OwnEmbedOptions, type ZSEEmbeddingSettings, zseEmbedding } from "./embedding-model.js";
export { type ZSEModelSettings, zse } from "./language-model.js";
export type { SpecificationVersion, ZSEEmbeddingModel, ZSELanguageModel } from "./specification.js";
