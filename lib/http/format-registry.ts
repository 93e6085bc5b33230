// Owns the list of wire formats that are spoken. One more is a folder and a line here.

import { messages } from "./formats/anthropic/index.js";
import type { SideRoute, WireFormat } from "./formats/format.js";
import { ollamaChat, ollamaGenerate } from "./formats/ollama/index.js";
import { chatCompletions, completions } from "./formats/openai-chat/index.js";
import { responses } from "./formats/openai-responses/index.js";

/** The first is how those are told who asked for none. */
export const FORMATS: readonly [WireFormat, ...WireFormat[]] = [chatCompletions, completions, responses, messages];

/** Those of zse serve. A program that has a path such as /api/chat of its own does not speak Ollama's there. */
export const SERVED: readonly WireFormat[] = [...FORMATS, ollamaChat, ollamaGenerate];

/** The format of a body that may have come to any path. */
export function formatOf(body: unknown): WireFormat {
  const given = typeof body === "object" && body !== null ? body : {};
  return FORMATS.find((format) => format.takes(given)) ?? FORMATS[0];
}

/** The format that is asked for at an address, which may end with a format's own; undefined where bodies tell. */
export function formatAt(url: string, among: readonly WireFormat[] = FORMATS): WireFormat | undefined {
  const path = pathOf(url);
  return among.find((format) => format.isAt?.(path) === true);
}

/** Routes of zse serve that handlers have not, without `/v1`, which may be left out there. A body such as `{ input }` would be taken for a Responses one. */
const ELSEWHERE = ["/embeddings", "/rerank", "/reranking", "/chat/prepare", "/tokenize", "/detokenize", "/apply-template"];

/** Whether what stands at an address is known, and is nothing that a handler answers; Ollama's paths may be the program's own. */
export function isElsewhere(url: string): boolean {
  const path = pathOf(url);
  if (formatAt(url) !== undefined) return false;
  return ELSEWHERE.some((route) => path.endsWith(route)) || isBelowMessages(path) || /\/models\/(?:un)?load$/.test(path);
}

/**
 * The format of an error that no format has made: Anthropic's clients name a version with each request, also to paths that are not its own, or that there are
 * not. @param version the header `anthropic-version`; nullish where there is none
 */
export function formatOfRefusal(url: string, version: unknown, among: readonly WireFormat[] = FORMATS): WireFormat | undefined {
  const isAnthropic = (version ?? undefined) !== undefined || isBelowMessages(pathOf(url));
  return formatAt(url, among) ?? (isAnthropic ? messages : undefined);
}

/** Such as Anthropic's batches, which are not here. */
function isBelowMessages(path: string): boolean {
  return /\/v1\/messages\/[^/]/.test(path);
}

/** Of a request's address, without what stands behind it. */
export function pathOf(url: string): string {
  return url.replace(/[?#].*$/s, "").replace(/\/+$/, "");
}

/** A route beside those that replies come from, and what the path has in place of its `:id`. */
export function sideAt(method: string, path: string): { format: WireFormat; side: SideRoute; id: string } | undefined {
  for (const format of FORMATS) {
    for (const side of format.sides ?? []) {
      if (side.method !== method) continue;
      const [before, after] = side.path.slice("/v1".length).split(":id") as [string, string | undefined];
      if (after === undefined && path.endsWith(before)) return { format, side, id: "" };
      const id = after === undefined ? undefined : idIn(path, before, after);
      if (id !== undefined) return { format, side, id };
    }
  }
  return undefined;
}

function idIn(path: string, before: string, after: string): string | undefined {
  if (!path.endsWith(after)) return undefined;
  const rest = path.slice(0, path.length - after.length);
  const id = rest.slice(rest.lastIndexOf("/") + 1);
  return rest.endsWith(before + id) && /^[\w-]+$/.test(id) ? id : undefined;
}

/** The format of a reply to one kind of question, whoever asked it. */
export function formatFor(kind: "chat" | "completion"): WireFormat {
  return kind === "chat" ? chatCompletions : completions;
}
