// A window of the stand-in whose page is one of Chromium's: the preload script runs in an isolated world of it, as it does in Electron, and the page itself
// sees nothing but window messages and real MessagePorts. Chromium's debugging protocol stands for Electron's pipes.

import { readFileSync } from "node:fs";
import type { CDPSession, Page } from "playwright-core";
import { Frame, fromRealm, type Realm, type WebContents } from "./stand-in.js";

const WORLD = "preload";

/** What JSON has no words for, of what structured clones hold: typed arrays, undefined. Both sides have these two functions. */
const CODING = `
  const encode = (value) => {
    if (value === undefined) return { $: "undefined" };
    if (ArrayBuffer.isView(value)) return { $: value.constructor.name, values: Array.from(value) };
    if (Array.isArray(value)) return value.map(encode);
    if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, encode(one)]));
    return value;
  };
  const decode = (value) => {
    if (Array.isArray(value)) return value.map(decode);
    if (typeof value !== "object" || value === null) return value;
    if (value.$ === "undefined") return undefined;
    if (typeof value.$ === "string") return globalThis[value.$].from(value.values);
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, decode(one)]));
  };
`;
const { encode, decode } = new Function(`${CODING} return { encode, decode };`)() as Record<
  "encode" | "decode",
  (value: unknown) => unknown
>;

/** Runs in the isolated world, before the page's own scripts: \`electron\` as a sandboxed preload script finds it. */
const IN_THE_WORLD = (preload: string) => `(() => {
  ${CODING}
  const listeners = new Map();
  const ends = new Map();
  const tell = (message) => globalThis.toStandIn(JSON.stringify(encode(message)));
  const ipcRenderer = {
    on: (channel, listener) => void listeners.set(channel, listener),
    send: (channel, message) => tell({ channel, message: structuredClone(message) }),
  };
  globalThis.fromStandIn = (text) => {
    const { channel, message, ports = [], end, data, close } = decode(JSON.parse(text));
    if (channel !== undefined) {
      const event = { ports: ports.map((id) => {
        const { port1, port2 } = new MessageChannel();
        ends.set(id, port1);
        port1.onmessage = ({ data }) => tell({ end: id, data });
        port1.onclose = () => tell({ end: id, close: true });
        return port2;
      }) };
      listeners.get(channel)?.(event, message);
    } else if (close) {
      const port = ends.get(end);
      if (port) port.onclose = null;
      port?.close();
      ends.delete(end);
    } else ends.get(end)?.postMessage(data);
  };
  const exports = {};
  const require = (name) => {
    if (name === "electron") return { ipcRenderer };
    throw new Error("a sandboxed preload script cannot load " + name);
  };
  (function (require, exports) { ${preload}
  })(require, exports);
})()`;

/** Makes the page that Chromium loads next, and all after it, those of a window. */
export async function attachWindow(page: Page, contents: WebContents, preload: string): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send("Page.enable");
  await session.send("Runtime.addBinding", { name: "toStandIn", executionContextName: WORLD });
  await session.send("Page.addScriptToEvaluateOnNewDocument", { source: IN_THE_WORLD(readFileSync(preload, "utf8")), worldName: WORLD });
  const { frameTree } = await session.send("Page.getFrameTree");
  session.on("Runtime.executionContextCreated", ({ context }) => {
    const { isDefault, frameId } = context.auxData as unknown as { isDefault: boolean; frameId: string };
    if (isDefault || context.name !== WORLD || frameId !== frameTree.frame.id) return;
    contents.navigate(new PageFrame(session, context.id).frame);
  });
  session.on("Runtime.bindingCalled", ({ name, payload }) => {
    if (name !== "toStandIn") return;
    const said = decode(JSON.parse(payload)) as { channel?: string; message?: unknown; end: number; data?: unknown; close?: true };
    if (said.channel !== undefined) contents.send(said.channel, said.message);
    else fromRealm(said);
  });
  await session.send("Runtime.enable");
}

class PageFrame {
  readonly frame: Frame;
  readonly #session: CDPSession;
  readonly #contextId: number;

  constructor(session: CDPSession, contextId: number) {
    this.#session = session;
    this.#contextId = contextId;
    const realm: Realm = { send: (message) => this.#tell(message) };
    this.frame = new Frame(realm, (channel, message, ports) => this.#tell({ channel, message, ports }));
  }

  /** In order: the session sends one after the other. What comes for a page that has gone is lost, as it is in Electron. */
  #tell(message: object): void {
    const expression = `fromStandIn(${JSON.stringify(JSON.stringify(encode(message)))})`;
    this.#session.send("Runtime.evaluate", { expression, contextId: this.#contextId }).catch(() => {});
  }
}
