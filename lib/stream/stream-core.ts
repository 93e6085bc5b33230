// Owns the life of one stream between the engine and its one consumer: buffering, credits, grouping, and the ways to end.
// JS thread of the model. token-stream.ts is the face of it; the engine holds this object (not that one) while the
// stream runs, so that a stream which its owner has dropped can be noticed and cancelled.
//
// The consumer pulls (iterator, web stream) or is called (callback, collecting). Either way text leaves the buffer only when
// the consumer wants it, and only then its credit goes back: that is the whole of backpressure on this side.
// Text held by the chunker counts as taken, so a sentence longer than highWaterMark cannot stop its own stream.

import type { NativeFinish, NativeProgress, NativeRequest } from "../addon/contract.js";
import type { Engine, StreamSink } from "../engine/engine.js";
import { ZSEError } from "../errors.js";
import type { FinishEvent, Reply, StreamCallback, StreamEvent } from "../types.js";
import { isAborted, reasonOf, watchAbort } from "./abort.js";
import type { Chunker } from "./chunker.js";
import { EventBuffer, type Item } from "./event-buffer.js";

/** Who reads a stream; "nobody" until someone does. */
export type Reader = "nobody" | "a for await loop" | "events()" | "toReadableStream()" | "streamCallback" | "result";

/** How the engine's side ended. */
type Ending = { finish: NativeFinish } | { error: unknown };

/** What a consumer is given: text, or to events() an event. */
type Given = string | StreamEvent;

type Resolve = (result: IteratorResult<Given, undefined>) => void;
type Reject = (error: unknown) => void;

export interface CoreSettings {
  request: NativeRequest;
  chunker: Chunker | undefined;
  chunkMaxDelayMs: number;
  signal: AbortSignal | undefined;
}

const DONE: IteratorResult<Given, undefined> = { done: true, value: undefined };

/** What a stream took that never began. */
export const NO_USE: Pick<NativeFinish, "usage" | "timings"> = {
  usage: { promptTokens: 0, completionTokens: 0, totalTokens: 0, cachedTokens: 0 },
  timings: { queueMs: 0, prefillMs: 0, ttftMs: 0, itlMs: { p50: 0, p99: 0, max: 0 }, tokensPerSecond: 0, pausedMs: 0 },
};

export class StreamCore implements StreamSink {
  id = 0;
  readonly request: NativeRequest;

  #engine: Engine;
  #reader: Reader = "nobody";
  #buffer = new EventBuffer();
  #chunker: Chunker | undefined;
  /** A reasoning or tool call event that waits until the text before it has gone out. */
  #next: Item | undefined;
  #text = "";
  /** events() has had its finish event. */
  #finishGiven = false;

  /** Tokens taken and not yet given back; given back in portions, as each costs a call into the addon. */
  #taken = 0;
  readonly #ackEvery: number;

  #ending: Ending | undefined;
  /** The consumer has seen the end, or has left: nothing is given out any more. */
  #over = false;
  /** The consumer left before the end (break, return, dispose). */
  #left = false;

  /** Consumers of pull(): resolve and reject of each promise that waits, flat. */
  #waiting: (Resolve | Reject)[] = [];
  /** How many of these are settled already: taking them off one by one would move all the others each time. */
  #answered = 0;
  #wait = (resolve: Resolve, reject: Reject): void => {
    this.#waiting.push(resolve, reject);
  };

  #callback: StreamCallback | undefined;
  #calling = false;
  /** The callback's promise is pending. */
  #paused = false;

  #result: Promise<Reply> | undefined;
  #outcome: { reply: Reply } | { error: unknown } | undefined;
  #settleResult: { resolve: (reply: Reply) => void; reject: Reject } | undefined;

  readonly #maxDelay: number;
  #heldSince = 0;
  #timer: NodeJS.Timeout | undefined;

  #unwatch: (() => void) | undefined;

  /** @throws ZSEError BAD_OPTION when the signal throws; nothing is opened then */
  constructor(engine: Engine, settings: CoreSettings) {
    this.#engine = engine;
    this.request = settings.request;
    this.#chunker = settings.chunker;
    this.#maxDelay = settings.chunker === undefined ? 0 : settings.chunkMaxDelayMs;
    this.#ackEvery = Math.max(1, settings.request.highWaterMark >> 1);
    const { signal } = settings;
    if (signal !== undefined && isAborted(signal)) {
      this.abort(reasonOf(signal));
      return;
    }
    if (signal !== undefined) this.#unwatch = watchAbort(signal, (reason) => this.abort(reason));
    if (this.#ending === undefined)
      engine.open(this); // a signal of somebody's own may abort as soon as it is listened to
    else this.#release();
  }

  get reader(): Reader {
    return this.#reader;
  }

  /** Makes `reader` the one consumer. */
  claim(reader: Reader): void {
    if (this.#reader !== "nobody") {
      throw new ZSEError(
        "UNSUPPORTED",
        `This stream is already read by ${this.#reader}; a stream has one consumer. Open another stream, or share what the first one reads.`,
      );
    }
    this.#reader = reader;
  }

  // ---- the consumer's side ----

  /** The next item: text, or for events() any event. Rejects once with the stream's error; done from then on. */
  pull(): Promise<IteratorResult<Given, undefined>> {
    if (this.#waiting.length === 0) {
      if (this.#over) return Promise.resolve(DONE);
      const value = this.#take();
      if (value !== undefined) return Promise.resolve({ done: false, value });
      if (this.#ending !== undefined) {
        const error = this.#reachEnd();
        return error === undefined ? Promise.resolve(DONE) : Promise.reject(error.error);
      }
    }
    const promise = new Promise<IteratorResult<Given, undefined>>(this.#wait);
    if (this.#maxDelay !== 0) this.#armTimer();
    return promise;
  }

  /** The consumer becomes a function (or nothing: text is only collected); it is called for every chunk. */
  push(callback: StreamCallback | undefined): void {
    this.#callback = callback;
    this.#wake();
  }

  /** The collected reply. Without a consumer by the end of this turn of the event loop it is collected from here. */
  result(): Promise<Reply> {
    if (this.#result === undefined) {
      this.#result = new Promise((resolve, reject) => {
        this.#settleResult = { resolve, reject };
      });
      this.#result.catch(() => {}); // whoever reads the stream sees the error; here it need not be looked at
      this.#settle();
      if (this.#reader === "nobody") queueMicrotask(() => this.#collect());
    }
    return this.#result;
  }

  /** The consumer sees `reason` at once; what it has not read is dropped. No effect after the end. */
  abort(reason: unknown): void {
    if (this.#over) return;
    this.#dropHeld();
    const running = this.#ending === undefined;
    this.#ending = { error: reason ?? new ZSEError("ABORTED", "The stream was aborted.") };
    if (running) this.#engine.cancel(this);
    this.#release();
    this.#conclude(this.#ending);
    this.#wake();
  }

  /** The consumer leaves without an error: what it has read so far is the reply. No effect after the end. */
  leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#left = true;
    this.#dropHeld();
    const failure = this.#release();
    if (failure !== undefined) this.#conclude(failure);
    if (this.#ending !== undefined) this.#concludeLeft(this.#ending);
    else if (!this.#engine.cancel(this)) {
      this.#conclude({ reply: this.#reply({ reason: "cancelled", seed: this.request.seed ?? 0, ...NO_USE }) });
    }
    for (const resolve of this.#takeWaiting()) resolve(DONE);
  }

  /** As throw() of an iterator: the consumer leaves with an error of its own, which it does not need to be told. */
  leaveWith(error: unknown): void {
    this.abort(error);
    this.#over = true;
  }

  /** Nobody holds the TokenStream any more. A reader that is called or waited for goes on without it. */
  abandon(): void {
    if (this.#reader !== "streamCallback" && this.#reader !== "result") this.leave();
  }

  // ---- the engine's side ----

  onText(text: string, tokens: number): void {
    if (this.#ending !== undefined || this.#left) return;
    this.#buffer.push(text, tokens);
    this.#wake();
  }

  onProgress(progress: NativeProgress): void {
    if (this.#ending !== undefined || this.#left) return;
    this.#buffer.push({ type: "progress", ...progress }, 0);
    if (this.#reader === "events()") this.#wake();
  }

  onFinish(finish: NativeFinish): void {
    this.#onEnd({ finish });
  }

  onError(error: unknown): void {
    this.#onEnd({ error });
  }

  #onEnd(ending: Ending): void {
    if (this.#left) this.#concludeLeft(ending);
    if (this.#ending !== undefined || this.#left) return; // aborted in the meantime: the id is free now, no more
    this.#ending = ending;
    if ("error" in ending) this.#conclude(ending); // result tells it even while the consumer has text left to read
    this.#wake();
  }

  // ---- between the two ----

  /** What the consumer gets next, or undefined when it has to wait or has come to the end. */
  #take(): Given | undefined {
    const item = this.#takeItem();
    if (typeof item !== "string") return item;
    this.#text += item;
    return this.#reader === "events()" ? { type: "text", text: item } : item;
  }

  #takeItem(): Item | undefined {
    if (this.#next !== undefined) {
      const item = this.#next;
      this.#next = undefined;
      return item;
    }
    const buffer = this.#buffer;
    const chunker = this.#chunker;
    for (let item = buffer.shift(); item !== undefined; item = buffer.shift()) {
      this.#giveBack(buffer.shiftedTokens);
      if (typeof item === "string") {
        if (chunker === undefined) return item;
        if (this.#maxDelay !== 0 && !chunker.holding) this.#heldSince = performance.now();
        const chunk = chunker.push(item, buffer.shiftedTokens);
        if (chunk === "") continue;
        if (this.#maxDelay !== 0) this.#heldSince = performance.now();
        return chunk;
      }
      if (this.#reader !== "events()") continue;
      if (item.type === "progress") return item;
      const held = chunker?.flush();
      if (!held) return item;
      this.#next = item;
      return held;
    }
    if (chunker?.holding && (this.#ending !== undefined || this.#heldTooLong())) return chunker.flush();
    if (this.#ending !== undefined && "finish" in this.#ending && this.#reader === "events()" && !this.#finishGiven) {
      this.#finishGiven = true;
      return finishEvent(this.#ending.finish);
    }
    return undefined;
  }

  #giveBack(tokens: number): void {
    this.#taken += tokens;
    if (this.#taken >= this.#ackEvery && this.#ending === undefined) {
      this.#engine.ack(this, this.#taken);
      this.#taken = 0;
    }
  }

  /** Something arrived: hand over what the consumer is waiting for. */
  #wake(): void {
    if (this.#reader === "streamCallback" || this.#reader === "result") {
      this.#callOut();
      return;
    }
    const waiting = this.#waiting;
    while (waiting.length > 0) {
      const value = this.#over ? undefined : this.#take();
      if (value === undefined && this.#ending === undefined && !this.#over) {
        if (this.#maxDelay !== 0) this.#armTimer();
        return;
      }
      const at = this.#answered;
      const resolve = waiting[at] as Resolve;
      const reject = waiting[at + 1] as Reject;
      if (at + 2 < waiting.length) {
        this.#answered = at + 2;
        // A consumer that always has several waiting never empties it.
        if (this.#answered >= 512 && this.#answered * 2 >= waiting.length) {
          waiting.splice(0, this.#answered);
          this.#answered = 0;
        }
      } else {
        // One that waits is the common case, and pop() costs much less than setting a length.
        this.#answered = 0;
        if (at > 0) waiting.length = 0;
        else {
          waiting.pop();
          waiting.pop();
        }
      }
      if (value !== undefined) resolve({ done: false, value });
      else {
        const error = this.#over ? undefined : this.#reachEnd();
        if (error === undefined) resolve(DONE);
        else reject(error.error);
      }
    }
  }

  /** Calls the callback for all that is there, unless its last promise is still pending. */
  #callOut(): void {
    if (this.#calling) return; // the callback itself aborted: the loop below sees it
    this.#calling = true;
    while (!this.#paused && !this.#over) {
      const item = this.#take();
      if (item === undefined) {
        if (this.#ending !== undefined) this.#reachEnd();
        else if (this.#maxDelay !== 0) this.#armTimer();
        break;
      }
      if (this.#callback !== undefined) this.#call(this.#callback, item as string);
    }
    this.#calling = false;
  }

  #call(callback: StreamCallback, text: string): void {
    try {
      const returned = callback(text) as PromiseLike<unknown> | undefined;
      if (typeof returned?.then !== "function") return;
      this.#paused = true;
      returned.then(this.#resume, this.#failCall);
    } catch (error) {
      this.abort(error ?? new Error("streamCallback threw nothing"));
    }
  }
  #resume = (): void => {
    this.#paused = false;
    this.#callOut();
  };
  #failCall = (error: unknown): void => {
    this.#paused = false;
    this.abort(error ?? new Error("streamCallback rejected with nothing"));
  };

  #collect(): void {
    if (this.#reader !== "nobody") return;
    this.#reader = "result";
    this.#wake();
  }

  /** The consumer has come to the end. Returns the error that it is to be told, if there is one. */
  #reachEnd(): { error: unknown } | undefined {
    const ending = this.#ending!;
    this.#over = true;
    const failure = this.#release();
    if ("error" in ending) {
      this.#conclude(ending);
      return ending;
    }
    if (failure !== undefined) {
      this.#conclude(failure);
      return failure;
    }
    this.#conclude({ reply: this.#reply(ending.finish) });
    return undefined;
  }

  #concludeLeft(ending: Ending): void {
    if ("error" in ending) this.#conclude(ending);
    else this.#conclude({ reply: this.#reply({ ...ending.finish, reason: "cancelled" }) });
  }

  #reply(finish: NativeFinish): Reply {
    const { reason, stopString, usage, timings, seed } = finish;
    const stop = stopString === undefined ? {} : { stopString };
    return { text: this.#text, finishReason: reason, ...stop, usage, timings, seed };
  }

  #conclude(outcome: { reply: Reply } | { error: unknown }): void {
    this.#outcome ??= outcome;
    this.#settle();
  }

  #settle(): void {
    if (this.#outcome === undefined || this.#settleResult === undefined) return;
    if ("reply" in this.#outcome) this.#settleResult.resolve(this.#outcome.reply);
    else this.#settleResult.reject(this.#outcome.error);
  }

  #dropHeld(): void {
    this.#buffer.clear();
    this.#chunker?.flush();
    this.#next = undefined;
  }

  #takeWaiting(): Resolve[] {
    const resolves = this.#waiting.slice(this.#answered).filter((_, i) => i % 2 === 0) as Resolve[];
    this.#waiting.length = 0;
    this.#answered = 0;
    return resolves;
  }

  /** Lets go of what reaches beyond the stream. Returns what the signal threw then, which its owner is to be told. */
  #release(): { error: unknown } | undefined {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const unwatch = this.#unwatch;
    this.#unwatch = undefined;
    try {
      unwatch?.();
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  // ---- chunkMaxDelayMs ----

  #heldTooLong(): boolean {
    return this.#maxDelay !== 0 && performance.now() - this.#heldSince >= this.#maxDelay;
  }

  /** Only while the consumer waits: text that it has not asked for is not late. */
  #armTimer(): void {
    if (this.#timer !== undefined || !this.#chunker!.holding) return;
    const left = this.#maxDelay - (performance.now() - this.#heldSince);
    this.#timer = setTimeout(this.#onTimer, Math.max(1, left));
  }
  #onTimer = (): void => {
    this.#timer = undefined;
    this.#wake();
  };
}

function finishEvent(finish: NativeFinish): FinishEvent {
  const { reason, stopString, usage, timings, seed } = finish;
  return { type: "finish", reason, ...(stopString === undefined ? {} : { stopString }), usage, timings, seed };
}
