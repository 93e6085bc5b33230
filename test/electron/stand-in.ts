// A stand-in for Electron, of which no binary can be had here: its main process's side, in the test's process. What it does is what Electron's
// documentation says of ports (MessageChannelMain, MessagePortMain), of ipcMain, of frames and of utilityProcess:
//
// - messages are structured clones (V8's own), in order; what cannot be cloned throws;
// - a port delivers once it was started; what came before waits;
// - a port that was transferred is of no use any more to whoever had it, and cannot be transferred again;
// - when one end is closed, or its process ends, the other end has what was sent before, and then its close event;
// - a utilityProcess is a process of its own, with process.parentPort; what is posted before it runs waits; its pid is unknown until then.
//
// Ports lead through this process, where Electron's are pipes between the processes. That they are not read here is tested: main.ts has no way to.

import { type ChildProcess, fork } from "node:child_process";
import { EventEmitter } from "node:events";
import { readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { BrowserWindowConstructorOptions, ForkOptions, MenuItemConstructorOptions, MessagePortMain } from "electron";

/** Where an end of a channel is: in another process, or a page. */
export interface Realm {
  send(message: { end: number; data?: unknown; close?: true }): void;
}

interface End {
  id: number;
  peer: End;
  /** Elsewhere; else `port` has it. */
  realm: Realm | undefined;
  port: PortMain | undefined;
  closed: boolean;
}

let lastEnd = 0;
/** Those that are elsewhere, by their ids. */
const ends = new Map<number, End>();

/** Messages that went through ports, by who may have read them. For tests. */
export const traffic = { messages: 0, readInMain: 0 };

function clone<Value>(value: Value): Value {
  return deserialize(serialize(value)) as Value;
}

export class PortMain extends EventEmitter implements MessagePortMain {
  readonly #end: End;
  #started = false;
  #waiting: (() => void)[] = [];
  neutered = false;

  /** @internal */
  constructor(end: End) {
    super();
    this.#end = end;
  }

  start(): void {
    this.#started = true;
    for (const one of this.#waiting.splice(0)) setImmediate(one);
  }

  postMessage(message: unknown, transfer: MessagePortMain[] = []): void {
    if (transfer.length > 0) throw new Error("the stand-in hands on ports only to frames and processes");
    const data = clone(message);
    if (!this.neutered && !this.#end.closed) deliver(this.#end.peer, { data });
  }

  close(): void {
    if (!this.neutered) closeEnd(this.#end);
  }

  /** @internal */
  hear(happens: () => void): void {
    if (this.#started) setImmediate(happens);
    else this.#waiting.push(happens);
  }

  /** @internal Hands the end to another realm. */
  transfer(realm: Realm): number {
    if (this.neutered) throw new Error("Port at index 0 is already neutered");
    if (this.#started) throw new Error("the stand-in hands on ports that were not started");
    this.neutered = true;
    this.#end.port = undefined;
    this.#end.realm = realm;
    ends.set(this.#end.id, this.#end);
    return this.#end.id;
  }
}

function deliver(end: End, message: { data: unknown } | { close: true }): void {
  if (end.realm !== undefined) {
    traffic.messages += 1;
    end.realm.send({ end: end.id, ...message });
    return;
  }
  const { port } = end;
  port?.hear(() => {
    if ("close" in message) port.emit("close");
    else {
      traffic.readInMain += 1;
      port.emit("message", { data: message.data, ports: [] });
    }
  });
}

function closeEnd(end: End): void {
  if (end.closed) return;
  end.closed = true;
  ends.delete(end.id);
  if (end.peer.closed) return;
  end.peer.closed = true;
  ends.delete(end.peer.id);
  deliver(end.peer, { close: true });
}

/** What a realm says of an end that it has. */
export function fromRealm({ end: id, data, close }: { end: number; data?: unknown; close?: true }): void {
  const end = ends.get(id);
  if (end === undefined || end.closed) return;
  if (close) closeEnd(end);
  else deliver(end.peer, { data });
}

/** A process has ended, or a page is gone: its ends are closed. */
export function realmGone(realm: Realm): void {
  for (const end of [...ends.values()]) if (end.realm === realm) closeEnd(end);
}

export class MessageChannelMain {
  readonly port1: PortMain;
  readonly port2: PortMain;

  constructor() {
    const one: End = { id: ++lastEnd, realm: undefined, port: undefined, closed: false } as unknown as End;
    const other: End = { id: ++lastEnd, realm: undefined, port: undefined, closed: false, peer: one };
    one.peer = other;
    this.port1 = one.port = new PortMain(one);
    this.port2 = other.port = new PortMain(other);
  }
}

/** Processes that were started and have not ended, for the end of a test. */
export const processes = new Set<Utility>();

export class Utility extends EventEmitter {
  pid: number | undefined;
  readonly child: ChildProcess;
  readonly #realm: Realm;

  constructor(file: string, args: string[], options: ForkOptions) {
    super();
    this.child = fork(file, args, {
      execArgv: ["--import", join(import.meta.dirname, "stand-in-child.mjs"), ...(options.execArgv ?? [])],
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#realm = { send: (message) => this.child.connected && this.child.send({ port: message }) };
    processes.add(this);
    this.child.on("spawn", () => {
      this.pid = this.child.pid;
      this.emit("spawn");
    });
    this.child.on("message", (message: { port?: { end: number }; data?: unknown }) => {
      if (message.port !== undefined) fromRealm(message.port);
      else this.emit("message", message.data);
    });
    this.child.on("error", () => {}); // a message to a process that has just ended
    this.child.on("exit", (code, signal) => {
      processes.delete(this);
      realmGone(this.#realm);
      this.pid = undefined;
      this.emit("exit", code ?? (signal === "SIGKILL" ? 9 : 1));
    });
  }

  postMessage(message: unknown, transfer: PortMain[] = []): void {
    const ports = transfer.map((port) => port.transfer(this.#realm));
    if (this.child.connected) this.child.send({ data: clone(message), ports });
    else realmGone(this.#realm);
  }

  kill(): boolean {
    return this.child.kill();
  }
}

export const utilityProcess = { fork: (file: string, args: string[] = [], options: ForkOptions = {}) => new Utility(file, args, options) };

export const ipcMain = new EventEmitter();

/** A frame of a window: what it is sent goes to its preload script. */
export class Frame {
  readonly realm: Realm;
  readonly #hear: (channel: string, message: unknown, ends: number[]) => void;
  gone = false;

  constructor(realm: Realm, hear: (channel: string, message: unknown, ends: number[]) => void) {
    this.realm = realm;
    this.#hear = hear;
  }

  postMessage(channel: string, message: unknown, transfer: PortMain[] = []): void {
    if (this.gone) throw new Error("Render frame was disposed before WebFrameMain could be accessed");
    const data = clone(message);
    this.#hear(
      channel,
      data,
      transfer.map((port) => port.transfer(this.realm)),
    );
  }
}

let lastWindow = 0;

/** What is used of a window's WebContents. */
export class WebContents extends EventEmitter {
  readonly id = ++lastWindow;
  mainFrame: Frame;

  constructor(frame: Frame) {
    super();
    this.mainFrame = frame;
  }

  /** A preload script sends to the main process. */
  send(channel: string, message: unknown, frame: Frame = this.mainFrame): void {
    const args = clone(message);
    setImmediate(() => ipcMain.emit(channel, { sender: this, senderFrame: frame.gone ? null : frame }, args));
  }

  /** The page is left for another one, or loaded again. */
  navigate(frame: Frame): void {
    this.mainFrame.gone = true;
    realmGone(this.mainFrame.realm);
    this.mainFrame = frame;
  }

  destroy(): void {
    this.mainFrame.gone = true;
    realmGone(this.mainFrame.realm);
    this.emit("destroyed");
  }
}

/** A window, as far as an app makes one. Where its page is loaded is the test's to say. */
export class BrowserWindow {
  static readonly all: BrowserWindow[] = [];
  static getAllWindows(): BrowserWindow[] {
    return BrowserWindow.all;
  }
  readonly webContents = Object.assign(new WebContents(new Frame({ send: () => {} }, () => {})), { setWindowOpenHandler: () => {} });
  url: string | undefined;

  constructor(readonly options: BrowserWindowConstructorOptions) {
    BrowserWindow.all.push(this);
  }

  async loadURL(url: string): Promise<void> {
    this.url = url;
  }
}

let setReady: () => void;
const ready = new Promise<void>((resolve) => {
  setReady = resolve;
});
/** Electron is ready once the app's main file has been run, its top-level awaits included. */
export const mainFileHasRun = () => setReady();
export const app = Object.assign(new EventEmitter(), { isPackaged: false, whenReady: () => ready, quit: () => {} });

/** What answers for addresses of an app's own scheme. */
export const handlers = new Map<string, (request: Request) => Promise<Response>>();
export const protocol = {
  registerSchemesAsPrivileged: () => {},
  handle: (scheme: string, handler: (request: Request) => Promise<Response>) => void handlers.set(scheme, handler),
};

const MIME: Record<string, string> = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css" };
export const net = {
  fetch: async (url: string) => new Response(readFileSync(new URL(url)), { headers: { "content-type": MIME[extname(url)]! } }),
};

/** The app's menu, as it was set. */
export const Menu = {
  items: [] as MenuItemConstructorOptions[],
  buildFromTemplate: (items: MenuItemConstructorOptions[]) => items,
  setApplicationMenu: (items: MenuItemConstructorOptions[]) => void (Menu.items = items),
};
