// Owns what callers of the library may pass: the tables of options, and what is particular to one of them. Runs on the caller's
// thread, before anything is queued. Everything behind this file trusts what it lets through.

import { resolve } from "node:path";
import type { NativeEngineOptions, NativeRequest } from "../addon/contract.js";
import { cutName, quote, quoteError } from "../base/quote.js";
import { bad } from "../errors.js";
import type { ChunkBy, StreamCallback } from "../types.js";
import { entriesOf, plainJson, reading } from "./foreign.js";
import { validateMessages } from "./messages.js";
import { asObject, INT32_MAX, isPlainObject, type Rule, readOptions } from "./rules.js";

/** Options of a reply: the one place where they are listed. docs/api.md's table is checked against it by a test. */
export const REPLY_RULES = {
  maxTokens: { kind: "integer", min: 0, max: INT32_MAX, default: 0, hint: "0 means up to the end of the context" },
  temperature: { kind: "number", min: 0, max: 5, default: 0.8 },
  topP: { kind: "number", min: 0, max: 1, default: 0.95 },
  topK: { kind: "integer", min: 0, max: INT32_MAX, default: 40, hint: "0 turns it off" },
  minP: { kind: "number", min: 0, max: 1, default: 0.05 },
  typicalP: { kind: "number", min: 0, max: 1, default: 1 },
  seed: { kind: "integer", min: 0, max: 2 ** 32 - 2, hint: "leave it out to have one drawn" },
  stop: { kind: "custom", read: readStop, default: [] },
  presencePenalty: { kind: "number", min: -2, max: 2, default: 0 },
  frequencyPenalty: { kind: "number", min: -2, max: 2, default: 0 },
  repeatPenalty: { kind: "number", min: 0.1, max: 10, default: 1, hint: "1 turns it off" },
  logitBias: { kind: "custom", read: readLogitBias, default: [] },
  ignoreEos: { kind: "boolean", default: false },
  signal: { kind: "custom", read: readSignal },
  chunkSize: { kind: "integer", min: 1, max: 65_536, default: 1 },
  chunkBy: { kind: "enum", values: ["token", "word", "sentence"], default: "token" },
  chunkMaxDelayMs: { kind: "integer", min: 0, max: INT32_MAX, default: 0, hint: "0 means no limit" },
  includeUsage: { kind: "boolean" },
  streamCallback: { kind: "function" },
  highWaterMark: { kind: "integer", min: 1, max: 65_536, default: 64 },
  stallTimeoutMs: { kind: "integer", min: 0, max: INT32_MAX, default: 0, hint: "0 means never" },
  logprobs: { kind: "later" },
  topLogprobs: { kind: "later" },
  responseFormat: { kind: "later" },
  tools: { kind: "later" },
  toolChoice: { kind: "later" },
} as const satisfies Record<string, Rule>;

/** Options of a model. */
export const ENGINE_RULES = {
  contextSize: { kind: "integer", min: 0, max: 2 ** 24, default: 0, hint: "0 means the trained context, at most 4096" },
  maxStreams: { kind: "integer", min: 1, max: 256, default: 4 },
  maxQueue: { kind: "integer", min: 0, max: 65_536, default: 64 },
  threads: { kind: "integer", min: 0, max: 512, default: 0, hint: "0 means the physical cores" },
  gpuLayers: { kind: "custom", read: readGpuLayers, default: -1 },
  device: { kind: "enum", values: ["auto", "cpu", "cuda", "metal", "vulkan"], default: "auto" },
  latencyTargetMs: { kind: "number", min: 1, max: 10_000, default: 150 },
  deterministic: { kind: "boolean", default: false },
  onProgress: { kind: "function" },
  promptCache: { kind: "custom", read: readPromptCache, default: readPromptCache("promptCache", true) },
} as const satisfies Record<string, Rule>;

/** Options of tokenize(). */
const TOKENIZE_RULES = { special: { kind: "boolean", default: false } } as const satisfies Record<string, Rule>;

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
    return replySettings({ messages: JSON.stringify(validateMessages(subject)) }, options);
  });
}

/** Reads either form of a completion call: `(prompt, options?)` or `({ prompt, ...options })`. Throws as readChatCall. */
export function readCompletionCall(call: string, first: unknown, second: unknown): ReplySettings {
  const isText = (value: unknown) => typeof value === "string";
  return reading(call, () => {
    const { subject, options } = splitCall(call, "prompt", "a string", isText, first, second);
    if (!isText(subject)) throw bad("prompt", `prompt must be a string; given ${quote(subject)}.`);
    return replySettings({ prompt: subject as string }, options);
  });
}

/** Reads a model's options. Throws as readChatCall. */
export function readEngineOptions(given: unknown): {
  native: NativeEngineOptions;
  onProgress: ((fraction: number) => void) | undefined;
} {
  const of = "new ZSE()";
  const { onProgress, ...native } = reading(of, () => readOptions(ENGINE_RULES, given, of)) as unknown as NativeEngineOptions & {
    onProgress?: (fraction: number) => void;
  };
  return { native, onProgress };
}

/** Reads the options of tokenize(). Throws as readChatCall. */
export function readTokenizeOptions(given: unknown): { special: boolean } {
  return reading("tokenize()", () => readOptions(TOKENIZE_RULES, given, "tokenize()")) as { special: boolean };
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
  const { signal, chunkSize, chunkBy, chunkMaxDelayMs, includeUsage, streamCallback, ...rest } = readOptions(REPLY_RULES, given, "a reply");
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

function readStop(name: string, value: unknown): string[] {
  const list = typeof value === "string" ? [value] : Array.isArray(value) ? plainJson(value, name) : value;
  const fits = (one: unknown) => typeof one === "string" && one.length >= 1 && one.length <= 256;
  if (!Array.isArray(list)) {
    throw bad(name, `${name} must be a string or an array of up to 16 strings; given ${quote(value)}.`);
  }
  if (list.length > 16) throw bad(name, `${name} takes up to 16 strings; given ${list.length}.`);
  const index = list.findIndex((one) => !fits(one));
  if (index !== -1) {
    const where = typeof value === "string" ? name : `${name}[${index}]`;
    throw bad(where, `${where} must be a string of 1 to 256 characters; given ${quote(list[index])}.`);
  }
  return list.map((one: string) => one.toWellFormed());
}

function readLogitBias(name: string, value: unknown): number[] {
  if (!isPlainObject(value)) {
    throw bad(name, `${name} must be an object { tokenId: bias }; given ${quote(value)}.`);
  }
  return entriesOf(value, name).flatMap(([key, bias]) => {
    const id = Number(key);
    if (!/^\d+$/.test(key) || id > INT32_MAX) {
      throw bad(name, `${name} has token ids as its keys (whole numbers from 0); given ${quote(key)}.`);
    }
    if (typeof bias !== "number" || !(bias >= -100 && bias <= 100)) {
      const at = `${name}[${cutName(key)}]`;
      throw bad(at, `${at} must be a number from -100 to 100; given ${quote(bias)}.`);
    }
    return [id, bias];
  });
}

function readSignal(name: string, value: unknown): AbortSignal {
  const signal = value as Partial<AbortSignal> | null;
  try {
    // By its shape, since polyfills and other realms (Electron, jsdom) have an AbortSignal of their own.
    if (typeof signal === "object" && signal !== null && typeof signal.aborted === "boolean") {
      if (typeof signal.addEventListener === "function" && typeof signal.removeEventListener === "function") {
        return value as AbortSignal;
      }
    }
  } catch (error) {
    throw bad(name, `${name} cannot be read: ${quoteError(error)}.`);
  }
  throw bad(name, `${name} must be an AbortSignal (new AbortController().signal); given ${quote(value)}.`);
}

function readGpuLayers(name: string, value: unknown): number {
  if (value === "auto") return -1;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 65_536) return value;
  throw bad(name, `${name} must be "auto" or a whole number from 0 to 65536; given ${quote(value)}.`);
}

/** `true` and `false`, or `{ ram, dir, disk }`: bytes, a folder, bytes. */
function readPromptCache(name: string, value: unknown): NativeEngineOptions["promptCache"] {
  const settings = { enabled: value !== false, ram: 256 * 2 ** 20, dir: "", disk: 4 * 2 ** 30 };
  if (typeof value === "boolean") return settings;
  if (!isPlainObject(value)) {
    throw bad(name, `${name} must be false, or an object { ram, dir, disk }; given ${quote(value)}.`);
  }
  for (const [key, given] of entriesOf(value, name)) {
    if (given === undefined) continue;
    if (key === "ram" || key === "disk") {
      if (typeof given !== "number" || !(given >= 0 && given <= Number.MAX_SAFE_INTEGER)) {
        throw bad(
          `${name}.${key}`,
          `${name}.${key} must be a number of bytes from 0 to ${Number.MAX_SAFE_INTEGER}; given ${quote(given)}.`,
        );
      }
      settings[key] = Math.floor(given);
    } else if (key === "dir") {
      if (typeof given !== "string" || given === "" || given.includes("\0")) {
        throw bad(`${name}.dir`, `${name}.dir must be the path of a folder; given ${quote(given)}.`);
      }
      settings.dir = resolve(given);
    } else {
      throw bad(`${name}.${cutName(key)}`, `${name} has no ${quote(key)}; there are: ram, dir, disk.`);
    }
  }
  if (value.disk !== undefined && settings.dir === "") {
    throw bad(`${name}.disk`, `${name}.disk limits what is kept in ${name}.dir, which is not given; give both, or neither.`);
  }
  return settings;
}
