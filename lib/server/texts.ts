// Owns what llama-server's routes /tokenize, /detokenize and /apply-template take and give. Main thread. The work is done on the engine's prompt
// workers, within their bounds.

import { quote } from "../base/quote.js";
import type { AtOnce } from "../http/at-once.js";
import { bad, isObject, readBoolean, saidFields } from "../http/formats/fields.js";
import type { SideRoute } from "../http/formats/format.js";

/** What is asked of a model: a ZSE has it. */
export interface TextModel {
  tokenize(text: string, options?: { special?: boolean; addSpecial?: boolean }): Promise<number[]>;
  detokenize(tokens: readonly number[]): Promise<string>;
  tokenBytes(tokens: readonly number[]): Promise<Uint8Array[]>;
}

/** A token with its text, or with its bytes where they are no whole characters. */
export interface Piece {
  id: number;
  piece: string | number[];
}

/** Takes the body of a chat. */
export const APPLY_TEMPLATE: SideRoute = {
  method: "POST",
  path: "/apply-template",
  body: true,
  answer: async ({ body }, { render }) => ({ object: { prompt: (await render(body)).prompt } }),
};

/** Takes the body of a chat, and `prepare_key`: a newer request with the same one takes its place. */
export const PREPARE: SideRoute = {
  method: "POST",
  path: "/v1/chat/prepare",
  body: true,
  answer: async ({ body }, { prepare }) => {
    const { promptTokens, readyTokens, cachedTokens } = await prepare(body);
    return { object: { object: "chat.prepared", prompt_tokens: promptTokens, ready_tokens: readyTokens, cached_tokens: cachedTokens } };
  },
};

/** Runs something on the model that a body names, whatever it gives as the name. */
export type OnModel = <Value>(name: unknown, run: (model: TextModel) => Promise<Value>) => Promise<Value>;

export class Texts {
  readonly #onModel: OnModel;
  readonly #questions: AtOnce;

  /** @param questions those of all requests together */
  constructor(onModel: OnModel, questions: AtOnce) {
    this.#onModel = onModel;
    this.#questions = questions;
  }

  /**
   * `content` is text, or an array of texts and token ids, which stay as they are. `add_special` is for what comes first.
   * @throws WireError 400 naming the field, 429 where too many are under way
   */
  async tokenize(body: unknown): Promise<{ tokens: number[] | Piece[] }> {
    const { parts, special, addSpecial, withPieces } = readTokenize(body);
    return await this.#ask(body, async (model) => {
      const all: number[][] = [];
      for (const [index, part] of parts.entries()) {
        const options = { special, addSpecial: addSpecial && index === 0 };
        all.push(typeof part === "number" ? [part] : await model.tokenize(part, options));
      }
      const tokens = all.flat();
      if (!withPieces) return { tokens };
      const pieces = await model.tokenBytes(tokens);
      return { tokens: tokens.map((id, i) => ({ id, piece: told(pieces[i]!) })) };
    });
  }

  /** @throws WireError as tokenize(); the model's own BAD_OPTION for ids that the vocabulary has not */
  async detokenize(body: unknown): Promise<{ content: string }> {
    const { tokens } = fieldsOf(body);
    const isToken = (one: unknown) => typeof one === "number" && Number.isInteger(one) && one >= 0;
    if (!Array.isArray(tokens) || !tokens.every(isToken))
      throw bad("tokens", "tokens must be an array of token ids, whole numbers from 0.");
    return await this.#ask(body, async (model) => ({ content: await model.detokenize(tokens as number[]) }));
  }

  async #ask<Answer>(body: unknown, ask: (model: TextModel) => Promise<Answer>): Promise<Answer> {
    return await this.#onModel(fieldsOf(body).model, (model) => this.#questions.run(() => ask(model)));
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function told(bytes: Uint8Array): string | number[] {
  try {
    return decoder.decode(bytes);
  } catch {
    return [...bytes];
  }
}

interface Asked {
  parts: readonly (string | number)[];
  special: boolean;
  addSpecial: boolean;
  withPieces: boolean;
}

function readTokenize(body: unknown): Asked {
  const given = fieldsOf(body);
  const special = readBoolean(given, "parse_special") ?? true;
  const addSpecial = readBoolean(given, "add_special") ?? false;
  const withPieces = readBoolean(given, "with_pieces") ?? false;
  const { content } = given;
  const parts: unknown[] = Array.isArray(content) ? content : [content];
  const isPart = (one: unknown) => typeof one === "string" || (typeof one === "number" && Number.isInteger(one) && one >= 0);
  if (!parts.every(isPart) || !(Array.isArray(content) || typeof content === "string"))
    throw bad("content", `content must be text, or an array of texts and token ids; given ${quote(content)}.`);
  return { parts: parts as (string | number)[], special, addSpecial, withPieces };
}

function fieldsOf(body: unknown) {
  if (!isObject(body)) throw bad("", "The body must be a JSON object.");
  return saidFields(body);
}
