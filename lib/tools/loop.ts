// Owns what happens between two replies of one stream: the calls of the first are run, and their results are asked about in the next. JS thread of
// the model. The stream's core (lib/stream/stream-core.ts) says what has come, and opens what is asked next.
//
// Calls are run where each of them can be: one whose tool has no execute() is the caller's, and so are those beside it, since nobody wants half
// of them run. What a model writes wrong (arguments, a name) is told to the model; only what execute() throws may go to the caller.

import type { NativeFinish, NativeRequest } from "../addon/contract.js";
import { quote, quoteError } from "../base/quote.js";
import type { Item } from "../engine/items.js";
import { MOST_TEXT, plainJson } from "../options/foreign.js";
import { readableArguments } from "../options/messages.js";
import type { ReplySettings } from "../options/options.js";
import { isPlainObject } from "../options/rules.js";
import type { ReadTool } from "../options/tools.js";
import type { NextStep, Steps } from "../stream/steps.js";
import { CallCollector } from "../stream/tool-calls.js";
import type { StreamWatch } from "../stream/watch.js";
import type { Message, Step, ToolCall, ToolResult, Usage } from "../types.js";

/** What runs the calls of a reply; undefined where nobody runs any, nor wants to hear of steps. */
export function stepsOf(settings: ReplySettings, watch?: StreamWatch): Steps | undefined {
  const { request, shape, steps } = settings;
  return runsTools(settings) || steps.onStep !== undefined ? new ToolLoop(request, shape.tools, steps, watch) : undefined;
}

/** Whether calls are run where the model makes any. */
export function runsTools({ shape, steps }: ReplySettings): boolean {
  return steps.most > 1 && shape.tools.some(({ execute }) => execute !== undefined);
}

class ToolLoop implements Steps {
  readonly #tools: ReadonlyMap<string, ReadTool>;
  readonly #settings: ReplySettings["steps"];
  readonly #watch: StreamWatch | undefined;
  readonly #abort = new AbortController();
  #request: NativeRequest;
  #messages: readonly Message[] | undefined;
  readonly #done: Step[] = [];
  readonly #run = new WeakSet<Step>();
  /** Of the steps before the one that is under way. */
  #used: Usage = { promptTokens: 0, completionTokens: 0, totalTokens: 0, cachedTokens: 0 };

  // The step that is under way.
  #text = "";
  #reasoning = "";
  #calls = new CallCollector();

  constructor(request: NativeRequest, tools: readonly ReadTool[], settings: ReplySettings["steps"], watch: StreamWatch | undefined) {
    this.#request = request;
    this.#watch = watch;
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]));
    this.#settings = settings;
  }

  on(item: Item): void {
    if (typeof item === "string") this.#text += item;
    else if (item.type === "reasoning") this.#reasoning += item.text;
    else if (item.type === "toolCall") this.#calls.add(item);
  }

  next(finish: NativeFinish): Promise<NextStep> | undefined {
    const calls = this.#calls.all(finish.reason);
    const runs = finish.reason === "toolCalls" && this.#done.length + 1 < this.#settings.most && this.#canRun(calls);
    const { onStep } = this.#settings;
    if (!runs && onStep === undefined && this.#done.length === 0) return undefined;
    return this.#take(finish, calls, runs);
  }

  abort(reason: unknown): void {
    this.#abort.abort(reason);
  }

  isRun(step: Step): boolean {
    return this.#run.has(step);
  }

  summed(finish: NativeFinish): NativeFinish {
    return { ...finish, usage: sum(this.#used, finish.usage) };
  }

  get done(): readonly Step[] | undefined {
    return this.#done.some((step) => this.#run.has(step)) ? this.#done : undefined;
  }

  #canRun(calls: readonly ToolCall[]): boolean {
    return (
      calls.length > 0 &&
      calls.every((call) => this.#tools.get(call.function.name)?.execute !== undefined || !this.#tools.has(call.function.name))
    );
  }

  async #take(finish: NativeFinish, toolCalls: readonly ToolCall[], runs: boolean): Promise<NextStep> {
    const reasoning = this.#reasoning === "" ? {} : { reasoning: this.#reasoning };
    const said = assistantMessage(this.#text, this.#reasoning, toolCalls);
    const toolResults = runs ? await this.#runAll(toolCalls, said) : [];
    const { reason: finishReason, usage, timings } = finish;
    const step: Step = { index: this.#done.length, text: this.#text, ...reasoning, toolCalls, toolResults, finishReason, usage, timings };
    this.#done.push(step);
    await this.#settings.onStep?.(step);
    if (!runs) return { step, finish };
    this.#run.add(step);
    this.#used = sum(this.#used, usage);
    this.#text = "";
    this.#reasoning = "";
    this.#calls = new CallCollector();
    this.#request = this.#asking([...this.#conversation(), said, ...toolResults.map(toolMessage)]);
    return { step, finish, request: this.#request };
  }

  #conversation(): readonly Message[] {
    this.#messages ??= JSON.parse(this.#request.messages!) as Message[];
    return this.#messages;
  }

  /** The next reply may answer: what had to be called has been. */
  #asking(messages: readonly Message[]): NativeRequest {
    this.#messages = messages;
    const { continueFinalMessage: _, ...reply } = this.#request.reply!;
    if (reply.toolChoice === "required") reply.toolChoice = "auto";
    return { ...this.#request, reply, messages: JSON.stringify(messages) };
  }

  async #runAll(calls: readonly ToolCall[], said: Message): Promise<ToolResult[]> {
    const messages = [...this.#conversation(), said];
    try {
      return await Promise.all(calls.map((call) => this.#runWatched(call, messages)));
    } catch (error) {
      this.#abort.abort(error); // the others run for nothing
      throw error;
    }
  }

  #runWatched(call: ToolCall, messages: readonly Message[]): Promise<ToolResult> {
    const run = () => this.#runOne(call, messages);
    return this.#watch === undefined ? run() : this.#watch.runs(call, run);
  }

  async #runOne({ id: toolCallId, function: { name, arguments: text } }: ToolCall, messages: readonly Message[]): Promise<ToolResult> {
    const told = (content: string, failure?: ToolResult["failure"]): ToolResult => ({
      toolCallId,
      name,
      content,
      ...(failure === undefined ? {} : { failure }),
    });
    const tool = this.#tools.get(name);
    if (tool === undefined)
      return told(`Error: there is no tool ${quote(name)}; there are: ${[...this.#tools.keys()].join(", ")}.`, "unknown");
    const args = await readArguments(text, tool);
    if ("issue" in args) return told(`Error: ${args.issue}.`, "arguments");
    try {
      this.#abort.signal.throwIfAborted();
      const result: unknown = await tool.execute!(args.value as never, { signal: this.#abort.signal, toolCallId, messages });
      return told(contentOf(result, name));
    } catch (error) {
      if (this.#settings.errors === "throw") throw error;
      return told(`Error: ${quoteError(error)}`, "execute");
    }
  }
}

/** The arguments as the schema makes them. */
async function readArguments(text: string, tool: ReadTool): Promise<{ value: unknown } | { issue: string }> {
  let value: unknown;
  try {
    value = text.trim() === "" ? {} : JSON.parse(text);
  } catch (error) {
    return { issue: `the arguments are not valid JSON (${quoteError(error)})` };
  }
  if (!isPlainObject(value)) return { issue: `the arguments must be a JSON object; given ${quote(value)}` };
  if (tool.validate === undefined) return { value };
  try {
    const checked = await tool.validate(value);
    return "issue" in checked ? { issue: `the arguments do not fit: ${checked.issue}` } : checked;
  } catch (error) {
    return { issue: `the arguments could not be checked: ${quoteError(error)}` };
  }
}

const KINDS_OF_JSON: ReadonlySet<string> = new Set(["String", "Number", "Boolean", "Null", "Object", "Array"]);

/** What the model is told: text as it is, anything else as JSON. An error that is given back counts as thrown. */
function contentOf(result: unknown, name: string): string {
  if (result === undefined) return "";
  if (result instanceof Error) throw result;
  const kind = Object.prototype.toString.call(result).slice(8, -1);
  if (!KINDS_OF_JSON.has(kind) && typeof (result as { toJSON?: unknown }).toJSON !== "function") {
    throw new Error(`the result of ${name} is a ${kind}, which JSON has nothing for; return a text, or plain objects and arrays`);
  }
  const text = typeof result === "string" ? result.toWellFormed() : JSON.stringify(plainJson(result, `the result of ${name}`));
  if (text.length > MOST_TEXT) throw new Error(`the result of ${name} has ${text.length} characters; at most ${MOST_TEXT} can be told`);
  return text;
}

function assistantMessage(text: string, reasoning: string, calls: readonly ToolCall[]): Message {
  const thought = reasoning === "" ? {} : { reasoning_content: reasoning };
  return {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    ...thought,
    tool_calls: calls.map(withReadableArguments),
  };
}

/** Templates parse the arguments of the history: what is no object as JSON is told as text. */
function withReadableArguments(call: ToolCall): ToolCall {
  const { name, arguments: text } = call.function;
  return { ...call, function: { name, arguments: readableArguments(text) } };
}

function toolMessage({ toolCallId, name, content }: ToolResult): Message {
  return { role: "tool", tool_call_id: toolCallId, name, content };
}

function sum(a: Usage, b: Usage): Usage {
  const reasoning = (a.reasoningTokens ?? 0) + (b.reasoningTokens ?? 0);
  const thought = a.reasoningTokens === undefined && b.reasoningTokens === undefined ? {} : { reasoningTokens: reasoning };
  const accepted = sumOfTold(a.acceptedPredictionTokens, b.acceptedPredictionTokens);
  const rejected = sumOfTold(a.rejectedPredictionTokens, b.rejectedPredictionTokens);
  return {
    promptTokens: a.promptTokens + b.promptTokens,
    completionTokens: a.completionTokens + b.completionTokens,
    totalTokens: a.totalTokens + b.totalTokens,
    cachedTokens: a.cachedTokens + b.cachedTokens,
    ...thought,
    ...(accepted === undefined ? {} : { acceptedPredictionTokens: accepted }),
    ...(rejected === undefined ? {} : { rejectedPredictionTokens: rejected }),
  };
}

function sumOfTold(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0);
}
