// Completions of several prompts, and with their prompt in front, as OpenAI's older clients and benchmarks ask for them.

import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { json, post, serveApp, serveModel, stream } from "./helpers.js";

const GREEDY = { model: "qwen-7b", temperature: 0, max_tokens: 12 };
const ONCE = "Once upon a time";
const LITTLE = "There was a little";

describe.each([
  ["nodeHandler", serveModel],
  ["zse serve", serveApp],
] as const)("through %s", (_, serve) => {
  test("each prompt of a list has its own choices, streamed and whole, as if it were asked alone; usage is of all", async () => {
    const { base } = await serve();
    const url = `${base}/v1/completions`;
    const alone = async (prompt: string) => json(await post(url, { ...GREEDY, prompt }));
    const [one, two] = [await alone(ONCE), await alone(LITTLE)];
    const expected = [one, two].map(({ choices }) => choices[0]!.text);
    const both = await json(await post(url, { ...GREEDY, prompt: [ONCE, LITTLE] }));
    expect(both.choices.map(({ index, text }) => [index, text])).toEqual([...expected.entries()]);
    expect(both.usage.prompt_tokens).toBe(one!.usage.prompt_tokens + two!.usage.prompt_tokens);
    expect(both.usage.completion_tokens).toBe(24);
    const streamed = await stream(url, { ...GREEDY, prompt: [ONCE, LITTLE] });
    expect(streamed.texts).toEqual(expected);
    expect(streamed.chunks.at(-1)!.usage).toMatchObject({ prompt_tokens: both.usage.prompt_tokens, completion_tokens: 24 });
  });

  test("with n, each prompt has the same seeds as alone", async () => {
    const { base } = await serve();
    const url = `${base}/v1/completions`;
    const hot = { ...GREEDY, temperature: 2, min_p: 0, seed: 7, n: 2 };
    const texts = async (prompt: unknown) => (await json(await post(url, { ...hot, prompt }))).choices.map(({ text }) => text);
    const [a, b] = [await texts(ONCE), await texts(LITTLE)];
    expect(a![0]).not.toBe(a![1]);
    expect(await texts([ONCE, LITTLE])).toEqual([...a!, ...b!]);
  });

  test("echo puts each prompt in front of its text, streamed and whole", async () => {
    const { base } = await serve();
    const url = `${base}/v1/completions`;
    const plain = await json(await post(url, { ...GREEDY, prompt: [ONCE, LITTLE] }));
    const expected = [ONCE + plain.choices[0]!.text, LITTLE + plain.choices[1]!.text];
    const whole = await json(await post(url, { ...GREEDY, prompt: [ONCE, LITTLE], echo: true }));
    expect(whole.choices.map(({ text }) => text)).toEqual(expected);
    expect(whole.usage).toMatchObject({ completion_tokens: 24 });
    const streamed = await stream(url, { ...GREEDY, prompt: [ONCE, LITTLE], echo: true });
    expect(streamed.texts).toEqual(expected);
    expect(streamed.chunks.filter(({ choices }) => choices[0]?.index === 1)[0]!.choices[0]!.text).toBe(LITTLE);
  });

  test.each<[string, object, string]>([
    ["more prompts than choices are allowed", { prompt: new Array(9).fill("x") }, "prompt"],
    ["more choices of all prompts than are allowed", { prompt: ["a", "b", "c"], n: 3 }, "prompt"],
    ["no prompts", { prompt: [] }, "prompt"],
    ["token ids", { prompt: [1, 2, 3] }, "prompt"],
    ["token ids of several prompts", { prompt: [[1], [2]] }, "prompt"],
    ["echo with logprobs", { prompt: "x", echo: true, logprobs: 1 }, "echo"],
    ["echo of a chat", { messages: [{ role: "user", content: "x" }], echo: true }, "echo"],
    ["a suffix", { prompt: "x", suffix: "y" }, "suffix"],
  ])("%s are a 400 that names the field", async (_, body, param) => {
    const { base } = await serve();
    const response = await post(`${base}/v1/${"messages" in body ? "chat/completions" : "completions"}`, { ...GREEDY, ...body });
    expect([response.status, (await json(response)).error.param]).toEqual([400, param]);
  });
});

test("the openai SDK streams several prompts", async () => {
  const { base } = await serveApp();
  const { completions } = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 });
  const texts = ["", ""];
  for await (const { choices } of await completions.create({ ...GREEDY, prompt: [ONCE, LITTLE], stream: true }))
    for (const { index, text } of choices) texts[index] += text;
  const whole = await completions.create({ ...GREEDY, prompt: [ONCE, LITTLE] });
  expect(whole.choices.map(({ text }) => text)).toEqual(texts);
});
