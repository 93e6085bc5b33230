// Owns one reply on its way out: its choices' streams merged into one source of events, pulled one at a time. JS thread of the
// model. Nothing is read from a stream before somebody asks for the next event: that is how backpressure gets from the socket
// to the engine.

import { ZSEError } from "../errors.js";
import type { FinishEvent, StreamEvent } from "../types.js";
import { Alarm } from "./alarm.js";
import type { EventStream, Observer } from "./types.js";

/** What next() gives. */
export type Pulled = Arrived | { error: unknown } | { silence: true } | { end: true };

/** `tokens`: of the choice, up to this event, where its stream tells. */
type Arrived = { choice: number; event: StreamEvent; tokens: number | undefined };
type Arrival = Arrived | { error: unknown };

/** What takes the engine's time: the first of them is the first token. */
const GENERATED: ReadonlySet<string> = new Set(["text", "reasoning", "toolCall"]);

export class Reply {
  readonly choices: number;
  readonly #streams: readonly EventStream[];
  readonly #iterators: AsyncIterator<StreamEvent>[];
  readonly #observer: Observer | undefined;
  /** Choices of which no next() is under way and no arrival waits to be taken: looking at all of them for each event would cost n². */
  #toAsk: number[];
  #running: number;
  #arrivals: Arrival[] = [];
  #wake: (() => void) | undefined;
  #alarm = new Alarm(() => this.#wake?.());
  #over = false;
  /** The streams have ended, and the error that says so is still to be pulled. */
  #aborted = false;

  constructor(streams: readonly EventStream[], observer?: Observer) {
    this.choices = streams.length;
    this.#streams = streams;
    this.#iterators = streams.map((stream) => iteratorOf(stream.events()));
    this.#toAsk = streams.map((_, choice) => choice);
    this.#running = streams.length;
    this.#observer = observer;
  }

  /** Whether the reply has ended, in whichever way. */
  get over(): boolean {
    return this.#over;
  }

  /** The next event of any choice; `silence` when there was none for `silenceMs` (0: no limit). */
  async next(silenceMs: number): Promise<Pulled> {
    if (this.#over) return { end: true };
    if (this.#arrivals.length === 0) await this.#arrive(silenceMs);
    if (this.#over) return { end: true };
    const arrival = this.#arrivals.shift();
    if (arrival === undefined) return { silence: true };
    if ("error" in arrival) {
      this.fail(arrival.error);
      return arrival;
    }
    if (arrival.event.type === "finish") this.#finish(arrival.choice, arrival.event);
    else this.#toAsk.push(arrival.choice);
    return arrival;
  }

  /** Waits up to `ms` for a sign of life, and returns the error if that is what came. Takes nothing away otherwise. */
  async earlyError(ms: number): Promise<{ error: unknown } | undefined> {
    if (this.#arrivals.length === 0 && ms > 0) await this.#arrive(ms);
    const first = this.#arrivals.find((arrival) => "error" in arrival);
    if (first === undefined) return undefined;
    const { error } = first as { error: unknown };
    this.fail(error);
    return { error };
  }

  /** The client has gone: whatever state the streams are in, they end. */
  cancel(): void {
    if (this.#over) return;
    this.#leave();
    this.#observer?.onCancel?.();
    this.#observer?.onEnd?.();
    this.#wake?.();
  }

  /** There is no reply, for this reason: its streams end, and nothing more comes. */
  fail(error: unknown): void {
    if (this.#over) return;
    this.#leave();
    this.#observer?.onError?.(error);
    this.#observer?.onEnd?.();
  }

  /** Ends the streams at once; the next pull tells `error`. */
  abort(error: unknown): void {
    if (this.#over) return;
    this.#leaveStreams();
    this.#arrivals = [{ error }];
    this.#aborted = true;
    this.#wake?.();
  }

  /** Calls `onFailure` once a stream has failed, even while nobody pulls (a STALLED stream is not pulled by its nature). */
  watch(onFailure: (error: unknown) => void): void {
    for (const stream of this.#streams) stream.result?.then(undefined, (error: unknown) => this.#over || onFailure(error));
  }

  /** Asks every choice that has not been asked, and waits for one to answer. */
  #arrive(silenceMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#alarm.set(silenceMs);
      this.#wake = () => {
        this.#alarm.silence();
        this.#wake = undefined;
        resolve();
      };
      const toAsk = this.#toAsk;
      if (toAsk.length === 1) this.#ask(toAsk.pop()!);
      else {
        for (const choice of toAsk) this.#ask(choice);
        toAsk.length = 0;
      }
    });
  }

  #ask(choice: number): void {
    let waitedFor = false;
    this.#iterators[choice]!.next().then(
      ({ done, value }) => {
        if (this.#over || this.#aborted) return;
        if (done === true || (value.type === "finish" && value.reason === "cancelled")) {
          this.#arrivals.push({ error: new ZSEError("ABORTED", "The stream was cancelled.") });
        } else {
          if (GENERATED.has(value.type)) this.#observer?.onText?.(choice, waitedFor);
          this.#arrivals.push({ choice, event: value, tokens: this.#streams[choice]!.takenTokens });
        }
        this.#wake?.();
      },
      (error: unknown) => {
        if (this.#over || this.#aborted) return;
        this.#arrivals.push({ error });
        this.#wake?.();
      },
    );
    // What was there already has answered by then.
    queueMicrotask(() =>
      queueMicrotask(() => {
        waitedFor = true;
      }),
    );
  }

  #finish(choice: number, event: FinishEvent): void {
    this.#running -= 1;
    this.#observer?.onFinish?.(choice, event);
    if (this.#running > 0) return;
    this.#over = true;
    this.#alarm.stop();
    this.#observer?.onEnd?.();
  }

  #leave(): void {
    this.#over = true;
    this.#alarm.stop();
    this.#arrivals = [];
    this.#leaveStreams();
  }

  #leaveStreams(): void {
    for (const iterator of this.#iterators) iterator.return?.()?.then(undefined, () => {});
  }
}

/** @internal */
export function iteratorOf(events: AsyncIterator<StreamEvent> | AsyncIterable<StreamEvent>): AsyncIterator<StreamEvent> {
  return "next" in events ? events : events[Symbol.asyncIterator]();
}
