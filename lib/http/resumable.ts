// Owns streams that outlive their connection: their frames are kept, and whoever comes back goes on after the last one it saw.
// JS thread of the model.
//
// A frame that was written is not a frame that arrived: what a dead connection had in its buffers is asked for again. So half of
// what is kept is behind the reader, half before it; when that half is full, frames are no longer pulled and the reply parks.

import { WireError } from "./formats/wire-error.js";
import type { FrameSource, KeptFrames } from "./frame-source.js";
import { readResumableOptions } from "./options.js";
import { type KeptEvents, Reader } from "./stream-reader.js";
import type { Occupancy, ResumableOptions } from "./types.js";
import { type Unread, UnreadReplies } from "./unread.js";

/** What a resumable stream holds, and for whom. */
export interface Holder {
  /** Streams of the engine. */
  choices: number;
  /** Whose they are; see unread.ts. */
  client: string;
}

/** The resumable streams of a server. */
export class ResumableStreams {
  readonly #streams = new Map<string, ResumableStream>();
  readonly #keepMs: number;
  readonly #maxEvents: number;
  readonly #maxStreams: number;
  readonly #unread: UnreadReplies;
  /** As the option. */
  readonly maxUnread: number;

  /** @param occupancy tells whether others wait while nobody reads a stream */
  constructor(options: ResumableOptions = {}, occupancy: () => Occupancy | undefined = () => undefined) {
    const { keepMs, maxEvents, maxStreams, maxUnread } = readResumableOptions(options);
    this.#keepMs = keepMs;
    this.#maxEvents = maxEvents;
    this.#maxStreams = maxStreams;
    this.maxUnread = maxUnread;
    this.#unread = new UnreadReplies(maxUnread, occupancy);
  }

  /** @throws WireError 429 when too many are kept and none of them has ended */
  add(id: string, source: KeptFrames, holder: Holder = { choices: 1, client: "" }): ResumableStream {
    if (this.#streams.size >= this.#maxStreams) this.#makeRoom();
    const forget = () => this.#streams.delete(id);
    const stream = new ResumableStream(source, holder, { keepMs: this.#keepMs, maxEvents: this.#maxEvents, unread: this.#unread, forget });
    this.#streams.set(id, stream);
    return stream;
  }

  /** @throws WireError 404 */
  get(id: string): ResumableStream {
    const stream = this.#streams.get(id);
    if (stream !== undefined) return stream;
    throw new WireError(404, "There is no such stream, or it is no longer kept.", { param: "id", code: "stream_not_found" });
  }

  #makeRoom(): void {
    for (const stream of this.#streams.values()) {
      if (!stream.ended || stream.beingRead) continue;
      stream.remove();
      return;
    }
    const message = "Too many resumable streams are kept; try again later, or without stream_options.resumable.";
    throw new WireError(429, message, { type: "rate_limit_error", code: "rate_limit_exceeded", retryAfterMs: this.#keepMs });
  }
}

/** What a stream is told of those that it is kept with. */
interface Keeping {
  keepMs: number;
  maxEvents: number;
  unread: UnreadReplies;
  forget: () => void;
}

export class ResumableStream implements Unread, KeptEvents {
  readonly choices: number;
  readonly client: string;
  readonly #source: KeptFrames;
  readonly #keepMs: number;
  readonly #half: number;
  readonly #unread: UnreadReplies;
  readonly #forget: () => void;
  /** Frames first … first + length - 1; ids begin at 1. */
  #frames: string[] = [];
  #first = 1;
  /** The last id that a reader was given. */
  #given = 0;
  #ended = false;
  /** Others wait, and nobody reads it. */
  #paused = false;
  #reader: Reader | undefined;
  #onRoom: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Time (ms) that it is kept unread from now on. Of an ended one, visits stop it and do not give it back. */
  #keepLeftMs: number;
  #unreadSince = 0;

  constructor(source: KeptFrames, { choices, client }: Holder, { keepMs, maxEvents, unread, forget }: Keeping) {
    this.choices = choices;
    this.client = client;
    this.#source = source;
    this.#keepMs = keepMs;
    this.#keepLeftMs = keepMs;
    this.#unread = unread;
    this.#half = Math.max(1, maxEvents >> 1);
    this.#forget = forget;
    void this.#pump();
  }

  /** All of the reply is here. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Who has had the frame numbered `after` has had all. */
  endedAt(after: number): boolean {
    return this.#ended && after > 0 && after === this.#first + this.#frames.length - 1;
  }

  /** Someone reads it now. */
  get beingRead(): boolean {
    return this.#reader !== undefined;
  }

  /**
   * The frames after the one numbered `after`. A stream has one reader: the newest one takes over.
   * @param said what the request calls the number
   * @throws WireError 410 when the frames that come next are no longer kept, 400 for a number that was never given
   */
  read(after: number, heartbeatMs: number, said = "Last-Event-ID"): FrameSource {
    if (after >= this.#first + this.#frames.length) {
      throw new WireError(400, `${said} names an event that this stream has not had.`, {
        param: said.toLowerCase(),
        code: "invalid_value",
      });
    }
    if (after + 1 < this.#first) throw new WireError(410, "The events after this one are no longer kept.", { code: "events_gone" });
    this.#reader?.end(new WireError(409, "Another connection reads this stream now.", { code: "stream_taken_over" }));
    this.#stopTimer();
    const reader = new Reader(this, after, heartbeatMs, () => this.#onLeft(reader));
    this.#reader = reader;
    this.#unread.delete(this);
    this.#given = after;
    return reader;
  }

  /** @internal The frame numbered `id`, if it is there yet; "end" after the last one. */
  take(id: number): string | "end" | undefined {
    const frame = this.#frames[id - this.#first];
    if (frame === undefined) return this.#ended ? "end" : undefined;
    this.#given = id;
    this.#trim();
    this.#onRoom?.();
    return frame;
  }

  /** @internal */
  ping(): string {
    return this.#source.ping();
  }

  /** @internal Without an id: it is no event of the stream. */
  lastWord(reason: WireError): string {
    return this.#source.fail(reason);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#onRoom?.();
  }

  /** Ends the reply; whoever comes back reads what there was, and why there is no more. */
  giveWay(): void {
    this.endWith(new WireError(503, "Nobody read this stream while others waited for its place.", { code: "gave_way" }));
  }

  /** Ends the reply; its readers are told why there is no more of it. */
  endWith(reason: WireError): void {
    if (this.#ended) return;
    this.#source.cancel();
    this.#frames.push(this.#source.fail(reason, this.#first + this.#frames.length));
    this.#ended = true;
    this.#reader?.wake();
    this.#onRoom?.();
  }

  /** Cancels the reply if it still runs, and forgets its frames. */
  remove(): void {
    clearTimeout(this.#timer);
    this.#unread.delete(this);
    this.#forget();
    this.#source.cancel();
    this.#reader?.end(new WireError(410, "This stream was deleted.", { code: "stream_deleted" }));
    this.#reader = undefined;
    this.#ended = true;
    this.#onRoom?.();
  }

  async #pump(): Promise<void> {
    while (!this.#ended) {
      const ahead = this.#first + this.#frames.length - 1 - this.#given;
      if (ahead >= this.#half || this.#paused) {
        await new Promise<void>((resolve) => {
          this.#onRoom = resolve;
        });
        this.#onRoom = undefined;
        continue;
      }
      const frame = await this.#source.next();
      if (frame === undefined || this.#ended) break;
      this.#frames.push(frame);
      this.#reader?.wake();
    }
    this.#ended = true;
    this.#unread.delete(this);
    this.#reader?.wake();
    if (this.#reader === undefined) this.#startTimer();
  }

  /** Lets go of what lies more than half the buffer behind the reader; in portions, as it moves the rest. */
  #trim(): void {
    const behind = this.#given - this.#first + 1;
    if (behind < this.#half + 256) return;
    const drop = behind - this.#half;
    this.#frames.splice(0, drop);
    this.#first += drop;
  }

  #onLeft(reader: Reader): void {
    if (this.#reader !== reader) return;
    this.#reader = undefined;
    if (!this.#ended) this.#unread.add(this);
    this.#startTimer();
  }

  #startTimer(): void {
    clearTimeout(this.#timer);
    this.#unreadSince = performance.now();
    this.#timer = setTimeout(() => this.remove(), this.#keepLeftMs);
    this.#timer.unref?.();
  }

  #stopTimer(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const unreadMs = performance.now() - this.#unreadSince;
    this.#keepLeftMs = this.#ended ? Math.max(0, this.#keepLeftMs - unreadMs) : this.#keepMs;
  }
}
