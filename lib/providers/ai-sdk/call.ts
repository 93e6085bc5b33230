// Owns what the AI SDK's settings of a call are as options of a reply, and the warnings about those that there are not here. Pure; any thread.

import { cutName, quote } from "../../base/quote.js";
import { bad } from "../../errors.js";
import { entriesOf } from "../../options/foreign.js";
import { isPlainObject } from "../../options/rules.js";
import type { FunctionTool, ReasoningOption, ReplyOptionsInput, ResponseFormat, ToolChoice } from "../../types.js";
import { isFrameworks, over } from "../own-options.js";
import type { CallOptions, CallTool, CallWarning } from "./specification.js";

export interface ReadCall {
  options: ReplyOptionsInput;
  warnings: CallWarning[];
}

/**
 * @param defaults options of every reply of the model; a call's own go before them, and `providerOptions.zstream` before these
 * @throws ZSEError BAD_OPTION; ranges are checked where the stream is opened
 */
export function readCall(call: CallOptions, defaults: ReplyOptionsInput): ReadCall {
  const warnings: CallWarning[] = [];
  const tools = readTools(call.tools ?? [], warnings);
  const asked: Record<string, unknown> = {
    maxTokens: call.maxOutputTokens,
    temperature: call.temperature,
    topP: call.topP,
    topK: call.topK,
    presencePenalty: call.presencePenalty,
    frequencyPenalty: call.frequencyPenalty,
    stop: call.stopSequences === undefined || call.stopSequences.length === 0 ? undefined : call.stopSequences,
    seed: call.seed,
    responseFormat: readFormat(call.responseFormat),
    reasoning: readReasoning(call.reasoning, warnings),
  };
  const options = over(over(defaults as Record<string, unknown>, asked), readOwn(call.providerOptions?.zstream));
  return {
    options: {
      ...options,
      ...(call.abortSignal === undefined ? {} : { signal: call.abortSignal }),
      ...(tools.length === 0 ? {} : { tools }),
      ...readChoice(call.toolChoice, tools.length),
    },
    warnings,
  };
}

function readOwn(given: unknown): Record<string, unknown> {
  if (given === undefined) return {};
  const where = "providerOptions.zstream";
  if (!isPlainObject(given)) throw bad(where, `${where} must be an object of a reply's options; given ${quote(given)}.`);
  const own = Object.fromEntries(entriesOf(given, where));
  const not = Object.keys(own).find(isFrameworks);
  if (not !== undefined)
    throw bad(`${where}.${cutName(not)}`, `${where}.${cutName(not)} is the AI SDK's to say: give it to the call itself.`);
  return own;
}

function readTools(tools: readonly CallTool[], warnings: CallWarning[]): FunctionTool[] {
  const read: FunctionTool[] = [];
  for (const tool of tools) {
    if (tool.type !== "function") {
      warnings.push({
        type: "unsupported",
        feature: `tool ${tool.id}`,
        details: "It is one that its provider runs; the model is not shown it.",
      });
      continue;
    }
    const { name, description, inputSchema: parameters, inputExamples, strict } = tool;
    if (inputExamples !== undefined && inputExamples.length > 0) {
      warnings.push({ type: "unsupported", feature: `inputExamples of tool ${name}`, details: "The model is not shown them." });
    }
    read.push({ type: "function", function: { name, description, parameters, strict } });
  }
  return read;
}

/** The SDK sends "auto" along where no tool is left, too. */
function readChoice(choice: CallOptions["toolChoice"], tools: number): { toolChoice?: ToolChoice } {
  if (choice === undefined || (tools === 0 && (choice.type === "auto" || choice.type === "none"))) return {};
  return { toolChoice: choice.type === "tool" ? { name: choice.toolName } : choice.type };
}

function readFormat(format: CallOptions["responseFormat"]): ResponseFormat | undefined {
  if (format === undefined || format.type === "text") return undefined;
  return format.schema === undefined ? { type: "json_object" } : { type: "json_schema", schema: format.schema };
}

function readReasoning(effort: CallOptions["reasoning"], warnings: CallWarning[]): ReasoningOption | undefined {
  if (effort === undefined || effort === "provider-default") return undefined;
  if (effort !== "max") return { effort };
  warnings.push({ type: "compatibility", feature: "reasoning", details: '"xhigh" is the most that templates know; taken for "max".' });
  return { effort: "xhigh" };
}
