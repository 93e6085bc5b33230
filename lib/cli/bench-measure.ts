// Owns what `zse bench` measures of a model: the first token of a prompt that is new and of one that is known, and streams begun at once. Main thread.
// Times are the engine's own, of tokens, whatever their text is.

import type { CompletionOptionsInput, ModelInfo, Reply } from "../types.js";
import { Prompts } from "./bench-prompts.js";
import { type Spread, spreadOf } from "./bench-statistics.js";

export interface Plan {
  /** Tokens of the prompt whose first token is waited for. */
  promptTokens: number;
  /** Tokens of each reply, and of its prompt at most: of streams that are begun at once. */
  newTokens: number;
  streams: readonly number[];
  repetitions: number;
}

/** What is measured of a model: a ZSE. */
export interface Measurable {
  readonly ready: Promise<ModelInfo>;
  tokenize(text: string): Promise<number[]>;
  completion(prompt: readonly number[], options: CompletionOptionsInput): Promise<Reply>;
}

/** Times in ms. */
export interface Measured {
  firstToken: {
    promptTokens: number;
    cold: Spread;
    known: Spread;
    /** Of the known prompt, tokens that were not computed again: the least of all repetitions. */
    cachedTokens: number;
  };
  streams: {
    streams: number;
    newTokens: number;
    /** New tokens a second of all streams together, from their common beginning to the end of the last one: prompts included. */
    tokensPerSecond: Spread;
    /** The same of each stream by itself after its first token, the slowest one's. */
    tokensPerSecondEach: Spread;
    /** Between two tokens of a stream: the median of the streams' medians; of their p99 and their longest gaps the greatest. */
    betweenTokensMs: { p50: number; p99: number; longest: number };
  }[];
}

/** Tokens of the prompts of streams that are begun at once. */
const SHORT_PROMPT = 64;

export function stepsOf({ streams, repetitions }: Plan): number {
  return 1 + repetitions * (2 + streams.length);
}

/** @param onStep called after each of stepsOf() steps. @throws Error where a reply is not as it has to be for its times to mean anything */
export async function measure(model: Measurable, plan: Plan, onStep: () => void = () => {}): Promise<Measured> {
  const prompts = new Prompts((text) => model.tokenize(text));
  await reply(model, await prompts.next(SHORT_PROMPT), 8); // memory is touched, threads are there
  onStep();
  const firstToken = await measureFirstToken(model, prompts, plan, onStep);
  const streams: Measured["streams"] = [];
  for (const count of plan.streams) streams.push(await measureStreams(model, prompts, count, plan, onStep));
  return { firstToken, streams };
}

async function measureFirstToken(
  model: Measurable,
  prompts: Prompts,
  { promptTokens, repetitions }: Plan,
  onStep: () => void,
): Promise<Measured["firstToken"]> {
  const [cold, known, cached] = [[] as number[], [] as number[], [] as number[]];
  for (let i = 0; i < repetitions; i++) {
    const prompt = await prompts.next(promptTokens);
    const first = await reply(model, prompt, 2);
    checkCold(first);
    cold.push(firstTokenMs(first));
    onStep();
    const again = await reply(model, prompt, 2);
    known.push(firstTokenMs(again));
    cached.push(again.usage.cachedTokens);
    onStep();
  }
  return { promptTokens, cold: spreadOf(cold), known: spreadOf(known), cachedTokens: Math.min(...cached) };
}

async function measureStreams(
  model: Measurable,
  prompts: Prompts,
  count: number,
  { newTokens, promptTokens, repetitions }: Plan,
  onStep: () => void,
): Promise<Measured["streams"][number]> {
  const [together, each] = [[] as number[], [] as number[]];
  const gaps = { p50: [] as number[], p99: [] as number[], longest: [] as number[] };
  for (let i = 0; i < repetitions; i++) {
    const texts: number[][] = [];
    while (texts.length < count) texts.push(await prompts.next(Math.min(SHORT_PROMPT, promptTokens)));
    const began = performance.now();
    const replies = await Promise.all(texts.map((text) => reply(model, text, newTokens)));
    together.push((count * newTokens) / ((performance.now() - began) / 1000));
    for (const one of replies) checkCold(one);
    each.push(Math.min(...replies.map(({ timings }) => timings.tokensPerSecond)));
    for (const { timings } of replies) {
      gaps.p50.push(timings.itlMs.p50);
      gaps.p99.push(timings.itlMs.p99);
      gaps.longest.push(timings.itlMs.max);
    }
    onStep();
  }
  const betweenTokensMs = { p50: spreadOf(gaps.p50).median, p99: spreadOf(gaps.p99).most, longest: spreadOf(gaps.longest).most };
  return { streams: count, newTokens, tokensPerSecond: spreadOf(together), tokensPerSecondEach: spreadOf(each), betweenTokensMs };
}

async function reply(model: Measurable, prompt: readonly number[], newTokens: number): Promise<Reply> {
  const made = await model.completion(prompt, { maxTokens: newTokens, minTokens: newTokens, ignoreEos: true, temperature: 0 });
  const { completionTokens, promptTokens } = made.usage;
  if (completionTokens !== newTokens) throw new Error(`a reply has ${completionTokens} tokens instead of ${newTokens}`);
  if (promptTokens !== prompt.length) throw new Error(`a prompt has ${promptTokens} tokens instead of ${prompt.length}`);
  return made;
}

function checkCold({ usage }: Reply): void {
  if (usage.cachedTokens > 0) throw new Error(`${usage.cachedTokens} tokens of a new prompt came from the cache`);
}

/** From the call to the token itself: what is handed over may wait for the rest of a character. */
function firstTokenMs({ timings }: Reply): number {
  return timings.queueMs + timings.prefillMs;
}
