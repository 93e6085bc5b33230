// Owns one port of one window, on the engine's side: commands in, batches out, and the bounds of the window. Runs in the engine's process, on its
// JavaScript thread.

import { NativeEventKind as Kind, type NativeError, type NativeTokenLogprobs } from "../addon/contract.js";
import type { Question, StreamId } from "../engine/link.js";
import {
  type BatchMessage,
  type Command,
  type FromHost,
  PROTOCOL_VERSION,
  ProtocolError,
  packStats,
  type ToHost,
} from "../engine/port/protocol.js";
import { fromNative, ZSEError } from "../errors.js";
import type { ModelInfo } from "../types.js";
import { MOST_QUESTIONS, type WindowLimits } from "./protocol.js";
import type { SharedModel, User } from "./shared-model.js";
import { readWindowMessage, readWindowQuestion, readWindowRequest } from "./window-request.js";

/** What is used of Electron's MessagePortMain. */
export interface EnginePort {
  on(event: "message", listener: (message: { data: unknown }) => void): unknown;
  on(event: "close", listener: () => void): unknown;
  start(): void;
  postMessage(message: unknown): void;
  close(): void;
}

/** What a window has open over all of its ports. */
export interface WindowUse {
  streams: number;
}

export interface PortSettings {
  /** The model's, as windows know it: a page is not told where the file is. */
  name: string;
  limits: WindowLimits;
  use: WindowUse;
  onViolation: (why: string) => void;
  onClosed: () => void;
}

export class WindowPort implements User {
  readonly #port: EnginePort;
  readonly #model: SharedModel;
  readonly #name: string;
  readonly #limits: WindowLimits;
  readonly #use: WindowUse;
  readonly #onViolation: (why: string) => void;
  readonly #onClosed: () => void;
  /** The page's number of a stream → the engine's. */
  readonly #streams = new Map<StreamId, StreamId>();
  readonly #questions = new Set<number>();
  #heads: number[] = [];
  #payloads: unknown[] = [];
  #logprobs: (readonly NativeTokenLogprobs[] | undefined)[] | undefined;
  #drawn: number[] = [];
  /** The page is told that there is nothing more to come. */
  #told = false;
  /** "new": its page has not said anything yet. */
  #state: "new" | "open" | "closed" = "new";

  constructor(port: EnginePort, model: SharedModel, { name, limits, use, onViolation, onClosed }: PortSettings) {
    this.#port = port;
    this.#model = model;
    this.#name = name;
    this.#limits = limits;
    this.#use = use;
    this.#onViolation = onViolation;
    this.#onClosed = onClosed;
    port.on("message", ({ data }) => this.#onMessage(data));
    port.on("close", () => this.close());
    port.start();
  }

  tell(
    id: StreamId,
    kind: number,
    tokens: number,
    payload: unknown,
    logprobs?: readonly NativeTokenLogprobs[],
    drawn?: readonly number[],
  ): void {
    if (id !== 0 && (kind === Kind.Finish || kind === Kind.StreamError)) this.#forget(id);
    if (kind === Kind.Answer || kind === Kind.AnswerError) this.#questions.delete((payload as { question: number }).question);
    if (id === 0 && kind === Kind.Closed) this.#told = true;
    const place = this.#payloads.length;
    if (logprobs !== undefined) (this.#logprobs ??= [])[place] = logprobs;
    for (const token of drawn ?? []) this.#drawn.push(place, token);
    this.#heads.push(id, kind, tokens);
    this.#payloads.push(kind === Kind.Ready && id === 0 ? { ...(payload as ModelInfo), path: this.#name } : payload);
  }

  flush(): void {
    if (this.#payloads.length === 0 || this.#state !== "open") return;
    const batch: BatchMessage = { type: "batch", heads: this.#heads, payloads: this.#payloads, stats: packStats(this.#model.stats) };
    // With a place for each event: what was not told is undefined.
    if (this.#logprobs !== undefined) batch.logprobs = Array.from({ length: this.#payloads.length }, (_, i) => this.#logprobs![i]);
    if (this.#drawn.length > 0) batch.drawn = this.#drawn;
    this.#heads = [];
    this.#payloads = [];
    this.#logprobs = undefined;
    this.#drawn = [];
    this.#port.postMessage(batch);
    if (this.#told) this.#end();
  }

  /** Ends what the window has running here; `reason`: what its streams are told. May be called again. */
  close(reason?: NativeError): void {
    if (this.#state === "closed") return;
    this.#model.remove(this);
    if (reason !== undefined) {
      for (const id of [...this.#streams.keys()]) this.tell(id, Kind.StreamError, 0, reason);
      this.tell(0, Kind.LoadError, 0, reason);
    }
    this.tell(0, Kind.Closed, 0, undefined);
    this.flush();
    this.#end();
  }

  #end(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#model.remove(this);
    this.#use.streams -= this.#streams.size;
    this.#streams.clear();
    this.#port.close();
    this.#onClosed();
  }

  #onMessage(data: unknown): void {
    if (this.#state === "closed") return;
    try {
      this.#read(readWindowMessage(data));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#onViolation(error.message);
      this.#state = "open"; // it is told why, whatever it has said
      this.close({ code: "ENGINE_FAILED", message: `The engine has closed this page's connection. ${error.message}` });
    }
  }

  #read(message: ToHost): void {
    if (message.type === "open") {
      this.#open(message.version);
      return;
    }
    if (this.#state !== "open") throw new ProtocolError("A model must be opened first.");
    if (message.type === "close") this.close();
    else if (message.type === "ping") this.#pong();
    else {
      for (let i = 0; i < message.acks.length; i += 2) this.#ack(message.acks[i]!, message.acks[i + 1]!);
      for (const command of message.commands) this.#do(command);
      this.flush();
    }
  }

  /** What the page says of a path and of options is not looked at: the main process has said which model this port is for. */
  #open(version: number): void {
    if (this.#state === "open") throw new ProtocolError("A model is opened once.");
    if (version !== PROTOCOL_VERSION)
      throw new ProtocolError(`The page speaks version ${version} of the protocol, and the engine ${PROTOCOL_VERSION}.`);
    this.#state = "open";
    this.#model.add(this);
  }

  #pong(): void {
    const { stats, steps } = this.#model;
    this.#port.postMessage({
      type: "pong",
      stats: packStats(stats),
      stepMs: steps.stepMs,
      longestStepMs: steps.longestMs,
    } satisfies FromHost);
  }

  #ack(id: StreamId, tokens: number): void {
    const number = this.#streams.get(id);
    if (number === undefined) return; // it has ended meanwhile
    if (!this.#model.ack(number, tokens)) throw new ProtocolError("More credit was given back than was given.");
  }

  #do(command: Command): void {
    switch (command[0]) {
      case "submit":
        this.#submit(command[1], command[2]);
        return;
      case "endTurn":
        this.#model.endTurn();
        return;
      case "ask":
        this.#ask(command[1], command[2]);
        return;
      case "withdraw":
        this.#model.withdraw(this, command[1]);
        return;
    }
    const number = this.#streams.get(command[1]);
    if (number === undefined) return; // it has ended meanwhile
    if (command[0] === "cancel") this.#model.cancel(number);
    else this.#model.endReasoning(number);
  }

  #submit(id: StreamId, given: unknown): void {
    if (this.#streams.has(id)) throw new ProtocolError("A stream of this number is open.");
    try {
      if (this.#use.streams >= this.#limits.streams) {
        throw new ZSEError("OVERLOADED", `this window has ${this.#limits.streams} streams open, as many as it may (streamsPerWindow)`);
      }
      const request = readWindowRequest(given, this.#limits.requestCharacters);
      this.#streams.set(id, this.#model.submit(this, id, request));
      this.#use.streams += 1;
    } catch (error) {
      const { code, message } = fromNative(error);
      this.tell(id, Kind.StreamError, 0, { code, message });
    }
  }

  #ask(question: number, given: Question): void {
    if (this.#questions.has(question)) throw new ProtocolError("A question of this number is open.");
    try {
      if (this.#questions.size >= MOST_QUESTIONS) {
        throw new ZSEError("OVERLOADED", `${MOST_QUESTIONS} questions of this window are not answered yet; try again later`);
      }
      this.#model.ask(this, question, readWindowQuestion(given, this.#limits.requestCharacters));
      this.#questions.add(question);
    } catch (error) {
      const { code, message } = fromNative(error);
      this.tell(0, Kind.AnswerError, 0, { question, code, message });
    }
  }

  #forget(id: StreamId): void {
    if (this.#streams.delete(id)) this.#use.streams -= 1;
  }
}
