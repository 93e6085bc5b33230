// Owns the list of what `import … from "zstream/sse"` gives. Loads nothing native and no HTTP library.

export { DONE, dataFrame, STREAM_HEADERS } from "./frames.js";
export { createHandler, toResponse } from "./handler.js";
export { nodeHandler } from "./node.js";
export { ChunkWriter, type Envelope, type IncludeUsage, newEnvelope, type ReplyKind } from "./openai.js";
export type { EventStream, HandlerOptions, Occupancy, ResumableOptions, ServedModel, ToResponseOptions } from "./types.js";
export { toWireError, WireError } from "./wire-error.js";
