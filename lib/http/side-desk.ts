// Owns what formats ask of the models beside replies: how many tokens a prompt has, what it is, and that it is computed ahead. JS thread of the models.

import type { AtOnce } from "./at-once.js";
import { countTokens } from "./count-tokens.js";
import { bad, isObject, unsupported } from "./formats/fields.js";
import type { SideCall, SideDesk, WireFormat, WireRequest } from "./formats/format.js";
import { toWireError } from "./formats/wire-error.js";
import type { ReplyMemory } from "./memory.js";
import { abortable, streamsOf } from "./model-request.js";
import type { Models } from "./models.js";
import { onModel } from "./opening.js";
import type { ServedModel } from "./types.js";

/** What the desks of one responder share. */
export interface DeskParts {
  models: Models;
  memory: ReplyMemory;
  questions: AtOnce;
  /** @throws WireError */
  read(body: unknown, format: WireFormat): WireRequest;
  stallTimeoutMs: number;
}

export class SideDesks {
  readonly #parts: DeskParts;
  /** Requests to compute ahead so far: one without a key has one of its own. */
  #preparations = 0;

  constructor(parts: DeskParts) {
    this.#parts = parts;
  }

  /** The desk of one call. `onRead` is told what its body has come to: errors name fields as that does. */
  of(format: WireFormat, call: SideCall, onRead: (request: WireRequest) => void): SideDesk {
    const { models, memory, questions } = this.#parts;
    const read = (body: unknown) => {
      const request = this.#parts.read(body, format);
      onRead(request);
      return request;
    };
    const chatOf = (body: unknown, otherwise: string) => {
      const asked = read(body);
      if (!("messages" in asked.ask)) throw unsupported("prompt", otherwise);
      return { asked, chat: { messages: asked.ask.messages, ...asked.options, ...abortable(call.signal) } };
    };
    return {
      memory: memory.view(),
      forget: (id) => memory.forget(id),
      cancel: (id) => memory.cancel(id),
      promptTokens: async (body) => await this.#countTokens(read(body), call.signal),
      render: async (body) => {
        const { asked, chat } = chatOf(body, "A prompt has no template; give messages.");
        const render = (model: ServedModel) => model.applyTemplate!(chat);
        return await onModel(models.of(asked.model), call.signal, (model) => questions.run(() => render(model)));
      },
      prepare: async (body) => {
        const { prepare_key: key, ...rest } = isObject(body) ? (body as Record<string, unknown>) : {};
        if (key !== undefined && typeof key !== "string") throw bad("prepare_key", "prepare_key must be a string.");
        const { asked, chat } = chatOf(isObject(body) ? rest : body, "Only chats are prepared; give messages.");
        const mine = key === undefined ? `request ${++this.#preparations}` : `client ${key}`;
        const prepare = async (model: ServedModel) => {
          if (model.prepare === undefined) throw unsupported("model", "This model prepares nothing.");
          return await model.prepare({ ...chat, key: mine });
        };
        return await onModel(models.of(asked.model), call.signal, prepare);
      },
    };
  }

  /** Takes no slot where the model has a call for it. */
  async #countTokens(request: WireRequest, signal?: AbortSignal): Promise<number> {
    const { models, questions, stallTimeoutMs } = this.#parts;
    const { ask, options } = request;
    return await onModel(models.of(request.model), signal, async (model) => {
      if (model.countTokens !== undefined && "messages" in ask) {
        const { messages } = ask;
        return await questions.run(() => model.countTokens!({ messages, ...options, ...abortable(signal) }));
      }
      const [stream] = streamsOf({ ...request, choices: 1, options: { ...options, max_tokens: 1 } }, model, stallTimeoutMs);
      return await countTokens(stream!, signal).catch((error: unknown) => {
        const { overflow } = toWireError(error);
        if (overflow?.isCounted === true) return overflow.tokens;
        throw error;
      });
    });
  }
}
