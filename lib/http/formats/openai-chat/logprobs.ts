// Owns the two shapes that OpenAI has for log-probabilities: a chat's, and the older one of completions. Pure; any thread.

import type { PromptToken, TokenLogprob, TokenLogprobs } from "../../../types.js";

interface ChatToken {
  token: string;
  logprob: number;
  /** null for a control token, which is not in the text. */
  bytes: number[] | null;
}

export interface ChatLogprobs {
  content: (ChatToken & { top_logprobs: ChatToken[] })[];
  refusal: null;
}

export function chatLogprobs(tokens: readonly TokenLogprobs[]): ChatLogprobs {
  return { content: tokens.map((token) => ({ ...chatToken(token), top_logprobs: token.top.map(chatToken) })), refusal: null };
}

function chatToken({ token, logprob, bytes }: TokenLogprob): ChatToken {
  return { token, logprob, bytes: bytes.length === 0 ? null : bytes };
}

export interface CompletionLogprobs {
  tokens: string[];
  /** null for a prompt's first token. */
  token_logprobs: (number | null)[];
  /** By the tokens' texts; null where no others were asked for. */
  top_logprobs: (Record<string, number> | null)[];
  /** Where in the text each token begins, in code points. */
  text_offset: number[];
}

/** Writes those of one choice's text, piece after piece: each token has its place in the whole. */
export class CompletionLogprobsWriter {
  readonly #echoed: string;
  #offset = 0;
  /** The same place in units of UTF-16. */
  #at = 0;

  /** @param echoed the prompt where the text begins with it: control tokens that it says are in the text, unlike those of a reply */
  constructor(echoed = "") {
    this.#echoed = echoed;
  }

  write(tokens: readonly PromptToken[]): CompletionLogprobs {
    return {
      tokens: tokens.map(completionToken),
      token_logprobs: tokens.map(({ logprob }) => logprob),
      top_logprobs: tokens.map(({ top }) => {
        if (top.length === 0) return null;
        // The likelier one where two have the same text.
        return Object.fromEntries(top.map((one) => [completionToken(one), one.logprob] as const).reverse());
      }),
      text_offset: tokens.map((token) => this.#place(token)),
    };
  }

  #place({ token, bytes }: Pick<TokenLogprob, "token" | "bytes">): number {
    const place = this.#offset;
    if (bytes.length === 0 && this.#echoed.startsWith(token, this.#at)) {
      this.#offset += [...token].length;
      this.#at += token.length;
    }
    for (const byte of bytes) {
      if ((byte & 0xc0) === 0x80) continue;
      this.#offset += 1;
      this.#at += byte >= 0xf0 ? 2 : 1;
    }
    return place;
  }
}

/** As OpenAI wrote it there: bytes that are no whole code points as such, so that tokens with different ones stay different. */
function completionToken({ token, bytes }: Pick<TokenLogprob, "token" | "bytes">): string {
  if (!token.includes("\uFFFD") || bytes.length === 0) return token;
  return `bytes:${bytes.map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
}
