// Owns the near end of a port to an engine elsewhere: calls become one message a turn of the event loop, and batches come back as they are.
// Knows no stream. JS thread that made the model.

import type { NativeEngineOptions, NativeEventListener, NativeRequest } from "../../addon/contract.js";
import type { EngineStats } from "../../types.js";
import { type EngineLink, NO_STATS, type Question, type StreamId } from "../link.js";
import type { Port } from "./port.js";
import {
  type BatchMessage,
  type Command,
  type FromHost,
  type PongMessage,
  PROTOCOL_VERSION,
  type ToHost,
  unpackStats,
} from "./protocol.js";

/** Numbers of a batch of some 80 events; a larger one makes it grow. */
const FEW_NUMBERS = 256;

export class PortLink implements EngineLink {
  readonly #port: Port;
  readonly #listener: NativeEventListener;
  readonly #onPong: (pong: PongMessage) => void;
  /** Of this turn, as yet unsent. */
  #acks = new Map<StreamId, number>();
  #commands: Command[] = [];
  #turn: NodeJS.Immediate | undefined;
  #packed: BatchMessage["stats"] | undefined;
  #stats: EngineStats | undefined;
  #heads = new Uint32Array(FEW_NUMBERS);

  /**
   * @param ended the channel is no more; nothing is said of the streams that were open
   * @param onPong hears the answers to ping()
   */
  constructor(
    port: Port,
    opening: { path: string; options: NativeEngineOptions },
    listener: NativeEventListener,
    ended: () => void,
    onPong: (pong: PongMessage) => void = () => {},
  ) {
    this.#port = port;
    this.#listener = listener;
    this.#onPong = onPong;
    port.listen((message) => this.#hear(message as FromHost), ended);
    this.#post({ type: "open", version: PROTOCOL_VERSION, ...opening });
  }

  submit(id: StreamId, request: NativeRequest): void {
    this.#tell(["submit", id, request]);
  }

  endTurn(): void {
    this.#tell(["endTurn"]);
    this.#flush();
  }

  ack(id: StreamId, tokens: number): void {
    this.#acks.set(id, (this.#acks.get(id) ?? 0) + tokens);
    this.#schedule();
  }

  cancel(id: StreamId): void {
    this.#tell(["cancel", id]);
  }

  endReasoning(id: StreamId): void {
    this.#tell(["endReasoning", id]);
  }

  ask(question: number, what: Question): void {
    this.#tell(["ask", question, what]);
  }

  withdraw(question: number): void {
    this.#tell(["withdraw", question]);
  }

  close(): void {
    this.#flush();
    this.#post({ type: "close" });
  }

  /** A pong answers it, unless the other end hangs. */
  ping(): void {
    this.#post({ type: "ping" });
  }

  get stats(): EngineStats {
    if (this.#packed === undefined) return NO_STATS;
    return (this.#stats ??= unpackStats(this.#packed));
  }

  #tell(command: Command): void {
    this.#commands.push(command);
    this.#schedule();
  }

  #schedule(): void {
    this.#turn ??= setImmediate(() => this.#flush());
  }

  #flush(): void {
    if (this.#turn !== undefined) clearImmediate(this.#turn);
    this.#turn = undefined;
    if (this.#acks.size === 0 && this.#commands.length === 0) return;
    const acks: number[] = [];
    for (const [id, tokens] of this.#acks) acks.push(id, tokens);
    this.#acks.clear();
    this.#post({ type: "turn", acks, commands: this.#commands });
    this.#commands = [];
  }

  #post(message: ToHost): void {
    this.#port.post(message);
  }

  #hear(message: FromHost): void {
    this.#packed = message.stats;
    this.#stats = undefined;
    if (message.type === "pong") {
      this.#onPong(message);
      return;
    }
    const { heads, payloads, logprobs, drawn } = message;
    if (heads.length > this.#heads.length) this.#heads = new Uint32Array(2 * heads.length);
    this.#heads.set(heads);
    this.#listener(this.#heads, payloads, logprobs, drawn);
  }
}
