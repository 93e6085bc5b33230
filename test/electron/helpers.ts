// What the tests of zstream/electron share: the main process's part over the stand-in, and windows whose pages run in this process.

import { afterEach, vi } from "vitest";
import type * as Main from "../../dist/electron/main.js";
import type { AskForPort } from "../../lib/electron/page-host.js";
import { CHANNEL, type ConnectAnswer } from "../../lib/electron/protocol.js";
import { WindowModel, type WindowModelOptions } from "../../lib/electron/renderer.js";
import type { MessagePortLike } from "../../lib/engine/port/port.js";
import { ZSEError } from "../../lib/errors.js";
import { buildLibrary, until } from "../addon/helpers.js";
import { Frame, fromRealm, processes, type Realm, WebContents } from "./stand-in.js";

vi.mock("electron", () => import("./stand-in.js"));

/** The main process's part as users have it: compiled, so that the process that it starts is too. */
export async function loadMain(): Promise<typeof Main> {
  buildLibrary();
  return import("../../dist/electron/main.js");
}

const services: Main.ModelService[] = [];
const windows: PageWindow[] = [];
afterEach(async () => {
  for (const window of windows.splice(0)) window.destroy();
  await Promise.all(services.splice(0).map((service) => service.close()));
  await until(() => processes.size === 0, "no process is left");
});

/** The demo model, small and on one thread, under two names. */
export async function serve(options: Partial<Main.ServeModelsOptions> = {}): Promise<Main.ModelService> {
  const { serveModels } = await loadMain();
  const demo = { options: { contextSize: 512, threads: 1, maxStreams: 8 } };
  const service = serveModels({ models: { demo, other: demo }, onExit: () => {}, onViolation: () => {}, ...options });
  services.push(service);
  return service;
}

/** A port at its page's end. */
class NodePort implements MessagePortLike {
  readonly #end: number;
  readonly #listeners: [string, (event: { data?: unknown }) => void][] = [];

  constructor(end: number) {
    this.#end = end;
  }

  addEventListener(type: string, listener: (event: { data?: unknown }) => void): void {
    this.#listeners.push([type, listener]);
  }

  /** Something happens to it. */
  emit(type: string, event: { data?: unknown }): void {
    for (const [wanted, listener] of this.#listeners) if (wanted === type) listener(event);
  }

  postMessage(data: unknown): void {
    const message = { end: this.#end, data: structuredClone(data) };
    setImmediate(() => fromRealm(message));
  }

  close(): void {
    setImmediate(() => fromRealm({ end: this.#end, close: true }));
  }
}

/** A window whose page and preload script run here; test/browser/electron.test.ts has them in Chromium. */
export class PageWindow {
  readonly contents: WebContents;
  readonly #models: WindowModel[] = [];
  #ports = new Map<number, NodePort>();
  #waiting = new Map<number, (answer: Omit<ConnectAnswer, "zstream">, ends: number[]) => void>();
  #lastId = 0;

  constructor() {
    this.contents = new WebContents(this.#frame());
    windows.push(this);
  }

  #frame(): Frame {
    const ports = new Map<number, NodePort>();
    this.#ports = ports;
    const realm: Realm = {
      send: ({ end, data, close }) =>
        setImmediate(() => {
          const port = ports.get(end);
          if (close) {
            ports.delete(end);
            port?.emit("close", {});
          } else port?.emit("message", { data: structuredClone(data) });
        }),
    };
    return new Frame(realm, (channel, answer, ends) => {
      if (channel !== CHANNEL.port) throw new Error(`a page hears nothing of ${channel}`);
      for (const end of ends) ports.set(end, new NodePort(end));
      const { id } = answer as ConnectAnswer;
      setImmediate(() => this.#waiting.get(id)?.(answer as ConnectAnswer, ends));
    });
  }

  /** As the preload script asks for it. */
  ask(channel: string, what: object): Promise<Omit<ConnectAnswer, "zstream"> & { port: NodePort | undefined }> {
    return new Promise((resolve) => {
      const id = ++this.#lastId;
      this.#waiting.set(id, (answer, ends) => resolve({ ...answer, port: this.#ports.get(ends[0]!) }));
      this.contents.send(channel, { id, ...what });
    });
  }

  readonly askForPort: AskForPort = async (model) => {
    const { port, error } = await this.ask(CHANNEL.connect, { model });
    if (error !== undefined) throw new ZSEError(error.code as "CLOSED", error.message);
    return port!;
  };

  open(name = "demo", options: WindowModelOptions = {}): WindowModel {
    const model = new WindowModel(name, options, this.askForPort);
    this.#models.push(model);
    return model;
  }

  /** The page is loaded again: what it had is gone without a word. */
  reload(): void {
    this.contents.navigate(this.#frame());
  }

  destroy(): void {
    this.contents.destroy();
  }
}
