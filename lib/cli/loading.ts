// Owns opening a model for a command: what is said on stderr while it is fetched and loaded, and what a signal does meanwhile. Main thread.

import { basename } from "node:path";

import type { EngineOptions } from "../types.js";
import { ZSE } from "../zse.js";
import { FetchReport } from "./fetching.js";
import { engineOptions, type ModelFlags } from "./flags.js";
import { progressBar } from "./progress.js";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Returns at once; the bar comes with the first news of the load and goes when it is over, either way. Until then SIGINT and SIGTERM end the
 * process at once (for a shell: 130 and 143). There is nothing to lose (what was fetched is kept), and the system may read a file for long before a load can be given
 * up; only the terminal must be put right, whose line wrap the bar has switched off.
 */
export function openModel(path: string | undefined, flags: ModelFlags, more: EngineOptions = { maxStreams: 1 }): ZSE {
  const options: EngineOptions = { ...engineOptions(flags), ...more };
  const bar = progressBar("loading {name} [{bar}] {percentage} %", () => basename(model.path));
  const fetching = new FetchReport();
  options.onProgress = (fraction, event) => {
    if (event.type !== "load") return fetching.tell(event);
    fetching.end();
    bar?.(fraction);
  };
  const model = path === undefined ? new ZSE(options) : new ZSE(path, options);
  const onSignal = (signal: NodeJS.Signals) => {
    fetching.end();
    bar?.(undefined);
    process.removeAllListeners(signal); // a command's own would wait for the load
    process.kill(process.pid, signal);
  };
  const stop = () => {
    fetching.end();
    bar?.(undefined);
    for (const signal of SIGNALS) process.removeListener(signal, onSignal);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  model.ready.then(stop, stop);
  return model;
}
