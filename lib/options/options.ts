// Owns how the calls of the library are read: either form of each, its options by the table, and what they come to. Runs on the caller's
// thread, before anything is queued. Everything behind this file trusts what it lets through.

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { NativeEngineOptions, NativeRequest } from "../addon/contract.js";
import { quote } from "../base/quote.js";
import { bad } from "../errors.js";
import type { ChunkBy, EngineOptions, Step, StreamCallback } from "../types.js";
import type { Isolation } from "./custom.js";
import { entriesOf, MOST_TEXT, reading } from "./foreign.js";
import { validateMessages } from "./messages.js";
import { type ReplyShape, readChatShape, readPromptShape, type ShapeOptions } from "./reply-shape.js";
import { asObject, readOptions } from "./rules.js";
import { readSpeculate } from "./speculate.js";
import {
  COMPLETION_OPTIONS,
  DETOKENIZE_OPTIONS,
  ENGINE_OPTIONS,
  RECOMMENDABLE,
  REPLY_OPTIONS,
  snakeCase,
  TOKENIZE_OPTIONS,
} from "./table.js";
import { isTokens, readTokens } from "./tokens.js";

/** What a reply's options come to: the addon's part, and what stays on this side. */
export interface ReplySettings {
  request: NativeRequest;
  /** Options that the call says nothing of, for which the model file may have a value. */
  unsaid: readonly string[];
  signal: AbortSignal | undefined;
  chunkSize: number;
  chunkBy: ChunkBy;
  chunkMaxDelayMs: number;
  includeUsage: boolean | undefined;
  streamCallback: StreamCallback | undefined;
  /** The tools that the model is shown, and whether its text is an object. */
  shape: Omit<ReplyShape, "native">;
  /** How calls of tools with an execute() are run. */
  steps: { most: number; errors: "model" | "throw"; onStep: ((step: Step) => unknown) | undefined };
}

/**
 * Reads either form of a chat call: `(messages, options?)` or `({ messages, ...options })`.
 * @throws ZSEError BAD_OPTION (or UNSUPPORTED) naming the option, what was given and what is allowed
 */
export function readChatCall(call: string, first: unknown, second: unknown): ReplySettings {
  return reading(call, () => {
    const { subject, options } = splitCall(call, "messages", "an array of messages", Array.isArray, first, second);
    const messages = validateMessages(subject);
    return replySettings({ messages: JSON.stringify(messages) }, options, (shape) => readChatShape(shape, messages));
  });
}

/** Reads a call of either kind, and the `key` beside its options. Throws as readChatCall. */
export function readPrepareCall(first: unknown, second: unknown): { call: ReplySettings; key: string } {
  const alone = typeof first === "object" && first !== null && !isTokens(first);
  const given = alone ? first : second;
  if (given !== undefined && given !== null && typeof given !== "object") return { call: readChatCall("prepare()", first, given), key: "" };
  const { key = "", ...options } = reading("prepare()", () => Object.fromEntries(given == null ? [] : entriesOf(given as object)));
  if (typeof key !== "string") throw bad("key", `key must be a string; given ${quote(key)}.`);
  const isChat = alone ? !("prompt" in options) : Array.isArray(first) && typeof first[0] !== "number";
  const read = isChat ? readChatCall : readCompletionCall;
  return { call: read("prepare()", alone ? options : first, alone ? undefined : options), key };
}

/** Reads either form of a completion call: `(prompt, options?)` or `({ prompt, ...options })`. Throws as readChatCall. */
export function readCompletionCall(call: string, first: unknown, second: unknown): ReplySettings {
  return reading(call, () => {
    const isPrompt = (value: unknown) => typeof value === "string" || isTokens(value);
    const { subject, options } = splitCall(call, "prompt", "a string or token ids", isPrompt, first, second);
    const { suffix, promptLogprobs, prompt_logprobs, ...others } = Object.fromEntries(entriesOf(options));
    const own = readOptions(COMPLETION_OPTIONS, { promptLogprobs, prompt_logprobs }, call);
    const prompt = typeof subject === "string" ? readText("prompt", subject) : readTokens("prompt", subject, "a string or token ids");
    const told = own.promptLogprobs === true ? { promptLogprobs: true } : {};
    return replySettings({ prompt, ...readSuffix(suffix, prompt), ...told }, others, readPromptShape);
  });
}

/** An empty one is none: so it is in a body. */
function readSuffix(suffix: unknown, prompt: string | Int32Array): { suffix?: string } {
  if (suffix === undefined || suffix === "") return {};
  if (typeof prompt !== "string") throw bad("suffix", "suffix goes with a prompt that is text; given token ids.");
  return { suffix: readText("suffix", suffix) };
}

/** @throws ZSEError BAD_OPTION naming it */
export function readText(name: string, given: unknown): string {
  if (typeof given !== "string") throw bad(name, `${name} must be a string; given ${quote(given)}.`);
  if (given.length <= MOST_TEXT) return given;
  throw bad(name, `${name} may have up to ${MOST_TEXT} characters; given ${given.length}.`);
}

/** Reads a model's options. Throws as readChatCall. */
export function readEngineOptions(given: unknown): {
  native: NativeEngineOptions;
  /** undefined: the engine runs in this process. */
  isolation: Isolation | undefined;
  onProgress: EngineOptions["onProgress"];
} {
  const of = "new ZSE()";
  const { onProgress, isolate, ...native } = reading(of, () => readOptions(ENGINE_OPTIONS, given, of)) as unknown as NativeEngineOptions & {
    isolate?: Isolation;
    onProgress?: EngineOptions["onProgress"];
  };
  // Where the process stands now, not where it stands when the engine makes the folder.
  const { promptCache, adapters, speculate, deterministic } = native;
  const settled: NativeEngineOptions = { ...native };
  if (promptCache.dir !== "") settled.promptCache = { ...promptCache, dir: resolve(promptCache.dir) };
  if (promptCache.moved && deterministic) {
    throw bad(
      "promptCache.moved",
      "promptCache.moved lets a text depend on what was computed before it, and in deterministic mode none does; leave one of them out.",
    );
  }
  if (adapters !== undefined) settled.adapters = adapters.map((one, i) => ({ ...one, path: asPath(`adapters[${i}].path`, one.path) }));
  if (speculate?.draftModel !== undefined) {
    if (deterministic)
      throw bad("speculate.draftModel", "speculate.draftModel guesses nothing in deterministic mode; leave one of the two out.");
    settled.speculate = { ...speculate, draftModel: asPath("speculate.draftModel", speculate.draftModel) };
  }
  return { native: settled, isolation: isolate, onProgress };
}

function asPath(name: string, given: string): string {
  try {
    return given.startsWith("file:") ? fileURLToPath(given) : resolve(given);
  } catch {
    throw bad(name, `${name} is a URL of no file on this machine; given ${quote(given)}.`);
  }
}

/** Reads a call of tokenize(). Throws as readChatCall. */
export function readTokenizeCall(text: unknown, given: unknown): { text: string; special: boolean; addSpecial: boolean } {
  return reading("tokenize()", () => {
    const options = readOptions(TOKENIZE_OPTIONS, given, "tokenize()") as { special: boolean; addSpecial: boolean };
    return { text: readText("text", text), ...options };
  });
}

/** Reads a call of detokenize(). Throws as readChatCall. */
export function readDetokenizeCall(tokens: unknown, given: unknown): { tokens: Int32Array; special: boolean } {
  return reading("detokenize()", () => {
    const options = readOptions(DETOKENIZE_OPTIONS, given, "detokenize()") as { special: boolean };
    return { tokens: readTokens("tokens", tokens), ...options };
  });
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

type Options = Record<string, unknown>;

/** Options of a reply that end on this side, or cross in the words of its shape. */
const STAYING = [
  ...["signal", "chunkSize", "chunkBy", "chunkMaxDelayMs", "includeUsage", "streamCallback", "maxSteps", "toolErrors", "onStep"],
  ...["tools", "toolChoice", "parallelToolCalls", "responseFormat", "reasoning", "templateArguments", "continueFinalMessage", "adapter"],
];
/** What a request has beside its messages or prompt and its shape, by the names of options. */
export const REQUEST_FIELDS: ReadonlySet<string> = new Set([
  ...Object.keys(REPLY_OPTIONS).filter((name) => !STAYING.includes(name)),
  ...["suffix", ...Object.keys(COMPLETION_OPTIONS)],
]);

function replySettings(
  subject: Pick<NativeRequest, "messages" | "prompt" | "suffix" | "promptLogprobs">,
  options: Options,
  readShape: (options: ShapeOptions) => ReplyShape,
): ReplySettings {
  const given = Object.fromEntries(entriesOf(options)) as Options; // each is read once
  const read = readOptions(REPLY_OPTIONS, given, "a reply");
  const rest = Object.fromEntries(Object.entries(read).filter(([name]) => REQUEST_FIELDS.has(name)));
  checkTogether({ ...rest, ...subject }, given);
  if (wantsTheSameAgain(given)) rest.speculate = readSpeculate("speculate", false);
  const { native, ...shape } = readShape(read as unknown as ShapeOptions);
  const { signal, chunkSize, chunkBy, chunkMaxDelayMs, includeUsage, streamCallback, maxSteps, toolErrors, onStep, adapter } = read;
  return {
    // readOptions has just given every field its type and default by the table above.
    request: {
      ...subject,
      ...(native === undefined ? {} : { reply: native }),
      ...(adapter === undefined ? {} : { adapters: adapter }),
      ...rest,
    } as unknown as NativeRequest,
    unsaid: RECOMMENDABLE.filter((name) => given[name] === undefined && given[snakeCase(name)] === undefined),
    signal: signal as AbortSignal | undefined,
    chunkSize: chunkSize as number,
    chunkBy: chunkBy as ChunkBy,
    chunkMaxDelayMs: chunkMaxDelayMs as number,
    includeUsage: includeUsage as boolean | undefined,
    streamCallback: streamCallback as StreamCallback | undefined,
    shape,
    steps: { most: maxSteps as number, errors: toolErrors as "model" | "throw", onStep: onStep as ((step: Step) => unknown) | undefined },
  };
}

/**
 * Whoever names a seed wants the same text again. Steps are guessed ahead as it pays at the moment, and one of several tokens rounds a little
 * differently, so that is left out where the call does not ask for it.
 */
function wantsTheSameAgain({ seed, speculate, prediction }: Options): boolean {
  return seed !== undefined && speculate === undefined && prediction === undefined;
}

/** What no option's own rule can tell. Named as it was written. */
function checkTogether(options: Record<string, unknown>, given: Record<string, unknown>): void {
  const written = (name: string) => (Object.hasOwn(given, name) ? name : snakeCase(name));
  const { topLogprobs, logprobs, promptLogprobs, maxTokens, minTokens } = options as { [name: string]: number };
  if (topLogprobs! > 0 && !logprobs && !promptLogprobs) {
    const name = written("topLogprobs");
    throw bad(name, `${name} wants logprobs: true; given ${topLogprobs} without it.`);
  }
  if (maxTokens! > 0 && minTokens! > maxTokens!) {
    const name = written("minTokens");
    throw bad(name, `${name} may be at most ${written("maxTokens")}, which is ${maxTokens}; given ${minTokens}.`);
  }
}
