// Owns the replies that a server keeps, so that later requests go on from them: within a bound of their number and one of their bytes, the
// ones used longest ago going first. And those in the background, which run for nobody until somebody comes back. JS thread of the model.
//
// A reply is kept as JSON in bytes, so that what it takes is known. One that goes on from another holds the whole conversation: it outlives
// the other, and counts in full.

import type { KeptReply, Memory } from "./formats/format.js";
import { readMemoryOptions } from "./options.js";
import type { KeptReplyOptions } from "./types.js";

/** A reply in the background. */
export interface RunningReply {
  /** As far as it is. */
  kept(): KeptReply;
  cancel(): void;
}

interface Entry {
  json: Uint8Array;
  /** Of its pieces. */
  items: readonly string[];
}

export class ReplyMemory implements Memory {
  readonly #maxReplies: number;
  readonly #maxBytes: number;
  readonly #maxReplyBytes: number;
  /** The one used last comes last. */
  readonly #entries = new Map<string, Entry>();
  /** By the ids of pieces, the reply that has each. */
  readonly #owners = new Map<string, string>();
  readonly #running = new Map<string, RunningReply>();
  #bytes = 0;

  /**
   * @param maxBodyBytes of a request: a small one that goes on from a kept reply must not cost much more than the largest
   * @throws ZSEError BAD_OPTION
   */
  constructor(options: KeptReplyOptions = {}, maxBodyBytes = Number.POSITIVE_INFINITY) {
    const { maxReplies, maxBytes } = readMemoryOptions(options);
    this.#maxReplyBytes = Math.min(maxBytes, 2 * maxBodyBytes);
    this.#maxReplies = maxReplies;
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  reply(id: string): KeptReply | undefined {
    const running = this.#running.get(id);
    if (running !== undefined) return running.kept();
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    return JSON.parse(new TextDecoder().decode(entry.json)) as KeptReply;
  }

  item(id: string): object | undefined {
    const owner = this.#owners.get(id);
    return owner === undefined ? undefined : this.reply(owner)?.object.output.find((item) => item.id === id);
  }

  /** Keeps a reply that has ended, unless it is too large with its conversation. */
  put(reply: KeptReply): void {
    const { id, output } = reply.object;
    this.#running.delete(id);
    this.#drop(id);
    const json = new TextEncoder().encode(JSON.stringify(reply));
    if (json.byteLength > this.#maxReplyBytes) return;
    const items = output.flatMap((item) => item.id ?? []);
    this.#entries.set(id, { json, items });
    for (const item of items) this.#owners.set(item, id);
    this.#bytes += json.byteLength;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#maxReplies && this.#bytes <= this.#maxBytes) break;
      this.#drop(oldest);
    }
  }

  /** A reply begins to run in the background. */
  run(id: string, reply: RunningReply): void {
    this.#running.set(id, reply);
  }

  isRunning(id: string): boolean {
    return this.#running.has(id);
  }

  /** It has ended, and is not kept. */
  ran(id: string): void {
    this.#running.delete(id);
  }

  cancel(id: string): boolean {
    const running = this.#running.get(id);
    running?.cancel();
    return running !== undefined;
  }

  forget(id: string): boolean {
    const ended = this.cancel(id);
    return this.#drop(id) || ended;
  }

  #drop(id: string): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined) return false;
    this.#entries.delete(id);
    this.#bytes -= entry.json.byteLength;
    for (const item of entry.items) this.#owners.delete(item);
    return true;
  }
}
