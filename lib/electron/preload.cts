// Owns the way from a page to the main process: it passes a page's request for a port on, and the port back. Runs in the preload script's world of a
// sandboxed window, which pages cannot reach. CommonJS, and one file, since a sandboxed preload script can load no other.
//
// It exposes nothing: pages speak to it by window.postMessage(), and get a port or a refusal. What they say is checked here only for being meant for
// it. The main process checks who asks and for what; the engine's process checks all that comes over the port.

import electron = require("electron");
import type { CHANNEL, ConnectAnswer, ConnectRequest } from "./protocol.js" with { "resolution-mode": "import" };

const { ipcRenderer } = electron;
const channel: typeof CHANNEL = { connect: "zstream:connect", port: "zstream:port", list: "zstream:list" };

/** What is used of the window that the page and this script share. */
interface SharedWindow {
  addEventListener(type: "message", listener: (event: { source: unknown; data: unknown }) => void): void;
  postMessage(message: ConnectAnswer, origin: string, transfer: readonly unknown[]): void;
}

const shared = (globalThis as unknown as { window: SharedWindow }).window;

shared.addEventListener("message", ({ source, data }) => {
  if (source !== shared || typeof data !== "object" || data === null) return; // from a frame within the page, or another window
  const { zstream, id, model } = data as Partial<ConnectRequest>;
  if (zstream !== "connect" || typeof id !== "number") return;
  if (model === undefined) ipcRenderer.send(channel.list, { id });
  else ipcRenderer.send(channel.connect, { id, model: String(model).slice(0, 201) });
});

ipcRenderer.on(channel.port, (event, answer: Omit<ConnectAnswer, "zstream">) => {
  shared.postMessage({ ...answer, zstream: "port" }, "*", event.ports);
});
