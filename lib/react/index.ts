// Owns the list of what `import … from "zstream/react"` gives.

export { ChatError } from "./chat-error.js";
export type { ChatFigures, ChatKeeper, ChatMessage, ChatState, ChatStatus } from "./chat-store.js";
export { modelSource } from "./model-source.js";
export type { ReplyPiece, ReplySource, StreamingModel } from "./source.js";
export { type SseSourceOptions, sseSource } from "./sse-source.js";
export { type ChatStream, type UseChatStreamOptions, useChatStream } from "./use-chat-stream.js";
