// Owns the class that users hold for several models: which of them are open, who is closed for whom, and in which order those get their turn that
// wait for room. JS thread that made it. No model is closed while it is used.

/// <reference lib="esnext.disposable" preserve="true" />

import { quote } from "../base/quote.js";
import { bad, ZSEError } from "../errors.js";
import type { ZSE } from "../zse.js";
import { Member } from "./member.js";
import { type PoolSettings, type ReadModel, readLeaseSignal, readPoolOptions } from "./options.js";
import { roomFor } from "./room.js";
import type { ModelLease, ModelPoolOptions, PooledModelInfo } from "./types.js";
import { weigh } from "./weight.js";

/** Time (ms) after a failure before a model is tried again: a file that is broken must not be read without end. */
const RETRY_MS = 1000;

interface Wanted {
  member: Member;
  since: number;
}

/**
 * Several models by their names. Each is opened when it is first asked for, and closed after a while without use, or when another one needs its place.
 *
 * ```js
 * const pool = new ModelPool({ models: { qwen: "qwen-7b.gguf", tiny: { path: "tiny.gguf", maxStreams: 8 } }, maxOpen: 1 });
 * for await (const text of pool.model("qwen").chatStream([{ role: "user", content: "Tell me a story" }])) process.stdout.write(text);
 * await pool.close();
 * ```
 */
export class ModelPool implements AsyncDisposable {
  /** Every name that a model has, aliases too. The first one is that of requests that name none. */
  readonly names: readonly string[];
  readonly #settings: PoolSettings;
  readonly #members: readonly Member[];
  readonly #byName = new Map<string, Member>();
  readonly #weighed = new Map<Member, ReadModel["weighed"]>();
  /** Those for which there is to be room, in their order. */
  readonly #wanted: Wanted[] = [];
  readonly #idle = new Map<Member, NodeJS.Timeout>();
  #patience: NodeJS.Timeout | undefined;
  #closed: Promise<void> | undefined;

  /** @throws ZSEError BAD_OPTION. What is wrong with a file is told by every call of its model; the next one tries again. */
  constructor(options: ModelPoolOptions) {
    this.#settings = readPoolOptions(options);
    const events = {
      onWanted: (member: Member) => void this.#want(member),
      onUnwanted: () => this.#advance(),
      onIdle: (member: Member) => this.#onIdle(member),
      onClosed: () => this.#advance(),
      onChange: (member: Member) => this.#tell(member),
    };
    this.#members = this.#settings.models.map((model) => {
      const member = new Member(model, events);
      this.#weighed.set(member, model.weighed);
      for (const name of [model.name, ...model.aliases]) this.#byName.set(name, member);
      return member;
    });
    this.names = [...this.#byName.keys()];
  }

  /**
   * A model by one of its names, to be used as any other: it is opened for the first call, and kept open by streams and calls until they end. Its
   * `close()` takes it out of memory until it is asked for again. `ready` asks for it.
   * @throws ZSEError MODEL_NOT_FOUND
   */
  model(name: string): ZSE {
    return this.#find(name).model;
  }

  /**
   * Opens a model, and keeps it open until it is released. Whoever waits for it can leave by `signal`. Rejects with MODEL_NOT_FOUND for a name of no model,
   * OVERLOADED where too many wait for it already, what is wrong with its file, UNSUPPORTED where it is larger than `maxBytes`, BAD_OPTION for a wrong option,
   * and the signal's reason.
   */
  async acquire(name: string, options: { signal?: AbortSignal | undefined } = {}): Promise<ModelLease> {
    const signal = readLeaseSignal("acquire()", options);
    return await this.#find(name).lease(signal);
  }

  /** The same for as long as `run` runs; BAD_OPTION where that is no function. */
  async use<Value>(
    name: string,
    run: (model: ZSE) => Value | Promise<Value>,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<Value> {
    // A model is not opened for a call that is wrong.
    if (typeof run !== "function") throw bad("run", `use() takes a function of the model second, (model) => …; given ${quote(run)}.`);
    const signal = readLeaseSignal("use()", options);
    const lease = await this.#find(name).lease(signal);
    try {
      return await run(lease.model);
    } finally {
      lease.release();
    }
  }

  /**
   * Takes a model out of memory unless somebody uses it, or waits for it. It is opened again when it is next asked for. Resolves with whether it is
   * closed. Rejects with MODEL_NOT_FOUND.
   */
  async unload(name: string): Promise<boolean> {
    const member = this.#find(name);
    if (member.isIdle && !member.isWanted) await member.close();
    return !member.takesMemory;
  }

  /** All models, and how they are. */
  list(): PooledModelInfo[] {
    return this.#members.map((member) => member.describe());
  }

  /** Whether close() was called. */
  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Ends what runs and what waits with CLOSED, and resolves once all memory is free. May be called again. */
  close(): Promise<void> {
    if (this.#closed !== undefined) return this.#closed;
    this.#wanted.length = 0;
    clearTimeout(this.#patience);
    for (const timer of this.#idle.values()) clearTimeout(timer);
    const error = new ZSEError("CLOSED", "The pool of models was closed.");
    this.#closed = Promise.all(this.#members.map((member) => member.end(error))).then(() => {});
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #find(name: string): Member {
    const member = this.#byName.get(name);
    if (member !== undefined) return member;
    const known = this.names.map((one) => quote(one)).join(", ");
    throw new ZSEError("MODEL_NOT_FOUND", `There is no model ${quote(name)} in this pool; there is ${known}.`);
  }

  /** Puts a model into the queue for room, once its size is known and a failure is some time ago. */
  async #want(member: Member): Promise<void> {
    member.await();
    const pause = member.failedAt + RETRY_MS - performance.now();
    if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
    if (member.bytes === 0) member.bytes = await weigh(member.path, this.#weighed.get(member)!);
    if (this.closed || member.state !== "waiting") return;
    this.#wanted.push({ member, since: performance.now() });
    this.#advance();
  }

  #onIdle(member: Member): void {
    const { idleMs } = this.#settings;
    this.#advance();
    if (idleMs === 0 || !member.isOpen || !member.isIdle) return;
    clearTimeout(this.#idle.get(member));
    const timer = setTimeout(() => this.#closeIdle(member), idleMs);
    timer.unref?.();
    this.#idle.set(member, timer);
  }

  #closeIdle(member: Member): void {
    this.#idle.delete(member);
    if (!member.isOpen || !member.isIdle) return;
    const left = member.usedAt + this.#settings.idleMs - performance.now();
    if (left > 0) this.#onIdle(member);
    else void member.close();
  }

  /** Opens what there is room for, in the order of the queue, and makes room for the first that there is none for. */
  #advance(): void {
    clearTimeout(this.#patience);
    for (let first = this.#wanted[0]; first !== undefined; first = this.#wanted[0]) {
      const { member, since } = first;
      const { maxBytes, patienceMs } = this.#settings;
      if (member.isWanted && member.bytes <= maxBytes) {
        const left = since + patienceMs - performance.now();
        const occupants = this.#members.filter((one) => one.takesMemory);
        const decision = roomFor(member.bytes, occupants, this.#settings, left <= 0);
        if (!decision.opens) {
          for (const one of decision.close) void one.close();
          this.#drain(decision.drain);
          if (left > 0) this.#patience = setTimeout(() => this.#advance(), left);
          return;
        }
      }
      this.#wanted.shift();
      if (!member.isWanted) member.rest();
      else if (member.bytes > maxBytes) member.refuse(this.#tooLarge(member));
      else member.open();
    }
    this.#drain([]);
  }

  /** New users of these wait; those of all others do no more. */
  #drain(members: readonly Member[]): void {
    for (const one of this.#members) {
      if (members.includes(one)) one.draining = true;
      else if (one.draining && one.isOpen) one.goOn();
    }
  }

  #tooLarge({ name, bytes }: Member): ZSEError {
    const { maxBytes } = this.#settings;
    const message = `the model "${name}" takes about ${bytes} bytes, and the models of this pool may take ${maxBytes} together (maxBytes)`;
    return new ZSEError("UNSUPPORTED", message);
  }

  #tell(member: Member): void {
    const { onChange } = this.#settings;
    if (onChange === undefined) return;
    try {
      onChange(member.describe());
    } catch (error) {
      // The caller's own mistake: it must neither stop the pool nor be lost.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
