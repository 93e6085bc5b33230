// Owns opening a model for a command: what is said on stderr while it is fetched and loaded, and what a signal does meanwhile. Main thread.

import { basename } from "node:path";

import type { EngineOptions, ModelInfo } from "../types.js";
import { ZSE } from "../zse.js";
import { FetchReport } from "./fetching.js";
import { engineOptions, type ModelFlags } from "./flags.js";
import { placementLine } from "./placement.js";
import { progressBar } from "./progress.js";
import { dim } from "./stats-line.js";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Returns at once; the bar comes with the first news of the load and goes when it is over, either way. Until then SIGINT and SIGTERM end the
 * process at once (for a shell: 130 and 143). There is nothing to lose (what was fetched is kept), and the system may read a file for long before a load can be given
 * up; only the terminal must be put right, whose line wrap the bar has switched off.
 * @param tellsPlacement whether a line on stderr says where its layers are, once some are on a GPU
 */
export function openModel(
  path: string | undefined,
  flags: ModelFlags,
  more: EngineOptions = { maxStreams: 1 },
  tellsPlacement: boolean = process.stderr.isTTY,
): ZSE {
  const options: EngineOptions = { ...engineOptions(flags), ...more };
  const bar = progressBar("loading {name} [{bar}] {percentage} %", () => basename(model.path));
  const fetching = new FetchReport();
  options.onProgress = (fraction, event) => {
    if (event.type !== "load") return fetching.tell(event);
    fetching.end();
    bar?.(fraction);
  };
  const model = path === undefined ? new ZSE(options) : new ZSE(path, options);
  const stop = endingAtOnce(() => {
    fetching.end();
    bar?.(undefined);
  });
  model.ready.then(stop, stop);
  if (tellsPlacement) model.ready.then((info) => tell(placementOf(info, options))).catch(() => {}); // whoever awaits the model hears of it
  return model;
}

/** Until it is stopped, a signal clears what is on the terminal and ends the process. Stopping clears it, too. */
export function endingAtOnce(clear: () => void): () => void {
  const onSignal = (signal: NodeJS.Signals) => {
    clear();
    process.removeAllListeners(signal); // a command's own would wait for the work to end
    process.kill(process.pid, signal);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return () => {
    clear();
    for (const signal of SIGNALS) process.removeListener(signal, onSignal);
  };
}

/** A sentence on where the layers are of a model that has some on a GPU; undefined where there is nothing to explain. */
export function placementOf(info: ModelInfo, options: EngineOptions): string | undefined {
  if (info.device === "CPU" || info.gpuLayers === 0) return undefined;
  // The driver of a GPU is not brought into this process where its engine was kept out of it.
  const devices = options.isolate === undefined || options.isolate === false ? ZSE.devices() : [];
  return placementLine(info, devices, options);
}

function tell(placement: string | undefined): void {
  if (placement !== undefined) process.stderr.write(`${dim(`[${placement}]`)}\n`);
}
