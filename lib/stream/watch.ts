// Owns the seam by which somebody (lib/telemetry) follows a stream: its replies, its calls of tools, its end. Nothing here is called for a token.
// Types only.

import type { NativeRequest } from "../addon/contract.js";
import type { Ending } from "../engine/engine.js";
import type { ToolCall, ToolResult } from "../types.js";

/** None of it throws. */
export interface StreamWatch {
  /** The model is asked for a reply; a stream in which tools are run has several, one after the other. */
  asks(request: NativeRequest): void;
  /** That reply has ended. undefined: nobody waits for it any more, and it had not begun. */
  ended(ending: Ending | undefined): void;
  /** A call is run between two replies. */
  runs(call: ToolCall, run: () => Promise<ToolResult>): Promise<ToolResult>;
  /** The stream is over, by its end, by an error, or because its consumer has left. */
  over(error?: unknown): void;
}
