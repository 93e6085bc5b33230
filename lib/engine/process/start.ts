// Owns the child process that an isolated engine runs in, as its parent sees it: how it is started, its port, and how its end is told. JS thread
// that made the model.

import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isMoved, knownRoot } from "../../addon/package-root.js";
import { ZSEError } from "../../errors.js";
import type { Host, HostEnd, Port, StartHost } from "../port/port.js";

/** Time (ms) in which the last messages of a process that has exited are heard. */
const LAST_MESSAGES_MS = 500;

/** Starts a process of its own for an engine. */
export const startProcess: StartHost = (ended) => {
  const child = fork(entryFile(), [], {
    serialization: "advanced",
    execArgv: [], // an inspector's port, say, can be had once
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    windowsHide: true,
  } as Parameters<typeof fork>[2]);
  return new ChildHost(child, ended);
};

/** Beside this file; where a bundler has moved that, or it is no JavaScript yet, in the package. */
function entryFile(): string {
  const root = knownRoot();
  const files = [isMoved() ? undefined : besideThis(), root && join(root, "dist", "engine", "process", "child.js")];
  const found = files.find((file) => file !== undefined && existsSync(file));
  if (found !== undefined) return found;
  throw new ZSEError(
    "UNSUPPORTED",
    "isolate needs the file dist/engine/process/child.js of zstream, which is not here: leave zstream out of the bundle (external), or do without isolate.",
  );
}

/** Written as one expression, since programs that pack an application look for it, and copy the file with what it imports. */
function besideThis(): string | undefined {
  try {
    return fileURLToPath(new URL("./child.js", import.meta.url));
  } catch {
    return undefined;
  }
}

class ChildHost implements Host {
  readonly port: Port;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess, ended: (how: HostEnd) => void) {
    this.#child = child;
    this.port = childPort(child);
    let how: HostEnd | undefined;
    let told = false;
    const tell = () => {
      if (told) return;
      told = true;
      ended(how!);
    };
    // Both: what the channel still holds is heard after the exit.
    child.on("exit", (code, signal) => {
      how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
      if (!child.connected) tell();
      else
        setTimeout(() => {
          this.port.close(); // Deno does not say that the channel has ended
          tell();
        }, LAST_MESSAGES_MS);
    });
    child.on("disconnect", () => {
      if (how !== undefined) tell();
    });
    child.on("error", (error) => {
      if (child.pid !== undefined) return; // a message that could not be sent: its end is told as the others
      queueMicrotask(() => ended(`could not be started: ${error.message}`));
    });
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  keepAlive(yes: boolean): void {
    if (yes) {
      this.#child.ref();
      this.#child.channel?.ref?.(); // Bun's has none
    } else {
      this.#child.unref();
      this.#child.channel?.unref?.();
    }
  }
}

function childPort(child: ChildProcess): Port {
  return {
    post: (message) => {
      if (child.connected) child.send(message as object, () => {}); // its end says why it could not be sent
    },
    listen: (hear, ended) => {
      child.on("message", hear);
      child.on("disconnect", ended);
    },
    close: () => {
      if (child.connected) child.disconnect();
    },
  };
}
