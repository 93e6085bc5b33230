// Owns the link to an engine whose model's file is still on its way: it opens the real link once the file is there, and until then says how far it is,
// that it failed, or that it is closed. JS thread that made the model.

import { NativeEventKind as Kind, type NativeEventListener, type NativeRequest } from "../addon/contract.js";
import { fromNative } from "../errors.js";
import type { EngineStats } from "../types.js";
import { type EngineLink, FETCHING, type Fetching, NO_STATS, type OpenLink, type Question, type StreamId } from "./link.js";

/** Gives the file's path. The signal ends it: the model was closed. */
export type FindFile = (signal: AbortSignal, onNews: (...news: Fetching) => void) => Promise<string>;

export class DeferredLink implements EngineLink {
  readonly #listener: NativeEventListener;
  readonly #closing = new AbortController();
  #link: EngineLink | undefined;
  /** Whether it has come to an end without a link. */
  #isOver = false;

  constructor(find: FindFile, open: (path: string) => OpenLink, listener: NativeEventListener) {
    this.#listener = listener;
    void this.#begin(find, open);
  }

  async #begin(find: FindFile, open: (path: string) => OpenLink): Promise<void> {
    try {
      const path = await find(this.#closing.signal, (...news) => this.#say(FETCHING, news));
      if (!this.#closing.signal.aborted) {
        this.#link = open(path)(this.#listener);
        return;
      }
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#say(Kind.LoadError, fromNative(error));
    }
    this.#isOver = true;
    if (this.#closing.signal.aborted) this.#say(Kind.Closed, undefined);
  }

  close(): void {
    if (this.#link !== undefined) {
      this.#link.close();
      return;
    }
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    if (this.#isOver) queueMicrotask(() => this.#say(Kind.Closed, undefined));
  }

  // Asked for from Ready on, which only the link says.

  submit(id: StreamId, request: NativeRequest): void {
    this.#link!.submit(id, request);
  }

  endTurn(): void {
    this.#link!.endTurn();
  }

  ack(id: StreamId, tokens: number): void {
    this.#link!.ack(id, tokens);
  }

  cancel(id: StreamId): void {
    this.#link!.cancel(id);
  }

  endReasoning(id: StreamId): void {
    this.#link!.endReasoning(id);
  }

  ask(question: number, what: Question): void {
    this.#link!.ask(question, what);
  }

  withdraw(question: number): void {
    this.#link!.withdraw(question);
  }

  get stats(): EngineStats {
    return this.#link === undefined ? { ...NO_STATS } : this.#link.stats;
  }

  #say(kind: number, payload: unknown): void {
    this.#listener(Uint32Array.of(0, kind, 0), [payload]);
  }
}
