// Owns the life of one stream between the engine and its one consumer: buffering, credits, grouping, and the ways to end.
// JS thread of the model. token-stream.ts is the face of it; the engine holds this object (not that one) while the
// stream runs, so that a stream which its owner has dropped can be noticed and cancelled.
//
// The consumer pulls (iterator, web stream) or is called (callback, collecting). Either way text leaves the buffer only when
// the consumer wants it, and only then its credit goes back: that is the whole of backpressure on this side.
// Text held by the chunker counts as taken, so a sentence longer than highWaterMark cannot stop its own stream. What its consumer does not
// want gives its credit back when its turn comes, which is at once where the consumer has read all before it.
//
// Where calls of tools are run (steps.ts), a stream is several replies of the engine, one after the other. The next one may begin while the reader
// has not read all of the last one, and the credit of what is left of that is nobody's any more.

import type { NativeFinish, NativeRequest } from "../addon/contract.js";
import type { Ending, ModelEngine, StreamSink } from "../engine/engine.js";
import type { Item } from "../engine/items.js";
import { NO_USE } from "../engine/link.js";
import { ZSEError } from "../errors.js";
import type { Checked, Validate } from "../schema/standard.js";
import type { FinishEvent, ObjectEvent, Reply, ToolCallEvent } from "../types.js";
import { isAborted, reasonOf, watchAbort } from "./abort.js";
import type { Chunker } from "./chunker.js";
import { CollectedReply } from "./collected-reply.js";
import { type Consumer, type Given, Push, type Source } from "./consumers.js";
import { EventBuffer } from "./event-buffer.js";
import { ReplyLogprobs } from "./logprobs.js";
import { checkedObject, PartialObject } from "./objects.js";
import type { Steps } from "./steps.js";
import { newCallId } from "./tool-calls.js";
import type { StreamWatch } from "./watch.js";

export interface CoreSettings {
  request: NativeRequest;
  unsaid: readonly string[];
  chunker: Chunker | undefined;
  chunkMaxDelayMs: number;
  signal: AbortSignal | undefined;
  /** A structured reply. */
  object?: { validate: Validate | undefined } | undefined;
  /** Runs the calls of a reply, and says what is asked next. */
  steps?: Steps | undefined;
  /** Follows it. */
  watch?: StreamWatch | undefined;
}

export class StreamCore implements StreamSink, Source {
  id = 0;
  request: NativeRequest;
  readonly unsaid: readonly string[];

  #engine: ModelEngine;
  /** Who reads it; nobody until someone does. */
  #consumer: Consumer | undefined;
  #buffer = new EventBuffer();
  #chunker: Chunker | undefined;
  /** A reasoning or tool call event that waits until the text before it has gone out. */
  #next: Item | undefined;
  endsReasoning = false;
  /** The reply is whole, and a schema of a library's own takes its time to check it. */
  #checking = false;
  readonly #collected: CollectedReply;
  readonly #logprobs: ReplyLogprobs | undefined;
  readonly #steps: Steps | undefined;
  readonly #watch: StreamWatch | undefined;
  readonly #validate: Validate | undefined;
  /** The value that the text of a structured reply has come to. */
  readonly #object: PartialObject | undefined;
  /** Comes after the text that was given out last. */
  #grown: ObjectEvent | undefined;
  /** events() has had its finish event. */
  #finishGiven = false;

  /** Tokens taken and not yet given back; given back in portions, as each costs a call into the addon. */
  #taken = 0;
  /** Tokens of what is in the buffer; and of those, the ones of a reply that has ended. */
  #buffered = 0;
  #settled = 0;
  /** Tokens that the consumer has taken, in all. */
  takenTokens = 0;
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
  constructor(engine: ModelEngine, settings: CoreSettings) {
    this.#engine = engine;
    this.request = settings.request;
    this.unsaid = settings.unsaid;
    this.#chunker = settings.chunker;
    if (settings.request.logprobs) this.#logprobs = new ReplyLogprobs();
    this.#steps = settings.steps;
    this.#collected = new CollectedReply(this.#logprobs, this.#steps);
    this.#watch = settings.watch;
    this.#validate = settings.object?.validate;
    this.#object = settings.object === undefined ? undefined : new PartialObject();
    this.#maxDelay = settings.chunker === undefined ? 0 : settings.chunkMaxDelayMs;
    this.#ackEvery = Math.max(1, settings.request.highWaterMark >> 1);
    const { signal } = settings;
    if (signal !== undefined && isAborted(signal)) {
      this.abort(reasonOf(signal));
      return;
    }
    if (signal !== undefined) this.#unwatch = watchAbort(signal, (reason) => this.abort(reason));
    if (this.#ending === undefined)
      this.#open(); // a signal of somebody's own may abort as soon as it is listened to
    else this.#release();
  }

  #open(): void {
    this.#watch?.asks(this.request);
    this.#engine.open(this);
  }

  #cancel(): boolean {
    const ends = this.#engine.cancel(this);
    if (!ends) this.#watch?.ended(undefined);
    return ends;
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
    const error = reason ?? new ZSEError("ABORTED", "The stream was aborted.");
    if (this.#checking) this.#endCheck({ error });
    if (this.#over) return;
    this.#dropHeld();
    const running = this.#ending === undefined;
    this.#ending = { error };
    if (running) this.#cancel();
    this.#steps?.abort(error);
    this.#watch?.over();
    this.#release();
    this.#conclude({ error });
    this.#consumer?.deliver();
  }

  /** The consumer leaves without an error: what it has read so far is the reply. No effect after the end. */
  leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#left = true;
    this.#dropHeld();
    this.#steps?.abort(new ZSEError("ABORTED", "The stream was left."));
    this.#watch?.over();
    const failure = this.#release();
    if (failure !== undefined) this.#conclude(failure);
    if (this.#ending !== undefined) this.#concludeLeft(this.#ending);
    else if (!this.#cancel()) {
      this.#conclude({ reply: this.#collected.reply({ reason: "cancelled", seed: this.request.seed ?? 0, ...NO_USE }) });
    }
    this.#consumer?.leave();
  }

  /** Closes the thought that the reply is in, as a spent budget does. No effect where it is in none; while it waits for its beginning, it will. */
  endReasoning(): void {
    this.endsReasoning = true;
    this.#engine.endReasoning(this);
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
    if (typeof item !== "string" && item.type === "toolCall") nameCall(item);
    this.#steps?.on(item);
    this.#buffer.push(item, tokens);
    this.#buffered += tokens;
    const consumer = this.#consumer;
    if (consumer === undefined) return;
    if (consumer.wants(item) || isStep(item)) consumer.deliver();
    else if (this.#buffer.length === 1) this.#skip();
  }

  end(ending: Ending): void {
    if (this.#checking) {
      if ("error" in ending) this.#endCheck(ending);
      return;
    }
    this.#watch?.ended(ending);
    if (this.#ending === undefined && !this.#left && "finish" in ending) {
      const next = this.#steps?.next(ending.finish);
      if (next !== undefined) {
        this.#rest(next);
        return;
      }
    }
    this.#end(ending);
  }

  /** The calls of the reply are run, and then another one is asked for, or it was the last one. */
  #rest(next: ReturnType<Steps["next"]>): void {
    this.#settled = this.#buffered;
    this.#taken = 0;
    this.endsReasoning = false;
    this.#engine.rest(this);
    next!.then(
      ({ step, request, finish }) => {
        if (this.#ending !== undefined || this.#left) return;
        this.on({ type: "step", step }, 0);
        if (request === undefined) {
          this.#engine.cancel(this); // it rests no more
          this.#end({ finish });
        } else {
          this.request = request;
          this.#open();
        }
      },
      (error: unknown) => {
        if (this.#ending !== undefined || this.#left) return;
        this.#engine.cancel(this);
        this.#end({ error });
      },
    );
  }

  #end(ending: Ending): void {
    if (this.#left) this.#concludeLeft(ending);
    if (this.#ending !== undefined || this.#left) return; // aborted in the meantime: the id is free now, no more
    this.#ending = ending;
    this.#watch?.over("error" in ending ? ending.error : undefined);
    if ("error" in ending) this.#steps?.abort(ending.error);
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
    const grown = this.#grown;
    if (grown !== undefined) {
      this.#grown = undefined;
      return grown;
    }
    const item = this.#takeItem();
    if (typeof item !== "string") return this.#told(item) as Given | undefined; // what is hidden is wanted by none
    this.#collected.addText(item);
    if (this.#object !== undefined) this.#grow(this.#object, item);
    return this.#consumer!.shape(item, this.#logprobs?.take(item));
  }

  /** With the log-probabilities of what came before it and was not shown. */
  #told(item: Exclude<Item, string> | undefined): Exclude<Item, string> | undefined {
    if (this.#logprobs === undefined || item === undefined) return item;
    const isPiece = "logprobs" in item && item.type !== "hidden";
    if (!isPiece && item.type !== "finish") return item;
    const untold = this.#logprobs.takeUntold();
    return untold.length === 0 ? item : { ...item, logprobs: [...untold, ...((isPiece ? item.logprobs : undefined) ?? [])] };
  }

  #grow(object: PartialObject, text: string): void {
    object.add(text);
    if (!this.#consumer!.wants(NO_OBJECT) || !object.isDue) return;
    this.#grown = object.event();
  }

  /** What its consumer does not want has come, and nothing before it is left to read. */
  #skip(): void {
    const item = this.#buffer.shift()!;
    this.#giveBack(this.#buffer.shiftedTokens);
    this.#note(item);
  }

  #note(item: Item): void {
    this.#collected.note(item);
    if (typeof item !== "string" && item.type === "step" && this.#steps!.isRun(item.step)) this.#object?.restart();
  }

  /** Text, grouped, as the bare string. */
  #takeItem(): Item | undefined {
    const next = this.#next;
    if (next !== undefined) {
      this.#next = undefined;
      this.#note(next);
      if (this.#consumer!.wants(next)) return next;
    }
    const buffer = this.#buffer;
    const chunker = this.#chunker;
    const consumer = this.#consumer!;
    for (let item = buffer.shift(); item !== undefined; item = buffer.shift()) {
      this.#giveBack(buffer.shiftedTokens);
      if (typeof item !== "string" && item.type === "text") {
        this.#logprobs?.push(item.text, item.logprobs ?? []);
        item = item.text;
      }
      if (typeof item === "string") {
        if (chunker === undefined) return item;
        if (this.#maxDelay !== 0 && !chunker.holding) this.#heldSince = performance.now();
        const chunk = chunker.push(item, buffer.shiftedTokens);
        if (chunk === "") continue;
        if (this.#maxDelay !== 0) this.#heldSince = performance.now();
        return chunk;
      }
      const wanted = consumer.wants(item);
      const held = (wanted && item.type !== "progress") || isStep(item) ? chunker?.flush() : undefined;
      if (held) {
        this.#next = item;
        return held;
      }
      this.#note(item);
      if (wanted) return item;
    }
    if (chunker?.holding && (this.#ending !== undefined || this.#heldTooLong())) return chunker.flush();
    if (this.#ending !== undefined && "finish" in this.#ending && !this.#finishGiven) {
      if (this.#object?.isNew && consumer.wants(NO_OBJECT)) {
        const last = this.#object.event();
        if (last !== undefined) return last;
      }
      this.#finishGiven = true;
      const last = finishEvent(this.#steps?.summed(this.#ending.finish) ?? this.#ending.finish);
      if (consumer.wants(last)) return last;
    }
    return undefined;
  }

  #giveBack(tokens: number): void {
    this.#buffered -= tokens;
    this.takenTokens += tokens;
    if (this.#settled > 0) {
      this.#settled -= tokens;
      return;
    }
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
    const hasObject = "finish" in ending && ending.finish.reason === "stop" && this.#object !== undefined;
    const checked = hasObject ? checkedObject(this.#object!.text, this.#validate) : undefined;
    if (checked instanceof Promise) {
      this.#await(checked, (ending as { finish: NativeFinish }).finish);
      return undefined;
    }
    const failure = this.#release();
    const told = "error" in ending ? ending : failure;
    this.#conclude(told ?? { reply: this.#checked(checked, (ending as { finish: NativeFinish }).finish) });
    return told;
  }

  #checked(checked: Checked | undefined, finish: NativeFinish): Reply {
    const reply = this.#collected.reply(finish);
    if (checked === undefined) return reply;
    return { ...reply, ...("issue" in checked ? { warning: reply.warning ?? checked.issue } : { object: checked.value }) };
  }

  /** Until the check has come to an end, an abort, or the model's close, ends the reply. */
  #await(checked: Promise<Checked>, finish: NativeFinish): void {
    this.#checking = true;
    this.#engine.rest(this);
    void checked.then((told) => {
      if (this.#checking) this.#endCheck({ reply: this.#checked(told, finish) });
    });
  }

  #endCheck(outcome: { reply: Reply } | { error: unknown }): void {
    this.#checking = false;
    this.#engine.cancel(this); // it rests no more
    this.#conclude(this.#release() ?? outcome);
  }

  #concludeLeft(ending: Ending): void {
    if ("error" in ending) this.#conclude(ending);
    else this.#conclude({ reply: this.#collected.reply({ ...ending.finish, reason: "cancelled" }) });
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
    this.#grown = undefined;
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
  const { reason, stopString, warning, usage, timings, seed } = finish;
  const told = { ...(stopString === undefined ? {} : { stopString }), ...(warning === undefined ? {} : { warning }) };
  return { type: "finish", reason, ...told, usage, timings, seed };
}

/** Text of two replies is never one chunk. */
function isStep(item: Item): boolean {
  return typeof item !== "string" && item.type === "step";
}

/** Asks a consumer whether it wants such events. */
const NO_OBJECT: ObjectEvent = { type: "object", partial: undefined };

/** Templates of many models give their calls no id, and clients send it back with the result. */
function nameCall(event: ToolCallEvent): void {
  if (event.name === undefined) delete event.id;
  else event.id = event.id || newCallId();
}
