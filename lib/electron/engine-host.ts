// Owns the models of the engine's process, and who has a port to them. Runs on that process's JavaScript thread. It believes what the main process says,
// and nothing that a window says.

import type { NativeEngineOptions } from "../addon/contract.js";
import type { OpenLink } from "../engine/link.js";
import { fromNative } from "../errors.js";
import type { EngineStats } from "../types.js";
import { failedLink } from "./failed-link.js";
import type { FromEngine, ModelFile, ToEngine, WindowLimits } from "./protocol.js";
import { SharedModel } from "./shared-model.js";
import { type EnginePort, WindowPort, type WindowUse } from "./window-port.js";

/** Opens the file of a model; `path` absent: the demo model. */
export type OpenFile = (path: string | undefined, options: NativeEngineOptions) => OpenLink;

const CLOSED = { code: "CLOSED", message: "The app has closed its models." } as const;

interface Opened {
  model: SharedModel;
  /** Runs out while no window uses it. */
  idle: NodeJS.Timeout | undefined;
}

export class EngineHost {
  readonly #openFile: OpenFile;
  readonly #say: (message: FromEngine) => void;
  #files: Record<string, ModelFile> = {};
  #keepMs = 0;
  readonly #opened = new Map<string, Opened>();
  readonly #windows = new Map<number, WindowUse & { ports: Set<WindowPort> }>();
  #closing = false;
  #works = false;

  constructor(openFile: OpenFile, say: (message: FromEngine) => void) {
    this.#openFile = openFile;
    this.#say = say;
  }

  /** A message of the main process's. */
  on(message: ToEngine, ports: readonly EnginePort[]): void {
    switch (message.type) {
      case "models":
        this.#files = message.models;
        this.#keepMs = message.keepMs;
        return;
      case "connect":
        this.#connect(message.window, message.model, message.limits, ports[0]!);
        return;
      case "ping":
        this.#answer();
        return;
      case "close":
        void this.#close();
        return;
    }
  }

  #connect(window: number, name: string, limits: WindowLimits, port: EnginePort): void {
    if (this.#closing || !Object.hasOwn(this.#files, name)) {
      port.close();
      this.#say({ type: "disconnected", window });
      return;
    }
    const opened = this.#opened.get(name) ?? this.#open(name);
    clearTimeout(opened.idle);
    const use = this.#windows.get(window) ?? { streams: 0, ports: new Set() };
    this.#windows.set(window, use);
    const made: WindowPort = new WindowPort(port, opened.model, {
      name,
      limits,
      use,
      onViolation: (why) => this.#say({ type: "violation", window, why }),
      onClosed: () => {
        use.ports.delete(made);
        if (use.ports.size === 0) this.#windows.delete(window);
        this.#say({ type: "disconnected", window });
        this.#letGo(name, opened);
      },
    });
    use.ports.add(made);
  }

  #open(name: string): Opened {
    const { path, options } = this.#files[name]!;
    this.#say({ type: "loading", model: name });
    const model = new SharedModel(opening(this.#openFile(path, options)), options, {
      settled: (failed) => {
        this.#say({ type: "loaded", model: name });
        // What could not be loaded is tried again by whoever connects next: the file may be there then.
        if (failed && this.#opened.get(name) === opened) this.#opened.delete(name);
        if (failed) void model.close();
      },
      finished: () => {
        if (!this.#works) this.#say({ type: "works" });
        this.#works = true;
      },
    });
    const opened: Opened = { model, idle: undefined };
    this.#opened.set(name, opened);
    return opened;
  }

  /** A model that nobody uses is closed after a while. */
  #letGo(name: string, opened: Opened): void {
    if (opened.model.users > 0 || this.#closing) return;
    clearTimeout(opened.idle);
    if (!Number.isFinite(this.#keepMs)) return;
    opened.idle = setTimeout(() => {
      if (opened.model.users > 0 || this.#opened.get(name) !== opened) return;
      this.#opened.delete(name);
      void opened.model.close();
    }, this.#keepMs);
  }

  #answer(): void {
    const all: [string, EngineStats][] = [];
    let slowest = { stepMs: 0, longestMs: 0 };
    for (const [name, { model }] of this.#opened) {
      const { stats } = model;
      all.push([name, stats]);
      model.steps.look(stats);
      if (model.steps.stepMs > slowest.stepMs) slowest = model.steps;
    }
    this.#say({ type: "pong", stepMs: slowest.stepMs, longestStepMs: slowest.longestMs, stats: Object.fromEntries(all) });
  }

  async #close(): Promise<void> {
    this.#closing = true;
    for (const { ports } of [...this.#windows.values()]) for (const port of [...ports]) port.close(CLOSED);
    const all = [...this.#opened.values()];
    this.#opened.clear();
    await Promise.all(
      all.map(({ model, idle }) => {
        clearTimeout(idle);
        return model.close();
      }),
    );
    this.#say({ type: "closed" });
  }
}

/** Where there is no native half at all, the model cannot be loaded, and says so as any other. */
function opening(open: OpenLink): OpenLink {
  return (listener) => {
    try {
      return open(listener);
    } catch (error) {
      return failedLink(fromNative(error), listener);
    }
  };
}
