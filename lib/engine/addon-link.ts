// Owns the link to an engine in this process: the addon's object, whose few exceptions become events. JS thread that made the model.

import {
  NativeEventKind as Kind,
  type NativeAddon,
  type NativeEngine,
  type NativeEngineOptions,
  type NativeEventListener,
  type NativeRequest,
} from "../addon/contract.js";
import { fromNative } from "../errors.js";
import type { EngineStats } from "../types.js";
import type { EngineLink, Question, StreamId } from "./link.js";

export class AddonLink implements EngineLink {
  readonly #native: NativeEngine;
  readonly #listener: NativeEventListener;

  /** @throws what the addon throws where the system gives it no thread */
  constructor(addon: NativeAddon, path: string, options: NativeEngineOptions, listener: NativeEventListener) {
    this.#listener = listener;
    this.#native = new addon.Engine(path, options, listener);
  }

  submit(id: StreamId, request: NativeRequest): void {
    try {
      this.#native.submit(id, request);
    } catch (error) {
      this.#say(id, Kind.StreamError, fromNative(error));
    }
  }

  endTurn(): void {
    this.#native.endTurn();
  }

  ack(id: StreamId, tokens: number): void {
    this.#native.ack(id, tokens);
  }

  cancel(id: StreamId): void {
    this.#native.cancel(id);
  }

  endReasoning(id: StreamId): void {
    this.#native.endReasoning(id);
  }

  ask(number: number, question: Question): void {
    try {
      this.#native.ask(number, question);
    } catch (error) {
      const { code, message } = fromNative(error);
      this.#say(0, Kind.AnswerError, { question: number, code, message });
    }
  }

  withdraw(question: number): void {
    this.#native.withdraw(question);
  }

  close(): void {
    this.#native.close();
  }

  get stats(): EngineStats {
    return this.#native.stats();
  }

  /** Not before the caller's call is over: an event never comes from inside of one. */
  #say(id: StreamId, kind: number, payload: unknown): void {
    queueMicrotask(() => this.#listener(Uint32Array.of(id, kind, 0), [payload]));
  }
}
