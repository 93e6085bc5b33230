// Owns the streams that were asked of an engine that may crash, until each has ended: which of them the host that runs now has, and, where streams are
// to go on after a crash, what their readers have got. JS thread that made the model.

import { NativeEventKind as Kind, type NativeEventListener, type NativeRequest } from "../../addon/contract.js";
import type { EngineLink, StreamId } from "../link.js";
import { Delivered, type Fresh } from "./delivered.js";

/** Hosts in a row that a stream may lose without getting further: it may be what they die of. */
const MOST_LOSSES = 3;
/** Seeds that can be drawn: 0 to 2^32 - 2. */
const SEEDS = 2 ** 32 - 1;

export const LEFT = Symbol("left by its reader");

export type Batch = Parameters<NativeEventListener>;

interface OpenStream {
  request: NativeRequest;
  /** To the host that runs now. */
  submitted: boolean;
  /** Something of it was told. Before that it loses nothing by another beginning. */
  heard: boolean;
  /** undefined where the loss of its host is its end. */
  delivered: Delivered | undefined;
  /** Hosts in a row that were lost without a token more of it; and how many it had then. */
  lost: number;
  drawnThen: number;
  /** Why it cannot go on exactly as it would have: ends a sentence. */
  inexact: string | undefined;
  /** Its reader wants no more of it. */
  left: boolean;
  /** Its first thought is to be closed at once. */
  endsReasoning: boolean;
}

export class OpenStreams {
  readonly #recover: boolean;
  readonly #all = new Map<StreamId, OpenStream>();
  /** Of these, the ones whose host gives again what their readers have. */
  readonly #catchingUp = new Set<StreamId>();

  /** @param recover whether they go on with another host when theirs is lost */
  constructor(recover: boolean) {
    this.#recover = recover;
  }

  get size(): number {
    return this.#all.size;
  }

  add(id: StreamId, request: NativeRequest): void {
    const open = { submitted: false, heard: false, lost: 0, drawnThen: 0, inexact: undefined, left: false, endsReasoning: false };
    // Where the caller has no seed it is drawn here, as the engine would: another engine must have the same.
    const seed = request.seed ?? Math.floor(Math.random() * SEEDS);
    this.#all.set(
      id,
      this.#recover
        ? { ...open, request: { ...request, seed, tellTokens: true }, delivered: new Delivered() }
        : { ...open, request, delivered: undefined },
    );
  }

  delete(id: StreamId): void {
    this.#all.delete(id);
    this.#catchingUp.delete(id);
  }

  /** Takes all out. */
  clear(): StreamId[] {
    const ids = [...this.#all.keys()];
    this.#all.clear();
    this.#catchingUp.clear();
    return ids;
  }

  /** Gives the host's engine those that it has not. */
  submit(link: EngineLink): void {
    for (const [id, stream] of this.#all) if (!stream.submitted) submitTo(link, id, stream);
  }

  /** The one that was added last. */
  submitOne(link: EngineLink, id: StreamId): void {
    submitTo(link, id, this.#all.get(id)!);
  }

  ack(link: EngineLink | undefined, id: StreamId, tokens: number): void {
    const stream = this.#all.get(id);
    if (stream === undefined) return;
    const due = stream.delivered === undefined ? tokens : stream.delivered.ack(tokens);
    if (stream.submitted && due > 0) link?.ack(id, due);
  }

  /** The reader leaves. False: the host that runs has none of this id. */
  leave(id: StreamId): boolean {
    const stream = this.#all.get(id);
    if (stream?.submitted !== true) return false;
    stream.left = true;
    return true;
  }

  /**
   * A thought is to be closed. "tell": by the host that has the stream. "noted": by the next one, at the reply's beginning. "inexact": at which of the
   * tokens that the next one draws again it would be is not known.
   */
  endReasoning(id: StreamId): "tell" | "noted" | "inexact" {
    const stream = this.#all.get(id)!;
    if (stream.submitted) {
      if (stream.delivered === undefined)
        stream.endsReasoning = true; // another host has it only where nothing had begun
      else stream.inexact = "had its thought ended by the caller, at a token that is not known";
      return "tell";
    }
    if (stream.delivered !== undefined && stream.delivered.drawn.length > 0) return "inexact";
    stream.endsReasoning = true;
    return "noted";
  }

  has(id: StreamId): boolean {
    return this.#all.has(id);
  }

  /**
   * The host is lost: what it had waits for the next one, or is taken out. Gives the ends of sentences about the latter, and LEFT for what nobody wanted
   * more of; what came since waits anyway.
   */
  lose(): [StreamId, string | typeof LEFT][] {
    const lost: [StreamId, string | typeof LEFT][] = [];
    for (const [id, stream] of [...this.#all]) {
      if (!stream.submitted) continue;
      const why = stream.left ? LEFT : cannotGoOn(stream);
      if (why === undefined) {
        stream.submitted = false;
        stream.delivered?.restart();
        if (stream.delivered !== undefined) this.#catchingUp.add(id);
      } else {
        lost.push([id, why]);
        this.delete(id);
      }
    }
    return lost;
  }

  /**
   * Counts what streams are given, for another host. Of what this one gives again it leaves what is new: the batch as the listener gets it, since then
   * without the ids of tokens.
   */
  account(link: EngineLink, [heads, payloads, logprobs, drawn]: Batch): Batch {
    if (!this.#recover) {
      for (let i = 0; i < payloads.length; i++) {
        const stream = this.#all.get(heads[3 * i]!);
        if (stream !== undefined) stream.heard = true;
      }
      return [heads, payloads, logprobs];
    }
    for (let i = 0; drawn !== undefined && i < drawn.length; i += 2) {
      this.#all.get(heads[3 * drawn[i]!]!)?.delivered?.tell(drawn[i + 1]!);
    }
    if (this.#catchingUp.size > 0) return this.#freshOf(link, heads, payloads, logprobs);
    for (let i = 0; i < payloads.length; i++) {
      this.#all.get(heads[3 * i]!)?.delivered?.count(heads[3 * i + 1]!, payloads[i], heads[3 * i + 2]!, logprobs?.[i]?.length ?? 0);
    }
    return [heads, payloads, logprobs];
  }

  #freshOf(link: EngineLink, heads: Batch[0], payloads: Batch[1], logprobs: Batch[2]): Batch {
    const fresh: Fresh[] = [];
    const ids: StreamId[] = [];
    for (let i = 0; i < payloads.length; i++) {
      const [id, kind, tokens] = [heads[3 * i]!, heads[3 * i + 1]!, heads[3 * i + 2]!];
      const one: Fresh = { kind, payload: payloads[i], tokens, logprobs: logprobs?.[i] };
      const left = this.#catchingUp.has(id) ? this.#freshOfOne(link, id, one) : one;
      if (left === one) this.#all.get(id)?.delivered?.count(kind, one.payload, tokens, one.logprobs?.length ?? 0);
      if (left === undefined) continue;
      fresh.push(left);
      ids.push(id);
    }
    const flat = Uint32Array.from(fresh.flatMap(({ kind, tokens }, i) => [ids[i]!, kind, tokens]));
    const told = fresh.some((one) => one.logprobs !== undefined) ? fresh.map((one) => one.logprobs) : undefined;
    return [flat, fresh.map(({ payload }) => payload), told];
  }

  /** undefined: its reader has it. */
  #freshOfOne(link: EngineLink, id: StreamId, one: Fresh): Fresh | undefined {
    const delivered = this.#all.get(id)!.delivered!;
    if (one.kind === Kind.Finish || one.kind === Kind.StreamError) return one;
    if (one.kind === Kind.Progress) return delivered.any ? undefined : one;
    const { fresh, due } = delivered.take(one.kind, one.payload, one.tokens, one.logprobs);
    if (due > 0) link.ack(id, due);
    if (!delivered.catchingUp) this.#catchingUp.delete(id);
    return fresh;
  }
}

function submitTo(link: EngineLink, id: StreamId, stream: OpenStream): void {
  stream.submitted = true;
  const drawn = stream.delivered?.drawn ?? [];
  link.submit(id, drawn.length === 0 ? stream.request : { ...stream.request, replay: [...drawn] });
  if (stream.endsReasoning) link.endReasoning(id);
}

/** Ends a sentence; undefined: it goes on. */
function cannotGoOn(stream: OpenStream): string | undefined {
  const { delivered, inexact } = stream;
  if (delivered === undefined && stream.heard) return "";
  if (inexact !== undefined) return `, which cannot go on exactly since it ${inexact}`;
  const drawn = delivered?.drawn.length ?? 0;
  stream.lost = drawn > stream.drawnThen ? 1 : stream.lost + 1;
  stream.drawnThen = drawn;
  return stream.lost < MOST_LOSSES ? undefined : `, which has lost ${stream.lost} of them in a row without getting further`;
}
