// Owns the far end of a port: it opens the engine that is asked for, gives it what comes and sends back what it says. Whoever is at the other
// end may send anything: what is no message of the protocol closes the port. The host's JS thread.

import { NativeEventKind as Kind, type NativeEventListener } from "../../addon/contract.js";
import { fromNative, ZSEError } from "../../errors.js";
import { type EngineLink, NO_STATS } from "../link.js";
import type { Port } from "./port.js";
import {
  type BatchMessage,
  type FromHost,
  type OpenMessage,
  PROTOCOL_VERSION,
  packStats,
  readToHost,
  type TurnMessage,
} from "./protocol.js";
import { StepWatch } from "./step-watch.js";

/** Opens what is asked for. May throw a ZSEError, which the other end gets as a load that failed. */
export type OpenHosted = (opening: OpenMessage, listener: NativeEventListener) => EngineLink;

export class PortHost {
  readonly #port: Port;
  readonly #open: OpenHosted;
  readonly #ended: () => void;
  readonly #steps = new StepWatch();
  #link: EngineLink | undefined;
  #closed = false;

  /** @param ended the engine is closed, and nothing more is to be done here: the other end has closed it, broken the protocol, or gone */
  constructor(port: Port, open: OpenHosted, ended: () => void) {
    this.#port = port;
    this.#open = open;
    this.#ended = ended;
    port.listen(
      (message) => this.#hear(message),
      () => this.#leave(),
    );
  }

  #hear(message: unknown): void {
    if (this.#closed) return;
    try {
      const read = readToHost(message);
      if (read.type === "open") this.#start(read);
      else if (read.type === "turn") this.#turn(read);
      else if (read.type === "ping") this.#answer();
      else this.#close();
    } catch {
      this.#port.close();
      this.#leave();
    }
  }

  #start(opening: OpenMessage): void {
    if (this.#link !== undefined) throw new Error("opened twice");
    try {
      if (opening.version !== PROTOCOL_VERSION) {
        const versions = `version ${opening.version} of the protocol, and this engine speaks ${PROTOCOL_VERSION}`;
        throw new ZSEError("ENGINE_FAILED", `Whoever opens the engine speaks ${versions}; install the same release of zstream for both.`);
      }
      this.#link = this.#open(opening, (...batch) => this.#tell(...batch));
    } catch (error) {
      const { code, message } = fromNative(error);
      this.#tell(Uint32Array.of(0, Kind.LoadError, 0, 0, Kind.Closed, 0), [{ code, message }, undefined]);
    }
  }

  #turn({ acks, commands }: TurnMessage): void {
    const link = this.#opened();
    for (let i = 0; i < acks.length; i += 2) link.ack(acks[i]!, acks[i + 1]!);
    for (const command of commands) {
      if (command[0] === "submit") link.submit(command[1], command[2]);
      else if (command[0] === "cancel") link.cancel(command[1]);
      else if (command[0] === "endReasoning") link.endReasoning(command[1]);
      else if (command[0] === "ask") link.ask(command[1], command[2]);
      else if (command[0] === "withdraw") link.withdraw(command[1]);
      else link.endTurn();
    }
    this.#steps.look(link.stats);
  }

  #answer(): void {
    const stats = this.#opened().stats;
    this.#steps.look(stats);
    this.#post({ type: "pong", stats: packStats(stats), stepMs: this.#steps.stepMs, longestStepMs: this.#steps.longestMs });
  }

  #opened(): EngineLink {
    if (this.#link === undefined) throw new Error("not opened");
    return this.#link;
  }

  #close(): void {
    if (this.#link === undefined) this.#tell(Uint32Array.of(0, Kind.Closed, 0), [undefined]);
    else this.#link.close();
  }

  /** The other end has gone: nobody hears what the engine still says. */
  #leave(): void {
    if (this.#closed) return;
    if (this.#link === undefined) this.#end();
    else this.#link.close();
  }

  #end(): void {
    this.#closed = true;
    this.#ended();
  }

  #tell(...[heads, payloads, logprobs, drawn]: Parameters<NativeEventListener>): void {
    const stats = this.#link?.stats ?? NO_STATS;
    const message: BatchMessage = {
      type: "batch",
      heads: Array.from(heads.subarray(0, 3 * payloads.length)),
      payloads,
      stats: packStats(stats),
    };
    if (logprobs !== undefined) message.logprobs = logprobs;
    if (drawn !== undefined) message.drawn = Array.from(drawn);
    this.#post(message);
    this.#steps.look(stats);
    if (heads[3 * payloads.length - 2] === Kind.Closed) this.#end();
  }

  #post(message: FromHost): void {
    this.#port.post(message);
  }
}
