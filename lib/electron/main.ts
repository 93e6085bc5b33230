// Owns what `import … from "zstream/electron/main"` gives: the engine's process of an app, and which windows may open which models. Runs in Electron's
// main process. Tokens never pass through here: each window is handed a port straight to the engine's process.

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type IpcMainEvent,
  ipcMain,
  MessageChannelMain,
  type UtilityProcess,
  utilityProcess,
  type WebContents,
  type WebFrameMain,
} from "electron";
import type { NativeEngineOptions } from "../addon/contract.js";
import { quote, quoteError } from "../base/quote.js";
import { Watchdog } from "../engine/port/watchdog.js";
import { bad } from "../errors.js";
import { readEngineOptions } from "../options/options.js";
import { isPlainObject, readOptions } from "../options/rules.js";
import type { EngineOptionsInput, EngineStats } from "../types.js";
import {
  CHANNEL,
  type ConnectAnswer,
  type FromEngine,
  LONGEST_NAME,
  type ModelFile,
  type ToEngine,
  type WindowLimits,
} from "./protocol.js";
import { Restarts } from "./restarts.js";

/** A model that windows may open. */
export interface ModelEntry {
  /** A .gguf or .zse file, as a path or file: URL. Left out: the demo model. */
  path?: string | URL | undefined;
  /** As of `new ZSE(path, options)`, but for `isolate`, which all are, and `onProgress`, which pages have for themselves. */
  options?: Omit<EngineOptionsInput, "isolate" | "onProgress"> | undefined;
}

/** Why the engine's process has ended. */
export interface EngineExit {
  /** Its exit code; of a signal, what the system makes of it. */
  code: number;
  /** Set where the watchdog ended it: what did not go on. */
  hung?: string;
  /** Times that it has ended unexpectedly, this time included. */
  crashes: number;
  /** Time (ms) until it is started again. */
  restartInMs: number;
}

/** Options of `serveModels()`. */
export interface ServeModelsOptions {
  /** By the names under which windows open them. */
  models: Readonly<Record<string, ModelEntry>>;
  /** Streams that a window may have open at a time. 1 to 1024, default 16. */
  streamsPerWindow?: number | undefined;
  /** Ports (`openModel()`) that a window may have open at a time. 1 to 256, default 16. */
  portsPerWindow?: number | undefined;
  /** Characters of one request of a window: messages, tools and schema together. 1024 to 67108864, default 1048576. */
  requestCharacters?: number | undefined;
  /** Time (ms) that a model which no window uses stays loaded. 0 to 2147483647, default 300000. */
  keepMs?: number | undefined;
  /** Silence (ms) after which the process counts as hanging, and is ended. 1000 to 3600000, default 10000. */
  hangAfterMs?: number | undefined;
  /** Told when the engine's process has ended unexpectedly. It is started again. Default: a line on stderr. */
  onExit?: ((exit: EngineExit) => void) | undefined;
  /** Told when a window said something that no page of this package says; its connection is closed. Default: a line on stderr. */
  onViolation?: ((violation: { window: number; why: string }) => void) | undefined;
}

/** What a window may do. */
export interface WindowPermission {
  /** The models that it may open, by name. Default: all. */
  models?: readonly string[] | undefined;
}

const RULES = {
  streamsPerWindow: { kind: "integer", min: 1, max: 1024, default: 16 },
  portsPerWindow: { kind: "integer", min: 1, max: 256, default: 16 },
  requestCharacters: { kind: "integer", min: 1024, max: 64 * 2 ** 20, default: 2 ** 20 },
  keepMs: { kind: "integer", min: 0, max: 2 ** 31 - 1, default: 300_000 },
  hangAfterMs: { kind: "integer", min: 1000, max: 3_600_000, default: 10_000 },
  onExit: { kind: "function" },
  onViolation: { kind: "function" },
  models: { kind: "custom", read: readModels },
} as const;

/** Time (ms) in which a process that is asked to close must have ended; freeing a large model takes a while. */
const CLOSING_MS = 10_000;

/** Tokens of lost replies that are computed at once; their logits take some ten megabytes. */
const REPLAY_ROWS = 32;

/** Requests for a port that wait for a process, over all windows. */
const MOST_WAITING = 256;

/** The preload script of windows that have no other: a file that a sandboxed window can load. */
export const preload: string = fileURLToPath(new URL("./preload.cjs", import.meta.url));

const CLOSED = "The app has closed its models.";

/** The service that answers windows. When it has closed, it says so, until there is another one. */
let service: ModelService | undefined;

/**
 * Lets windows of this app open models. The engine's process is started when the first one does.
 *
 * ```js
 * const models = serveModels({ models: { "qwen-7b": { path: join(process.resourcesPath, "qwen-7b.gguf") } } });
 * const window = new BrowserWindow({ webPreferences: { preload, sandbox: true, contextIsolation: true } });
 * models.allow(window.webContents);
 * ```
 * @throws ZSEError BAD_OPTION naming what is wrong; also where it is called while an earlier service is not closed
 */
export function serveModels(options: ServeModelsOptions): ModelService {
  if (service?.serves) throw bad("models", "serveModels() was called already; an app has one service, which can be closed.");
  const next = new ModelService(options);
  service?.answer(false);
  service = next;
  service.answer(true);
  return service;
}

interface Allowed {
  models: readonly string[];
  /** Ports that the engine's process holds for it. */
  ports: number;
}

interface Waiting {
  window: number;
  frame: WebFrameMain;
  id: number;
  model: string;
}

/** The models of an app. */
export class ModelService implements AsyncDisposable {
  readonly #models: Readonly<Record<string, ModelFile>>;
  readonly #limits: WindowLimits;
  readonly #portsPerWindow: number;
  readonly #keepMs: number;
  readonly #hangAfterMs: number;
  readonly #onExit: (exit: EngineExit) => void;
  readonly #onViolation: (violation: { window: number; why: string }) => void;
  readonly #windows = new Map<number, Allowed>();
  readonly #restarts = new Restarts();
  #watchdog: Watchdog | undefined;
  /** Runs, or is about to. */
  #process: UtilityProcess | undefined;
  #hung: string | undefined;
  #loading = new Set<string>();
  #stats: Readonly<Record<string, EngineStats>> = {};
  /** Asked for while there is no process. */
  #waiting: Waiting[] = [];
  #restart: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;
  #settleClosed: (() => void) | undefined;
  #ended = false;

  /** @internal */
  constructor(options: ServeModelsOptions) {
    const read = readOptions(RULES, options, "serveModels()") as unknown as Required<ServeModelsOptions> & {
      models?: Record<string, ModelFile>;
    };
    if (read.models === undefined) throw bad("models", "serveModels() needs models: { name: { path, options } }.");
    this.#models = read.models;
    this.#limits = { streams: read.streamsPerWindow, requestCharacters: read.requestCharacters };
    this.#portsPerWindow = read.portsPerWindow;
    this.#keepMs = read.keepMs;
    this.#hangAfterMs = read.hangAfterMs;
    this.#onExit = read.onExit ?? sayExit;
    this.#onViolation = read.onViolation ?? sayViolation;
  }

  /** @internal Until its process has ended: an app has one service at a time. */
  get serves(): boolean {
    return !this.#ended;
  }

  /** @internal Whether windows that ask are answered by this service. */
  answer(windows: boolean): void {
    const change = windows ? "on" : "off";
    ipcMain[change](CHANNEL.connect, this.#onConnect);
    ipcMain[change](CHANNEL.list, this.#onList);
  }

  /**
   * Lets a window open models, until it is destroyed. Its main frame alone: frames within it are other people's pages.
   * @throws ZSEError BAD_OPTION for a name that is none of `models`
   */
  allow(window: WebContents, { models = Object.keys(this.#models) }: WindowPermission = {}): void {
    const stranger = models.find((name) => !Object.hasOwn(this.#models, name));
    if (stranger !== undefined) throw bad("models", `There is no model ${quote(stranger)}; there are ${quote(Object.keys(this.#models))}.`);
    const { id } = window;
    if (!this.#windows.has(id)) window.once("destroyed", () => this.#windows.delete(id));
    this.#windows.set(id, { models: [...models], ports: this.#windows.get(id)?.ports ?? 0 });
  }

  /** Times that the engine's process has ended unexpectedly. */
  get crashes(): number {
    return this.#restarts.crashes;
  }

  /** The engine's process: its id while it runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Counters of the models that are open, by name; as of a moment ago, an eighth of `hangAfterMs` at most. */
  stats(): Readonly<Record<string, EngineStats>> {
    return this.#stats;
  }

  /**
   * Ends all streams with CLOSED or ENGINE_FAILED, frees the models, and resolves when the process has ended. What windows open then is refused with
   * CLOSED, until the app serves models anew. May be called again.
   */
  close(): Promise<void> {
    if (this.#closed !== undefined) return this.#closed;
    this.#closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
    clearTimeout(this.#restart);
    for (const waiting of this.#waiting.splice(0)) this.#refuse(waiting, "CLOSED", CLOSED);
    const child = this.#process;
    if (child === undefined) this.#finish();
    else {
      this.#say({ type: "close" });
      this.#restart = setTimeout(() => endNow(child), CLOSING_MS);
    }
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Whoever may send on this channel: the preload script, or whoever has taken its place. */
  readonly #onConnect = (event: IpcMainEvent, asked: unknown): void => {
    const from = this.#whoAsks(event, asked);
    if (from === undefined) return;
    const { model } = asked as { model?: unknown };
    const { allowed, ...request } = from;
    if (this.#closed !== undefined) {
      this.#refuse(request, "CLOSED", CLOSED);
      return;
    }
    if (typeof model !== "string" || model.length > LONGEST_NAME || !allowed.models.includes(model)) {
      this.#refuse(request, "MODEL_NOT_FOUND", `There is no model ${quote(model)} for this window.`);
      return;
    }
    const waiting: Waiting = { ...request, model };
    const refusal = this.#restarts.refusal(model);
    if (refusal !== undefined) this.#refuse(waiting, "ENGINE_FAILED", refusal);
    else if (allowed.ports + this.#waiting.filter(({ window }) => window === waiting.window).length >= this.#portsPerWindow)
      this.#refuse(waiting, "OVERLOADED", `this window has ${this.#portsPerWindow} models open, as many as it may (portsPerWindow)`);
    else if (this.#restart !== undefined) this.#await(waiting);
    else this.#connect(waiting);
  };

  readonly #onList = (event: IpcMainEvent, asked: unknown): void => {
    const from = this.#whoAsks(event, asked);
    if (from !== undefined) answer(from.frame, { id: from.id, models: [...from.allowed.models] });
  };

  /** Nobody, where a window was not let in, or where it is not its own page that asks: such a one is not even answered. */
  #whoAsks(event: IpcMainEvent, asked: unknown): { window: number; frame: WebFrameMain; id: number; allowed: Allowed } | undefined {
    const allowed = this.#windows.get(event.sender.id);
    const { senderFrame: frame } = event;
    if (allowed === undefined || frame === null || frame !== event.sender.mainFrame) return undefined;
    if (!isPlainObject(asked) || typeof asked.id !== "number") return undefined;
    return { window: event.sender.id, frame, id: asked.id, allowed };
  }

  #await(waiting: Waiting): void {
    if (this.#waiting.length < MOST_WAITING) this.#waiting.push(waiting);
    else this.#refuse(waiting, "OVERLOADED", "too many requests wait for the engine's process");
  }

  #connect(waiting: Waiting): void {
    this.#process ??= this.#start();
    const { port1, port2 } = new MessageChannelMain();
    const { window, model } = waiting;
    this.#say({ type: "connect", window, model, limits: this.#limits }, [port1]);
    const allowed = this.#windows.get(window);
    if (allowed !== undefined) allowed.ports += 1;
    if (!answer(waiting.frame, { id: waiting.id }, [port2])) port2.close();
  }

  #refuse({ frame, id }: Omit<Waiting, "model">, code: string, message: string): void {
    answer(frame, { id, error: { code, message } });
  }

  #start(): UtilityProcess {
    const entry = fileURLToPath(new URL("./engine-process.js", import.meta.url));
    const child = utilityProcess.fork(entry, [], { serviceName: "zStream engine" });
    this.#restarts.started(performance.now());
    this.#watchdog = new Watchdog(
      this.#hangAfterMs,
      () => this.#say({ type: "ping" }),
      (why) => {
        this.#hung = why;
        endNow(child);
      },
    );
    this.#watchdog.watch(true);
    this.#loading = new Set();
    child.on("message", (message: FromEngine) => this.#onMessage(message));
    child.once("exit", (code) => this.#onProcessEnded(child, code));
    child.postMessage({ type: "models", models: this.#models as Record<string, ModelFile>, keepMs: this.#keepMs } satisfies ToEngine);
    return child;
  }

  #say(message: ToEngine, ports: Electron.MessagePortMain[] = []): void {
    this.#process?.postMessage(message, ports);
  }

  #onMessage(message: FromEngine): void {
    switch (message.type) {
      case "loading":
        this.#loading.add(message.model);
        return;
      case "loaded":
        this.#loading.delete(message.model);
        this.#restarts.loaded(message.model);
        return;
      case "works":
        this.#restarts.worked();
        return;
      case "disconnected": {
        const allowed = this.#windows.get(message.window);
        if (allowed !== undefined) allowed.ports -= 1;
        return;
      }
      case "violation":
        this.#onViolation({ window: message.window, why: message.why });
        return;
      case "pong":
        this.#watchdog?.answered({ ...message, type: "pong", stats: [] });
        this.#stats = message.stats;
        return;
      case "closed":
        this.#process?.kill();
        return;
    }
  }

  #onProcessEnded(child: UtilityProcess, code: number): void {
    if (child !== this.#process) return;
    this.#watchdog?.stop();
    this.#process = undefined;
    this.#stats = {};
    for (const allowed of this.#windows.values()) allowed.ports = 0;
    if (this.#closed !== undefined) {
      this.#finish();
      return;
    }
    const restartInMs = this.#restarts.ended(performance.now(), this.#loading);
    this.#restart = setTimeout(() => {
      this.#restart = undefined;
      for (const waiting of this.#waiting.splice(0)) {
        const refusal = this.#restarts.refusal(waiting.model);
        if (refusal === undefined) this.#connect(waiting);
        else this.#refuse(waiting, "ENGINE_FAILED", refusal);
      }
    }, restartInMs);
    const hung = this.#hung === undefined ? {} : { hung: this.#hung };
    this.#hung = undefined;
    this.#onExit({ code, ...hung, crashes: this.crashes, restartInMs });
  }

  #finish(): void {
    clearTimeout(this.#restart);
    this.#ended = true;
    this.#settleClosed?.();
  }
}

/** SIGKILL, since a process that is stopped, or in an endless loop, hears no other. */
function endNow({ pid }: UtilityProcess): void {
  try {
    if (pid !== undefined) process.kill(pid, "SIGKILL");
  } catch {
    // it has ended meanwhile
  }
}

/** Whether the frame is there to hear it. */
function answer(frame: WebFrameMain, what: Omit<ConnectAnswer, "zstream">, ports: Electron.MessagePortMain[] = []): boolean {
  try {
    frame.postMessage(CHANNEL.port, what, ports);
    return true;
  } catch {
    return false; // it has gone meanwhile
  }
}

/** @throws ZSEError BAD_OPTION */
function readModels(name: string, given: unknown): Record<string, ModelFile> {
  if (!isPlainObject(given) || Object.keys(given).length === 0) {
    throw bad(name, `${name} must be an object { name: { path, options } } with one model at least; given ${quote(given)}.`);
  }
  return Object.fromEntries(Object.entries(given).map(([model, entry]) => [model, readModel(`${name}.${model}`, model, entry)]));
}

function readModel(where: string, model: string, entry: unknown): ModelFile {
  if (model === "" || model.length > LONGEST_NAME)
    throw bad(where, `A model's name has 1 to ${LONGEST_NAME} characters; given ${quote(model)}.`);
  if (!isPlainObject(entry)) throw bad(where, `${where} must be an object { path, options }; given ${quote(entry)}.`);
  const stranger = Object.keys(entry).find((key) => key !== "path" && key !== "options");
  if (stranger !== undefined) throw bad(where, `${where} has no ${quote(stranger)}; there are: path, options.`);
  const { path, options } = entry;
  const { native, isolation, onProgress } = readEngineOptions(options);
  if (isolation !== undefined)
    throw bad(`${where}.options`, `${where}.options has no isolate: models of windows are isolated in any case.`);
  if (onProgress !== undefined) throw bad(`${where}.options`, `${where}.options has no onProgress: pages give their own to openModel().`);
  return { ...(path === undefined ? {} : { path: readPath(where, path) }), options: replaying(native) };
}

/** Pages may want their streams to go on after a crash: there is room then for tokens of theirs to be computed again, many at once. */
function replaying(options: NativeEngineOptions): NativeEngineOptions {
  return options.deterministic ? options : { ...options, replayRows: REPLAY_ROWS };
}

function readPath(where: string, given: unknown): string {
  try {
    if (given instanceof URL || (typeof given === "string" && given.startsWith("file:"))) return fileURLToPath(given);
  } catch (error) {
    throw bad(`${where}.path`, `${where}.path must be a path or file: URL: ${quoteError(error)}.`);
  }
  if (/^hf:/i.test(String(given))) {
    throw bad(
      `${where}.path`,
      `${where}.path must be a file on this machine; given ${quote(given)}: pull() of zstream fetches it, and gives its path.`,
    );
  }
  if (typeof given === "string" && given !== "" && !given.includes("\0")) return resolve(given);
  throw bad(`${where}.path`, `${where}.path must be a path or file: URL; given ${quote(given)}.`);
}

function sayExit({ code, hung, crashes, restartInMs }: EngineExit): void {
  const why = hung === undefined ? "" : `, it ${hung}`;
  console.error(
    `zstream: the engine's process has ended (code ${code}${why}; ${crashes} times so far). It is started again in ${restartInMs} ms.`,
  );
}

function sayViolation({ window, why }: { window: number; why: string }): void {
  console.error(`zstream: window ${window} said what no page of zStream says (${why}); its connection is closed.`);
}
