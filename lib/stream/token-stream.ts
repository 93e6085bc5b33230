// Owns the public face of one reply's stream: the ways to read it and to end it. JS thread of the model. Everything it does
// is stream-core.ts's; this object only stands for the consumer, so that dropping it can be noticed.

/// <reference lib="esnext.disposable" preserve="true" />

import type { ModelEngine } from "../engine/engine.js";
import type { ReplySettings } from "../options/options.js";
import type { Reply, StreamEvent } from "../types.js";
import { createChunker } from "./chunker.js";
import { PullEvents, PullText, Push } from "./consumers.js";
import type { Steps } from "./steps.js";
import { StreamCore } from "./stream-core.js";
import type { StreamWatch } from "./watch.js";

/** Cancels the stream of a TokenStream that was dropped before its end: its slot would stay parked for good. */
const dropped = new FinalizationRegistry<StreamCore>((core) => core.abandon());

/** Opens a stream on an engine. Not part of the public face: streams come from ZSE's methods. */
export function openStream(engine: ModelEngine, settings: ReplySettings, steps?: Steps, watch?: StreamWatch): TokenStream {
  const core = openCore(engine, settings, steps, watch);
  const stream = new TokenStream(core, settings.includeUsage);
  dropped.register(stream, core);
  if (settings.streamCallback !== undefined) {
    core.claim(new Push("streamCallback", core, settings.streamCallback)).deliver();
  }
  return stream;
}

/** Opens a stream that is only collected, or called back: the promise of its reply. */
export function collectReply(engine: ModelEngine, settings: ReplySettings, steps?: Steps, watch?: StreamWatch): Promise<Reply> {
  const core = openCore(engine, settings, steps, watch);
  const { streamCallback } = settings;
  core.claim(new Push(streamCallback === undefined ? "result" : "streamCallback", core, streamCallback)).deliver();
  return core.result();
}

function openCore(engine: ModelEngine, settings: ReplySettings, steps: Steps | undefined, watch: StreamWatch | undefined): StreamCore {
  const { request, unsaid, chunkBy, chunkSize, chunkMaxDelayMs, signal, shape } = settings;
  return new StreamCore(engine, {
    request,
    unsaid,
    chunker: createChunker(chunkBy, chunkSize),
    chunkMaxDelayMs,
    signal,
    object: shape.object,
    steps,
    watch,
  });
}

/**
 * The reply to one request, as it is generated. `Value` is the type of its object, `Partial` that of what the object has come to so far. It has one consumer, by one of: `for await` over the stream itself (text),
 * `events()`, `toReadableStream()`, or `result` alone. The engine runs at most `highWaterMark` tokens ahead of it.
 *
 * Errors reach the consumer: ZSEError with a `code`, or an AbortSignal's own reason. Text that came before an error is read
 * before it; text that came before an abort is dropped.
 */
export class TokenStream<Value = unknown, Partial = unknown> implements AsyncIterable<string>, AsyncDisposable {
  /** The request's `includeUsage`, for adapters: true, false, or undefined when it was not given. */
  readonly includeUsage: boolean | undefined;
  readonly #core: StreamCore;

  /** @internal */
  constructor(core: StreamCore, includeUsage: boolean | undefined) {
    this.#core = core;
    this.includeUsage = includeUsage;
  }

  /** The text, chunk by chunk. Leaving the loop early cancels the reply. */
  [Symbol.asyncIterator](): AsyncIterableIterator<string> {
    return new StreamIterator<string>(this, this.#core, this.#core.claim(new PullText("a for await loop", this.#core)));
  }

  /** Everything that happens, in order; `finish` comes last. Leaving the loop early cancels the reply. */
  events(): AsyncIterableIterator<StreamEvent<Partial>> {
    return new StreamIterator<StreamEvent<Partial>>(this, this.#core, this.#core.claim(new PullEvents("events()", this.#core)));
  }

  /** The text as a web stream. It is read only on demand, so a slow reader slows the reply; cancelling it cancels the reply. */
  toReadableStream(): ReadableStream<string> {
    const iterator = new StreamIterator<string>(this, this.#core, this.#core.claim(new PullText("toReadableStream()", this.#core)));
    return new ReadableStream<string>(
      {
        async pull(controller) {
          const { done, value } = await iterator.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        },
        async cancel() {
          await iterator.return();
        },
      },
      { highWaterMark: 0 },
    );
  }

  /**
   * The whole reply, once the consumer has come to its end (finishReason "cancelled" when it left early: the text is then what
   * it had read). Where nothing else reads the stream, this does. Rejects with what the consumer is told when the stream
   * fails or is aborted; it need not be handled.
   */
  get result(): Promise<Reply<Value>> {
    return this.#core.result() as Promise<Reply<Value>>; // its object is what its schema has made
  }

  /** Tokens of what the consumer has taken so far. At the end it is usage's completionTokens, but for tokens of which nothing is shown. */
  get takenTokens(): number {
    return this.#core.takenTokens;
  }

  /** Closes the thought that the model is in, and the answer begins; nothing where it is in none. */
  endReasoning(): void {
    this.#core.endReasoning();
  }

  /** Ends the reply, whatever state it is in. The consumer fails with `reason`, or with ZSEError ABORTED. */
  abort(reason?: unknown): void {
    this.#core.abort(reason);
  }

  /** Cancels the reply unless it is at its end. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#core.leave();
    return Promise.resolve();
  }
}

/** Reads a stream's items as they are. Holds the TokenStream, so that it lives as long as someone reads. */
class StreamIterator<Value> implements AsyncIterableIterator<Value> {
  readonly stream: TokenStream;
  readonly #core: StreamCore;
  readonly #consumer: PullText;

  constructor(stream: TokenStream, core: StreamCore, consumer: PullText) {
    this.stream = stream;
    this.#core = core;
    this.#consumer = consumer;
  }

  next(): Promise<IteratorResult<Value, undefined>> {
    return this.#consumer.pull() as Promise<IteratorResult<never, undefined>>; // of its kind
  }

  return(): Promise<IteratorResult<Value, undefined>> {
    this.#core.leave();
    return Promise.resolve({ done: true, value: undefined });
  }

  throw(error?: unknown): Promise<IteratorResult<Value, undefined>> {
    this.#core.leaveWith(error);
    return Promise.reject(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
