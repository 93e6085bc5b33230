// Owns leaving out the oldest turns of a conversation that is too long, for requests that want that in place of an error (`truncation: "auto"`).
// JS thread of the model. The model counts, in a few questions however long the conversation is.

import type { Message } from "../types.js";
import { toWireError } from "./formats/wire-error.js";

/**
 * What the system says at the beginning stays, and so does the user's last turn: what is left out ends before a turn of the user's, so that no result
 * of a tool stands without its call.
 * @param count tokens of a conversation; it may throw that they are too many
 * @param most tokens that a prompt may have
 * @param wanted tokens that it is brought down to where it has more, so that there is room for a reply
 * @returns the messages, and how many were left out, at which place
 */
export async function fitted(
  messages: readonly Message[],
  count: (messages: readonly Message[]) => Promise<number>,
  { most, wanted }: { most: number; wanted: number },
): Promise<{ messages: readonly Message[]; at: number; left: number }> {
  const system = messages.findIndex(({ role }) => role !== "system" && role !== "developer");
  const at = Math.max(0, system);
  const without = (start: number) => [...messages.slice(0, at), ...messages.slice(start)];
  const tokens = async (start: number) => await count(without(start)).catch(tooMany);
  if ((await tokens(at)) <= most) return { messages, at, left: 0 };
  const starts = [...messages.keys()].filter((i) => i > at && messages[i]!.role === "user");
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((await tokens(starts[middle]!)) <= wanted) high = middle;
    else low = middle + 1;
  }
  const start = starts[low];
  return start === undefined ? { messages, at, left: 0 } : { messages: without(start), at, left: start - at };
}

function tooMany(error: unknown): number {
  if (toWireError(error).overflow === undefined) throw error;
  return Number.POSITIVE_INFINITY;
}
