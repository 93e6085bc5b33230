// Owns the progress bar of long work, on stderr where that is a terminal. Main thread.

import { SingleBar } from "cli-progress";

import { terminalText } from "./terminal.js";

/** Shows a fraction; undefined takes the bar away for good: a fraction that comes later, as from a load that is being given up, shows nothing. */
export type ProgressBar = (fraction: number | undefined) => void;

/**
 * Undefined where stderr is no terminal. The bar comes with the first fraction. `format` is cli-progress's, with {name}; `nameOf` gives it
 * then, and it may come from a file.
 */
export function progressBar(format: string, nameOf: () => string): ProgressBar | undefined {
  const bar = newBar(format);
  if (bar === undefined) return undefined;
  let ended = false;
  return (fraction) => {
    if (fraction === undefined) {
      ended = true;
      if (bar.isActive) bar.stop();
    } else if (ended) return;
    else if (!bar.isActive) bar.start(1, fraction, { name: terminalText(nameOf()) });
    else bar.update(fraction);
  };
}

/** A bar of cli-progress; undefined where stderr is no terminal. */
export function newBar(format: string): SingleBar | undefined {
  if (!process.stderr.isTTY) return undefined;
  return new SingleBar({
    format,
    stream: process.stderr,
    gracefulExit: false, // Ctrl-C is the command's own matter
    clearOnComplete: true,
    barsize: 30,
  });
}
