// Owns the list of what `import … from "zstream/sse"` gives. Loads nothing native and no HTTP library.

export { messages } from "./formats/anthropic/index.js";
export type {
  Collector,
  Envelope,
  Frame,
  FrameWriter,
  IncludeUsage,
  KeptReply,
  Memory,
  ReplyForm,
  WireFormat,
  WireRequest,
} from "./formats/format.js";
export { chatCompletions, completions } from "./formats/openai-chat/index.js";
export { responses } from "./formats/openai-responses/index.js";
export { toWireError, WireError } from "./formats/wire-error.js";
export { frameText, STREAM_HEADERS } from "./frames.js";
export { nodeHandler } from "./node.js";
export type {
  EventStream,
  HandlerOptions,
  HeldModel,
  KeptReplyOptions,
  Occupancy,
  ResumableOptions,
  ServedModel,
  ServedPool,
  ToResponseOptions,
} from "./types.js";
export { createHandler, toResponse } from "./web.js";
