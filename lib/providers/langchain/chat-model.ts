// Owns a model as LangChain sees it. JS thread of the model. Works on anything that streams as a ZSE does, and imports nothing native; @langchain/core is
// a peer.
//
// A chunk is made when LangChain asks for one, never before. So a reader that stops parks the stream in the engine, as it does with any other consumer.

import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import type { BaseLanguageModelInput, StructuredOutputMethodOptions } from "@langchain/core/language_models/base";
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type BaseChatModelParams,
  type BindToolsInput,
  type LangSmithParams,
} from "@langchain/core/language_models/chat_models";
import {
  assembleStructuredOutputPipeline,
  createContentParser,
  createFunctionCallingParser,
} from "@langchain/core/language_models/structured_output";
import { AIMessage, type AIMessageChunk, type BaseMessage, type MessageContent } from "@langchain/core/messages";
import type { ChatGenerationChunk, ChatResult } from "@langchain/core/outputs";
import type { Runnable } from "@langchain/core/runnables";
import { convertToOpenAITool } from "@langchain/core/utils/function_calling";
import { toJsonSchema } from "@langchain/core/utils/json_schema";
import { getSchemaDescription, type InteropZodType, isInteropZodSchema } from "@langchain/core/utils/types";
import { cutName, quote } from "../../base/quote.js";
import { bad } from "../../errors.js";
import { isPlainObject } from "../../options/rules.js";
import type { FunctionTool, ReplyOptions, ReplyOptionsInput, ResponseFormat, SnakeCased, StandardSchema, ToolChoice } from "../../types.js";
import { checkModel, eventsOf, type StreamingModel } from "../model.js";
import { isOwnOption, over } from "../own-options.js";
import { ChunkWriter } from "./chunks.js";
import { messagesOf, textOfContent } from "./messages.js";

/** Options of a reply that LangChain does not say in a way of its own. */
type OwnOptions = Omit<
  ReplyOptions,
  "signal" | "stop" | "streamCallback" | "includeUsage" | "tools" | "toolChoice" | "maxSteps" | "toolErrors" | "onStep"
>;

export interface ChatZSEFields extends BaseChatModelParams, OwnOptions, SnakeCased<OwnOptions> {
  /** A ZSE, or anything that streams in its way. Its owner closes it. */
  model: StreamingModel;
  /** The name that traces and replies carry. Default: the name in the model's file. */
  modelName?: string | undefined;
  stop?: string | readonly string[] | undefined;
  /** Other packages' name of `stop`. */
  stopSequences?: readonly string[] | undefined;
  /** `invoke()` tells callbacks each token, too. Default false. */
  streaming?: boolean | undefined;
  /** Milliseconds that a reply may take, where a call does not say. Default: no limit. */
  timeout?: number | undefined;
  /** What every chat model is given; there is nothing to unlock here. */
  apiKey?: string | undefined;
}

export interface ChatZSECallOptions extends BaseChatModelCallOptions, OwnOptions, SnakeCased<OwnOptions> {
  /** Anything that `bindTools()` takes. */
  tools?: BindToolsInput[] | undefined;
  /** Whether `tools` must be enforced exactly. */
  strict?: boolean | undefined;
}

/** Fields that are LangChain's own. */
const BASE_FIELDS = new Set([
  "callbacks",
  "cache",
  "callbackManager",
  "concurrency",
  "disableStreaming",
  "maxConcurrency",
  "maxRetries",
  "metadata",
  "name",
  "onFailedAttempt",
  "outputVersion",
  "tags",
  "verbose",
]);

/**
 * A model of zStream as a chat model of LangChain. All options of a reply can be given to it, and to each call.
 *
 * ```js
 * const chat = new ChatZSE({ model: new ZSE("qwen-7b.gguf"), temperature: 0.5 });
 * for await (const chunk of await chat.stream("Tell me a story")) process.stdout.write(chunk.text);
 * ```
 */
export class ChatZSE extends BaseChatModel<ChatZSECallOptions> {
  readonly #model: StreamingModel;
  readonly #name: string | undefined;
  readonly #options: Record<string, unknown>;
  readonly #timeout: number | undefined;
  readonly streaming: boolean;

  /** @throws ZSEError BAD_OPTION naming a field that there is not; values are checked where a reply is asked for */
  constructor(fields: ChatZSEFields) {
    super(fields ?? {});
    if (!isPlainObject(fields)) throw bad("fields", `new ChatZSE() takes an object { model, …options }; given ${quote(fields)}.`);
    const { model, modelName, stopSequences = [], streaming = false, timeout, apiKey: _, ...rest } = fields as ChatZSEFields;
    checkModel(model, "new ChatZSE()");
    const strange = Object.keys(rest).find((name) => !BASE_FIELDS.has(name) && !isOwnOption(name));
    if (strange !== undefined)
      throw bad(cutName(strange), `${cutName(strange)} is neither an option of a reply nor a field of LangChain's chat models.`);
    this.#model = model;
    this.#name = modelName;
    this.#timeout = timeout;
    this.streaming = streaming;
    const own = Object.entries(rest).filter(([name]) => isOwnOption(name));
    this.#options = over({ stop: stopSequences.length === 0 ? undefined : stopSequences }, Object.fromEntries(own));
  }

  static override lc_name(): string {
    return "ChatZSE";
  }

  override _llmType(): string {
    return "zstream";
  }

  override get callKeys(): string[] {
    return [...super.callKeys, "tools", "tool_choice", "strict"];
  }

  /** As replies and traces have it; "local" while the model loads. */
  get model(): string {
    return this.#name ?? this.#model.info?.name ?? "local";
  }

  override getLsParams(options: this["ParsedCallOptions"]): LangSmithParams {
    const { temperature, maxTokens, stop } = this.#replyOptions(options);
    return {
      ls_provider: "zstream",
      ls_model_name: this.model,
      ls_model_type: "chat",
      ls_temperature: temperature as number,
      ls_max_tokens: maxTokens as number,
      ls_stop: typeof stop === "string" ? [stop] : (stop as string[]),
    };
  }

  override invocationParams(options?: this["ParsedCallOptions"]): Record<string, unknown> {
    const { tools, tool_choice } = options ?? {};
    return { model: this.model, ...this.#replyOptions(options ?? {}), ...(tools === undefined ? {} : { tools, tool_choice }) };
  }

  override _identifyingParams(): Record<string, unknown> {
    const { path } = this.#model as { path?: unknown };
    return { model: this.model, ...(typeof path === "string" ? { path } : {}), ...this.#options };
  }

  /**
   * The model may call these: LangChain's tools, OpenAI's definitions, or `{ name, description, schema }`. Their arguments are held to their schema.
   */
  override bindTools(
    tools: BindToolsInput[],
    kwargs: Partial<ChatZSECallOptions> = {},
  ): Runnable<BaseLanguageModelInput, AIMessageChunk, ChatZSECallOptions> {
    return this.withConfig({ tools, ...kwargs });
  }

  /**
   * Tokens of a content's text, by the model's own tokenizer once it is loaded, without what a chat template puts around it. LangChain's own method
   * loads a vocabulary of OpenAI's from the web. Where the model is made up and has no tokenize(), it is LangChain's estimate: four characters a token.
   * Rejects with UNSUPPORTED for content that is no text.
   */
  override async getNumTokens(content: MessageContent): Promise<number> {
    const text = textOfContent(content);
    return (await this.#model.tokenize?.(text))?.length ?? Math.ceil(text.length / 4);
  }

  override async _generate(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): Promise<ChatResult> {
    let whole: ChatGenerationChunk | undefined;
    for await (const chunk of this._streamResponseChunks(messages, options, this.streaming ? runManager : undefined)) {
      whole = whole === undefined ? chunk : whole.concat(chunk);
    }
    const { content, tool_calls, invalid_tool_calls, usage_metadata, response_metadata } = whole!.message as AIMessageChunk;
    const message = new AIMessage({
      content,
      ...(tool_calls === undefined ? {} : { tool_calls }),
      ...(invalid_tool_calls === undefined ? {} : { invalid_tool_calls }),
      ...(usage_metadata === undefined ? {} : { usage_metadata }),
      response_metadata,
    });
    const { input_tokens: promptTokens, output_tokens: completionTokens, total_tokens: totalTokens } = usage_metadata!;
    return {
      generations: [
        { text: whole!.text, message, ...(whole!.generationInfo === undefined ? {} : { generationInfo: whole!.generationInfo }) },
      ],
      llmOutput: { tokenUsage: { promptTokens, completionTokens, totalTokens } },
    };
  }

  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    options.signal?.throwIfAborted();
    const stream = this.#model.chatStream({ messages: messagesOf(messages), ...this.#request(options) });
    const events = eventsOf(stream);
    const writer = new ChunkWriter(this.model);
    try {
      for (let next = await events.next(); next.done !== true; next = await events.next()) {
        const chunk = writer.event(next.value);
        if (chunk === undefined) continue;
        yield chunk;
        await runManager?.handleLLMNewToken(chunk.text, undefined, undefined, undefined, undefined, { chunk });
      }
    } finally {
      await events.return?.();
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the base class's own bound
  override withStructuredOutput<RunOutput extends Record<string, any> = Record<string, any>>(
    // biome-ignore lint/suspicious/noExplicitAny: a JSON Schema
    schema: InteropZodType<RunOutput> | StandardSchema<unknown, RunOutput> | Record<string, any>,
    config?: StructuredOutputMethodOptions<false>,
  ): Runnable<BaseLanguageModelInput, RunOutput>;
  // biome-ignore lint/suspicious/noExplicitAny: the same
  override withStructuredOutput<RunOutput extends Record<string, any> = Record<string, any>>(
    // biome-ignore lint/suspicious/noExplicitAny: the same
    schema: InteropZodType<RunOutput> | StandardSchema<unknown, RunOutput> | Record<string, any>,
    config?: StructuredOutputMethodOptions<true>,
  ): Runnable<BaseLanguageModelInput, { raw: BaseMessage; parsed: RunOutput }>;
  /**
   * A runnable that gives the value of a schema. `method`: "functionCalling" (the default: the model must call a tool that takes it), "jsonSchema" (its
   * text is held to it) or "jsonMode" (its text is any object). `strict: false` leaves out words of a schema that no grammar enforces.
   */
  override withStructuredOutput(
    // biome-ignore lint/suspicious/noExplicitAny: the same
    schema: any,
    { name, method = "functionCalling", includeRaw = false, strict }: StructuredOutputMethodOptions<boolean> = {},
    // biome-ignore lint/suspicious/noExplicitAny: of the overloads
  ): any {
    const { called, parameters, description } = schemaOf(schema, name);
    const traced = { ls_structured_output_format: { kwargs: { method }, schema: parameters } };
    const runName = includeRaw ? "StructuredOutputRunnable" : "StructuredOutput";
    if (method === "functionCalling") {
      const tool = { type: "function", function: { name: called, description, parameters, ...(strict === undefined ? {} : { strict }) } };
      const bound = this.bindTools([tool], { tool_choice: called, ...traced });
      return assembleStructuredOutputPipeline(bound, createFunctionCallingParser(schema, called), includeRaw, runName);
    }
    if (method !== "jsonSchema" && method !== "jsonMode") {
      throw bad("method", `method must be "functionCalling", "jsonSchema" or "jsonMode"; given ${quote(method)}.`);
    }
    const responseFormat: ResponseFormat =
      method === "jsonMode"
        ? { type: "json_object" }
        : { type: "json_schema", schema: parameters, ...(strict === undefined ? {} : { strict }) };
    const held = this.withConfig({ responseFormat, ...traced } as Partial<ChatZSECallOptions>);
    return assembleStructuredOutputPipeline(held, createContentParser(schema), includeRaw, runName);
  }

  /** Of the model, and of the call before these. LangChain's calls carry much else along. */
  #replyOptions(options: object): Record<string, unknown> {
    const own = Object.fromEntries(Object.entries(options).filter(([name]) => isOwnOption(name)));
    return over(this.#options, own);
  }

  #request({ tools, tool_choice, strict, signal, timeout, ...rest }: this["ParsedCallOptions"]): ReplyOptionsInput {
    const limit = timeout ?? this.#timeout;
    const ends = [signal, limit === undefined ? undefined : AbortSignal.timeout(limit)].filter((one) => one !== undefined);
    return {
      ...this.#replyOptions(rest),
      ...(ends.length === 0 ? {} : { signal: ends.length === 1 ? ends[0] : AbortSignal.any(ends) }),
      ...(tools === undefined || tools.length === 0 ? {} : { tools: tools.map((tool) => toolOf(tool, strict)) }),
      ...choiceOf(tool_choice, tools?.length ?? 0),
    };
  }
}

function toolOf(tool: BindToolsInput, strict: boolean | undefined): FunctionTool {
  const { type, function: said } = convertToOpenAITool(tool) as unknown as FunctionTool;
  return { type, function: { ...said, ...(strict === undefined ? {} : { strict }) } };
}

function choiceOf(choice: ChatZSECallOptions["tool_choice"], tools: number): { toolChoice?: ToolChoice } {
  if (choice === undefined || (tools === 0 && (choice === "auto" || choice === "none"))) return {};
  if (choice === "any" || choice === "required") return { toolChoice: "required" };
  if (choice === "auto" || choice === "none") return { toolChoice: choice };
  return { toolChoice: typeof choice === "string" ? { name: choice } : (choice as ToolChoice) };
}

/** What a schema is as JSON, and what the function is called that takes it. A definition of a function has both. */
// biome-ignore lint/suspicious/noExplicitAny: a schema of anybody's
function schemaOf(schema: any, name: string | undefined): { called: string; parameters: Record<string, unknown>; description: string } {
  const isLibrary = isInteropZodSchema(schema) || (schema !== null && typeof schema === "object" && "~standard" in schema);
  if (!isLibrary && !isPlainObject(schema)) throw bad("schema", `withStructuredOutput() takes a schema first; given ${quote(schema)}.`);
  const description = getSchemaDescription(schema) ?? "Takes the answer.";
  if (isLibrary) return { called: name ?? "extract", parameters: toJsonSchema(schema) as Record<string, unknown>, description };
  if (typeof schema.name === "string" && isPlainObject(schema.parameters)) {
    return { called: schema.name, parameters: schema.parameters, description: schema.description ?? description };
  }
  return {
    called: name ?? (typeof schema.title === "string" && /^[A-Za-z0-9_-]{1,64}$/.test(schema.title) ? schema.title : "extract"),
    parameters: schema,
    description,
  };
}
