// Owns the export "zstream/ai-sdk": a model as the AI SDK takes it, in process. `ai` is a peer, and nothing of it is loaded.

export type { StreamingModel } from "../model.js";
export { type ZSEModelSettings, zse } from "./language-model.js";
export type { SpecificationVersion, ZSELanguageModel } from "./specification.js";
