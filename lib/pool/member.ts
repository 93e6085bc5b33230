// Owns one model of a pool: its state, who uses it, who waits for it, and the engine that is open now. JS thread that made the pool.
// When it is opened and closed is the pool's decision.

import type { ModelEngine } from "../engine/engine.js";
import { NO_STATS } from "../engine/link.js";
import { ZSEError } from "../errors.js";
import { isAborted, reasonOf, watchAbort } from "../stream/abort.js";
import type { EngineOptionsInput, EngineStats, ModelInfo } from "../types.js";
import { ZSE } from "../zse.js";
import { PooledEngine } from "./pooled-engine.js";
import type { Occupant } from "./room.js";
import type { ModelLease, PooledModelInfo, PooledModelState } from "./types.js";
import type { Waiter } from "./waiter.js";

/** A model as it was named to the pool. */
export interface MemberSettings {
  name: string;
  aliases: readonly string[];
  /** undefined: the demo model. */
  path: string | undefined;
  options: EngineOptionsInput;
  /** Requests that may run, and wait, at a time. */
  room: { maxStreams: number; maxQueue: number };
}

/** What a member tells its pool. */
export interface MemberEvents {
  /** Somebody asks for it, and it is closed. */
  onWanted(member: Member): void;
  /** It was to be opened, and whoever asked for it has left. */
  onUnwanted(): void;
  /** Its last use has ended. */
  onIdle(member: Member): void;
  /** Its memory is free. */
  onClosed(): void;
  onChange(member: Member): void;
}

/** What an engine counts from its opening on. */
const COUNTERS = [
  "steps",
  "generatedTokens",
  "prefilledTokens",
  "abortedSteps",
  "cachedTokens",
  "spills",
  "embeddedTokens",
  "draftedTokens",
  "acceptedTokens",
  "restarts",
] as const;
type Counters = Partial<Record<(typeof COUNTERS)[number], number>>;

export class Member implements Occupant {
  readonly name: string;
  readonly aliases: readonly string[];
  /** The model as everybody has it who does not hold a lease. */
  readonly model: ZSE;
  /** Bytes that it takes; 0 while that is not known. */
  bytes = 0;
  usedAt = 0;
  openedAt = 0;
  /** Others wait for its place: who asks now waits until it has had its turn again. */
  draining = false;
  /** Why nothing can be asked of it any more. */
  over: ZSEError | undefined;
  /** When opening it failed last. */
  failedAt = Number.NEGATIVE_INFINITY;

  readonly #settings: MemberSettings;
  readonly #events: MemberEvents;
  #state: PooledModelState = "closed";
  #opened: ZSE | undefined;
  #closing: Promise<void> | undefined;
  #info: ModelInfo | undefined;
  #error: ZSEError | undefined;
  #uses = 0;
  /** What the engines before this one have counted. */
  #counted: Counters = {};
  readonly #waiting = new Set<Waiter>();

  constructor(settings: MemberSettings, events: MemberEvents) {
    this.#settings = settings;
    this.#events = events;
    this.name = settings.name;
    this.aliases = settings.aliases;
    this.model = ZSE.over(new PooledEngine(this));
  }

  get path(): string | undefined {
    return this.#opened?.path ?? this.#settings.path ?? this.#info?.path;
  }

  get state(): PooledModelState {
    return this.#state;
  }

  /** Of the engine that is open, or was last. */
  get info(): ModelInfo | undefined {
    return this.#info;
  }

  get isOver(): boolean {
    return this.over !== undefined;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  get isIdle(): boolean {
    return this.#uses === 0;
  }

  get isClosing(): boolean {
    return this.#state === "closing";
  }

  /** It is in memory, or about to be. */
  get takesMemory(): boolean {
    return this.#state === "opening" || this.#state === "open" || this.#state === "closing";
  }

  get isWanted(): boolean {
    return this.#waiting.size > 0;
  }

  // ---- uses ----

  /**
   * Grants the model now, or when it is open; what cannot be waits no more than there is room for. `isHeld`: whoever asks has a lease, so that it is open.
   */
  ask(waiter: Waiter, isHeld = false): void {
    const engine = this.#usable();
    if (engine !== undefined && (isHeld || !this.draining)) {
      this.#begin(waiter, engine);
      return;
    }
    const error = this.over ?? this.#full();
    if (error !== undefined) {
      waiter.fail(error);
      return;
    }
    this.#waiting.add(waiter);
    if (this.#state === "closed") this.#events.onWanted(this);
    else if (engine === undefined && this.isOpen && this.isIdle) void this.close();
  }

  /** Who waits does so no more. */
  leave(waiter: Waiter): void {
    if (this.#waiting.delete(waiter) && !this.isWanted && this.#state === "waiting") this.#events.onUnwanted();
  }

  /** A use has ended. */
  release(): void {
    this.#uses -= 1;
    this.usedAt = performance.now();
    if (this.#uses > 0 || this.#state !== "open") return;
    if (this.#usable() === undefined) void this.close();
    else this.#events.onIdle(this);
  }

  /** Runs something on the open model. It stays open to the end of the turn in which that has ended, for what follows of it. */
  use<Value>(
    run: (engine: ModelEngine) => Promise<Value>,
    { signal, isHeld = false }: { signal?: AbortSignal | undefined; isHeld?: boolean } = {},
  ): Promise<Value> {
    return this.#granted(signal, isHeld).then(async (engine) => {
      try {
        await engine.ready;
        return await run(engine);
      } finally {
        setImmediate(() => this.release());
      }
    });
  }

  async lease(signal?: AbortSignal): Promise<ModelLease> {
    const engine = await this.#granted(signal, false);
    let isHeld = true;
    const release = () => {
      if (!isHeld) return;
      isHeld = false;
      this.release();
    };
    try {
      await engine.ready;
    } catch (error) {
      release();
      throw error;
    }
    const model = ZSE.over(new PooledEngine(this, () => isHeld));
    return { name: this.name, model, release, [Symbol.dispose]: release };
  }

  #granted(signal: AbortSignal | undefined, isHeld: boolean): Promise<ModelEngine> {
    return new Promise((resolve, reject) => {
      let unwatch = () => {};
      const waiter: Waiter = {
        grant: (engine) => {
          unwatch();
          resolve(engine);
        },
        fail: (error) => {
          unwatch();
          reject(error);
        },
      };
      if (signal !== undefined) {
        if (isAborted(signal)) throw reasonOf(signal);
        unwatch = watchAbort(signal, (reason) => {
          this.leave(waiter);
          reject(reason);
        });
      }
      this.ask(waiter, isHeld);
    });
  }

  #begin(waiter: Waiter, engine: ModelEngine): void {
    this.#uses += 1;
    this.usedAt = performance.now();
    waiter.grant(engine);
  }

  /** The engine, unless it is not open, or has failed for good: that of another process may. */
  #usable(): ModelEngine | undefined {
    if (this.#state !== "open") return undefined;
    const engine = ZSE.engineOf(this.#opened!);
    return engine.failure === undefined ? engine : undefined;
  }

  #full(): ZSEError | undefined {
    const { maxStreams, maxQueue } = this.#settings.room;
    if (this.#waiting.size < maxStreams + maxQueue) return undefined;
    const message = `${this.#waiting.size} requests wait for the model "${this.name}" to be opened (maxStreams, maxQueue); try again later`;
    return new ZSEError("OVERLOADED", message);
  }

  // ---- states ----

  /** It was asked for, and there is to be room for it first. */
  await(): void {
    this.#become("waiting");
  }

  /** Nobody asks for it any more. */
  rest(): void {
    this.#become("closed");
  }

  /** There is no model for those who wait. */
  refuse(error: ZSEError): void {
    this.#error = error;
    this.#become("closed");
    this.#failWaiting(error);
  }

  open(): void {
    this.#become("opening");
    let model: ZSE;
    try {
      const { path, options } = this.#settings;
      model = path === undefined ? new ZSE(options) : new ZSE(path, options);
    } catch (error) {
      this.failedAt = performance.now();
      this.refuse(error as ZSEError);
      this.#events.onClosed();
      return;
    }
    this.#opened = model;
    model.ready.then(
      (info) => this.#onOpened(model, info),
      (error: ZSEError) => this.#onLoadFailed(model, error),
    );
  }

  /** Takes it out of memory; its streams end with CLOSED. Resolves once its memory is free. */
  close(): Promise<void> {
    const model = this.#opened;
    if (model === undefined) return Promise.resolve();
    this.#closing ??= this.#close(model);
    return this.#closing;
  }

  async #close(model: ZSE): Promise<void> {
    this.#become("closing");
    this.#counted = this.#countedWith(model.stats());
    await model.close();
    this.#onGone();
  }

  /** Nothing can be asked of it from now on. */
  async end(error: ZSEError): Promise<void> {
    this.over = error;
    if (this.#state === "waiting") this.rest();
    this.#failWaiting(error);
    await this.close();
  }

  /** Grants it to those who wait, who were kept waiting for others' sake. */
  goOn(): void {
    this.draining = false;
    this.#grantAll();
  }

  #onOpened(model: ZSE, info: ModelInfo): void {
    if (this.#closing !== undefined || this.#opened !== model) return;
    this.#info = info;
    this.#error = undefined;
    this.openedAt = performance.now();
    this.usedAt = this.openedAt;
    this.#become("open");
    this.#grantAll();
    if (this.isIdle) this.#events.onIdle(this); // who wanted it has left
  }

  #onLoadFailed(model: ZSE, error: ZSEError): void {
    if (this.#closing !== undefined || this.#opened !== model) return;
    this.#error = error;
    this.failedAt = performance.now();
    this.#failWaiting(error);
    void this.close();
  }

  #onGone(): void {
    this.#opened = undefined;
    this.#closing = undefined;
    this.draining = false;
    if (this.#error !== undefined) this.bytes = 0; // the file may be another one by the next try
    this.#become("closed");
    this.#events.onClosed();
    if (this.isWanted && this.#state === "closed") this.#events.onWanted(this);
  }

  #grantAll(): void {
    for (const waiter of [...this.#waiting]) {
      const engine = this.#usable();
      if (engine === undefined || this.draining) return;
      if (this.#waiting.delete(waiter)) this.#begin(waiter, engine);
    }
  }

  #failWaiting(error: ZSEError): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const waiter of waiting) waiter.fail(error);
  }

  #become(state: PooledModelState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#events.onChange(this);
  }

  // ---- what is told of it ----

  /** Of the open engine, and of those who wait for it, as if they waited for a slot there. What is counted goes on from engine to engine. */
  stats(): EngineStats {
    const { maxStreams } = this.#settings.room;
    const waiting = this.#waiting.size;
    if (this.#state === "open") {
      const stats = this.#opened!.stats();
      return { ...stats, ...this.#countedWith(stats), queued: stats.queued + waiting };
    }
    return { ...NO_STATS, ...this.#counted, queued: waiting, freeSlots: Math.max(0, maxStreams - waiting) };
  }

  #countedWith(stats: EngineStats): Counters {
    const counted: Counters = {};
    for (const name of COUNTERS) {
      const before = this.#counted[name];
      if (stats[name] !== undefined || before !== undefined) counted[name] = (stats[name] ?? 0) + (before ?? 0);
    }
    return counted;
  }

  describe(): PooledModelInfo {
    return {
      name: this.name,
      aliases: this.aliases,
      path: this.path,
      state: this.#state,
      uses: this.#uses,
      waiting: this.#waiting.size,
      bytes: this.bytes === 0 ? undefined : this.bytes,
      info: this.#info,
      error: this.#error,
      usedAt: this.usedAt === 0 ? undefined : new Date(performance.timeOrigin + this.usedAt),
    };
  }
}
