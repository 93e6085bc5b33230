// Completions of several prompts, and with their prompt in front, as OpenAI's older clients and benchmarks ask for them.

import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { infillModel } from "../addon/infill-model.js";
import { json, post, serveApp, serveModel, sleep, stream } from "./helpers.js";

const GREEDY = { model: "qwen-7b", temperature: 0, max_tokens: 12 };
const ONCE = "Once upon a time";
const LITTLE = "There was a little";

test("under zse serve, a request without a prompt is told that the prompt is missing", async () => {
  const { base } = await serveApp();
  const response = await post(`${base}/v1/completions`, { max_tokens: 4 });
  expect(response.status).toBe(400);
  const message = 'prompt is missing: a text such as "Once upon a time".';
  expect((await response.json()) as unknown).toMatchObject({ error: { message, param: "prompt", code: "invalid_value" } });
});

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

  test("token ids are continued as their text is, one array or several, and echoed as text", async () => {
    const { base, model } = await serve();
    const url = `${base}/v1/completions`;
    const texts = [ONCE, LITTLE, "päivää 🙂"];
    const tokens = await Promise.all(texts.map((text) => model.tokenize(text)));
    const expected = await json(await post(url, { ...GREEDY, prompt: texts }));
    const said = expected.choices.map(({ text }) => text);
    const several = await json(await post(url, { ...GREEDY, prompt: tokens }));
    expect(several.choices.map(({ text }) => text)).toEqual(said);
    expect(several.usage).toEqual({ ...expected.usage, prompt_tokens_details: expect.anything() });
    expect((await json(await post(url, { ...GREEDY, prompt: tokens[0] }))).choices.map(({ text }) => text)).toEqual([said[0]]);
    const echoed = await stream(url, { ...GREEDY, prompt: tokens, echo: true });
    expect(echoed.texts).toEqual(said.map((text, i) => texts[i]! + text));
    const beside = await json(await post(url, { ...GREEDY, prompt: tokens.slice(0, 2), n: 2, echo: true }));
    expect(beside.choices.map(({ text }) => text)).toEqual([0, 0, 1, 1].map((i) => texts[i]! + said[i]!));
    const long = await post(url, { ...GREEDY, prompt: new Array(512).fill(5), stream: true });
    expect([long.status, (await json(long)).error.code]).toEqual([400, "context_length_exceeded"]);
  });

  test("echo with logprobs tells the prompt's own, of texts and token ids, streamed and whole", async () => {
    const { base, model } = await serve();
    const url = `${base}/v1/completions`;
    const tokens = await model.tokenize(ONCE);
    const body = { ...GREEDY, echo: true, logprobs: 2 };
    type Told = { tokens: string[]; token_logprobs: (number | null)[]; top_logprobs: (object | null)[]; text_offset: number[] };
    for (const prompt of [ONCE, tokens]) {
      const whole = await json(await post(url, { ...body, prompt }));
      const [{ text, logprobs }] = whole.choices as unknown as [{ text: string; logprobs: Told }];
      expect(logprobs.tokens).toHaveLength(tokens.length + 12);
      expect(logprobs.tokens.join("")).toBe(text);
      expect(text.startsWith(ONCE)).toBe(true);
      expect([logprobs.token_logprobs[0], logprobs.top_logprobs[0]]).toEqual([null, null]);
      for (const logprob of logprobs.token_logprobs.slice(1)) expect(logprob).toBeLessThanOrEqual(0);
      for (const top of logprobs.top_logprobs.slice(1)) expect(Object.keys(top!)).toHaveLength(2);
      for (const [i, offset] of logprobs.text_offset.entries())
        expect([...text].slice(offset).join("").startsWith(logprobs.tokens[i]!)).toBe(true);
      const streamed = await stream(url, { ...body, prompt });
      expect(streamed.texts).toEqual([text]);
      const pieces = streamed.chunks.flatMap(({ choices }) => choices as unknown as { text: string; logprobs: Told | null }[]);
      expect(pieces[0]).toMatchObject({ text: ONCE, logprobs: { tokens: logprobs.tokens.slice(0, tokens.length) } });
      for (const name of ["tokens", "text_offset"] as const)
        expect(pieces.flatMap(({ logprobs: told }) => (told?.[name] as unknown[]) ?? [])).toEqual(logprobs[name]);
    }
    const plain = await json(await post(url, { ...GREEDY, prompt: ONCE, logprobs: 0 }));
    expect((plain.choices[0] as unknown as { logprobs: Told }).logprobs.tokens).toHaveLength(12);
  });

  test("text_offset counts what is in the text: echoed control tokens are, those of the reply are not", async () => {
    const { base, model } = await serve();
    const url = `${base}/v1/completions`;
    const prompt = "🙂<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n";
    type Told = { tokens: string[]; text_offset: number[] };
    for (const asked of [prompt, await model.tokenize(prompt, { special: true })]) {
      const body = { ...GREEDY, max_tokens: 60, prompt: asked, echo: true, logprobs: 0 };
      const [choice] = (await json(await post(url, body))).choices as unknown as [{ text: string; logprobs: Told }];
      const { text, logprobs } = choice;
      expect(text.startsWith(prompt)).toBe(true);
      expect(logprobs.tokens.filter((token) => token === "<|im_start|>")).toHaveLength(2);
      for (const [i, offset] of logprobs.text_offset.entries()) {
        const said = [...text].slice(offset).join("");
        if (!logprobs.tokens[i]!.startsWith("bytes:") && said !== "") expect(said.startsWith(logprobs.tokens[i]!), `${i}`).toBe(true);
      }
      const streamed = await stream(url, body);
      const pieces = streamed.chunks.flatMap(({ choices }) => choices as unknown as { logprobs: Told | null }[]);
      expect(pieces.flatMap(({ logprobs: told }) => told?.text_offset ?? [])).toEqual(logprobs.text_offset);
    }
  });

  test("max_tokens: 0 beside echo is the prompt alone, with its log-probabilities, as OpenAI answers it", async () => {
    const { base, model } = await serve();
    const url = `${base}/v1/completions`;
    const tokens = await model.tokenize(ONCE);
    type Told = { tokens: string[]; token_logprobs: (number | null)[] };
    const body = { ...GREEDY, prompt: [ONCE, LITTLE], echo: true, logprobs: 1 };
    const { choices, usage } = await json(await post(url, { ...body, max_tokens: 0 }));
    const longer = await json(await post(url, { ...body, max_tokens: 1 }));
    const told = (choice: unknown) => (choice as { logprobs: Told }).logprobs;
    expect(choices.map(({ text, finish_reason }) => [text, finish_reason])).toEqual([ONCE, LITTLE].map((text) => [text, "length"]));
    expect(told(choices[0]).tokens.join("")).toBe(ONCE);
    expect(told(choices[0]).token_logprobs).toEqual(told(longer.choices[0]).token_logprobs.slice(0, tokens.length));
    expect(usage).toMatchObject({ prompt_tokens: longer.usage.prompt_tokens, completion_tokens: 0, total_tokens: usage.prompt_tokens });
    const streamed = await stream(url, { ...body, max_tokens: 0, stream_options: { include_usage: true, continuous_usage_stats: true } });
    expect([streamed.texts, streamed.finishReasons]).toEqual([
      [ONCE, LITTLE],
      ["length", "length"],
    ]);
    expect(streamed.chunks.map((chunk) => chunk.usage?.completion_tokens ?? 0)).toEqual(streamed.chunks.map(() => 0));
    const plain = await json(await post(url, { ...GREEDY, prompt: ONCE, echo: true, max_tokens: 0 }));
    expect(plain.choices[0]).toMatchObject({ text: ONCE, logprobs: null, finish_reason: "length" });
  });

  test.each<[string, object, string]>([
    ["no tokens at all", { prompt: "x", max_tokens: 0 }, "max_tokens"],
    ["fewer tokens than a reply must have", { prompt: "x", max_tokens: 0, echo: true, min_tokens: 2 }, "min_tokens"],
    ["no tokens of a chat", { messages: [{ role: "user", content: "x" }], max_tokens: 0 }, "max_tokens"],
    ["more prompts than choices are allowed", { prompt: new Array(9).fill("x") }, "prompt"],
    ["more choices of all prompts than are allowed", { prompt: ["a", "b", "c"], n: 3 }, "prompt"],
    ["no prompts", { prompt: [] }, "prompt"],
    ["texts among token ids", { prompt: [1, "x"] }, "prompt"],
    ["texts among arrays of token ids", { prompt: [[1], "x"] }, "prompt"],
    ["arrays of token ids among texts", { prompt: ["x", [1]] }, "prompt"],
    ["token ids among arrays of them", { prompt: [[1], 2] }, "prompt"],
    ["fractions", { prompt: [1.5] }, "prompt"],
    ["an empty array of token ids", { prompt: [[]] }, "prompt"],
    ["one empty array of several", { prompt: [[1], []] }, "prompt[1]"],
    ["a token id beyond the vocabulary", { prompt: [1, 999_999] }, "prompt[1]"],
    ["one of several prompts", { prompt: [[1], [1, 2, 999_999]], stream: true }, "prompt[1][2]"],
    ["more arrays of token ids than choices are allowed", { prompt: new Array(9).fill([1]) }, "prompt"],
    ["a suffix of token ids", { prompt: [1], suffix: "y" }, "suffix"],
    ["a suffix of a chat", { messages: [{ role: "user", content: "x" }], suffix: "y" }, "suffix"],
    ["a suffix that is no text", { prompt: "x", suffix: 5 }, "suffix"],
    ["too many logprobs", { prompt: "x", echo: true, logprobs: 21 }, "logprobs"],
    ["echo of a chat", { messages: [{ role: "user", content: "x" }], echo: true }, "echo"],
    ["a suffix where the vocabulary has no tokens for it", { prompt: "x", suffix: "y" }, "suffix"],
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

test("the openai SDK sends token ids, and a text with its suffix", async () => {
  const { base, model } = await serveApp({}, {}, {}, infillModel());
  const { completions } = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 });
  const textOf = async (prompt: string | number[] | number[][], more = {}) =>
    (await completions.create({ ...GREEDY, prompt, ...more })).choices.map(({ text }) => text);
  const tokens = await model.tokenize(ONCE);
  const [text] = await textOf(ONCE);
  expect(await textOf(tokens)).toEqual([text]);
  expect(await textOf([tokens, tokens])).toEqual([text, text]);
  const { choices } = await completions.create({ ...GREEDY, prompt: tokens, echo: true, logprobs: 1 });
  expect(choices[0]!.logprobs!.tokens!.slice(0, tokens.length).join("")).toBe(ONCE);
  const whole = await completions.create({ ...GREEDY, prompt: ONCE, suffix: " the end." });
  expect(whole.usage!.prompt_tokens).toBe(tokens.length + (await model.tokenize(" the end.")).length + 3);
  const { text: infilled } = await model.completion(ONCE, { suffix: " the end.", temperature: 0, maxTokens: 12 });
  expect(whole.choices[0]!.text).toBe(infilled);
});

test("Ollama's suffix is one, too", async () => {
  const { base, model } = await serveApp({}, {}, {}, infillModel());
  const ask = { model: "qwen-7b", prompt: ONCE, suffix: " the end.", stream: false, options: { temperature: 0, num_predict: 12 } };
  const { text } = await model.completion(ONCE, { suffix: " the end.", temperature: 0, maxTokens: 12 });
  expect((await json(await post(`${base}/api/generate`, ask))).response).toBe(text);
  const withSystem = await post(`${base}/api/generate`, { ...ask, system: "Be brief." });
  expect(withSystem.status).toBe(400);
});

test("a prompt is counted once in the metrics, however many choices it has", async () => {
  const { base } = await serveApp();
  const counted = async () => /^zstream_prompt_tokens_total\{.*\} (\d+)$/m.exec(await (await fetch(`${base}/metrics`)).text())![1];
  const { usage } = await json(await post(`${base}/v1/completions`, { ...GREEDY, prompt: [ONCE, LITTLE], n: 3 }));
  await sleep(150); // the text is given again as it was for so long
  expect(Number(await counted())).toBe(usage.prompt_tokens);
});
