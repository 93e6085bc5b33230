// Owns the process in which an Electron app's models run: a utilityProcess, started by lib/electron/main.ts. Its JavaScript thread only passes on what
// the decode threads say, so that a window's tokens take one hop.

import { loadNative } from "../addon/load.js";
import { BUNDLED } from "../addon/load-help.js";
import { demoModelPath } from "../addon/package-root.js";
import { openLink } from "../engine/fallback-link.js";
import { ZSEError } from "../errors.js";
import { EngineHost, type OpenFile } from "./engine-host.js";
import type { ToEngine } from "./protocol.js";
import type { EnginePort } from "./window-port.js";

/** What Electron puts into the process of a utilityProcess. */
interface ParentPort {
  on(event: "message", listener: (message: { data: unknown; ports: EnginePort[] }) => void): void;
  postMessage(message: unknown): void;
}

const openFile: OpenFile = (given, options) => (listener) => {
  const path = given ?? demoModelPath();
  if (path === undefined) throw new ZSEError("MODEL_NOT_FOUND", `The demo model is not here. ${BUNDLED.join(" ")}`);
  return openLink(loadNative(), path, options, listener);
};

const { parentPort } = process as unknown as { parentPort?: ParentPort };
if (parentPort === undefined)
  throw new Error("This file is the entry of a utilityProcess; serveModels() of zstream/electron/main starts it.");
const host = new EngineHost(openFile, (message) => parentPort.postMessage(message));
parentPort.on("message", ({ data, ports }) => host.on(data as ToEngine, ports));
