// Owns how the calls of the library are read: either form of each, its options by the table, and what they come to. Runs on the caller's
// thread, before anything is queued. Everything behind this file trusts what it lets through.

import { resolve } from "node:path";
import type { NativeEngineOptions, NativeRequest } from "../addon/contract.js";
import { quote } from "../base/quote.js";
import { bad } from "../errors.js";
import type { ChunkBy, StreamCallback } from "../types.js";
import { entriesOf, MOST_TEXT, reading } from "./foreign.js";
import { validateMessages } from "./messages.js";
import { asObject, readOptions } from "./rules.js";
import { ENGINE_OPTIONS, REPLY_OPTIONS, TOKENIZE_OPTIONS } from "./table.js";

/** What a reply's options come to: the addon's part, and what stays on this side. */
export interface ReplySettings {
  request: NativeRequest;
  signal: AbortSignal | undefined;
  chunkSize: number;
  chunkBy: ChunkBy;
  chunkMaxDelayMs: number;
  includeUsage: boolean | undefined;
  streamCallback: StreamCallback | undefined;
}

/**
 * Reads either form of a chat call: `(messages, options?)` or `({ messages, ...options })`.
 * @throws ZSEError BAD_OPTION (or UNSUPPORTED) naming the option, what was given and what is allowed
 */
export function readChatCall(call: string, first: unknown, second: unknown): ReplySettings {
  return reading(call, () => {
    const { subject, options } = splitCall(call, "messages", "an array of messages", Array.isArray, first, second);
    const messages = validateMessages(subject);
    const settings = replySettings({ messages: JSON.stringify(messages) }, options);
    if (settings.request.continueFinalMessage) checkContinued(messages.at(-1)!);
    return settings;
  });
}

/** Reads either form of a completion call: `(prompt, options?)` or `({ prompt, ...options })`. Throws as readChatCall. */
export function readCompletionCall(call: string, first: unknown, second: unknown): ReplySettings {
  const isText = (value: unknown) => typeof value === "string";
  return reading(call, () => {
    const { subject, options } = splitCall(call, "prompt", "a string", isText, first, second);
    if (!isText(subject)) throw bad("prompt", `prompt must be a string; given ${quote(subject)}.`);
    const { length } = subject as string;
    if (length > MOST_TEXT) throw bad("prompt", `prompt may have up to ${MOST_TEXT} characters; given ${length}.`);
    const settings = replySettings({ prompt: subject as string }, options);
    if (!settings.request.continueFinalMessage) return settings;
    throw bad(
      "continueFinalMessage",
      "continueFinalMessage is for chats: a completion always goes on where its prompt ends; leave it out.",
    );
  });
}

/** Reads a model's options. Throws as readChatCall. */
export function readEngineOptions(given: unknown): {
  native: NativeEngineOptions;
  onProgress: ((fraction: number) => void) | undefined;
} {
  const of = "new ZSE()";
  const { onProgress, ...native } = reading(of, () => readOptions(ENGINE_OPTIONS, given, of)) as unknown as NativeEngineOptions & {
    onProgress?: (fraction: number) => void;
  };
  // Where the process stands now, not where it stands when the engine makes the folder.
  const { dir } = native.promptCache;
  return { native: dir === "" ? native : { ...native, promptCache: { ...native.promptCache, dir: resolve(dir) } }, onProgress };
}

/** Reads the options of tokenize(). Throws as readChatCall. */
export function readTokenizeOptions(given: unknown): { special: boolean } {
  return reading("tokenize()", () => readOptions(TOKENIZE_OPTIONS, given, "tokenize()")) as { special: boolean };
}

function checkContinued(last: Record<string, unknown>): void {
  if (last.role === "assistant" && last.tool_calls === undefined) return;
  const given = last.role === "assistant" ? "one with tool_calls" : `one of role ${quote(last.role)}`;
  throw bad(
    "continueFinalMessage",
    `continueFinalMessage: true needs a last message of role "assistant" without tool_calls, to go on with; given ${given}.`,
  );
}

function splitCall(
  call: string,
  name: "messages" | "prompt",
  what: string,
  isSubject: (value: unknown) => boolean,
  first: unknown,
  second: unknown,
): { subject: unknown; options: Record<string, unknown> } {
  if (isSubject(first)) return { subject: first, options: asObject(second, call) };
  if (typeof first !== "object" || first === null || Array.isArray(first)) {
    throw bad(name, `${call} takes ${what} first, or one object { ${name}, ...options }; given ${quote(first)}.`);
  }
  if (second !== undefined) {
    throw bad(name, `${call} takes its options in the one object { ${name}, ...options }; given a second argument too.`);
  }
  const { [name]: subject, ...options } = Object.fromEntries(entriesOf(first)) as Record<string, unknown>;
  if (subject === undefined) throw bad(name, `${call} needs ${name}: ${what}.`);
  return { subject, options };
}

function replySettings(subject: { messages: string } | { prompt: string }, given: Record<string, unknown>): ReplySettings {
  const { signal, chunkSize, chunkBy, chunkMaxDelayMs, includeUsage, streamCallback, ...rest } = readOptions(
    REPLY_OPTIONS,
    given,
    "a reply",
  );
  return {
    // readOptions has just given every field its type and default by the table above.
    request: { ...subject, ...rest } as unknown as NativeRequest,
    signal: signal as AbortSignal | undefined,
    chunkSize: chunkSize as number,
    chunkBy: chunkBy as ChunkBy,
    chunkMaxDelayMs: chunkMaxDelayMs as number,
    includeUsage: includeUsage as boolean | undefined,
    streamCallback: streamCallback as StreamCallback | undefined,
  };
}
