// Owns replies that run for nobody: who asks for one by its id is told how far it is. JS thread of the model.
//
// They hold streams of the engine while their client is gone, so a client may have only so many.

import type { Collector } from "./formats/format.js";
import { WireError } from "./formats/wire-error.js";
import type { ReplyMemory } from "./memory.js";
import type { Reply } from "./reply.js";

/** Why a reply in the background ends whose client wants no more of it. */
export function cancelled(): WireError {
  return new WireError(499, "The reply was cancelled.", { code: "cancelled" });
}

export interface BackgroundReply {
  id: string;
  /** Whose it is, where that is known. */
  client: string;
  reply: Reply;
  /** One that has kept(). */
  collector: Collector;
  /** Reads the reply to its end. Rejects with why there is none. */
  collect: () => Promise<void>;
  toWireError: (error: unknown) => WireError;
}

export class BackgroundReplies {
  readonly #memory: ReplyMemory;
  readonly #most: number;
  readonly #running = new Map<string, number>();

  /** @param most of one client at a time */
  constructor(memory: ReplyMemory, most: number) {
    this.#memory = memory;
    this.#most = most;
  }

  /** @throws WireError 429 where the client has too many */
  checkRoom(client: string): void {
    if ((this.#running.get(client) ?? 0) < this.#most) return;
    const message = `${this.#most} replies of yours run in the background; wait for one to end, or cancel it.`;
    throw new WireError(429, message, { type: "rate_limit_error", code: "rate_limit_exceeded", retryAfterMs: 1000 });
  }

  run({ id, client, reply, collector, collect, toWireError }: BackgroundReply): void {
    const end = (error?: WireError) => {
      if (error !== undefined) collector.fail?.(error);
      this.#memory.put(collector.kept!());
    };
    const cancel = () => {
      end(cancelled());
      reply.cancel();
    };
    this.#memory.run(id, { kept: () => collector.kept!(), cancel });
    this.#count(client, 1);
    collect()
      .then(
        () => end(),
        (error: unknown) => this.#memory.isRunning(id) && end(toWireError(error)),
      )
      .finally(() => this.#count(client, -1));
  }

  #count(client: string, by: number): void {
    const running = (this.#running.get(client) ?? 0) + by;
    if (running === 0) this.#running.delete(client);
    else this.#running.set(client, running);
  }
}
