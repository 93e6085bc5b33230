// Owns reading the body of an OpenAI request: which of its fields are whose options here. Pure; any thread. Ranges and types of
// options are the library's to check (lib/options/options.ts), which names a field as it was written; here is only what it cannot know.

import { cutName, quote } from "../../../base/quote.js";
import { INT32_MAX } from "../../../options/rules.js";
import { REPLY_OPTIONS, wireOptions } from "../../../options/table.js";
import type { Message, ReplyOptionsInput } from "../../../types.js";
import { bad, isObject, readBoolean, saidFields } from "../fields.js";
import type { Ask, WirePrompt, WireRequest } from "../format.js";
import { MOST_NAMED, strangersIn } from "../ignored.js";
import { knownParts } from "../known-parts.js";
import { WireError } from "../wire-error.js";
import type { ReplyKind } from "./chunks.js";
import { REPLY_FIELDS, readOmitsReasoning, readReplyFields } from "./reply-fields.js";
import { isUnsupported, refuseUnsupported } from "./unsupported.js";

type Body = Record<string, unknown>;

/** Passed on under their own names. null is OpenAI's way of leaving a field out. */
const OPTIONS = wireOptions("body");
export const CHUNKING = [...wireOptions("stream_options").keys()];
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
  "suffix",
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

/**
 * @param subject what a body that has neither messages nor a prompt lacks, by the path that it came to
 * @throws WireError 400 naming the field
 */
export function readRequest(body: unknown, maxChoices: number, subject: "messages" | "prompt" = "messages"): WireRequest {
  if (!isObject(body)) throw new WireError(400, "The body must be a JSON object.", { code: "invalid_value" });
  const given = saidFields(body);
  const kind = readKind(given, subject);
  const stream = readBoolean(given, "stream") ?? false;
  const streamOptions = readStreamOptions(given, stream);
  refuseUnsupported(given);

  const ignored = strangersIn(given, isKnown);
  const options: Body = {};
  for (const [name, { off }] of OPTIONS) if (name in given) options[name] = given[name] === off ? 0 : given[name];
  if (kind === "completion") Object.assign(options, readCompletionLogprobs(given));
  if (kind === "chat" && given.suffix !== undefined && given.suffix !== "") throw bad("suffix", "suffix is for completions.");
  const ask: Ask = kind === "chat" ? { messages: readMessages(given.messages, ignored) } : readPrompts(given, maxChoices);
  const prompts = "prompts" in ask ? ask.prompts.length : 1;
  const choices = readChoices(given, maxChoices, prompts);
  const echoes = readEcho(given, kind);
  // With its prompt, a completion's log-probabilities are the prompt's, too.
  const tellsPrompts = echoes && "logprobs" in given;
  if (tellsPrompts) options.prompt_logprobs = true;
  Object.assign(options, readRepetition(given));
  const { options: replyOptions, fieldOf } = readReplyFields(given);
  const promptAlone = echoes && given.max_tokens === 0 && !("max_completion_tokens" in given);
  Object.assign(options, promptAlone ? readNoLimit(given) : readLimit(given), readSeed(given), replyOptions);
  for (const name of CHUNKING) {
    if (name in streamOptions) options[name] = streamOptions[name];
  }
  return {
    model: readModel(given),
    stream,
    choices,
    prompts,
    echoes,
    tellsPrompts,
    ...(promptAlone ? { promptAlone } : {}),
    includeUsage: readBoolean(streamOptions, "include_usage", "stream_options.include_usage"),
    continuousUsage: readContinuous(streamOptions),
    omitsReasoning: readOmitsReasoning(given),
    obfuscate: readBoolean(streamOptions, "include_obfuscation", "stream_options.include_obfuscation"),
    resumable: readBoolean(streamOptions, "resumable", "stream_options.resumable") ?? false,
    ask,
    options: knownParts(options, ignored) as ReplyOptionsInput,
    ...(fieldOf === undefined && !tellsPrompts
      ? {}
      : { fieldOf: (param: string) => FIELDS_OF_PROMPTS[param] ?? fieldOf?.(param) ?? param }),
    ignored,
  };
}

function isKnown(name: string): boolean {
  return READ_HERE.includes(name) || REPLY_FIELDS.has(name) || OPTIONS.has(name) || IGNORED.has(name) || isUnsupported(name);
}

function readKind(given: Body, subject: "messages" | "prompt"): ReplyKind {
  if ("messages" in given && "prompt" in given) throw bad("prompt", "A request has messages (chat) or a prompt (completion), not both.");
  if ("prompt" in given) return "completion";
  if ("messages" in given) return "chat";
  const such = subject === "prompt" ? 'a text such as "Once upon a time"' : 'an array such as [{ role: "user", content: "Hello" }]';
  throw bad(subject, `${subject} is missing: ${such}.`);
}

export function readModel(given: Body): string | undefined {
  const { model } = given;
  if (model === undefined || (typeof model === "string" && model.length <= MODEL_NAME)) return model;
  throw bad("model", `model must be a string of up to ${MODEL_NAME} characters.`);
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

function readPrompts({ prompt, suffix = "" }: Body, most: number): Ask {
  if (typeof suffix !== "string") throw bad("suffix", `suffix must be a string; given ${quote(suffix)}.`);
  const prompts = promptsIn(prompt);
  if (prompts === undefined) {
    const kinds = "a string, an array of strings, an array of token ids (whole numbers from 0), or an array of such arrays";
    throw bad("prompt", `prompt must be ${kinds}, all of one kind.`);
  }
  if (prompts.length > most) throw bad("prompt", `prompt may have up to ${most} texts, or arrays of token ids; given ${prompts.length}.`);
  const isEmpty = prompts.findIndex((one) => typeof one !== "string" && one.length === 0);
  const empty = prompts.length === 1 ? "prompt" : `prompt[${isEmpty}]`;
  if (isEmpty >= 0) throw bad(empty, `${empty} has no token ids; give one at least.`);
  if (suffix === "") return { prompts };
  if (prompts.every((one) => typeof one === "string")) return { prompts, suffix };
  throw bad("suffix", "suffix goes with a prompt that is text; given token ids.");
}

function promptsIn(prompt: unknown): readonly WirePrompt[] | undefined {
  if (typeof prompt === "string") return [prompt];
  if (!Array.isArray(prompt)) return undefined;
  if (prompt.length === 0 || isTokens(prompt)) return [prompt as number[]];
  const all = typeof prompt[0] === "string" ? prompt.every((one) => typeof one === "string") : prompt.every(isTokens);
  return all ? (prompt as WirePrompt[]) : undefined;
}

function isTokens(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((one) => typeof one === "number" && Number.isInteger(one) && one >= 0 && one <= INT32_MAX);
}

function readEcho(given: Body, kind: ReplyKind): boolean {
  const echo = readBoolean(given, "echo") ?? false;
  if (!echo) return false;
  if (kind === "chat") throw bad("echo", "echo is for completions.");
  return true;
}

export function readStreamOptions(given: Body, stream: boolean): Body {
  const options = given.stream_options;
  if (options === undefined) return {};
  if (typeof options !== "object" || Array.isArray(options)) throw bad("stream_options", "stream_options must be an object.");
  if (!stream) throw bad("stream_options", "stream_options is only for stream: true.");
  const unknown = Object.keys(options as Body).find((name) => !STREAM_OPTIONS.includes(name));
  if (unknown !== undefined) {
    const name = cutName(unknown);
    throw bad(`stream_options.${name}`, `stream_options has no ${name}; there are: ${STREAM_OPTIONS.join(", ")}.`);
  }
  return Object.fromEntries(Object.entries(options as Body).filter(([, value]) => value !== null));
}

/** vLLM's. */
export function readContinuous(options: Body): boolean {
  const name = "stream_options.continuous_usage_stats";
  const wanted = readBoolean(options, "continuous_usage_stats", name) ?? false;
  if (wanted && options.include_usage !== true) throw bad(name, `${name} is for include_usage: true.`);
  return wanted;
}

/** What is only read of several fields together. */
const FIELDS_OF_PROMPTS: Readonly<Record<string, string>> = { promptLogprobs: "logprobs", prompt_logprobs: "logprobs" };

/** Of all prompts together. */
function readChoices(given: Body, most: number, prompts: number): number {
  const { n = 1 } = given;
  if (typeof n !== "number" || !Number.isInteger(n) || n < 1 || n > most) throw bad("n", `n must be a whole number from 1 to ${most}.`);
  if (n * prompts <= most) return n * prompts;
  throw bad("prompt", `A request has up to ${most} choices; n for each prompt makes ${n * prompts}.`);
}

/** max_completion_tokens is the newer name; 0 would mean "no limit" to the library and nothing to OpenAI's clients. */
function readLimit(given: Body): Body {
  const name = "max_completion_tokens" in given ? "max_completion_tokens" : "max_tokens";
  const value = given[name];
  if (value === undefined) return {};
  if (typeof value === "number" && Number.isInteger(value) && value >= 1) return { max_tokens: Math.min(value, INT32_MAX) };
  throw bad(name, `${name} must be a whole number from 1${value === 0 && name === "max_tokens" ? " (0 goes with echo)" : ""}.`);
}

/** Of a completion that wants its prompt alone: the engine draws one token at least. */
function readNoLimit({ min_tokens: fewest }: Body): Body {
  if (fewest !== undefined && fewest !== 0)
    throw bad("min_tokens", `min_tokens may be at most max_tokens, which is 0; given ${quote(fewest)}.`);
  return { max_tokens: 1 };
}

/** -1 is how clients of local servers ask for a drawn one. What is beyond the engine's range is folded into it. */
function readSeed(given: Body): Body {
  const { seed } = given;
  if (seed === undefined || seed === -1) return {};
  if (typeof seed !== "number" || !Number.isInteger(seed) || Math.abs(seed) > LARGEST_SEED) throw bad("seed", `seed ${SEED_RULE}.`);
  return { seed: ((seed % SEEDS) + SEEDS) % SEEDS };
}

/** A completion's `logprobs` is the number of the likeliest tokens that are told beside each; a chat has a field of its own for that. */
function readCompletionLogprobs(given: Body): Body {
  const { logprobs } = given;
  if (given.top_logprobs) throw bad("top_logprobs", "top_logprobs is for chats; the logprobs of a completion is that number.");
  if (logprobs === undefined) return {};
  const { min, max } = REPLY_OPTIONS.topLogprobs;
  if (typeof logprobs === "number" && Number.isInteger(logprobs) && logprobs >= min && logprobs <= max) {
    return { logprobs: true, top_logprobs: logprobs };
  }
  throw bad("logprobs", `logprobs must be a whole number from ${min} to ${max}.`);
}

/** The name that most local servers have for repeat_penalty. */
function readRepetition(given: Body): Body {
  const { repetition_penalty: value } = given;
  if (value === undefined) return {};
  const name = "repetition_penalty";
  if ("repeat_penalty" in given) throw bad(name, `${name} and repeat_penalty are the same; give one of them.`);
  const { min, max } = REPLY_OPTIONS.repeatPenalty;
  if (typeof value === "number" && value >= min && value <= max) return { repeat_penalty: value };
  throw bad(name, `${name} must be a number from ${min} to ${max}.`);
}
