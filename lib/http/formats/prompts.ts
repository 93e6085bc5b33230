// Owns how the prompts of one request and its choices belong together. Pure; any thread.

import { bad } from "./fields.js";
import type { Ask } from "./format.js";

/** Choices and prompts of a request; each prompt has as many choices as the others, one after the other. */
export interface ChoiceForm {
  choices: number;
  /** Left out: one. */
  prompts?: number | undefined;
}

/** Which prompt a choice goes on with, and which of that prompt's choices it is. */
export function placeOf(choice: number, form: ChoiceForm): { prompt: number; copy: number } {
  const each = choicesOfEach(form);
  return { prompt: Math.floor(choice / each), copy: choice % each };
}

function choicesOfEach({ choices, prompts = 1 }: ChoiceForm): number {
  return choices / prompts;
}

/** @throws WireError naming the token id that a vocabulary has not */
export function checkPromptTokens(ask: Ask, vocabularySize: number): void {
  if (!("prompts" in ask)) return;
  for (const [index, prompt] of ask.prompts.entries()) {
    const wrong = typeof prompt === "string" ? -1 : prompt.findIndex((token) => token >= vocabularySize);
    if (wrong < 0) continue;
    const at = ask.prompts.length === 1 ? `prompt[${wrong}]` : `prompt[${index}][${wrong}]`;
    throw bad(at, `${at} is ${prompt[wrong]}; the token ids of this model are 0 to ${vocabularySize - 1}.`);
  }
}
