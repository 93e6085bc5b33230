// Owns the ways in which a stream is read. A consumer either pulls (an iterator, a web stream) or is called (a callback, or nothing but
// the collected reply); it says what it wants, and hands on what is there. JS thread of the model.

import type { Item } from "../engine/items.js";
import type { StreamCallback, StreamEvent, TokenLogprobs } from "../types.js";

/** What a consumer is given: text, or to events() an event. */
export type Given = string | StreamEvent;

/** What a consumer takes from: the core of a stream. */
export interface Source {
  /** What comes next, shaped by the consumer; undefined when there is nothing now. */
  take(): Given | undefined;
  /** Nothing comes after what take() still gives. */
  readonly ended: boolean;
  /** The consumer has seen the end, or has left. */
  readonly over: boolean;
  /** The consumer has come to the end; what it is to be told, if it is an error. */
  reachEnd(): { error: unknown } | undefined;
  /** The consumer waits: text held back for too long is to come. */
  waitsForMore(): void;
  abort(reason: unknown): void;
}

export interface Consumer {
  /** As the error for a second consumer calls it. */
  readonly name: string;
  /** Whether it goes on where nobody holds the stream any more. */
  readonly goesOnAlone: boolean;
  /** Whether an item is for it; others are dropped when their turn comes. */
  wants(item: Item): boolean;
  /** Text as it is given to this consumer; with the log-probabilities of its tokens, where they were asked for. */
  shape(text: string, logprobs: TokenLogprobs[] | undefined): Given;
  /** Something has arrived, or the end: hands on all that it waits for. */
  deliver(): void;
  /** It has left: whoever still waits is told that it is over. */
  leave(): void;
}

function isText(item: Item): boolean {
  return typeof item === "string" || item.type === "text";
}

const DONE: IteratorResult<Given, undefined> = { done: true, value: undefined };

type Resolve = (result: IteratorResult<Given, undefined>) => void;
type Reject = (error: unknown) => void;

/** Takes one piece of text for each pull. */
export class PullText implements Consumer {
  readonly name: string;
  readonly goesOnAlone = false;
  readonly #source: Source;
  /** Resolve and reject of each promise that waits, flat. */
  #waiting: (Resolve | Reject)[] = [];
  /** How many of these are settled already: taking them off one by one would move all the others each time. */
  #answered = 0;
  #wait = (resolve: Resolve, reject: Reject): void => {
    this.#waiting.push(resolve, reject);
  };

  constructor(name: string, source: Source) {
    this.name = name;
    this.#source = source;
  }

  wants(item: Item): boolean {
    return isText(item);
  }

  shape(text: string, _logprobs?: TokenLogprobs[]): Given {
    return text;
  }

  /** The next item. Rejects once with the stream's error; done from then on. */
  pull(): Promise<IteratorResult<Given, undefined>> {
    const source = this.#source;
    if (this.#waiting.length === 0) {
      if (source.over) return Promise.resolve(DONE);
      const value = source.take();
      if (value !== undefined) return Promise.resolve({ done: false, value });
      if (source.ended) {
        const error = source.reachEnd();
        return error === undefined ? Promise.resolve(DONE) : Promise.reject(error.error);
      }
    }
    const promise = new Promise<IteratorResult<Given, undefined>>(this.#wait);
    source.waitsForMore();
    return promise;
  }

  deliver(): void {
    const source = this.#source;
    const waiting = this.#waiting;
    while (waiting.length > 0) {
      const value = source.over ? undefined : source.take();
      if (value === undefined && !source.ended && !source.over) {
        source.waitsForMore();
        return;
      }
      const at = this.#answered;
      const resolve = waiting[at] as Resolve;
      const reject = waiting[at + 1] as Reject;
      this.#settled(at + 2);
      if (value !== undefined) resolve({ done: false, value });
      else {
        const error = source.over ? undefined : source.reachEnd();
        if (error === undefined) resolve(DONE);
        else reject(error.error);
      }
    }
  }

  leave(): void {
    const resolves = this.#waiting.slice(this.#answered).filter((_, i) => i % 2 === 0) as Resolve[];
    this.#waiting.length = 0;
    this.#answered = 0;
    for (const resolve of resolves) resolve(DONE);
  }

  /** Those before `next` are settled. */
  #settled(next: number): void {
    const waiting = this.#waiting;
    if (next < waiting.length) {
      this.#answered = next;
      // A consumer that always has several waiting never empties it.
      if (next >= 512 && next * 2 >= waiting.length) {
        waiting.splice(0, next);
        this.#answered = 0;
      }
      return;
    }
    // One that waits is the common case, and pop() costs much less than setting a length.
    this.#answered = 0;
    if (next > 2) waiting.length = 0;
    else {
      waiting.pop();
      waiting.pop();
    }
  }
}

/** Takes everything that happens, one event for each pull. */
export class PullEvents extends PullText {
  override wants(item: Item): boolean {
    return typeof item === "string" || item.type !== "hidden";
  }

  override shape(text: string, logprobs: TokenLogprobs[] | undefined): Given {
    return logprobs === undefined ? { type: "text", text } : { type: "text", text, logprobs };
  }
}

/** Is called for every piece of text; without a callback the text is only collected. */
export class Push implements Consumer {
  readonly name: string;
  readonly goesOnAlone = true;
  readonly #source: Source;
  readonly #callback: StreamCallback | undefined;
  #calling = false;
  /** The callback's promise is pending. */
  #paused = false;

  constructor(name: string, source: Source, callback: StreamCallback | undefined) {
    this.name = name;
    this.#source = source;
    this.#callback = callback;
  }

  wants(item: Item): boolean {
    return isText(item);
  }

  shape(text: string, _logprobs?: TokenLogprobs[]): Given {
    return text;
  }

  /** Calls the callback for all that is there, unless its last promise is still pending. */
  deliver(): void {
    if (this.#calling) return; // the callback itself aborted: the loop below sees it
    const source = this.#source;
    this.#calling = true;
    while (!this.#paused && !source.over) {
      const item = source.take();
      if (item === undefined) {
        if (source.ended) source.reachEnd();
        else source.waitsForMore();
        break;
      }
      if (this.#callback !== undefined) this.#call(this.#callback, item as string);
    }
    this.#calling = false;
  }

  leave(): void {} // nobody waits

  #call(callback: StreamCallback, text: string): void {
    try {
      const returned = callback(text) as PromiseLike<unknown> | undefined;
      if (typeof returned?.then !== "function") return;
      this.#paused = true;
      returned.then(this.#resume, this.#failCall);
    } catch (error) {
      this.#source.abort(error ?? new Error("streamCallback threw nothing"));
    }
  }
  #resume = (): void => {
    this.#paused = false;
    this.deliver();
  };
  #failCall = (error: unknown): void => {
    this.#paused = false;
    this.#source.abort(error ?? new Error("streamCallback rejected with nothing"));
  };
}
