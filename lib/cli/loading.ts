// Owns opening a model for a command, with a progress bar on stderr when that is a terminal. Main thread.

import { basename } from "node:path";

import type { EngineOptions } from "../types.js";
import { ZSE } from "../zse.js";
import { engineOptions, type ModelFlags } from "./flags.js";
import { progressBar } from "./progress.js";

/** Returns at once; the bar comes with the first news of the load and goes when it is over, either way. */
export function openModel(path: string | undefined, flags: ModelFlags, more: EngineOptions = { maxStreams: 1 }): ZSE {
  const options: EngineOptions = { ...engineOptions(flags), ...more };
  const bar = progressBar("loading {name} [{bar}] {percentage} %", () => basename(model.path));
  if (bar) options.onProgress = bar;
  const model = path === undefined ? new ZSE(options) : new ZSE(path, options);
  if (bar) {
    const stop = () => bar(undefined);
    model.ready.then(stop, stop);
  }
  return model;
}
