// Owns the calls on a model, which are the same wherever its engine runs: in this process, in one beside it, or in the one that windows share. JS thread
// that made the model.

/// <reference lib="esnext.disposable" preserve="true" />

import type { NativePrompt } from "./addon/contract.js";
import type { ModelEngine } from "./engine/engine.js";
import { copyTokens, piecesOf } from "./engine/questions.js";
import {
  type ReplySettings,
  readChatCall,
  readCompletionCall,
  readDetokenizeCall,
  readPrepareCall,
  readTokenizeCall,
} from "./options/options.js";
import { unlessAborted } from "./stream/abort.js";
import { Preparations } from "./stream/prepare.js";
import { collectReply, openStream, type TokenStream } from "./stream/token-stream.js";
import { embedOn, rerankOn } from "./stream/vectors.js";
import type { StreamWatch } from "./stream/watch.js";
import { stepsOf } from "./tools/loop.js";
import type {
  ChatRequest,
  CompletionOptionsInput,
  CompletionRequest,
  Embeddings,
  EmbedOptions,
  EngineStats,
  Message,
  ModelInfo,
  ObjectOf,
  PartialObjectOf,
  Prepared,
  PrepareOptions,
  Ranking,
  RenderedPrompt,
  Reply,
  ReplyOptionsInput,
  RerankOptions,
  ResponseFormat,
  TextUsage,
  TokenIds,
} from "./types.js";

/** A stream whose object's type is known by its responseFormat. */
type StreamOf<Format> = TokenStream<ObjectOf<Format>, PartialObjectOf<Format>>;

/** What is particular to a kind of model. */
export interface CallHooks {
  /** The settings of a call as its request goes to the engine. Left out: as they were read. */
  asked?(settings: ReplySettings): ReplySettings;
  /** Follows a reply. Left out: nobody does. */
  watch?(operation: "chat" | "text_completion", settings: ReplySettings, streams: boolean): StreamWatch | undefined;
  /** Runs embed() or rerank(), and follows it. Left out: nobody does. `options` are as the caller gave them. */
  watchVectors?<Value extends { usage: TextUsage }>(
    operation: "embeddings" | "rerank",
    run: () => Promise<Value>,
    options: { signal?: AbortSignal | undefined } | undefined,
  ): Promise<Value>;
}

/** The calls that ZSE and a window's model have in common. */
export abstract class ModelCalls implements AsyncDisposable {
  readonly #engine: ModelEngine;
  readonly #hooks: CallHooks;
  readonly #preparations = new Preparations();

  /** @internal */
  protected constructor(engine: ModelEngine, hooks: CallHooks) {
    this.#engine = engine;
    this.#hooks = hooks;
  }

  /**
   * Resolves when the model is loaded; rejects with a ZSEError when it cannot be (then every call does, too). After a crash of an engine in another
   * process it is another promise, which resolves when the engine runs again.
   */
  get ready(): Promise<ModelInfo> {
    return this.#engine.ready;
  }

  /** What is known of the model; undefined until it is loaded. In a window its `path` is the model's name: pages are not told where files are. */
  get info(): ModelInfo | undefined {
    return this.#engine.info;
  }

  /** Whether close() was called. */
  get closed(): boolean {
    return this.#engine.closing;
  }

  /**
   * The reply to a conversation, as a stream. Calls of tools that have an execute() are run, and the text goes on with what the model says of their
   * results, for `maxSteps` replies at most.
   * @throws ZSEError BAD_OPTION at once, naming the option or message; everything else reaches the stream's consumer:
   *   CONTEXT_OVERFLOW, OVERLOADED, STALLED, CLOSED, and load failures.
   */
  chatStream<Format extends ResponseFormat = ResponseFormat>(
    messages: readonly Message[],
    options?: ReplyOptionsInput<Format>,
  ): StreamOf<Format>;
  chatStream<Format extends ResponseFormat = ResponseFormat>(request: ChatRequest<Format>): StreamOf<Format>;
  chatStream(first: readonly Message[] | ChatRequest, second?: ReplyOptionsInput): TokenStream {
    const settings = this.#readChat("chatStream()", first, second);
    const watch = this.#watch("chat", settings, true);
    return openStream(this.#engine, settings, stepsOf(settings, watch), watch);
  }

  /**
   * A text continued, as a stream; no chat template. Token ids are continued as they are. With `suffix`, what stands between both is written. Throws as
   * chatStream; ids that the vocabulary has not, and a suffix that the model has no tokens for, reach the stream's consumer.
   */
  completionStream<Format extends ResponseFormat = ResponseFormat>(
    prompt: string | TokenIds,
    options?: CompletionOptionsInput<Format>,
  ): StreamOf<Format>;
  completionStream<Format extends ResponseFormat = ResponseFormat>(request: CompletionRequest<Format>): StreamOf<Format>;
  completionStream(first: string | TokenIds | CompletionRequest, second?: CompletionOptionsInput): TokenStream {
    const settings = this.#readCompletion("completionStream()", first, second);
    return openStream(this.#engine, settings, undefined, this.#watch("text_completion", settings, true));
  }

  /** The whole reply to a conversation; `streamCallback` sees it as it comes. Rejects with what chatStream throws and tells. */
  chat<Format extends ResponseFormat = ResponseFormat>(
    messages: readonly Message[],
    options?: ReplyOptionsInput<Format>,
  ): Promise<Reply<ObjectOf<Format>>>;
  chat<Format extends ResponseFormat = ResponseFormat>(request: ChatRequest<Format>): Promise<Reply<ObjectOf<Format>>>;
  async chat(first: readonly Message[] | ChatRequest, second?: ReplyOptionsInput): Promise<Reply> {
    const settings = this.#readChat("chat()", first, second);
    const watch = this.#watch("chat", settings, false);
    return collectReply(this.#engine, settings, stepsOf(settings, watch), watch);
  }

  /** A text continued, collected; no chat template. Rejects as chat. */
  completion<Format extends ResponseFormat = ResponseFormat>(
    prompt: string | TokenIds,
    options?: CompletionOptionsInput<Format>,
  ): Promise<Reply<ObjectOf<Format>>>;
  completion<Format extends ResponseFormat = ResponseFormat>(request: CompletionRequest<Format>): Promise<Reply<ObjectOf<Format>>>;
  async completion(first: string | TokenIds | CompletionRequest, second?: CompletionOptionsInput): Promise<Reply> {
    const settings = this.#readCompletion("completion()", first, second);
    return collectReply(this.#engine, settings, undefined, this.#watch("text_completion", settings, false));
  }

  /**
   * Token ids of a text, once the model is loaded. `special`: control tokens such as `<|im_end|>` are read. `addSpecial`: the vocabulary's own BOS comes
   * first, where it adds one. Both default to false. Rejects with BAD_OPTION.
   */
  async tokenize(text: string, options?: { special?: boolean; addSpecial?: boolean }): Promise<number[]> {
    const call = readTokenizeCall(text, options);
    await this.#engine.ready;
    return this.#engine.tokenize(call.text, call.special, call.addSpecial);
  }

  /**
   * The text of token ids, once the model is loaded. Bytes that are no UTF-8 become U+FFFD; the space that some vocabularies put before each text is left
   * out. `special` (default true): control tokens stand for their text, otherwise for nothing. Rejects with BAD_OPTION, also for ids that the vocabulary
   * has not.
   */
  async detokenize(tokens: TokenIds, options?: { special?: boolean }): Promise<string> {
    const call = readDetokenizeCall(tokens, options);
    await this.#engine.ready;
    const { bytes, padding } = await this.#engine.detokenize(call.tokens, call.special);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(padding));
  }

  /** The bytes that each token id stands for, which may be a part of a character; of a control token those of its text. Rejects as detokenize. */
  async tokenBytes(tokens: TokenIds): Promise<Uint8Array[]> {
    const call = readDetokenizeCall(tokens, undefined);
    await this.#engine.ready;
    return piecesOf(await this.#engine.detokenize(call.tokens, call.special));
  }

  /**
   * What the model's chat template makes of a conversation, with the options of chat(): tools, responseFormat, reasoning and templateArguments count,
   * how a reply is drawn does not. Takes no slot, and computes nothing. Rejects as chat; one that is longer than the context is given all the same, up to
   * four times as long.
   */
  applyTemplate(messages: readonly Message[], options?: ReplyOptionsInput): Promise<RenderedPrompt>;
  applyTemplate(request: ChatRequest): Promise<RenderedPrompt>;
  async applyTemplate(first: readonly Message[] | ChatRequest, second?: ReplyOptionsInput): Promise<RenderedPrompt> {
    const { prompt, tokens } = await this.#render("applyTemplate()", first, second);
    return { prompt, tokens: await copyTokens(tokens) };
  }

  /** Tokens of a conversation's prompt, as applyTemplate() has them. */
  countTokens(messages: readonly Message[], options?: ReplyOptionsInput): Promise<number>;
  countTokens(request: ChatRequest): Promise<number>;
  async countTokens(first: readonly Message[] | ChatRequest, second?: ReplyOptionsInput): Promise<number> {
    return (await this.#render("countTokens()", first, second)).tokens.length;
  }

  /**
   * Computes a prompt ahead, for a call that will begin with it: while a person types, or before an app is used. It takes only what nobody else wants: steps
   * that would not be computed otherwise, and a free slot, until somebody waits for it. May be called at each key press: a newer call with the same `key`
   * takes the place of the one before, which resolves with what it has come to. `options` are those of the call to come; tools and reasoning change its
   * prompt. What was computed stays for as long as the prompt cache keeps it. Rejects as chat, but not for want of room. What it says need not be
   * handled, but for options that cannot be read.
   */
  prepare(messages: readonly Message[], options?: ReplyOptionsInput & PrepareOptions): Promise<Prepared>;
  prepare(prompt: string | TokenIds, options?: CompletionOptionsInput & PrepareOptions): Promise<Prepared>;
  prepare(request: (ChatRequest | CompletionRequest) & PrepareOptions): Promise<Prepared>;
  prepare(first: readonly Message[] | string | TokenIds | object, second?: object): Promise<Prepared> {
    let read: ReturnType<typeof readPrepareCall>;
    try {
      read = readPrepareCall(first, second);
    } catch (error) {
      return Promise.reject(error);
    }
    const { call, key } = read;
    const ahead = (async () => await this.#preparations.run(this.#engine, this.#asked(call), key))();
    // Nobody waits for it at each key press, and a text that is too long for once, or a window that closes, must not end the process.
    ahead.catch(() => undefined);
    return ahead;
  }

  /**
   * Vectors of texts, each as a string or as token ids: for search, clustering and the like. They are computed beside running streams, in what their
   * steps have room for, and with the model's own pooling. Texts that say control tokens say characters. Up to 2,048 texts a call.
   * Rejects with BAD_OPTION, CONTEXT_OVERFLOW (naming the text), OVERLOADED, UNSUPPORTED (a reranker's file), and the signal's reason.
   */
  async embed(texts: string | TokenIds | readonly (string | TokenIds)[], options?: EmbedOptions): Promise<Embeddings> {
    const run = () => embedOn(this.#engine, texts, options);
    return await (this.#hooks.watchVectors?.("embeddings", run, options) ?? run());
  }

  /**
   * Documents by how well they answer a query, the best first. For models that were trained to tell (rerankers), whose `pooling` is "rank".
   * Rejects with UNSUPPORTED for others, and else as embed().
   */
  async rerank(query: string, documents: readonly string[], options?: RerankOptions): Promise<Ranking> {
    const run = () => rerankOn(this.#engine, query, documents, options);
    return await (this.#hooks.watchVectors?.("rerank", run, options) ?? run());
  }

  /**
   * Counters of the engine, for tests and metrics; cheap. All 0 while there is no engine. Of one in another process they are as of its last word: a quarter
   * of a second old at most while something runs.
   */
  stats(): EngineStats {
    return this.#engine.stats();
  }

  /** Ends running streams with CLOSED, frees the model (that of windows stays loaded for the others), and resolves when that is done. May be called again. */
  close(): Promise<void> {
    return this.#engine.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #render(call: string, first: unknown, second: unknown): Promise<NativePrompt> {
    const { request, signal } = this.#readChat(call, first, second);
    const { messages, reply } = request;
    const rendered = this.#engine.ready.then(() => this.#engine.render({ messages: messages!, ...(reply === undefined ? {} : { reply }) }));
    return await unlessAborted(signal, rendered);
  }

  #readChat(call: string, first: unknown, second: unknown): ReplySettings {
    return this.#asked(readChatCall(call, first, second));
  }

  #readCompletion(call: string, first: unknown, second: unknown): ReplySettings {
    return this.#asked(readCompletionCall(call, first, second));
  }

  #asked(settings: ReplySettings): ReplySettings {
    return this.#hooks.asked?.(settings) ?? settings;
  }

  #watch(...[operation, settings, streams]: Parameters<NonNullable<CallHooks["watch"]>>): StreamWatch | undefined {
    return this.#hooks.watch?.(operation, settings, streams);
  }
}
