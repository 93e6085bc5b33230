// Owns counting the tokens of a prompt for whoever asks for the number alone. JS thread of the model.
//
// For models that have no countTokens(): a stream is opened as for a reply, and left as soon as it has said how long its prompt is, with the first piece
// of it.

import { ZSEError } from "../errors.js";
import { iteratorOf } from "./reply.js";
import type { EventStream } from "./types.js";

/** @throws what the stream throws; ABORTED when `signal` says so, or the stream is cancelled */
export async function countTokens(stream: EventStream, signal?: AbortSignal): Promise<number> {
  const events = iteratorOf(stream.events());
  const leave = () => void events.return?.()?.then(undefined, () => {});
  if (signal?.aborted) leave();
  signal?.addEventListener("abort", leave, { once: true });
  try {
    for (let pulled = await events.next(); pulled.done !== true; pulled = await events.next()) {
      const event = pulled.value;
      if (event.type === "progress") return event.promptTokens;
      if (event.type === "finish" && event.reason !== "cancelled") return event.usage.promptTokens;
    }
    throw new ZSEError("ABORTED", "The stream was cancelled.");
  } finally {
    signal?.removeEventListener("abort", leave);
    leave();
  }
}
