// Owns what is said on stderr while a model is fetched: a bar where that is a terminal, and else a line for each file; what was chosen and what
// went wrong, in any case. Main thread.

import type { SingleBar } from "cli-progress";

import type { FetchEvent } from "../types.js";
import { newBar } from "./progress.js";
import { bytes, terminalText } from "./terminal.js";

const FORMAT = "{what} {name} [{bar}] {percentage} % of {size}{speed}";

export class FetchReport {
  readonly #quiet: boolean;
  #bar: SingleBar | undefined;
  /** What the bar shows, or the last line said. */
  #subject = "";
  #since = 0;
  #before = 0;

  constructor(quiet = false) {
    this.#quiet = quiet;
  }

  tell(event: FetchEvent): void {
    if (this.#quiet) return;
    switch (event.type) {
      case "chosen":
        this.#say(`no quantization was named: ${terminalText(event.because)}`);
        break;
      case "retry":
        this.#say(`${terminalText(event.because)}; trying again in ${(event.inMs / 1000).toFixed(1)} s`);
        break;
      case "verify":
        this.#show("checking", event.file, event.checkedBytes, event.totalBytes);
        break;
      case "download":
        this.#show(event.shared ? "another process fetches" : "fetching", event.file, event.receivedBytes, event.totalBytes);
        break;
    }
  }

  /** Takes the bar away; a later event brings another one. */
  end(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #say(text: string): void {
    this.end();
    process.stderr.write(`zse: ${text}\n`);
  }

  #show(what: string, file: string, done: number, of: number): void {
    const subject = `${what} ${file}`;
    const isNew = subject !== this.#subject;
    this.#subject = subject;
    if (!process.stderr.isTTY) {
      if (isNew && what !== "checking") this.#say(`${what} ${terminalText(file)}; the model has ${bytes(of)}`);
      return;
    }
    if (isNew) this.end();
    const name = terminalText(file.slice(file.lastIndexOf("/") + 1), 60);
    if (this.#bar === undefined) {
      this.#bar = newBar(FORMAT);
      this.#since = performance.now();
      this.#before = done;
      this.#bar?.start(of, done, { what, name, size: bytes(of), speed: "" });
    } else this.#bar.update(done, { speed: this.#speed(done, of) });
  }

  /** ", 12 MiB/s, 3:20 left" once there is something to go by. */
  #speed(done: number, of: number): string {
    const seconds = (performance.now() - this.#since) / 1000;
    const rate = (done - this.#before) / seconds;
    if (seconds < 1 || rate <= 0) return "";
    const left = Math.ceil((of - done) / rate);
    const time = left < 3600 ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}` : `${(left / 3600).toFixed(1)} h`;
    return `, ${bytes(rate)}/s, ${time} left`;
  }
}
