// What the engine says of how likely its tokens are, on real weights.

import { expect, test } from "vitest";

import type { TokenLogprobs } from "../../lib/types.js";
import { ask, openReady, readAll } from "./helpers.js";

const GREEDY = { temperature: 0, maxTokens: 60, logprobs: true } as const;
const decode = (tokens: readonly TokenLogprobs[]) => new TextDecoder().decode(Uint8Array.from(tokens.flatMap(({ bytes }) => bytes)));
const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

test("a greedy token is the likeliest, the likeliest come in order, and together they are no more than certain", async () => {
  const model = await openReady();
  const { logprobs, text, usage } = await model.chat(ask("Tell me a story"), { ...GREEDY, topLogprobs: 20 });
  expect(logprobs).toHaveLength(usage.completionTokens);
  expect(decode(logprobs!)).toBe(text);
  const ids = await model.tokenize(text);
  expect(logprobs!.map(({ id }) => id)).toEqual(ids);
  for (const { id, logprob, top } of logprobs!) {
    expect(top).toHaveLength(20);
    expect(top[0]).toMatchObject({ id, logprob });
    expect(top.map((one) => one.logprob)).toEqual(top.map((one) => one.logprob).toSorted((a, b) => b - a));
    const all = sum(top.map((one) => Math.exp(one.logprob)));
    expect(all).toBeLessThan(1.0001);
    expect(all).toBeGreaterThan(0.1); // twenty of the whole vocabulary would have 0.013 by chance
    expect(logprob).toBeLessThanOrEqual(0);
  }
});

test("they are the model's own: temperature, penalties and biases do not change them", async () => {
  const model = await openReady();
  const first = async (options: object) =>
    (await model.chat(ask("Tell me a story"), { ...GREEDY, maxTokens: 1, topLogprobs: 5, ...options })).logprobs![0]!;
  const plain = await first({});
  const second = plain.top[1]!;
  const banned = await first({ logitBias: { [plain.id]: -100 } });
  expect(banned.top).toEqual(plain.top);
  expect(banned).toMatchObject({ id: second.id, logprob: second.logprob });
  expect(await first({ logitBias: { [second.id]: 100 } })).toMatchObject({ id: second.id, logprob: second.logprob });
  const hot = await first({ temperature: 3, topK: 0, minP: 0, topP: 1, seed: 5, repeatPenalty: 2, presencePenalty: 1 });
  expect(hot.top).toEqual(plain.top);
});

test("bytes are whole where code points are split over tokens, streamed beside streams that do not ask", async () => {
  const model = await openReady({ maxStreams: 4 });
  const prompts = ["Show me the fox emoji.", "Say hello in Chinese.", "Say good morning in Russian."];
  let split = 0;
  const plain = Promise.all(prompts.map((prompt) => model.chat(ask(prompt), { temperature: 0, maxTokens: 60 })));
  for (const prompt of prompts) {
    const stream = model.chatStream(ask(prompt), GREEDY);
    for (const event of await readAll(stream.events())) {
      if (event.type !== "text") continue;
      // What no stop string holds back goes out with its own tokens.
      expect(decode(event.logprobs!)).toBe(event.text);
      split += event.logprobs!.filter(({ token }) => token === "\uFFFD").length;
    }
    const { text } = await stream.result;
    expect(decode((await stream.result).logprobs!)).toBe(text);
  }
  expect(split).toBeGreaterThan(1);
  for (const reply of await plain) expect(reply).not.toHaveProperty("logprobs");
});

test("of the likeliest, a control token has its name and no bytes", async () => {
  const model = await openReady();
  const { logprobs } = await model.chat(ask("Hello!"), { ...GREEDY, ignoreEos: true, topLogprobs: 1 });
  const control = logprobs!.flatMap(({ top }) => top).find(({ bytes }) => bytes.length === 0);
  expect(control?.token).toMatch(/^<.*>$/);
});

test("a stop string's tokens are not told, and what was held back for one comes with a text", async () => {
  const model = await openReady();
  const { text, logprobs: all } = await model.chat(ask("Count from 1 to 9 in words"), GREEDY);
  const stop = text.slice(8, 14);
  const stopped = await model.chat(ask("Count from 1 to 9 in words"), { ...GREEDY, stop });
  expect(stopped.text).toBe(text.slice(0, text.indexOf(stop)));
  const told = decode(stopped.logprobs!);
  expect(told.startsWith(stopped.text)).toBe(true);
  expect(stopped.logprobs).toEqual(all!.slice(0, stopped.logprobs!.length));
  expect(stopped.logprobs!.length).toBeLessThan(all!.length);
});

test("every token of a reply with calls is told by some event, its tags too", async () => {
  const model = await openReady();
  const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] } as const;
  const weather = { name: "get_weather", description: "The weather of a city, now", parameters };
  const tools = [{ type: "function", function: weather }] as const;
  const stream = model.chatStream(ask("What is the weather in Paris and in Rome?"), { ...GREEDY, maxTokens: 100, tools });
  let told = 0;
  for await (const event of stream.events()) if ("logprobs" in event) told += event.logprobs?.length ?? 0;
  const { logprobs, usage, toolCalls } = await stream.result;
  expect(toolCalls).toHaveLength(2);
  expect([told, logprobs!.length]).toEqual([usage.completionTokens, usage.completionTokens]);
});
