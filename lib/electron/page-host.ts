// Owns the engine's process as a page sees it: a host (lib/engine/port) whose port comes from the main process, and comes anew when the process was
// started again. Runs in a page, on its one thread; nothing here is Node's.
//
// Who starts the process, ends it when it hangs and paces its restarts is the main process. So a port that closes before the model was loaded is
// asked for again here, and only one that had worked counts as a crash.

import { NativeEventKind as Kind } from "../addon/contract.js";
import { NO_STATS } from "../engine/link.js";
import { type MessagePortLike, messagePort, type Port, type StartHost } from "../engine/port/port.js";
import { type BatchMessage, type FromHost, packStats, type ToHost } from "../engine/port/protocol.js";
import { fromNative, type ZSEError } from "../errors.js";

/** Asks for a port to a model. Rejects with a ZSEError where there is none to be had. */
export type AskForPort = (model: string) => Promise<MessagePortLike>;

/** How the page stands with the engine's process. */
export type Connection =
  | { state: "connecting" /** Times that the engine's process has ended under this page's streams or while it waited. */; crashes: number }
  | { state: "open"; crashes: number }
  | { state: "failed"; crashes: number; error: ZSEError };

/** Starts hosts for one model. */
export function hostsOf(model: string, ask: AskForPort, changed: (connection: Connection) => void): StartHost {
  let crashes = 0;
  return (ended) => {
    let real: Port | undefined;
    /** What was said since the host began, for as long as no port has taken it. */
    let said: ToHost[] = [];
    let hear: (message: FromHost) => void = () => {};
    let ready = false;
    let over = false;

    const end = (how: string) => {
      if (over) return;
      over = true;
      real?.close();
      ended(how);
    };
    const connect = () => {
      changed({ state: "connecting", crashes });
      ask(model).then(attach, (error) => {
        if (!over) refuse(fromNative(error));
      });
    };
    const attach = (given: MessagePortLike) => {
      const port = messagePort(given);
      port.listen(
        (message) => onMessage(message as FromHost),
        () => onClosed(),
      );
      if (over) {
        port.close();
        return;
      }
      real = port;
      for (const message of said) port.post(message);
    };
    const onClosed = () => {
      if (over) return;
      real = undefined;
      if (closing) return end("was closed");
      crashes += 1;
      if (ready) end("ended unexpectedly");
      else connect(); // what was said is said again
    };
    const onMessage = (message: FromHost) => {
      if (over) return;
      if (message.type === "batch") look(message);
      hear(message);
    };
    const look = ({ heads, payloads }: BatchMessage) => {
      for (let i = 0; i < payloads.length; i++) {
        if (heads[3 * i] !== 0) continue;
        const kind = heads[3 * i + 1];
        if (kind === Kind.Ready && !ready) {
          ready = true;
          said = [];
          changed({ state: "open", crashes });
        } else if (kind === Kind.LoadError) changed({ state: "failed", crashes, error: fromNative(payloads[i]) });
      }
    };
    /** As a model says it that cannot be loaded. */
    const refuse = (error: ZSEError) => {
      changed({ state: "failed", crashes, error });
      const payloads = [{ code: error.code, message: error.message }, undefined];
      hear({ type: "batch", heads: [0, Kind.LoadError, 0, 0, Kind.Closed, 0], payloads, stats: packStats(NO_STATS) });
      end("was not to be had");
    };
    let closing = false;

    connect();
    return {
      port: {
        post: (message) => {
          if (over) return;
          const { type } = message as ToHost;
          if (type === "close") closing = true;
          if (real === undefined && closing) {
            setImmediate(() => {
              hear({ type: "batch", heads: [0, Kind.Closed, 0], payloads: [undefined], stats: packStats(NO_STATS) });
              end("was closed");
            });
            return;
          }
          if (!ready && type !== "ping") said.push(message as ToHost);
          real?.post(message);
        },
        listen: (heard) => {
          hear = heard;
        },
        close: () => end("was closed"),
      },
      kill: () => end("was given up"),
      keepAlive: () => {},
    };
  };
}
