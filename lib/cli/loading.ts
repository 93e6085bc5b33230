// Owns opening a model for a command, with a progress bar on stderr when that is a terminal. Main thread.

import { basename } from "node:path";
import { SingleBar } from "cli-progress";

import type { EngineOptions } from "../types.js";
import { ZSE } from "../zse.js";
import { engineOptions, type ModelFlags } from "./flags.js";

/** Returns at once; the bar comes with the first news of the load and goes when it is over, either way. */
export function openModel(path: string | undefined, flags: ModelFlags, more: EngineOptions = { maxStreams: 1 }): ZSE {
  const options = { ...engineOptions(flags), ...more };
  if (!process.stderr.isTTY) return path === undefined ? new ZSE(options) : new ZSE(path, options);

  const bar = new SingleBar({
    format: "loading {name} [{bar}] {percentage} %",
    stream: process.stderr,
    gracefulExit: false, // Ctrl-C is the command's own matter
    clearOnComplete: true,
    barsize: 30,
    noTTYOutput: false,
  });
  const onProgress = (fraction: number) => {
    if (!bar.isActive) bar.start(1, fraction, { name: basename(model.path) });
    else bar.update(fraction);
  };
  const model: ZSE = path === undefined ? new ZSE({ ...options, onProgress }) : new ZSE(path, { ...options, onProgress });
  const stop = () => {
    if (bar.isActive) bar.stop();
  };
  model.ready.then(stop, stop);
  return model;
}
