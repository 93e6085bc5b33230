// Owns the process that an isolated engine runs in: what it starts with, and its end. It lives as long as its parent wants it, and no longer. Main
// thread of that process; the decode thread is the addon's.

import { loadNative } from "../../addon/load.js";
import { openLink } from "../fallback-link.js";
import type { Port } from "../port/port.js";
import { PortHost } from "../port/port-host.js";

/** Time (ms) for an engine to end by itself when its parent has gone. */
const LAST_WORK_MS = 10_000;

// A signal to the terminal's whole group is for the parent, which may have streams to finish.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});

process.on("disconnect", () => {
  setTimeout(() => process.kill(process.pid, "SIGKILL"), LAST_WORK_MS).unref();
});

/** Messages that have not gone out yet: whoever leaves before loses them. */
let unsent = 0;
let leaving = false;

function leave(): void {
  leaving = true;
  if (unsent === 0) process.exit();
}

const port: Port = {
  post: (message) => {
    if (!process.connected) return;
    unsent++;
    process.send!(message, undefined, undefined, () => {
      unsent--;
      if (leaving) leave();
    });
  },
  listen: (hear, ended) => {
    process.on("message", hear);
    process.on("disconnect", ended);
  },
  close: leave,
};

new PortHost(port, ({ path, options }, listener) => openLink(loadNative(), path, options, listener), leave);
