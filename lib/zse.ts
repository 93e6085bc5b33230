// Owns the class that users hold: one model, opened in the background. The calls on it are model-calls.ts. JS thread that made it.

/// <reference lib="esnext.disposable" preserve="true" />

import { availableParallelism, freemem } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { NativeEngineOptions } from "./addon/contract.js";
import { loadNative } from "./addon/load.js";
import { BUNDLED } from "./addon/load-help.js";
import { demoModelPath } from "./addon/package-root.js";
import { quote } from "./base/quote.js";
import { DeferredLink, type FindFile } from "./engine/deferred-link.js";
import { Engine, type ModelEngine, type OnProgress } from "./engine/engine.js";
import { openLink } from "./engine/fallback-link.js";
import type { OpenLink } from "./engine/link.js";
import { warnOfThreads } from "./engine/load-warnings.js";
import { SupervisedLink } from "./engine/port/supervised-link.js";
import { startProcess } from "./engine/process/start.js";
import { ZSEError } from "./errors.js";
import { fractionOf } from "./hub/news.js";
import { isReference, readReference } from "./hub/reference.js";
import { readSettings } from "./hub/settings.js";
import { ModelCache } from "./model-cache.js";
import { ModelCalls } from "./model-calls.js";
import type { Isolation } from "./options/custom.js";
import { readEngineOptions } from "./options/options.js";
import { readRecommended } from "./options/recommended.js";
import { isPlainObject } from "./options/rules.js";
import { watchStream } from "./telemetry/stream-telemetry.js";
import { watchVectors } from "./telemetry/vector-telemetry.js";
import { runsTools } from "./tools/loop.js";
import type { Device, EngineOptionsInput, FetchEvent } from "./types.js";

/** Closes a model that was dropped without close(): its weights and its threads would stay for good. */
const dropped = new FinalizationRegistry<Engine>((engine) => engine.abandon());

/** An engine in the place of a path. */
class Given {
  constructor(readonly engine: ModelEngine) {}
}

/**
 * A model. It loads in the background: calls may be made at once and wait for it. One model serves many streams at a time.
 *
 * ```js
 * const model = new ZSE("qwen-7b.zse");
 * for await (const text of model.chatStream([{ role: "user", content: "Tell me a story" }])) process.stdout.write(text);
 * await model.close();
 * ```
 */
export class ZSE extends ModelCalls {
  readonly #engine: ModelEngine;
  /** What is kept of prompts that were computed: to look at, to pin, to forget, to take to a file and back. */
  readonly cache: ModelCache;

  /**
   * @param path a .gguf or .zse file (told apart by content), its file: URL, or a model of Hugging Face ("hf:org/repo:Q4_K_M"), which is fetched where it is not
   *   there yet; left out: the embedded demo model
   * @throws ZSEError BAD_OPTION for wrong options, ENGINE_FAILED when the native addon cannot be loaded, MODEL_NOT_FOUND
   *   when a bundle has left the demo model behind. What is wrong with a file is reported by `ready` and by every call: MODEL_NOT_FOUND,
   *   BAD_MODEL, UNSUPPORTED, and DOWNLOAD_FAILED of one that is fetched.
   */
  constructor(path: string | URL, options?: EngineOptionsInput);
  constructor(options?: EngineOptionsInput);
  constructor(first?: string | URL | EngineOptionsInput | Given, second?: EngineOptionsInput) {
    const engine = first instanceof Given ? first.engine : openModel(first, second);
    super(engine, {
      // Tells OpenTelemetry of a stream, where somebody listens.
      watch: (operation, settings, streams) =>
        watchStream({ operation, model: engine, unsaid: settings.unsaid, streams, runsTools: runsTools(settings) }),
      watchVectors: (operation, run, options) => watchVectors(operation, engine, run, options),
    });
    this.#engine = engine;
    this.cache = new ModelCache(engine, this);
    if (engine instanceof Engine) dropped.register(this, engine);
  }

  /** @internal The same calls on an engine that somebody else opens and closes. */
  static over(engine: ModelEngine): ZSE {
    return new ZSE(new Given(engine) as never);
  }

  /** @internal */
  static engineOf(model: ZSE): ModelEngine {
    return model.#engine;
  }

  /** The devices that models can run on, as ggml's backends list them; of the CPU the memory that is free on the machine. */
  static devices(): Device[] {
    // ggml takes all of the machine's memory for free.
    return loadNative()
      .devices()
      .map((device) => (device.kind === "cpu" ? { ...device, memoryFreeBytes: Math.min(freemem(), device.memoryTotalBytes) } : device));
  }

  /** The model's file, as an absolute path. Of a model of Hugging Face, what was asked for, until its file is there. */
  get path(): string {
    return this.#engine.path;
  }
}

/** Reads what a model was asked for with, and opens its engine. Throws as the constructor. */
function openModel(first: string | URL | EngineOptionsInput | undefined, second: EngineOptionsInput | undefined): Engine {
  const named = typeof first === "string" || first instanceof URL;
  if (!named && second !== undefined && first !== undefined) {
    throw new ZSEError("BAD_OPTION", `new ZSE() takes a path or file: URL first; given ${quote(first)}.`, { option: "path" });
  }
  // Often a path that somebody's setting has not.
  if (!named && first !== undefined && !isPlainObject(first)) {
    const message = `new ZSE() takes a model's path or file: URL, its options, or nothing for the demo model; given ${quote(first)}.`;
    throw new ZSEError("BAD_OPTION", message, { option: "path" });
  }
  const { native, isolation, onProgress } = readEngineOptions(named || first === undefined ? second : first);
  return openEngine(named ? readPath(first) : undefined, native, isolation, onProgress);
}

/** Without a path it is the demo model. */
function openEngine(
  given: string | undefined,
  options: NativeEngineOptions,
  isolation: Isolation | undefined,
  onProgress: OnProgress | undefined,
): Engine {
  warnOfThreads(options.threads, availableParallelism());
  const addon = isolation === undefined ? loadNative() : undefined;
  const path = given ?? demoModelPath();
  if (path === undefined) throw new ZSEError("MODEL_NOT_FOUND", `The demo model is not here. ${BUNDLED.join(" ")}`);
  const openFile =
    (path: string): OpenLink =>
    (listener) =>
      addon === undefined
        ? new SupervisedLink(startProcess, { path, options }, isolation!, listener)
        : openLink(addon, path, options, listener);
  if (!isReference(path)) return new Engine(path, options, openFile(path), readRecommended, onProgress);
  const reference = readReference(path);
  const settings = readSettings(); // what the environment says wrongly is said at once
  const find: FindFile = async (signal, onNews) => {
    const { pullContext, pullModel } = await import("./hub/pull.js"); // most programs never fetch anything: they load no HTTP client
    const share = fractionOf();
    const onEvent = (event: FetchEvent) => onNews(share(event), event);
    const pulled = await pullModel(reference, pullContext({ settings, signal, onEvent }));
    engine.path = pulled.path;
    return pulled.path;
  };
  const engine = new Engine(path, options, (listener) => new DeferredLink(find, openFile, listener), readRecommended, onProgress);
  return engine;
}

/** @internal @throws ZSEError BAD_OPTION */
export function readPath(given: string | URL): string {
  const bad = (what: string) =>
    new ZSEError("BAD_OPTION", `The model's path must be ${what}; given ${quote(String(given))}.`, { option: "path" });
  if (given === "" || (typeof given === "string" && given.includes("\0"))) throw bad("a file's path or file: URL");
  if (isReference(String(given))) return String(given);
  if (/^https?:/i.test(String(given))) throw bad('a file on this machine, or a model of Hugging Face ("hf:org/repo:Q4_K_M")');
  if (typeof given === "string" && !given.startsWith("file:")) return resolve(given);
  try {
    return fileURLToPath(given);
  } catch {
    throw bad("a file: URL, or a plain path");
  }
}
