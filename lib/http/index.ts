// Owns the list of what `import … from "zstream/sse"` gives. Loads nothing native and no HTTP library.

export { ChunkWriter, type Envelope, type IncludeUsage, newEnvelope, type ReplyKind } from "./formats/openai-chat/chunks.js";
export { DONE, dataFrame, STREAM_HEADERS } from "./frames.js";
export { nodeHandler } from "./node.js";
export type { EventStream, HandlerOptions, Occupancy, ResumableOptions, ServedModel, ToResponseOptions } from "./types.js";
export { createHandler, toResponse } from "./web.js";
export { toWireError, WireError } from "./wire-error.js";
