// Owns what `import … from "zstream/electron"` gives to pages: models that run in the app's engine process, with the calls and streams of the library
// itself. Runs in a page that is sandboxed and knows nothing of Node; scripts/build-ts.mjs makes one file of it.

/// <reference lib="esnext.disposable" preserve="true" />

import type { NativeEngineOptions } from "../addon/contract.js";
import { quote } from "../base/quote.js";
import { Engine } from "../engine/engine.js";
import { SupervisedLink } from "../engine/port/supervised-link.js";
import { ZSEError } from "../errors.js";
import { readChatCall, readCompletionCall, readTokenizeCall } from "../options/options.js";
import { readRecommended } from "../options/recommended.js";
import { readOptions } from "../options/rules.js";
import { collectReply, openStream, type TokenStream } from "../stream/token-stream.js";
import { stepsOf } from "../tools/loop.js";
import type {
  ChatRequest,
  CompletionOptionsInput,
  CompletionRequest,
  EngineStats,
  Message,
  ModelInfo,
  ObjectOf,
  PartialObjectOf,
  Reply,
  ReplyOptionsInput,
  ResponseFormat,
  TokenIds,
} from "../types.js";
import { asSaid } from "./as-said.js";
import { askForModels, askForPort } from "./ask-for-port.js";
import { type AskForPort, type Connection, hostsOf } from "./page-host.js";
import { LONGEST_NAME } from "./protocol.js";

export { ZSEError, type ZSEErrorCode } from "../errors.js";
export type { TokenStream } from "../stream/token-stream.js";
export { type Tool, type ToolOptions, tool } from "../tools/tool.js";
export type * from "../types.js";
export type { Connection } from "./page-host.js";

/** Options of `openModel()`. */
export interface WindowModelOptions {
  /**
   * Streams that were running when the engine's process crashed go on with the next one, with no character lost or doubled: their reader sees a
   * pause. One that cannot go on exactly ends with ENGINE_FAILED, and says why. Default false: all end so.
   */
  recover?: boolean | undefined;
  /** Called while the model loads, with the part that is done, 0 to 1. Again after a crash. */
  onProgress?: ((fraction: number) => void) | undefined;
  /** Called when the connection to the engine's process changes: "connecting" (also while it is started again after a crash), "open", "failed". */
  onConnection?: ((connection: Connection) => void) | undefined;
}

/** The names of the models that the main process lets this window open, in its order. */
export function modelNames(): Promise<string[]> {
  return askForModels();
}

/**
 * A model of the engine's process. It is loaded when its first window opens it; calls may be made at once and wait for it.
 * @param name one of `modelNames()`; of another one every call is MODEL_NOT_FOUND
 * @throws ZSEError BAD_OPTION for wrong options
 */
export function openModel(name: string, options?: WindowModelOptions): WindowModel {
  return new WindowModel(name, options, askForPort);
}

/** A stream whose object's type is known by its responseFormat. */
type StreamOf<Format> = TokenStream<ObjectOf<Format>, PartialObjectOf<Format>>;

const RULES = {
  recover: { kind: "boolean", default: false },
  onProgress: { kind: "function" },
  onConnection: { kind: "function" },
} as const;

/** The engine counts the room of all windows, and says when there is none. */
const ROOM = { maxStreams: 2 ** 31, maxQueue: 0 };

/** The main process looks after the engine's: whether it hangs is not a page's to say. */
const HANG_AFTER_MS = 3_600_000;

/**
 * A model that runs in the engine's process, as a window has it: the calls of ZSE, its streams, events and errors.
 * When the engine's process crashes, streams in flight end with ENGINE_FAILED, or go on (`recover`), and the next call waits for the new one.
 */
export class WindowModel implements AsyncDisposable {
  readonly #engine: Engine;
  #connection: Connection = { state: "connecting", crashes: 0 };

  /** @internal */
  constructor(name: string, options: WindowModelOptions | undefined, ask: AskForPort) {
    if (typeof name !== "string" || name === "" || name.length > LONGEST_NAME) {
      throw new ZSEError("BAD_OPTION", `A model's name must be a text of 1 to ${LONGEST_NAME} characters; given ${quote(name)}.`, {
        option: "name",
      });
    }
    const { recover, onProgress, onConnection } = readOptions(RULES, options, "openModel()") as unknown as {
      recover: boolean;
    } & WindowModelOptions;
    const changed = (connection: Connection) => {
      this.#connection = connection;
      if (onConnection !== undefined) queueMicrotask(() => onConnection(connection));
    };
    const opening = { path: name, options: {} as NativeEngineOptions }; // the engine's process knows how it is opened
    const start = hostsOf(name, ask, changed);
    this.#engine = new Engine(
      name,
      ROOM,
      (listener) => new SupervisedLink(start, opening, { recover, hangAfterMs: HANG_AFTER_MS }, listener),
      readRecommended,
      onProgress,
    );
  }

  /** Resolves when the model is loaded; rejects with a ZSEError when it cannot be (then every call does, too). */
  get ready(): Promise<ModelInfo> {
    return this.#engine.ready;
  }

  /** What is known of the model; undefined until it is loaded. Its `path` is the model's name: pages are not told where files are. */
  get info(): ModelInfo | undefined {
    return this.#engine.info;
  }

  /** The name it was opened by. */
  get name(): string {
    return this.#engine.path;
  }

  /** How this page stands with the engine's process, and how often that has crashed. */
  get connection(): Connection {
    return this.#connection;
  }

  /** Whether close() was called. */
  get closed(): boolean {
    return this.#engine.closing;
  }

  /** The reply to a conversation, as a stream. As ZSE's; execute() of tools runs in this page. */
  chatStream<Format extends ResponseFormat = ResponseFormat>(
    messages: readonly Message[],
    options?: ReplyOptionsInput<Format>,
  ): StreamOf<Format>;
  chatStream<Format extends ResponseFormat = ResponseFormat>(request: ChatRequest<Format>): StreamOf<Format>;
  chatStream(first: readonly Message[] | ChatRequest, second?: ReplyOptionsInput): TokenStream {
    const settings = asSaid(readChatCall("chatStream()", first, second));
    return openStream(this.#engine, settings, stepsOf(settings));
  }

  /** A text continued, as a stream; no chat template. */
  completionStream<Format extends ResponseFormat = ResponseFormat>(
    prompt: string | TokenIds,
    options?: CompletionOptionsInput<Format>,
  ): StreamOf<Format>;
  completionStream<Format extends ResponseFormat = ResponseFormat>(request: CompletionRequest<Format>): StreamOf<Format>;
  completionStream(first: string | TokenIds | CompletionRequest, second?: CompletionOptionsInput): TokenStream {
    return openStream(this.#engine, asSaid(readCompletionCall("completionStream()", first, second)));
  }

  /** The whole reply to a conversation; `streamCallback` sees it as it comes. */
  chat<Format extends ResponseFormat = ResponseFormat>(
    messages: readonly Message[],
    options?: ReplyOptionsInput<Format>,
  ): Promise<Reply<ObjectOf<Format>>>;
  chat<Format extends ResponseFormat = ResponseFormat>(request: ChatRequest<Format>): Promise<Reply<ObjectOf<Format>>>;
  async chat(first: readonly Message[] | ChatRequest, second?: ReplyOptionsInput): Promise<Reply> {
    const settings = asSaid(readChatCall("chat()", first, second));
    return collectReply(this.#engine, settings, stepsOf(settings));
  }

  /** A text continued, collected; no chat template. */
  completion<Format extends ResponseFormat = ResponseFormat>(
    prompt: string | TokenIds,
    options?: CompletionOptionsInput<Format>,
  ): Promise<Reply<ObjectOf<Format>>>;
  completion<Format extends ResponseFormat = ResponseFormat>(request: CompletionRequest<Format>): Promise<Reply<ObjectOf<Format>>>;
  async completion(first: string | TokenIds | CompletionRequest, second?: CompletionOptionsInput): Promise<Reply> {
    return collectReply(this.#engine, asSaid(readCompletionCall("completion()", first, second)));
  }

  /** Token ids of a text, as the library's tokenize() has them. Rejects with BAD_OPTION. */
  async tokenize(text: string, options?: { special?: boolean; addSpecial?: boolean }): Promise<number[]> {
    const call = readTokenizeCall(text, options);
    await this.#engine.ready;
    return this.#engine.tokenize(call.text, call.special, call.addSpecial);
  }

  /** Counters of the engine, those of all windows together; a quarter of a second old at most while something runs. */
  stats(): EngineStats {
    return this.#engine.stats();
  }

  /** Ends this window's streams with CLOSED, and lets the model go. It stays loaded for other windows. */
  close(): Promise<void> {
    return this.#engine.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
