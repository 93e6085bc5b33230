// Owns the life of one stream between the engine and its one consumer: buffering, credits, grouping, and the ways to end.
// JS thread of the model. token-stream.ts is the face of it; the engine holds this object (not that one) while the
// stream runs, so that a stream which its owner has dropped can be noticed and cancelled.
//
// The consumer pulls (iterator, web stream) or is called (callback, collecting). Either way text leaves the buffer only when
// the consumer wants it, and only then its credit goes back: that is the whole of backpressure on this side.
// Text held by the chunker counts as taken, so a sentence longer than highWaterMark cannot stop its own stream.

import type { NativeFinish, NativeRequest } from "../addon/contract.js";
import type { Ending, Engine, Item, StreamSink } from "../engine/engine.js";
import { ZSEError } from "../errors.js";
import type { FinishEvent, Reply } from "../types.js";
import { isAborted, reasonOf, watchAbort } from "./abort.js";
import type { Chunker } from "./chunker.js";
import { type Consumer, type Given, Push, type Source } from "./consumers.js";
import { EventBuffer } from "./event-buffer.js";

export interface CoreSettings {
  request: NativeRequest;
  chunker: Chunker | undefined;
  chunkMaxDelayMs: number;
  signal: AbortSignal | undefined;
}

/** What a stream took that never began. */
export const NO_USE: Pick<NativeFinish, "usage" | "timings"> = {
  usage: { promptTokens: 0, completionTokens: 0, totalTokens: 0, cachedTokens: 0 },
  timings: { queueMs: 0, prefillMs: 0, ttftMs: 0, itlMs: { p50: 0, p99: 0, max: 0 }, tokensPerSecond: 0, pausedMs: 0 },
};

export class StreamCore implements StreamSink, Source {
  id = 0;
  readonly request: NativeRequest;

  #engine: Engine;
  /** Who reads it; nobody until someone does. */
  #consumer: Consumer | undefined;
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

  #result: Promise<Reply> | undefined;
  #outcome: { reply: Reply } | { error: unknown } | undefined;
  #settleResult: { resolve: (reply: Reply) => void; reject: (error: unknown) => void } | undefined;

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

  /** Makes `consumer` the one of this stream. */
  claim<Kind extends Consumer>(consumer: Kind): Kind {
    if (this.#consumer !== undefined) {
      throw new ZSEError(
        "UNSUPPORTED",
        `This stream is already read by ${this.#consumer.name}; a stream has one consumer. Open another stream, or share what the first one reads.`,
      );
    }
    this.#consumer = consumer;
    return consumer;
  }

  // ---- the consumer's side ----

  /** The collected reply. Without a consumer by the end of this turn of the event loop it is collected from here. */
  result(): Promise<Reply> {
    if (this.#result === undefined) {
      this.#result = new Promise((resolve, reject) => {
        this.#settleResult = { resolve, reject };
      });
      this.#result.catch(() => {}); // whoever reads the stream sees the error; here it need not be looked at
      this.#settle();
      if (this.#consumer === undefined) queueMicrotask(() => this.#collect());
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
    this.#consumer?.deliver();
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
    this.#consumer?.leave();
  }

  /** As throw() of an iterator: the consumer leaves with an error of its own, which it does not need to be told. */
  leaveWith(error: unknown): void {
    this.abort(error);
    this.#over = true;
  }

  /** Nobody holds the TokenStream any more. A reader that is called or waited for goes on without it. */
  abandon(): void {
    if (this.#consumer?.goesOnAlone !== true) this.leave();
  }

  // ---- the engine's side ----

  on(item: Item, tokens: number): void {
    if (this.#ending !== undefined || this.#left) return;
    this.#buffer.push(item, tokens);
    const consumer = this.#consumer;
    if (consumer?.wants(item)) consumer.deliver();
  }

  end(ending: Ending): void {
    if (this.#left) this.#concludeLeft(ending);
    if (this.#ending !== undefined || this.#left) return; // aborted in the meantime: the id is free now, no more
    this.#ending = ending;
    if ("error" in ending) this.#conclude(ending); // result tells it even while the consumer has text left to read
    this.#consumer?.deliver();
  }

  // ---- between the two ----

  get ended(): boolean {
    return this.#ending !== undefined;
  }

  get over(): boolean {
    return this.#over;
  }

  take(): Given | undefined {
    const item = this.#takeItem();
    if (typeof item !== "string") return item;
    this.#text += item;
    return this.#consumer!.shape(item);
  }

  #takeItem(): Item | undefined {
    if (this.#next !== undefined) {
      const item = this.#next;
      this.#next = undefined;
      return item;
    }
    const buffer = this.#buffer;
    const chunker = this.#chunker;
    const consumer = this.#consumer!;
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
      if (!consumer.wants(item)) continue;
      if (item.type === "progress") return item;
      const held = chunker?.flush();
      if (!held) return item;
      this.#next = item;
      return held;
    }
    if (chunker?.holding && (this.#ending !== undefined || this.#heldTooLong())) return chunker.flush();
    if (this.#ending !== undefined && "finish" in this.#ending && !this.#finishGiven) {
      this.#finishGiven = true;
      const last = finishEvent(this.#ending.finish);
      if (consumer.wants(last)) return last;
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

  #collect(): void {
    if (this.#consumer !== undefined) return;
    this.#consumer = new Push("result", this, undefined);
    this.#consumer.deliver();
  }

  /** The consumer has come to the end. Returns the error that it is to be told, if there is one. */
  reachEnd(): { error: unknown } | undefined {
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
    return { text: this.#text, finishReason: reason, toolCalls: [], ...stop, usage, timings, seed };
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

  /** Text that the consumer has not asked for is not late: only while it waits there is a timer. */
  waitsForMore(): void {
    if (this.#maxDelay === 0 || this.#timer !== undefined || !this.#chunker!.holding) return;
    const left = this.#maxDelay - (performance.now() - this.#heldSince);
    this.#timer = setTimeout(this.#onTimer, Math.max(1, left));
  }
  #onTimer = (): void => {
    this.#timer = undefined;
    this.#consumer?.deliver();
  };
}

function finishEvent(finish: NativeFinish): FinishEvent {
  const { reason, stopString, usage, timings, seed } = finish;
  return { type: "finish", reason, ...(stopString === undefined ? {} : { stopString }), usage, timings, seed };
}
