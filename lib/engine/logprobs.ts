// Owns how a token's log-probability is told to readers: the addon's bytes as numbers and as text. Pure; JS thread of the model.

import type { NativeLogprob, NativeTokenLogprobs } from "../addon/contract.js";
import type { PromptToken, TokenLogprob, TokenLogprobs } from "../types.js";

const decoder = new TextDecoder(); // half a code point becomes U+FFFD

export function toldLogprobs(tokens: readonly NativeTokenLogprobs[]): TokenLogprobs[] {
  return tokens.map((token) => ({ ...told(token), top: token.top.map(told) }));
}

/** The first one of all follows nothing. */
export function toldPrompt(tokens: readonly NativeTokenLogprobs[]): PromptToken[] {
  return toldLogprobs(tokens).map((token) => (Number.isNaN(token.logprob) ? { ...token, logprob: null } : token));
}

function told({ id, bytes: packed, name, logprob }: NativeLogprob): TokenLogprob {
  const bytes = new Array<number>(packed.length);
  let ascii = true;
  for (let i = 0; i < packed.length; i++) {
    bytes[i] = packed.charCodeAt(i);
    ascii &&= bytes[i]! < 0x80;
  }
  return { id, token: name ?? (ascii ? packed : decoder.decode(Uint8Array.from(bytes))), bytes, logprob };
}
