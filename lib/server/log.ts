// Owns the server's log: one JSON line a request, by pino, on stderr. No prompt and no reply is in it unless asked for. Main thread.

import { type DestinationStream, destination, type Logger, pino } from "pino";

export type { Logger } from "pino";

/** Writes at once: a line must not be lost when the process ends. */
export function openLog(level = "info", to: DestinationStream = destination({ dest: 2, sync: true })): Logger {
  return pino(
    { level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    to,
  );
}
