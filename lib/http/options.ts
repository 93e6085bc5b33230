// Owns what the adapters may be given: the model, and the options with their defaults. Pure; any thread.

import { quote } from "../base/quote.js";
import { bad } from "../errors.js";
import { INT32_MAX, type Rule, readOptions } from "../options/rules.js";
import type {
  EventStream,
  HandlerOptions,
  KeptReplyOptions,
  ResumableOptions,
  ServedModel,
  ServedPool,
  ToResponseOptions,
} from "./types.js";

/** One place for all of HandlerOptions; docs say the same. */
const HANDLER_RULES = {
  model: { kind: "custom", read: readName },
  heartbeatMs: { kind: "number", min: 0, max: INT32_MAX, default: 15_000, hint: "0 means never" },
  maxBodyBytes: { kind: "integer", min: 0, max: INT32_MAX, default: 1 << 20 },
  maxChoices: { kind: "integer", min: 1, max: 65_536, default: 8 },
  stallTimeoutMs: { kind: "integer", min: 0, max: INT32_MAX, default: 0, hint: "0 means never" },
  earlyErrorMs: { kind: "number", min: 0, max: INT32_MAX, default: 10_000, hint: "0 means not at all" },
  earlyRole: { kind: "boolean", default: false },
  obfuscation: { kind: "boolean", default: false },
  resumable: { kind: "custom", read: (_name, value) => value }, // ResumableStreams reads it
  keptReplies: { kind: "custom", read: (_name, value) => value }, // ReplyMemory reads it
  onError: { kind: "function" },
} as const satisfies Record<keyof HandlerOptions, Rule>;

const RESUMABLE_RULES = {
  keepMs: { kind: "number", min: 0, max: INT32_MAX, default: 60_000 },
  maxEvents: { kind: "integer", min: 2, max: INT32_MAX, default: 65_536 },
  maxStreams: { kind: "integer", min: 0, max: INT32_MAX, default: 64 },
  maxUnread: { kind: "integer", min: 0, max: INT32_MAX, default: 8 },
} as const satisfies Record<keyof ResumableOptions, Rule>;

const MEMORY_RULES = {
  maxReplies: { kind: "integer", min: 0, max: INT32_MAX, default: 1000 },
  maxBytes: { kind: "integer", min: 0, max: Number.MAX_SAFE_INTEGER, default: 64 << 20 },
} as const satisfies Record<keyof KeptReplyOptions, Rule>;

const RESPONSE_RULES = {
  model: { kind: "custom", read: readName, default: "local" },
  kind: { kind: "enum", values: ["chat", "completion"], default: "chat" },
  heartbeatMs: HANDLER_RULES.heartbeatMs,
  earlyRole: HANDLER_RULES.earlyRole,
} as const satisfies Record<keyof ToResponseOptions, Rule>;

export const DEFAULT_MAX_CHOICES = HANDLER_RULES.maxChoices.default;

/** HandlerOptions with everything filled in that has a default. */
export type HandlerSettings = Required<Omit<HandlerOptions, "model" | "onError" | "resumable" | "keptReplies">> & HandlerOptions;

/** @throws ZSEError BAD_OPTION naming the option, what was given and what is allowed */
export function readHandlerOptions(given: unknown, of: string): HandlerSettings {
  return readOptions(HANDLER_RULES, given, of) as unknown as HandlerSettings;
}

/** @throws ZSEError BAD_OPTION */
export function readResponseOptions(given: unknown, of: string): Required<ToResponseOptions> {
  return readOptions(RESPONSE_RULES, given, of) as unknown as Required<ToResponseOptions>;
}

/** @throws ZSEError BAD_OPTION */
export function readResumableOptions(given: unknown): Required<ResumableOptions> {
  return readOptions(RESUMABLE_RULES, given, "resumable") as unknown as Required<ResumableOptions>;
}

/** @throws ZSEError BAD_OPTION */
export function readMemoryOptions(given: unknown): Required<KeptReplyOptions> {
  return readOptions(MEMORY_RULES, given, "keptReplies") as unknown as Required<KeptReplyOptions>;
}

/** By its shape, as a model. */
export function isPool(given: unknown): given is ServedPool {
  return has(given, "acquire") && has(given, "model") && Array.isArray((given as ServedPool).names);
}

/** By its shape, since it may be wrapped or made up. @throws ZSEError BAD_OPTION */
export function checkModel(model: unknown, of: string): asserts model is ServedModel {
  if (has(model, "chatStream") && has(model, "completionStream")) return;
  const what = "a model first: a ZSE or a ModelPool, or an object with its chatStream() and completionStream()";
  throw bad("model", `${of} takes ${what}; given ${quote(model)}.`);
}

/** @throws ZSEError BAD_OPTION */
export function checkStream(stream: unknown, of: string): asserts stream is EventStream {
  if (has(stream, "events")) return;
  const what = "a stream first: what chatStream() returns, or an object with its events()";
  throw bad("stream", `${of} takes ${what}; given ${quote(stream)}.`);
}

function has(value: unknown, method: string): boolean {
  return typeof value === "object" && value !== null && typeof (value as Record<string, unknown>)[method] === "function";
}

function readName(name: string, value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw bad(name, `${name} must be the name that replies carry; given ${quote(value)}.`);
}
