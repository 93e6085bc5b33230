// Owns the list of wire formats that are spoken. One more is a folder and a line here.

import type { WireFormat } from "./formats/format.js";
import { chatCompletions, completions } from "./formats/openai-chat/index.js";

/** The first is how those are told who asked for none. */
export const FORMATS: readonly [WireFormat, ...WireFormat[]] = [chatCompletions, completions];

/** The format of a body that may have come to any path. */
export function formatOf(body: unknown): WireFormat {
  const given = typeof body === "object" && body !== null ? body : {};
  return FORMATS.find((format) => format.takes(given)) ?? FORMATS[0];
}

/** The format of a reply to one kind of question, whoever asked it. */
export function formatFor(kind: "chat" | "completion"): WireFormat {
  return kind === "chat" ? chatCompletions : completions;
}
