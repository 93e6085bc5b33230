// Owns what resumable replies that nobody reads may hold while others wait for a slot: they pause, so that their slots can be lent;
// beyond a bound for each client, and where nothing can be lent, they end. JS thread of the model. On an idle engine nothing happens.

import type { Occupancy } from "./types.js";

/** A running reply without a reader. */
export interface Unread {
  /** Streams of the engine that it holds. */
  readonly choices: number;
  /** Whose it is: those of one client share a bound. */
  readonly client: string;
  /** Takes nothing more from the engine, which parks it. */
  pause(): void;
  resume(): void;
  /** Ends, with an error as its last event. */
  giveWay(): void;
}

/** Time (ms) between two looks, while there is something to look at. */
const LOOK_MS = 250;
/** Time (ms) for which parked streams may keep their slots from those that wait: the engine lends a slot after 50 ms where it can. */
const STUCK_MS = 2000;

export class UnreadReplies {
  readonly #maxUnread: number;
  readonly #occupancy: () => Occupancy | undefined;
  /** The one that nobody has read for longest comes first. */
  readonly #replies = new Set<Unread>();
  #timer: NodeJS.Timeout | undefined;
  #stuckSince: number | undefined;

  /** @param maxUnread engine's streams that a client's unread replies may hold while others wait */
  constructor(maxUnread: number, occupancy: () => Occupancy | undefined) {
    this.#maxUnread = maxUnread;
    this.#occupancy = occupancy;
  }

  add(reply: Unread): void {
    this.#replies.add(reply);
    this.#timer ??= setTimeout(this.#look, 0).unref(); // not now: those that leave together are looked at once
  }

  /** Someone reads it again, or it has ended. */
  delete(reply: Unread): void {
    if (this.#replies.delete(reply)) reply.resume();
  }

  #look = (): void => {
    const occupancy = this.#occupancy();
    if (occupancy !== undefined && occupancy.queued > 0) this.#makeWay(occupancy);
    else {
      this.#stuckSince = undefined;
      for (const reply of this.#replies) reply.resume();
    }
    this.#timer = this.#replies.size > 0 ? setTimeout(this.#look, LOOK_MS).unref() : undefined;
  };

  #makeWay({ parked, spilled = 0 }: Occupancy): void {
    const held = new Map<string, number>();
    for (const { client, choices } of this.#replies) held.set(client, (held.get(client) ?? 0) + choices);
    for (const reply of [...this.#replies]) {
      const all = held.get(reply.client)!;
      if (all <= this.#maxUnread) reply.pause();
      else {
        held.set(reply.client, all - reply.choices);
        this.#end(reply);
      }
    }
    if (parked <= spilled) this.#stuckSince = undefined;
    else if (this.#stuckSince === undefined) this.#stuckSince = performance.now();
    else if (performance.now() - this.#stuckSince >= STUCK_MS) {
      this.#stuckSince = undefined;
      const [longest] = this.#replies;
      if (longest !== undefined) this.#end(longest);
    }
  }

  #end(reply: Unread): void {
    this.#replies.delete(reply);
    reply.giveWay();
  }
}
