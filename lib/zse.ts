// Owns the class that users hold: one model, opened in the background, and the calls on it. JS thread that made it.

/// <reference lib="esnext.disposable" preserve="true" />

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { NativeEngineOptions, NativePrompt } from "./addon/contract.js";
import { loadNative } from "./addon/load.js";
import { BUNDLED } from "./addon/load-help.js";
import { demoModelPath } from "./addon/package-root.js";
import { quote } from "./base/quote.js";
import { AddonLink } from "./engine/addon-link.js";
import { Engine } from "./engine/engine.js";
import type { OpenLink } from "./engine/link.js";
import { SupervisedLink } from "./engine/port/supervised-link.js";
import { startProcess } from "./engine/process/start.js";
import { copyTokens, piecesOf } from "./engine/questions.js";
import { ZSEError } from "./errors.js";
import type { Isolation } from "./options/custom.js";
import {
  type ReplySettings,
  readChatCall,
  readCompletionCall,
  readDetokenizeCall,
  readEngineOptions,
  readTokenizeCall,
} from "./options/options.js";
import { readRecommended } from "./options/recommended.js";
import { unlessAborted } from "./stream/abort.js";
import { collectReply, openStream, type TokenStream } from "./stream/token-stream.js";
import type { StreamWatch } from "./stream/watch.js";
import type { Operation } from "./telemetry/attributes.js";
import { watchStream } from "./telemetry/stream-telemetry.js";
import { runsTools, stepsOf } from "./tools/loop.js";
import type {
  ChatRequest,
  CompletionOptionsInput,
  CompletionRequest,
  Device,
  EngineOptionsInput,
  EngineStats,
  Message,
  ModelInfo,
  ObjectOf,
  PartialObjectOf,
  RenderedPrompt,
  Reply,
  ReplyOptionsInput,
  ResponseFormat,
  TokenIds,
} from "./types.js";

/** A stream whose object's type is known by its responseFormat. */
type StreamOf<Format> = TokenStream<ObjectOf<Format>, PartialObjectOf<Format>>;

/** Closes a model that was dropped without close(): its weights and its threads would stay for good. */
const dropped = new FinalizationRegistry<Engine>((engine) => engine.abandon());

/**
 * A model. It loads in the background: calls may be made at once and wait for it. One model serves many streams at a time.
 *
 * ```js
 * const model = new ZSE("qwen-7b.zse");
 * for await (const text of model.chatStream([{ role: "user", content: "Tell me a story" }])) process.stdout.write(text);
 * await model.close();
 * ```
 */
export class ZSE implements AsyncDisposable {
  readonly #engine: Engine;

  /**
   * @param path a .gguf or .zse file (told apart by content), or its file: URL; left out: the embedded demo model
   * @throws ZSEError BAD_OPTION for wrong options, ENGINE_FAILED when the native addon cannot be loaded, MODEL_NOT_FOUND
   *   when a bundle has left the demo model behind. What is wrong with a file is reported by `ready` and by every call: MODEL_NOT_FOUND,
   *   BAD_MODEL, UNSUPPORTED.
   */
  constructor(path: string | URL, options?: EngineOptionsInput);
  constructor(options?: EngineOptionsInput);
  constructor(first?: string | URL | EngineOptionsInput, second?: EngineOptionsInput) {
    const named = typeof first === "string" || first instanceof URL;
    if (!named && second !== undefined && first !== undefined) {
      throw new ZSEError("BAD_OPTION", `new ZSE() takes a path or file: URL first; given ${quote(first)}.`, { option: "path" });
    }
    const { native, isolation, onProgress } = readEngineOptions(named || first === undefined ? second : first);
    this.#engine = openEngine(named ? readPath(first) : undefined, native, isolation, onProgress);
    dropped.register(this, this.#engine);
  }

  /** The devices that models can run on, as ggml's backends list them. */
  static devices(): Device[] {
    return loadNative().devices();
  }

  /**
   * Resolves when the model is loaded; rejects with a ZSEError when it cannot be (then every call does, too). After a crash of an isolated engine
   * it is another promise, which resolves when the engine runs again.
   */
  get ready(): Promise<ModelInfo> {
    return this.#engine.ready;
  }

  /** What is known of the model; undefined until it is loaded. */
  get info(): ModelInfo | undefined {
    return this.#engine.info;
  }

  /** The model's file, as an absolute path. */
  get path(): string {
    return this.#engine.path;
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
    const settings = readChatCall("chatStream()", first, second);
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
    const settings = readCompletionCall("completionStream()", first, second);
    return openStream(this.#engine, settings, undefined, this.#watch("text_completion", settings, true));
  }

  /** The whole reply to a conversation; `streamCallback` sees it as it comes. Rejects with what chatStream throws and tells. */
  chat<Format extends ResponseFormat = ResponseFormat>(
    messages: readonly Message[],
    options?: ReplyOptionsInput<Format>,
  ): Promise<Reply<ObjectOf<Format>>>;
  chat<Format extends ResponseFormat = ResponseFormat>(request: ChatRequest<Format>): Promise<Reply<ObjectOf<Format>>>;
  async chat(first: readonly Message[] | ChatRequest, second?: ReplyOptionsInput): Promise<Reply> {
    const settings = readChatCall("chat()", first, second);
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
    const settings = readCompletionCall("completion()", first, second);
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

  /** Counters of the engine, for tests and metrics; cheap. All 0 while there is no engine. */
  stats(): EngineStats {
    return this.#engine.stats();
  }

  /** Ends running streams with CLOSED, frees the model, and resolves when that is done. May be called again. */
  close(): Promise<void> {
    return this.#engine.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #render(call: string, first: unknown, second: unknown): Promise<NativePrompt> {
    const { request, signal } = readChatCall(call, first, second);
    const { messages, reply } = request;
    const rendered = this.#engine.ready.then(() => this.#engine.render({ messages: messages!, ...(reply === undefined ? {} : { reply }) }));
    return await unlessAborted(signal, rendered);
  }

  /** Tells OpenTelemetry of a stream, where somebody listens. */
  #watch(operation: Operation, settings: ReplySettings, streams: boolean): StreamWatch | undefined {
    return watchStream({ operation, model: this.#engine, unsaid: settings.unsaid, streams, runsTools: runsTools(settings) });
  }
}

/** Without a path it is the demo model. */
function openEngine(
  given: string | undefined,
  options: NativeEngineOptions,
  isolation: Isolation | undefined,
  onProgress: ((fraction: number) => void) | undefined,
): Engine {
  const addon = isolation === undefined ? loadNative() : undefined;
  const path = given ?? demoModelPath();
  if (path === undefined) throw new ZSEError("MODEL_NOT_FOUND", `The demo model is not here. ${BUNDLED.join(" ")}`);
  const open: OpenLink = (listener) =>
    addon === undefined
      ? new SupervisedLink(startProcess, { path, options }, isolation!, listener)
      : new AddonLink(addon, path, options, listener);
  return new Engine(path, options, open, readRecommended, onProgress);
}

function readPath(given: string | URL): string {
  const bad = (what: string) =>
    new ZSEError("BAD_OPTION", `The model's path must be ${what}; given ${quote(String(given))}.`, { option: "path" });
  if (given === "" || (typeof given === "string" && given.includes("\0"))) throw bad("a file's path or file: URL");
  if (/^https?:/i.test(String(given))) throw bad("a file on this machine: models are not downloaded");
  if (typeof given === "string" && !given.startsWith("file:")) return resolve(given);
  try {
    return fileURLToPath(given);
  } catch {
    throw bad("a file: URL, or a plain path");
  }
}
