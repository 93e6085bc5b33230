// Owns reading the body of a Messages request: which of its fields are whose options here. Pure; any thread. Ranges of options that have the
// same name in the library are the library's to check.

import { quote } from "../../../base/quote.js";
import { wireOptions } from "../../../options/table.js";
import type { ReplyOptionsInput } from "../../../types.js";
import { bad, type Fields, isObject, readBoolean, saidFields } from "../fields.js";
import type { WireRequest } from "../format.js";
import { strangersIn } from "../ignored.js";
import { CHUNKING, readContinuous, readModel, readStreamOptions } from "../openai-chat/request.js";
import { WireError } from "../wire-error.js";
import { goesOn, readConversation, refuseFields } from "./conversation.js";
import { NO_THREADS } from "./errors.js";
import { readToolChoice, readTools } from "./tools.js";

/** Told to the writer: thoughts are announced, and not told. */
export const OMITS_THINKING = "omitsThinking";

const READ_HERE = [
  ...["model", "messages", "system", "max_tokens", "stream", "stream_options", "stop_sequences", "seed"],
  ...["tools", "tool_choice", "thinking", "output_config", "output_format", "thread"],
];
/** Known, without a meaning for a local model: who is asked for what, where, and for how much. */
const IGNORED = [
  ...["metadata", "service_tier", "inference_geo", "speed", "diagnostics", "user_profile_id", "workspace_id", "billing_policy"],
  ...["cache_control", "context_management", "betas", "anthropic_version", "fallbacks", "fallback_credit_token"],
];
/** What would change the answer. */
const UNSUPPORTED = ["container", "mcp_servers", "compaction", "logprobs", "top_logprobs", "n"];
/** Beyond what Anthropic's API has: options of the library that a body of OpenAI's has under the same names. */
const ELSEWHERE = new Set(["stop", "tools", "tool_choice", "parallel_tool_calls", "response_format", "continue_final_message"]);
const OPTIONS = [...wireOptions("body")].filter(([name]) => !ELSEWHERE.has(name) && !UNSUPPORTED.includes(name));
const KNOWN: ReadonlySet<string> = new Set([...READ_HERE, ...IGNORED, ...UNSUPPORTED, ...OPTIONS.map(([name]) => name)]);
const EFFORTS: Readonly<Record<string, string>> = { low: "low", medium: "medium", high: "high", xhigh: "xhigh", max: "xhigh" };
const MOST_STOPS = 16;
const LONGEST_STOP = 256;

/** @throws WireError 400 naming the field */
export function readRequest(body: unknown): WireRequest {
  if (!isObject(body)) throw bad("", "The body must be a JSON object.");
  const given = saidFields(body);
  const stream = readStream(given);
  const { chunking, ...told } = readStreamed(given, stream);
  refuseFields(given, UNSUPPORTED);
  refuseThread(given);
  const conversation = readConversation(given.system, given.messages);
  const thinking = readThinking(given);
  const options: Fields = { ...chunking };
  for (const [name, { off }] of OPTIONS) if (name in given) options[name] = given[name] === off ? 0 : given[name];
  Object.assign(options, readLimit(given), readStops(given), thinking.options, readFormat(given));
  const tools = readTools(given.tools);
  Object.assign(options, tools, readToolChoice(given.tool_choice, "tools" in tools));
  if ("seed" in given) options.seed = given.seed;
  if (goesOn(conversation)) options.continue_final_message = true;
  return {
    model: readModel(given),
    stream,
    choices: 1,
    includeUsage: undefined,
    ...told,
    ask: { messages: conversation },
    options: options as ReplyOptionsInput,
    ignored: [...strangersIn(given, (name) => KNOWN.has(name)), ...(given.context_management === undefined ? [] : ["context_management"])],
    ...(thinking.omitted ? { echo: OMITS_THINKING } : {}),
  };
}

/** A conversation that the server keeps. */
function refuseThread({ thread }: Fields): void {
  if (thread === undefined) return;
  throw new WireError(400, "thread is not supported here; send all messages each time.", { param: "thread", code: NO_THREADS });
}

function readStream({ stream = false }: Fields): boolean {
  if (typeof stream === "boolean") return stream;
  throw bad("stream", `stream must be true or false; given ${quote(stream)}.`);
}

/** As a chat has them. Of usage there is nothing to choose: the first event tells it, and the last but one. */
function readStreamed(given: Fields, stream: boolean): { chunking: Fields; resumable: boolean; obfuscate: boolean | undefined } {
  const options = readStreamOptions(given, stream);
  const flag = (name: string) => readBoolean(options, name, `stream_options.${name}`);
  flag("include_usage");
  readContinuous(options);
  return {
    chunking: Object.fromEntries(CHUNKING.filter((name) => name in options).map((name) => [name, options[name]])),
    resumable: flag("resumable") ?? false,
    obfuscate: flag("include_obfuscation"),
  };
}

/** Anthropic's API asks for it; here it may be left out, and the reply goes up to the end of the context. */
function readLimit({ max_tokens: limit }: Fields): Fields {
  if (limit === undefined) return {};
  if (typeof limit === "number" && Number.isInteger(limit) && limit >= 1) return { max_tokens: Math.min(limit, 2 ** 31 - 1) };
  throw bad("max_tokens", `max_tokens must be a whole number from 1; given ${quote(limit)}.`);
}

function readStops({ stop_sequences: stops }: Fields): Fields {
  if (stops === undefined) return {};
  const fits =
    Array.isArray(stops) &&
    stops.length <= MOST_STOPS &&
    stops.every((one) => typeof one === "string" && one.length >= 1 && one.length <= LONGEST_STOP);
  if (fits) return { stop: stops };
  const what = `an array of up to ${MOST_STOPS} strings of 1 to ${LONGEST_STOP} characters`;
  throw bad("stop_sequences", `stop_sequences must be ${what}; given ${quote(stops)}.`);
}

interface Thinking {
  options: Fields;
  omitted: boolean;
}

/** Left out, the model does not think: so it is in Anthropic's API, and max_tokens is then the answer's. Templates that cannot do without still do. */
function readThinking({ thinking = { type: "disabled" }, output_config }: Fields): Thinking {
  const effort = readEffort(output_config);
  const { type, budget_tokens: budget, display } = isObject(thinking) ? thinking : {};
  if (display !== undefined && display !== null && display !== "summarized" && display !== "omitted") {
    throw bad("thinking.display", `thinking.display must be "summarized" or "omitted"; given ${quote(display)}.`);
  }
  const omitted = display === "omitted";
  // Effort is a variable of templates that know it: where a model cannot think at all, it is no reason to refuse.
  const variables = effort === undefined ? {} : { template_arguments: { reasoning_effort: effort } };
  switch (type) {
    case "disabled":
      return { options: { reasoning: "off" }, omitted };
    case "adaptive":
      return { options: variables, omitted };
    case "enabled":
      if (typeof budget !== "number" || !Number.isInteger(budget) || budget < 1 || budget >= 2 ** 31) {
        throw bad("thinking.budget_tokens", `thinking.budget_tokens must be a whole number of tokens from 1; given ${quote(budget)}.`);
      }
      return { options: { reasoning: { budgetTokens: budget }, ...variables }, omitted };
    default:
      throw bad("thinking.type", `thinking.type must be "enabled", "adaptive" or "disabled"; given ${quote(type)}.`);
  }
}

function readEffort(config: unknown): string | undefined {
  if (config === undefined) return undefined;
  if (!isObject(config)) throw bad("output_config", `output_config must be an object; given ${quote(config)}.`);
  refuseFields(config, ["task_budget"], "output_config");
  const { effort } = config;
  if (effort === undefined || effort === null) return undefined;
  if (typeof effort === "string" && Object.hasOwn(EFFORTS, effort)) return EFFORTS[effort];
  const known = Object.keys(EFFORTS).map((one) => `"${one}"`);
  throw bad("output_config.effort", `output_config.effort must be one of ${known.join(", ")}; given ${quote(effort)}.`);
}

/** output_format is the name that it had in the beta. */
function readFormat({ output_config, output_format }: Fields): Fields {
  const inner = isObject(output_config) ? (output_config.format ?? undefined) : undefined;
  if (inner !== undefined && output_format !== undefined)
    throw bad("output_format", "output_format and output_config.format are the same; give one of them.");
  const [where, format] = inner === undefined ? ["output_format", output_format] : ["output_config.format", inner];
  if (format === undefined) return {};
  if (!isObject(format) || format.type !== "json_schema" || !isObject(format.schema)) {
    throw bad(where, `${where} must be { type: "json_schema", schema }; given ${quote(format)}.`);
  }
  return { response_format: { type: "json_schema", schema: format.schema } };
}
