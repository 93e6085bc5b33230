// Owns what `import … from "zstream/electron"` gives to pages: models that run in the app's engine process, with the calls and streams of the library
// itself. Runs in a page that is sandboxed and knows nothing of Node; scripts/build-ts.mjs makes one file of it.

/// <reference lib="esnext.disposable" preserve="true" />

import type { NativeEngineOptions } from "../addon/contract.js";
import { quote } from "../base/quote.js";
import { Engine } from "../engine/engine.js";
import { SupervisedLink } from "../engine/port/supervised-link.js";
import { ZSEError } from "../errors.js";
import { ModelCalls } from "../model-calls.js";
import { readRecommended } from "../options/recommended.js";
import { readOptions } from "../options/rules.js";
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
export class WindowModel extends ModelCalls {
  readonly #engine: Engine;
  readonly #connection: { readonly now: Connection };

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
    const kept: { now: Connection } = { now: { state: "connecting", crashes: 0 } };
    const changed = (connection: Connection) => {
      kept.now = connection;
      if (onConnection !== undefined) queueMicrotask(() => onConnection(connection));
    };
    const opening = { path: name, options: {} as NativeEngineOptions }; // the engine's process knows how it is opened
    const start = hostsOf(name, ask, changed);
    const engine = new Engine(
      name,
      ROOM,
      (listener) => new SupervisedLink(start, opening, { recover, hangAfterMs: HANG_AFTER_MS }, listener),
      readRecommended,
      onProgress,
    );
    super(engine, { asked: asSaid });
    this.#engine = engine;
    this.#connection = kept;
  }

  /** The name it was opened by. */
  get name(): string {
    return this.#engine.path;
  }

  /** How this page stands with the engine's process, and how often that has crashed. */
  get connection(): Connection {
    return this.#connection.now;
  }
}
