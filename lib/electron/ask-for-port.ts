// Owns a page's questions to its preload script (lib/electron/preload.ts): a port to a model, and which models there are. Runs in the page.

import type { MessagePortLike } from "../engine/port/port.js";
import { fromNative, ZSEError } from "../errors.js";
import type { ConnectAnswer, ConnectRequest } from "./protocol.js";

/** What is used of a page's window. */
interface PageWindow {
  addEventListener(type: "message", listener: (event: { source: unknown; data: unknown; ports: readonly MessagePortLike[] }) => void): void;
  postMessage(message: ConnectRequest, origin: string): void;
}

const waiting = new Map<
  number,
  { resolve: (answer: ConnectAnswer & { port: MessagePortLike | undefined }) => void; reject: (error: ZSEError) => void }
>();
let last = 0;
let listens = false;

/** Rejects with what the main process says against it. */
export async function askForPort(model: string): Promise<MessagePortLike> {
  const { port } = await ask({ model });
  if (port === undefined) throw new ZSEError("ENGINE_FAILED", "The main process answered without a port.");
  return port;
}

/** The names of the models that this window may open. */
export async function askForModels(): Promise<string[]> {
  return (await ask({})).models ?? [];
}

function ask(what: { model?: string }): Promise<ConnectAnswer & { port: MessagePortLike | undefined }> {
  const page = (globalThis as { window?: PageWindow }).window;
  if (page === undefined) {
    return Promise.reject(
      new ZSEError("UNSUPPORTED", "zstream/electron is for pages in windows of Electron; in Node, import zstream itself."),
    );
  }
  if (!listens) listen(page);
  return new Promise((resolve, reject) => {
    last += 1;
    waiting.set(last, { resolve, reject });
    // Only this window hears it; a page of a file has no origin that could be named.
    page.postMessage({ zstream: "connect", id: last, ...what }, "*");
  });
}

function listen(page: PageWindow): void {
  listens = true;
  page.addEventListener("message", ({ source, data, ports }) => {
    if (source !== page || typeof data !== "object" || data === null) return;
    const answer = data as ConnectAnswer;
    const asked = answer.zstream === "port" ? waiting.get(answer.id) : undefined;
    if (asked === undefined) return;
    waiting.delete(answer.id);
    if (answer.error === undefined) asked.resolve({ ...answer, port: ports[0] });
    else asked.reject(fromNative(answer.error));
  });
}
