// Owns the streams of a model that is still being opened, for requests whose clients must hear something meanwhile: a model may load for minutes.
// JS thread of the models.

import { askedNow, whileAsked } from "../telemetry/asked.js";
import type { StreamEvent } from "../types.js";
import { iteratorOf } from "./reply.js";
import type { EventStream, HeldModel, ServedModel } from "./types.js";

type Opens = Parameters<ServedModel["chatStream"]>[0];
type Continues = Parameters<ServedModel["completionStream"]>[0];

/** Takes calls now, and hands them on once the model is there. */
export class LateModel implements ServedModel {
  readonly #opening: Promise<HeldModel>;
  readonly #leave: () => void;

  /**
   * @param opening the model; it is released by whoever asked for it, after what was called before that
   * @param leave a stream has left: nobody waits for the model any more
   */
  constructor(opening: Promise<HeldModel>, leave: () => void) {
    this.#opening = opening;
    this.#leave = leave;
  }

  /** Settles when the model is there. Never rejects. */
  get opened(): Promise<unknown> {
    return this.#opening.catch(() => {});
  }

  chatStream(request: Opens): EventStream {
    return this.#late((model) => model.chatStream(request));
  }

  completionStream(request: Continues): EventStream {
    return this.#late((model) => model.completionStream(request));
  }

  #late(open: (model: ServedModel) => EventStream): EventStream {
    const asked = askedNow();
    return new LateStream(this.#opening, (model) => whileAsked(asked, () => open(model)), this.#leave);
  }
}

class LateStream implements EventStream, AsyncIterator<StreamEvent> {
  readonly #opened: Promise<void>;
  readonly #leave: () => void;
  #stream: EventStream | undefined;
  #events: AsyncIterator<StreamEvent> | undefined;
  #left = false;

  constructor(opening: Promise<HeldModel>, open: (model: ServedModel) => EventStream, leave: () => void) {
    this.#leave = leave;
    this.#opened = opening.then(({ model }) => {
      if (this.#left) return;
      this.#stream = open(model);
      this.#events = iteratorOf(this.#stream.events());
    });
    this.#opened.catch(() => {}); // next() tells it
  }

  get takenTokens(): number | undefined {
    return this.#stream?.takenTokens;
  }

  get result(): Promise<unknown> {
    return this.#opened.then(() => this.#stream?.result);
  }

  events(): AsyncIterator<StreamEvent> {
    return this;
  }

  async next(): Promise<IteratorResult<StreamEvent>> {
    await this.#opened;
    if (this.#left || this.#events === undefined) return { done: true, value: undefined };
    return await this.#events.next();
  }

  async return(): Promise<IteratorResult<StreamEvent>> {
    this.#left = true;
    if (this.#events === undefined) this.#leave();
    else await this.#events.return?.();
    return { done: true, value: undefined };
  }
}
