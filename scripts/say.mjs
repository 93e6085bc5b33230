// Owns what the set-up scripts print: plain lines, one progress line that redraws itself, and the one-sentence failure.
// Everything goes to stderr (or to the terminal when npm hides a lifecycle script's output), so that the stdout of
// `npm start` holds nothing but the model's text.
import { openSync, writeSync } from "node:fs";
import { isatty } from "node:tty";

const output = openOutput();
let lineIsOpen = false;

/** npm swallows the output of a dependency's install step; a build of minutes is then shown on the terminal itself. */
function openOutput() {
  const hidden = process.env.npm_lifecycle_event && process.env.npm_config_foreground_scripts !== "true" && !isatty(2) && !process.env.CI;
  if (hidden && process.platform !== "win32") {
    try {
      return openSync("/dev/tty", "w");
    } catch {
      // No terminal either: stderr it is.
    }
  }
  return 2;
}

function write(text) {
  try {
    writeSync(output, text);
  } catch {
    // A closed pipe must not end a build.
  }
}

/** Prints one line. */
export function say(text) {
  endLine();
  write(`zstream: ${text}\n`);
}

/**
 * Shows how far a step is. On a terminal the line redraws itself; elsewhere a line is printed at each tenth.
 * @param {string} label what is being done
 */
export function progress(label) {
  const terminal = isatty(output);
  let tenth = -1;
  return (/** @type {number} */ fraction) => {
    if (terminal) {
      const width = 30;
      const full = Math.round(width * fraction);
      write(`\rzstream: ${label} ${"█".repeat(full)}${"░".repeat(width - full)} ${String(Math.floor(fraction * 100)).padStart(3)} %`);
      lineIsOpen = true;
      if (fraction >= 1) endLine();
    } else if (Math.floor(fraction * 10) > tenth) {
      tenth = Math.floor(fraction * 10);
      say(`${label} ${tenth * 10} %`);
    }
  };
}

function endLine() {
  if (lineIsOpen) write("\n");
  lineIsOpen = false;
}

/** An error whose message is one sentence for the user: what is missing and what to do. */
export class SetupError extends Error {}

/** Runs the main function of a script; a SetupError becomes its sentence and exit code 1, anything else is a bug of ours. */
export async function main(run) {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    endLine();
    // Always on stderr too: npm prints a failed script's stderr even where it hid the rest.
    if (output !== 2) write(`zstream: ${error.message}\n`);
    process.stderr.write(`zstream: ${error.message}\n`);
    process.exit(1);
  }
}
