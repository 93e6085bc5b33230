// Owns reading the body of a request in Ollama's formats: which of its fields are whose options here. Pure; any thread. Ranges of options that have
// the same name in the library, and the shapes of messages and tools, are the library's to check.

import { quote } from "../../../base/quote.js";
import { wireOptions } from "../../../options/table.js";
import type { Message, ReplyOptionsInput } from "../../../types.js";
import { bad, type Fields, isObject, readBoolean, saidFields, unsupported } from "../fields.js";
import type { Ask, WireRequest } from "../format.js";
import { strangersIn } from "../ignored.js";
import { knownParts } from "../known-parts.js";
import { readModel } from "../openai-chat/request.js";
import { loaded, type OllamaKind } from "./lines.js";

const READ_HERE = [
  ...[
    "model",
    "messages",
    "prompt",
    "suffix",
    "system",
    "raw",
    "stream",
    "options",
    "format",
    "think",
    "tools",
    "logprobs",
    "top_logprobs",
  ],
  // How long a model stays is the server's to say; 0 has a meaning where nothing else is asked.
  "keep_alive",
];
/** What would change the answer. */
const UNSUPPORTED = ["template", "context", "images", "width", "height", "steps"];
const KNOWN: ReadonlySet<string> = new Set([...READ_HERE, ...UNSUPPORTED]);
/** Of `options`: how the model is opened, which is done. */
const OF_THE_ENGINE = new Set([
  ...["num_ctx", "num_batch", "num_gpu", "main_gpu", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mmap", "use_mlock"],
  ...["embedding_only", "num_thread", "num_keep", "numa", "penalize_newline"],
]);
/** Of `options`: the library's own, under the names that a body of OpenAI's has for them. */
const ELSEWHERE = ["tools", "tool_choice", "parallel_tool_calls", "response_format", "continue_final_message", "logprobs", "top_logprobs"];
const OPTIONS = new Map([...wireOptions("body")].filter(([name]) => !ELSEWHERE.includes(name)));
/** Fields of a message; others mean nothing here. */
const MESSAGE = ["role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"];

/** @throws WireError 400 naming the field */
export function readRequest(kind: OllamaKind, body: unknown): WireRequest {
  if (!isObject(body)) throw bad("", "The body must be a JSON object.");
  const given = saidFields(body);
  refuseUnsupported(given);
  const raw = readBoolean(given, "raw") ?? false;
  const options = { ...readOptions(given.options), ...readFormat(given.format), ...readThink(given.think), ...readLogprobs(given) };
  if (Array.isArray(given.tools) ? given.tools.length > 0 : given.tools !== undefined) options.tools = given.tools;
  const model = readModel(given);
  const ask = kind === "chat" ? readChat(given) : readPrompt(given, raw);
  const ignored = [...strangersIn(given, (name) => KNOWN.has(name)), ...engineOptionsIn(given.options)];
  const asksNothing = "messages" in ask ? ask.messages.length === 0 : ask.suffix === undefined && ask.prompts[0] === "";
  return {
    model,
    stream: readBoolean(given, "stream") ?? true,
    choices: 1,
    includeUsage: undefined,
    resumable: false,
    ask,
    options: knownParts(options, ignored) as ReplyOptionsInput,
    ignored,
    ...(asksNothing ? asksToLoad(kind, given.keep_alive) : {}),
  };
}

/** Who asks nothing wants the model to be loaded, or with a time of 0 that it be taken out of memory. */
function asksToLoad(kind: OllamaKind, keepAlive: unknown): Pick<WireRequest, "answer" | "unloads"> {
  const unloads = keepAlive === 0 || (typeof keepAlive === "string" && /^0+(?:ns|us|µs|ms|s|m|h)?$/.test(keepAlive));
  return { answer: (name, unloaded) => loaded(kind, name, unloaded), ...(unloads ? { unloads } : {}) };
}

function readChat({ messages = [] }: Fields): Ask {
  if (!Array.isArray(messages)) throw bad("messages", `messages must be an array of messages; given ${quote(messages)}.`);
  return {
    messages: messages.map((message: unknown) => {
      if (!isObject(message)) return message;
      return Object.fromEntries(MESSAGE.filter((name) => Object.hasOwn(message, name)).map((name) => [name, message[name]]));
    }) as Message[],
  };
}

/** A prompt is a user's message, unless it is raw, or what stands before a suffix: then it goes to the model as it is. */
function readPrompt({ prompt = "", system, suffix = "" }: Fields, raw: boolean): Ask {
  if (typeof prompt !== "string") throw bad("prompt", `prompt must be a string; given ${quote(prompt)}.`);
  if (system !== undefined && typeof system !== "string") throw bad("system", `system must be a string; given ${quote(system)}.`);
  if (typeof suffix !== "string") throw bad("suffix", `suffix must be a string; given ${quote(suffix)}.`);
  if (raw || suffix !== "") {
    const other = raw ? "raw" : "suffix";
    if (system) throw bad("system", `system and ${other} exclude each other: without a template nothing could hold it.`);
    return suffix === "" ? { prompts: [prompt] } : { prompts: [prompt], suffix };
  }
  if (prompt === "") return { messages: [] };
  return { messages: [...(system ? [{ role: "system" as const, content: system }] : []), { role: "user", content: prompt }] };
}

function readOptions(options: unknown): Fields {
  if (options === undefined) return {};
  if (!isObject(options)) throw bad("options", `options must be an object; given ${quote(options)}.`);
  const read: Fields = {};
  for (const [name, value] of Object.entries(options)) {
    if (value === null || value === undefined) continue;
    const known = OPTIONS.get(name);
    if (known !== undefined) read[name] = value === known.off ? 0 : value;
    else if (name === "num_predict") Object.assign(read, readLimit(value));
    else if (name === "seed") Object.assign(read, readSeed(value));
    else if (name === "tfs_z" && value !== 1) throw unsupported("options.tfs_z", "options.tfs_z is not supported here; leave it out.");
  }
  if (Array.isArray(read.stop) && read.stop.length === 0) delete read.stop;
  return read;
}

/** -1 and -2 are up to the end of the context. */
function readLimit(limit: unknown): Fields {
  if (limit === -1 || limit === -2) return {};
  if (typeof limit === "number" && Number.isInteger(limit) && limit >= 1) return { max_tokens: Math.min(limit, 2 ** 31 - 1) };
  throw bad("options.num_predict", `options.num_predict must be a whole number from 1 (-1 is no limit); given ${quote(limit)}.`);
}

/** -1 draws one. */
function readSeed(seed: unknown): Fields {
  if (seed === -1) return {};
  if (typeof seed === "number" && Number.isInteger(seed) && seed >= 0) return { seed: seed % (2 ** 32 - 1) };
  throw bad("options.seed", `options.seed must be a whole number from 0 (-1 draws one); given ${quote(seed)}.`);
}

function engineOptionsIn(options: unknown): string[] {
  return isObject(options) ? strangersIn(options, (name) => !OF_THE_ENGINE.has(name)).map((name) => `options.${name}`) : [];
}

function readFormat(format: unknown): Fields {
  if (format === undefined || format === "") return {};
  if (format === "json") return { response_format: { type: "json_object" } };
  if (isObject(format)) return { response_format: { type: "json_schema", schema: format } };
  throw bad("format", `format must be "json" or a JSON Schema; given ${quote(format)}.`);
}

function readThink(think: unknown): Fields {
  if (think === undefined) return {};
  if (typeof think === "boolean") return { reasoning: think ? "on" : "off" };
  if (think === "low" || think === "medium" || think === "high") return { reasoning: { effort: think } };
  throw bad("think", `think must be true, false, "low", "medium" or "high"; given ${quote(think)}.`);
}

function readLogprobs(given: Fields): Fields {
  const logprobs = readBoolean(given, "logprobs");
  return logprobs === true ? { logprobs, ...(given.top_logprobs === undefined ? {} : { top_logprobs: given.top_logprobs }) } : {};
}

function refuseUnsupported(given: Fields): void {
  for (const name of UNSUPPORTED) {
    const value = given[name];
    const asksNothing = value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
    if (!asksNothing) throw unsupported(name, `${name} is not supported here; leave it out.`);
  }
}
