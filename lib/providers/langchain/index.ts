// Owns the export "zstream/langchain": a model as LangChain takes it, in process. @langchain/core is a peer.

export type { EmbeddingSource, StreamingModel } from "../model.js";
export { ChatZSE, type ChatZSECallOptions, type ChatZSEFields } from "./chat-model.js";
export { ZSEEmbeddings, type ZSEEmbeddingsFields } from "./embeddings.js";
