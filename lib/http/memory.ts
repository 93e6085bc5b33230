// Owns the replies that a server keeps, so that later requests go on from them: within a bound of their number and one of their bytes, the
// ones used longest ago going first. And those in the background, which run for nobody until somebody comes back. JS thread of the model.
//
// A reply is kept as JSON in bytes, so that what it takes is known. One that goes on from another holds the whole conversation: it outlives
// the other, and counts in full. A request may read so much of what is kept as it might bring itself: a small one must not cost more than the
// largest.

import type { KeptReply, Memory } from "./formats/format.js";
import { WireError } from "./formats/wire-error.js";
import { readMemoryOptions } from "./options.js";
import type { KeptReplyOptions } from "./types.js";

/** A reply in the background. */
export interface RunningReply {
  /** As far as it is. */
  kept(): KeptReply;
  cancel(): void;
}

interface Entry {
  /** The object, without its output. */
  object: Uint8Array;
  output: readonly { id: string | undefined; json: Uint8Array }[];
  input: Uint8Array;
  bytes: number;
}

/** What one request is given of it. */
type Spend = (bytes: number) => void;

export class ReplyMemory {
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
   * @param maxBodyBytes of a request
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

  /** What one request may read of it. The view throws a WireError 413 when that is too much. */
  view(): Memory {
    let left = this.#maxReplyBytes;
    const spend = (bytes: number) => {
      left -= bytes;
      if (left >= 0) return;
      throw new WireError(413, "What this request goes on from is together larger than is read here.", { code: "body_too_large" });
    };
    return { reply: (id) => this.#reply(id, spend), item: (id) => this.#item(id, spend) };
  }

  #reply(id: string, spend: Spend): KeptReply | undefined {
    const running = this.#running.get(id);
    if (running !== undefined) return running.kept();
    const entry = this.#use(id);
    if (entry === undefined) return undefined;
    spend(entry.bytes);
    const output = entry.output.map(({ json }) => parse(json));
    return { object: { ...(parse(entry.object) as KeptReply["object"]), output }, input: parse(entry.input) as object[] };
  }

  #item(id: string, spend: Spend): object | undefined {
    const json = this.#use(this.#owners.get(id))?.output.find((item) => item.id === id)?.json;
    if (json === undefined) return undefined;
    spend(json.byteLength);
    return parse(json);
  }

  #use(id: string | undefined): Entry | undefined {
    const entry = id === undefined ? undefined : this.#entries.get(id);
    if (entry === undefined) return undefined;
    this.#entries.delete(id!);
    this.#entries.set(id!, entry);
    return entry;
  }

  /** Keeps a reply that has ended, unless it is too large with its conversation. */
  put(reply: KeptReply): void {
    const { id } = reply.object;
    this.#running.delete(id);
    this.#drop(id);
    const entry = entryOf(reply);
    if (entry.bytes > this.#maxReplyBytes) return;
    this.#entries.set(id, entry);
    for (const item of entry.output) if (item.id !== undefined) this.#owners.set(item.id, id);
    this.#bytes += entry.bytes;
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
    this.#bytes -= entry.bytes;
    for (const item of entry.output) if (item.id !== undefined) this.#owners.delete(item.id);
    return true;
  }
}

function entryOf({ object, input }: KeptReply): Entry {
  const entry = {
    object: bytesOf({ ...object, output: [] }),
    output: object.output.map((item) => ({ id: item.id, json: bytesOf(item) })),
    input: bytesOf(input),
  };
  const bytes = entry.output.reduce((sum, { json }) => sum + json.byteLength, entry.object.byteLength + entry.input.byteLength);
  return { ...entry, bytes };
}

function bytesOf(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function parse(json: Uint8Array): object {
  return JSON.parse(new TextDecoder().decode(json)) as object;
}
