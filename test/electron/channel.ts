// The engine's process without the process: its host in this one, and channels to it. For tests of what a page may say.

import { EventEmitter } from "node:events";
import { loadNative } from "../../lib/addon/load.js";
import { EngineHost } from "../../lib/electron/engine-host.js";
import type { FromEngine } from "../../lib/electron/protocol.js";
import { AddonLink } from "../../lib/engine/addon-link.js";
import type { MessagePortLike } from "../../lib/engine/port/port.js";
import { readEngineOptions } from "../../lib/options/options.js";
import type { EngineOptions } from "../../lib/types.js";
import { DEMO, until } from "../addon/helpers.js";

/** Of each window. */
const LIMITS = { streams: 4, requestCharacters: 65_536 };

/** A channel: the engine's end, as Electron has it, and the page's. What the page sends is a clone, as any port makes one. */
export function channel() {
  const engine = Object.assign(new EventEmitter(), { start: () => {}, postMessage: (data: unknown) => tell(data), close: () => closed() });
  const heard: unknown[] = [];
  const listeners = new Map<string, (event: { data?: unknown }) => void>();
  let open = true;
  const tell = (data: unknown) => {
    if (!open) return;
    heard.push(data);
    const copy = structuredClone(data);
    setImmediate(() => listeners.get("message")?.({ data: copy }));
  };
  const closed = () => {
    if (!open) return;
    open = false;
    setImmediate(() => listeners.get("close")?.({}));
  };
  const page: MessagePortLike = {
    postMessage: (data) => void (open && engine.emit("message", { data: structuredClone(data) })),
    addEventListener: (type, listener) => void listeners.set(type, listener),
    close: () => {
      if (open) engine.emit("close");
      open = false;
    },
  };
  return { engine, page, heard, isOpen: () => open };
}

/** A host of the demo model. */
export function openHost(options: EngineOptions = {}) {
  const said: FromEngine[] = [];
  const host = new EngineHost(
    (path, options) => (listener) => new AddonLink(loadNative(), path ?? DEMO, options, listener),
    (one) => said.push(one),
  );
  const { native } = readEngineOptions({ contextSize: 512, threads: 1, maxStreams: 4, maxQueue: 2, ...options });
  host.on({ type: "models", models: { demo: { options: native } }, keepMs: 2 ** 31 - 1 }, []);
  const connect = (window: number) => {
    const made = channel();
    host.on({ type: "connect", window, model: "demo", limits: LIMITS }, [made.engine]);
    return made;
  };
  const stats = () => {
    host.on({ type: "ping" }, []);
    return (said.findLast(({ type }) => type === "pong") as FromEngine & { type: "pong" }).stats.demo!;
  };
  const close = async () => {
    host.on({ type: "close" }, []);
    await until(() => said.some(({ type }) => type === "closed"), "it is closed");
  };
  return { connect, said, stats, close };
}
