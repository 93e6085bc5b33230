// Owns prompts that are computed ahead: one at a time for each of a model's keys, the newest. JS thread that made the model.

import type { ModelEngine } from "../engine/engine.js";
import { ZSEError } from "../errors.js";
import type { ReplySettings } from "../options/options.js";
import type { Prepared, ProgressEvent } from "../types.js";
import { openStream, type TokenStream } from "./token-stream.js";

export class Preparations {
  readonly #open = new Map<string, TokenStream>();

  /** Takes the place of the one before it with that key, which resolves with what it has come to. Rejects as a chat, but for OVERLOADED. */
  async run(engine: ModelEngine, settings: ReplySettings, key: string): Promise<Prepared> {
    const stream = openStream(engine, {
      ...settings,
      streamCallback: undefined,
      shape: { ...settings.shape, object: undefined },
      request: { ...settings.request, prepares: true },
    });
    this.#open.get(key)?.abort(REPLACED);
    this.#open.set(key, stream);
    let at: Pick<ProgressEvent, "processedTokens" | "promptTokens" | "cachedTokens"> = NOTHING;
    try {
      for await (const event of stream.events()) {
        if (event.type === "progress") at = event;
        if (event.type === "finish" && at === NOTHING) at = { ...NOTHING, promptTokens: event.usage.promptTokens };
      }
    } catch (error) {
      const noRoom = error instanceof ZSEError && error.code === "OVERLOADED";
      if (error !== REPLACED && !noRoom) throw error;
    } finally {
      if (this.#open.get(key) === stream) this.#open.delete(key);
    }
    return { promptTokens: at.promptTokens, readyTokens: at.processedTokens, cachedTokens: at.cachedTokens };
  }
}

const REPLACED = new Error("a newer prepare() has taken its place");
const NOTHING = { processedTokens: 0, promptTokens: 0, cachedTokens: 0 };
