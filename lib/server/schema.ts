// Owns the check of a request's body: every field, by one schema (zod). Pure; any thread. The first thing that is wrong becomes
// OpenAI's error, naming the field. Of unknown fields nothing is looked at or copied: z.object() reads only those that it names.

import { z } from "zod";

import { fieldPath } from "../base/quote.js";
import { messages } from "../http/formats/anthropic/index.js";
import { isObject } from "../http/formats/fields.js";
import type { WireFormat } from "../http/formats/format.js";
import { ollamaChat, ollamaGenerate } from "../http/formats/ollama/index.js";
import { chatCompletions, completions } from "../http/formats/openai-chat/index.js";
import { EFFORTS } from "../http/formats/openai-chat/reply-fields.js";
import { LARGEST_SEED, SEED_RULE } from "../http/formats/openai-chat/request.js";
import { responses } from "../http/formats/openai-responses/index.js";
import { WireError } from "../http/formats/wire-error.js";
import { MOST_PARTS } from "../options/foreign.js";
import { type Option, REPLY_OPTIONS, wireOptions } from "../options/table.js";

export interface BodyLimits {
  maxMessages: number;
  maxChoices: number;
}

const text = z.string();
const TOKEN = /^\d{1,10}$/;
const BIAS = z.number().min(-100).max(100);

const KINDS: Readonly<Record<string, string>> = {
  ...{ string: "a string", number: "a number", int: "a whole number", boolean: "true or false", array: "an array", object: "an object" },
};
const COUNTED: Readonly<Record<string, string>> = { string: "character", array: "item" };

/** What is wrong, in the words that the library has for it: zod's are for programmers. A schema's own sentence goes before these. */
const inWords: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${KINDS[issue.expected] ?? issue.expected}`;
    case "too_small":
    case "too_big": {
      const [bound, limit] = issue.code === "too_small" ? ["least", issue.minimum] : ["most", issue.maximum];
      const unit = COUNTED[issue.origin];
      return unit === undefined
        ? `must be at ${bound} ${limit}`
        : `must have at ${bound} ${limit} ${unit}${Number(limit) === 1 ? "" : "s"}`;
    }
    case "invalid_value":
      return `must be ${issue.values.length === 1 ? "" : "one of "}${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
    default:
      return undefined;
  }
};

/** What the table of options says of one. Those that it leaves to a reader of their own have their schema here. */
function ofRule(option: Option): z.ZodType {
  switch (option.kind) {
    case "number":
      return z.number().min(option.min).max(option.max);
    case "integer":
      return z.int().min(option.min).max(option.max);
    case "boolean":
      return z.boolean();
    case "enum":
      return z.enum(option.values);
    default:
      return z.unknown();
  }
}

/** All options that a part of the body has. */
function byTable(place: "body" | "stream_options"): Record<string, z.ZodType> {
  return Object.fromEntries([...wireOptions(place)].map(([name, option]) => [name, inBody(option).nullish()]));
}

/** Numbers between `off` and the range are the library's to refuse. */
function inBody(option: Option): z.ZodType {
  if (option.off === undefined || (option.kind !== "number" && option.kind !== "integer")) return ofRule(option);
  return ofRule({ ...option, min: option.off });
}

/** An array that is looked at up to its first wrong item: zod's own array makes issues of all of them, a second's work for a full body. */
function listOf(item: z.ZodType, { min = 0, max = Number.POSITIVE_INFINITY } = {}) {
  const list = z.array(z.unknown()).min(min, { abort: true });
  return (max === Number.POSITIVE_INFINITY ? list : list.max(max, { abort: true })).superRefine((items, context) => {
    for (const [index, one] of items.entries()) {
      const issue = item.safeParse(one, { error: inWords }).error?.issues[0];
      if (issue === undefined) continue;
      context.addIssue({ code: "custom", message: issue.message, path: [index, ...issue.path], continue: false });
      return;
    }
  });
}

/** As an object of numbers, and likewise looked at up to its first wrong entry. */
const biases = z.custom<object>(isObject, "must be an object").superRefine((given, context) => {
  for (const [token, bias] of Object.entries(given)) {
    const wrong = TOKEN.test(token)
      ? BIAS.safeParse(bias, { error: inWords }).error?.issues[0]?.message
      : "is no token id (a whole number from 0)";
    if (wrong === undefined) continue;
    context.addIssue({ code: "custom", message: wrong, path: [token], continue: false });
    return;
  }
});

/** A union says of itself only "Invalid input": what it takes is ours to say. */
const part = z.union([
  z.object({ type: z.enum(["text", "input_text", "output_text"]), text }),
  z.object({ type: z.literal("refusal"), refusal: text }),
]);
const content = z.union([text, listOf(part, { max: MOST_PARTS })], {
  error: `must be a string or an array of { type: "text", text } (up to ${MOST_PARTS}), the only kind of part that is read here`,
});
const stops = z.union([text.min(1).max(256), z.array(text.min(1).max(256)).max(16)], {
  error: "must be a string of 1 to 256 characters, or an array of up to 16 of them",
});
const toolCall = z.object({
  id: text.nullish(),
  type: z.literal("function").nullish(),
  function: z.object({ name: text, arguments: z.union([text, z.custom<object>(isObject)]).nullish() }),
});
/** What its parameters may be is the library's to say. */
const functionTool = z.object({
  type: z.literal("function", { error: 'must be "function", the only kind of tool there is here' }),
  function: z.object({ name: text, description: text.nullish(), strict: z.boolean().nullish() }),
});
const message = z.object({
  role: z.enum(["system", "developer", "user", "assistant", "tool", "function"]),
  content: content.nullish(),
  name: text.nullish(),
  tool_calls: listOf(toolCall, { max: MOST_PARTS }).nullish(),
  tool_call_id: text.nullish(),
  reasoning_content: text.nullish(),
  reasoning: text.nullish(),
  thinking: text.nullish(),
  refusal: text.nullish(),
  tool_name: text.nullish(),
  function_call: z.object({ name: text, arguments: text.nullish() }).nullish(),
});
const count = z.int().min(1);
const streamOptions = z.strictObject({
  include_usage: z.boolean().nullish(),
  continuous_usage_stats: z.boolean().nullish(),
  include_obfuscation: z.boolean().nullish(),
  ...byTable("stream_options"),
  resumable: z.boolean().nullish(),
});
/** Of 64 bits, unlike z.int(). */
const seed = z.number(SEED_RULE).refine((given) => Number.isInteger(given) && Math.abs(given) <= LARGEST_SEED, SEED_RULE);
/** Fields of both routes. Ones that are not listed are let pass: newer clients send more than older servers know. */
function common({ maxChoices }: BodyLimits) {
  return {
    model: text.nullish(),
    stream: z.boolean().nullish(),
    stream_options: streamOptions.nullish(),
    n: z.int().min(1).max(maxChoices).nullish(),
    max_tokens: count.nullish(),
    ...byTable("body"),
    repetition_penalty: ofRule(REPLY_OPTIONS.repeatPenalty).nullish(),
    seed: seed.nullish(),
    stop: stops.nullish(),
    logit_bias: biases.nullish(),
    tools: listOf(functionTool).nullish(),
    response_format: z.object({ type: z.enum(["text", "json_object", "json_schema", "grammar"]) }).nullish(),
    reasoning_effort: z.enum(EFFORTS).nullish(),
    enable_thinking: z.boolean().nullish(),
    chat_template_kwargs: z.custom<object>(isObject, "must be an object").nullish(),
    user: text.nullish(),
  };
}

/** Items are finer than messages: a message that thinks and calls is several of them. */
const ITEMS_OF_A_MESSAGE = 4;

/** What is in the items of a response is its own reader's to check; here are the limits, and the fields that a chat has too. */
function responseOf(limits: BodyLimits): z.ZodType {
  const { max_tokens: _, tools: _tools, response_format: _format, ...shared } = common(limits);
  const input = z.union([text, listOf(z.unknown(), { max: ITEMS_OF_A_MESSAGE * limits.maxMessages })], {
    error: `must be a string, or an array of up to ${ITEMS_OF_A_MESSAGE * limits.maxMessages} items`,
  });
  return z.object({ ...shared, input: input.nullish(), max_output_tokens: count.nullish(), previous_response_id: text.nullish() });
}

/** The check of a body in one of the formats. It throws WireErrors. */
export function bodyCheck(limits: BodyLimits): (body: unknown, format: WireFormat) => void {
  const schemas = new Map<WireFormat, z.ZodType>([
    [
      chatCompletions,
      z.object({
        ...common(limits),
        messages: listOf(message, { min: 1, max: limits.maxMessages }),
        max_completion_tokens: count.nullish(),
      }),
    ],
    // These formats check their fields themselves, since they become others: here is only what the server asks for.
    [messages, z.object({ model: text.nullish(), messages: listOf(z.unknown(), { min: 1, max: limits.maxMessages }) })],
    [ollamaGenerate, z.object({ model: text.nullish() })],
    [ollamaChat, z.object({ model: text.nullish(), messages: listOf(z.unknown(), { max: limits.maxMessages }).nullish() })],
    [
      completions,
      // Its prompt is the reader's to check, which looks at each token id once; and whether no tokens are a limit, beside echo.
      z.object({ ...common(limits), max_tokens: z.int().min(0).nullish(), logprobs: ofRule(REPLY_OPTIONS.topLogprobs).nullish() }),
    ],
    [responses, responseOf(limits)],
  ]);
  return (body, format) => {
    const schema = schemas.get(format);
    if (schema !== undefined) check(schema, body);
  };
}

function check(schema: z.ZodType, body: unknown): void {
  const result = schema.safeParse(body, { error: inWords });
  if (result.success) return;
  const issue = result.error.issues[0]!;
  const path = issue.path as (string | number)[]; // of JSON: there are no symbols
  const stranger = issue.code === "unrecognized_keys" ? issue.keys[0]! : undefined;
  const param = fieldPath(stranger === undefined ? path : [...path, stranger]);
  const where = param === "" ? "The body" : param;
  const value = valueAt(body, issue.path);
  const given = typeof value === "number" && !issue.message.startsWith("is no ") ? `; given ${value}` : ""; // no text: errors are logged, and prompts are not
  const message = stranger === undefined ? issue.message : "is not a field here"; // zod's names them all
  const said = /^(must|is) /.test(message) ? ` ${message}` : `: ${message}`;
  throw new WireError(400, `${where}${said}${given}.`, { param: param === "" ? undefined : param, code: "invalid_value" });
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((value, part) => (value as Record<PropertyKey, unknown> | undefined)?.[part], body);
}
