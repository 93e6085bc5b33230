// Owns writing to stdout at the pace of whoever reads it. Main thread.

import { fstatSync } from "node:fs";

/** Stdout: text goes out as fast as it is read, and a reader that has gone is an end, not an error. */
export class Output {
  #closed = false;
  #wakeUp: (() => void) | undefined;
  /** The text written last, to know whether a line is open. */
  #last = "\n";

  constructor() {
    process.stdout.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") return; // main.ts says so and ends the process
      this.#closed = true;
      this.#wakeUp?.();
    });
    process.stdout.on("drain", () => this.#wakeUp?.());
  }

  /** Whether nobody reads any more, as in `zse run … | head -c 10`. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Resolves when more may be written. Returns false when nobody reads any more. */
  async write(text: string): Promise<boolean> {
    if (this.#closed) return false;
    if (text !== "") this.#last = text;
    if (!process.stdout.write(text)) {
      await new Promise<void>((resolve) => {
        this.#wakeUp = resolve;
      });
      this.#wakeUp = undefined;
    }
    return !this.#closed;
  }

  /** A line of its own: what stands open before it is ended. */
  async writeLine(text: string): Promise<boolean> {
    return this.write(`${this.#last.endsWith("\n") ? "" : "\n"}${text}\n`);
  }

  /**
   * Ends an open line where what follows on stderr would stand on it: on a terminal, and where both go to one file or pipe. A file of its
   * own gets the text and nothing else.
   */
  async endLine(): Promise<void> {
    if ((process.stdout.isTTY || sharedWithStderr()) && !this.#last.endsWith("\n")) await this.write("\n");
  }
}

/** As in `zse run … > log 2>&1`. */
function sharedWithStderr(): boolean {
  try {
    const [out, err] = [fstatSync(1), fstatSync(2)];
    return out.ino === err.ino && out.dev === err.dev;
  } catch {
    return false; // one of them is closed
  }
}
