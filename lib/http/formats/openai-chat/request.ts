// Owns reading the body of an OpenAI request: which of its fields are whose options here. Pure; any thread. Ranges and types of
// options are the library's to check (lib/options/options.ts), which names a field as it was written; here is only what it cannot know.

import { cutName } from "../../../base/quote.js";
import { REPLY_OPTIONS, wireOptions } from "../../../options/table.js";
import type { Message, ReplyOptionsInput } from "../../../types.js";
import { saidFields } from "../fields.js";
import type { Ask, WireRequest } from "../format.js";
import { MOST_NAMED, strangersIn } from "../ignored.js";
import { WireError } from "../wire-error.js";
import type { PromptForm, ReplyKind } from "./chunks.js";
import { REPLY_FIELDS, readReplyFields } from "./reply-fields.js";
import { isUnsupported, refuseUnsupported } from "./unsupported.js";

type Body = Record<string, unknown>;

/** Passed on under their own names. null is OpenAI's way of leaving a field out. */
const OPTIONS = wireOptions("body");
const CHUNKING = [...wireOptions("stream_options").keys()];
const STREAM_OPTIONS = ["include_usage", "continuous_usage_stats", "include_obfuscation", ...CHUNKING, "resumable"];
const READ_HERE = [
  "model",
  "messages",
  "prompt",
  "stream",
  "stream_options",
  "n",
  "max_tokens",
  "max_completion_tokens",
  "seed",
  "repetition_penalty",
  "echo",
];
/** Known, without a meaning for a local model. */
const IGNORED = new Set(["user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "verbosity"]);
/** Fields of a message that are the library's to check; others mean nothing here, as in what clients send back of an earlier reply. */
const MESSAGE = new Set([
  "role",
  "content",
  "name",
  "tool_calls",
  "tool_call_id",
  "tool_name",
  "reasoning_content",
  "reasoning",
  "thinking",
  "refusal",
  "function_call",
  "audio",
  "images",
]);
/** Seeds of the engine. */
const SEEDS = 2 ** 32 - 1;
/** OpenAI's bounds of a seed, as JSON.parse reads them: a number that needs more than 53 bits is rounded. */
export const LARGEST_SEED = 2 ** 63;
export const SEED_RULE = "must be a whole number of 64 bits, from -9223372036854775808 to 9223372036854775807 (-1 draws one)";
/** Characters of a model's name: every chunk repeats it. */
const MODEL_NAME = 256;

/** @throws WireError 400 naming the field */
export function readRequest(body: unknown, maxChoices: number): WireRequest {
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw bad("The body must be a JSON object.", undefined);
  const given = saidFields(body);
  const kind = readKind(given);
  const stream = readBoolean(given, "stream") ?? false;
  const streamOptions = readStreamOptions(given, stream);
  refuseUnsupported(given);

  const ignored = strangersIn(given, isKnown);
  const options: Body = {};
  for (const [name, { off }] of OPTIONS) if (name in given) options[name] = given[name] === off ? 0 : given[name];
  if (kind === "completion") Object.assign(options, readCompletionLogprobs(given));
  const ask: Ask = kind === "chat" ? { messages: readMessages(given.messages, ignored) } : { prompt: readPrompt(given.prompt, maxChoices) };
  const choices = readChoices(given, maxChoices, "prompt" in ask && typeof ask.prompt !== "string" ? ask.prompt.length : 1);
  const echoes = readEcho(given, kind);
  Object.assign(options, readRepetition(given));
  const { options: replyOptions, fieldOf } = readReplyFields(given);
  Object.assign(options, readLimit(given), readSeed(given), replyOptions);
  for (const name of CHUNKING) {
    if (name in streamOptions) options[name] = streamOptions[name];
  }
  return {
    model: readModel(given),
    stream,
    choices,
    includeUsage: readBoolean(streamOptions, "include_usage", "stream_options.include_usage"),
    continuousUsage: readContinuous(streamOptions),
    obfuscate: readBoolean(streamOptions, "include_obfuscation", "stream_options.include_obfuscation"),
    resumable: readBoolean(streamOptions, "resumable", "stream_options.resumable") ?? false,
    ask,
    options: options as ReplyOptionsInput,
    ...(fieldOf === undefined ? {} : { fieldOf }),
    ignored,
    ...("prompt" in ask ? { echo: promptsIn(ask.prompt, choices, echoes) } : {}),
  };
}

function isKnown(name: string): boolean {
  return READ_HERE.includes(name) || REPLY_FIELDS.has(name) || OPTIONS.has(name) || IGNORED.has(name) || isUnsupported(name);
}

function readKind(given: Body): ReplyKind {
  if ("messages" in given && "prompt" in given) throw bad("A request has messages (chat) or a prompt (completion), not both.", "prompt");
  if ("prompt" in given) return "completion";
  if ("messages" in given) return "chat";
  throw bad('messages is missing: an array such as [{ role: "user", content: "Hello" }].', "messages");
}

export function readModel(given: Body): string | undefined {
  const { model } = given;
  if (model === undefined || (typeof model === "string" && model.length <= MODEL_NAME)) return model;
  throw bad(`model must be a string of up to ${MODEL_NAME} characters.`, "model");
}

/** A conversation's next request holds the messages of earlier replies as they were received, `refusal: null` and all. */
function readMessages(messages: unknown, ignored: string[]): readonly Message[] {
  if (!Array.isArray(messages)) return messages as readonly Message[];
  const strangers = new Set<string>();
  const read = messages.map((message: unknown) => {
    if (typeof message !== "object" || message === null || Array.isArray(message)) return message;
    const fields: Body = {};
    for (const name of MESSAGE) {
      if (!Object.hasOwn(message, name)) continue;
      const value = (message as Body)[name];
      if (value !== null || name === "content") fields[name] = value;
    }
    for (const name in message) {
      if (strangers.size === MOST_NAMED) break;
      if (!MESSAGE.has(name) && (message as Body)[name] !== null) strangers.add(name);
    }
    return fields;
  });
  for (const name of strangers) if (ignored.length < MOST_NAMED) ignored.push(`messages[].${name}`);
  return read as Message[];
}

function readPrompt(prompt: unknown, most: number): string | readonly string[] {
  const only = Array.isArray(prompt) && prompt.length === 1 ? (prompt[0] as unknown) : prompt;
  if (typeof only === "string") return only;
  const fits = Array.isArray(only) && only.length >= 1 && only.length <= most && only.every((one) => typeof one === "string");
  if (fits) return only as string[];
  throw bad(`prompt must be a string, or an array of up to ${most} of them; token ids are not read here.`, "prompt");
}

/** The prompt's own log-probabilities are not computed, so it cannot come with those of the reply. */
function readEcho(given: Body, kind: ReplyKind): boolean {
  const echo = readBoolean(given, "echo") ?? false;
  if (!echo) return false;
  if (kind === "chat") throw bad("echo is for completions.", "echo");
  if (given.logprobs !== undefined) throw bad("echo and logprobs exclude each other here: those of a prompt are not computed.", "echo");
  return true;
}

export function readStreamOptions(given: Body, stream: boolean): Body {
  const options = given.stream_options;
  if (options === undefined) return {};
  if (typeof options !== "object" || Array.isArray(options)) throw bad("stream_options must be an object.", "stream_options");
  if (!stream) throw bad("stream_options is only for stream: true.", "stream_options");
  const unknown = Object.keys(options as Body).find((name) => !STREAM_OPTIONS.includes(name));
  if (unknown !== undefined) {
    const name = cutName(unknown);
    throw bad(`stream_options has no ${name}; there are: ${STREAM_OPTIONS.join(", ")}.`, `stream_options.${name}`);
  }
  return Object.fromEntries(Object.entries(options as Body).filter(([, value]) => value !== null));
}

/** vLLM's. */
function readContinuous(options: Body): boolean {
  const name = "stream_options.continuous_usage_stats";
  const wanted = readBoolean(options, "continuous_usage_stats", name) ?? false;
  if (wanted && options.include_usage !== true) throw bad(`${name} is for include_usage: true.`, name);
  return wanted;
}

function promptsIn(prompt: string | readonly string[], choices: number, echoes: boolean): PromptForm {
  const prompts = typeof prompt === "string" ? [prompt] : prompt;
  const each = choices / prompts.length;
  return { count: prompts.length, ...(echoes ? { echoes: prompts.flatMap((one) => new Array<string>(each).fill(one)) } : {}) };
}

/** Of all prompts together. */
function readChoices(given: Body, most: number, prompts: number): number {
  const { n = 1 } = given;
  if (typeof n !== "number" || !Number.isInteger(n) || n < 1 || n > most) throw bad(`n must be a whole number from 1 to ${most}.`, "n");
  if (n * prompts <= most) return n * prompts;
  throw bad(`A request has up to ${most} choices; n for each prompt makes ${n * prompts}.`, "prompt");
}

/** max_completion_tokens is the newer name; 0 would mean "no limit" to the library and nothing to OpenAI's clients. */
function readLimit(given: Body): Body {
  const name = "max_completion_tokens" in given ? "max_completion_tokens" : "max_tokens";
  const value = given[name];
  if (value === undefined) return {};
  if (typeof value === "number" && Number.isInteger(value) && value >= 1) return { max_tokens: Math.min(value, 2 ** 31 - 1) };
  throw bad(`${name} must be a whole number from 1.`, name);
}

/** -1 is how clients of local servers ask for a drawn one. What is beyond the engine's range is folded into it. */
function readSeed(given: Body): Body {
  const { seed } = given;
  if (seed === undefined || seed === -1) return {};
  if (typeof seed !== "number" || !Number.isInteger(seed) || Math.abs(seed) > LARGEST_SEED) throw bad(`seed ${SEED_RULE}.`, "seed");
  return { seed: ((seed % SEEDS) + SEEDS) % SEEDS };
}

/** A completion's `logprobs` is the number of the likeliest tokens that are told beside each; a chat has a field of its own for that. */
function readCompletionLogprobs(given: Body): Body {
  const { logprobs } = given;
  if (given.top_logprobs) throw bad("top_logprobs is for chats; the logprobs of a completion is that number.", "top_logprobs");
  if (logprobs === undefined) return {};
  const { min, max } = REPLY_OPTIONS.topLogprobs;
  if (typeof logprobs === "number" && Number.isInteger(logprobs) && logprobs >= min && logprobs <= max) {
    return { logprobs: true, top_logprobs: logprobs };
  }
  throw bad(`logprobs must be a whole number from ${min} to ${max}.`, "logprobs");
}

/** The name that most local servers have for repeat_penalty. */
function readRepetition(given: Body): Body {
  const { repetition_penalty: value } = given;
  if (value === undefined) return {};
  const name = "repetition_penalty";
  if ("repeat_penalty" in given) throw bad(`${name} and repeat_penalty are the same; give one of them.`, name);
  const { min, max } = REPLY_OPTIONS.repeatPenalty;
  if (typeof value === "number" && value >= min && value <= max) return { repeat_penalty: value };
  throw bad(`${name} must be a number from ${min} to ${max}.`, name);
}

function readBoolean(given: Body, name: string, written = name): boolean | undefined {
  const value = given[name];
  if (value === undefined || typeof value === "boolean") return value;
  throw bad(`${written} must be true or false.`, written);
}

function bad(message: string, param: string | undefined): WireError {
  return new WireError(400, message, { param, code: "invalid_value" });
}
