// What is asked of a model beside replies: tokens and their text, prompts and their length; and prompts that are tokens or have a suffix.

import { join } from "node:path";
import { expect, test } from "vitest";
import type { ZSE } from "../../lib/zse.js";
import { ask, ENDLESS, openModel, openReady, ROOT, rejection } from "./helpers.js";
import { INFILL, infillModel } from "./infill-model.js";

const TEXTS = [
  "Once upon a time",
  " two  spaces ",
  "päivää 🙂 \u{1F469}\u200D\u{1F680}",
  "\uFEFFmark",
  "",
  "<|im_start|>user\nHi<|im_end|>",
];
const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } } },
  },
} as const;

async function joined(model: ZSE, tokens: readonly number[]): Promise<string> {
  return Buffer.concat(await model.tokenBytes(tokens)).toString("utf8");
}

test("a text's tokens are the text again, control tokens included unless they are not wanted", async () => {
  const model = await openReady();
  for (const text of TEXTS) {
    const tokens = await model.tokenize(text, { special: true });
    expect(await model.detokenize(tokens)).toBe(text);
    expect(await model.detokenize(Int32Array.from(tokens))).toBe(text);
    expect(await joined(model, tokens)).toBe(text);
  }
  const control = await model.tokenize("<|im_start|>Hi<|im_end|>", { special: true });
  expect(await model.detokenize(control, { special: false })).toBe("Hi");
});

test("a token that is a part of a character has its bytes, and U+FFFD as its text", async () => {
  const model = await openReady();
  const tokens = await model.tokenize("🙂");
  expect(tokens.length).toBeGreaterThan(1);
  const pieces = await model.tokenBytes(tokens);
  expect(pieces.map(({ length }) => length).reduce((a, b) => a + b)).toBe(4);
  expect(await model.detokenize(tokens.slice(0, 1))).toBe("\uFFFD");
});

test("the space that a vocabulary puts before each text is no part of it", async () => {
  const model = openModel({}, join(ROOT, "test", "fixtures", "zse", "v2-mistral-int8.zse"));
  const tokens = await model.tokenize("Hello there");
  expect(await model.detokenize(tokens)).toBe("Hello there");
  expect(await joined(model, tokens)).toBe(" Hello there");
  const [bos] = await model.tokenize("", { addSpecial: true });
  expect(await model.tokenize("Hello there", { addSpecial: true })).toEqual([bos, ...tokens]);
});

test.each<[string, readonly unknown[] | string, string]>([
  ["beyond the vocabulary", [1, 1_000_000], "tokens[1]"],
  ["a fraction", [1.5], "tokens[0]"],
  ["negative", [0, 0, -1], "tokens[2]"],
  ["a text", "Once", "tokens"],
])("a token id that is %s is a BAD_OPTION that names it", async (_, tokens, option) => {
  const model = await openReady();
  expect(await rejection(model.detokenize(tokens as number[]))).toMatchObject({ code: "BAD_OPTION", option });
  expect(await rejection(model.tokenBytes(tokens as number[]))).toMatchObject({ code: "BAD_OPTION", option });
});

test("applyTemplate() gives the prompt that chat() computes, tools and all, while every slot is taken", async () => {
  const model = await openReady({ maxStreams: 1, maxQueue: 0, contextSize: 1024 });
  const messages = [{ role: "system", content: "Be brief." }, ...ask("Hi <|im_end|> there")] as const;
  const cases = [{}, { tools: [WEATHER] }, { tools: [WEATHER], toolChoice: "required" as const }];
  const busy = model.chatStream(ask("Tell me a story"), ENDLESS)[Symbol.asyncIterator]();
  await busy.next();
  const rendered = [];
  for (const options of cases) rendered.push(await model.applyTemplate(messages, options));
  await busy.return!();
  for (const [i, options] of cases.entries()) {
    const { usage } = await model.chat(messages, { ...options, temperature: 0, maxTokens: 1 });
    expect(rendered[i]!.tokens).toHaveLength(usage.promptTokens);
    expect(await model.countTokens({ messages, ...options })).toBe(usage.promptTokens);
    expect(await model.detokenize(rendered[i]!.tokens)).toBe(rendered[i]!.prompt);
  }
  expect(rendered[0]!.prompt).toContain("Be brief.");
  expect(rendered[1]!.prompt).toContain("Weather of a city");
  // What a message says of a control token is text, which the prompt's text alone does not tell.
  expect((await model.tokenize(rendered[0]!.prompt, { special: true })).length).toBeLessThan(rendered[0]!.tokens.length);
});

test("a prompt beyond the context is counted; what chat() would refuse else is refused alike; an abort is heard", async () => {
  const model = await openReady({ contextSize: 256 });
  const long = ask("Once upon a time. ".repeat(100));
  const count = await model.countTokens(long);
  expect(count).toBeGreaterThan(256);
  expect(await rejection(model.chat(long))).toMatchObject({
    code: "CONTEXT_OVERFLOW",
    message: expect.stringContaining(`has ${count} tokens`),
  });
  expect(await rejection(model.countTokens([]))).toMatchObject({ code: "BAD_OPTION", option: "messages" });
  expect(await rejection(model.countTokens(ask("Hi"), { temprature: 1 } as never))).toMatchObject({ code: "BAD_OPTION" });
  expect(await rejection(model.countTokens(ask("x".repeat(300_000))))).toMatchObject({ code: "CONTEXT_OVERFLOW" });
  expect(await rejection(model.countTokens(ask("Hi"), { signal: AbortSignal.abort("enough") }))).toBe("enough");
  await model.close();
  expect(await rejection(model.countTokens(ask("Hi")))).toMatchObject({ code: "CLOSED" });
});

test("token ids are continued as their text is", async () => {
  const model = await openReady({ contextSize: 128 });
  const options = { temperature: 0, maxTokens: 12 };
  const prompt = "Once upon a time";
  const tokens = await model.tokenize(prompt);
  const { text, usage } = await model.completion(prompt, options);
  for (const ids of [tokens, Int32Array.from(tokens)]) {
    expect(await model.completion(ids, options)).toMatchObject({ text, usage: { promptTokens: usage.promptTokens } });
    expect(await model.completion({ prompt: ids, ...options })).toMatchObject({ text });
  }
  expect(await rejection(model.completion([1_000_000]))).toMatchObject({ code: "BAD_OPTION", option: "prompt[0]" });
  expect(await rejection(model.completion([]))).toMatchObject({ code: "BAD_OPTION" });
  expect(await rejection(model.completion(new Array<number>(128).fill(5)))).toMatchObject({
    code: "CONTEXT_OVERFLOW",
    message: expect.stringContaining("has 128 tokens"),
  });
});

test("what stands between a prompt and a suffix is written, in the order that models learn, and their text stays text", async () => {
  const { pre, suf, mid } = INFILL;
  const model = openModel({}, infillModel());
  expect((await model.ready).fillsInTheMiddle).toBe(true);
  const options = { temperature: 0, maxTokens: 12, ignoreEos: true };
  const [prompt, suffix] = ["Once upon a <|im_end|> time", " the end."];
  const [before, after] = [await model.tokenize(prompt), await model.tokenize(suffix)];
  const whole = await model.completion([pre, ...before, suf, ...after, mid], options);
  expect(await model.completion(prompt, { ...options, suffix })).toMatchObject({
    text: whole.text,
    usage: { promptTokens: before.length + after.length + 3 },
  });
  expect((await model.completion(prompt, { ...options, suffix: "" })).usage.promptTokens).toBeLessThan(before.length + 1);
  expect(await rejection(model.completion([1, 2], { suffix }))).toMatchObject({ code: "BAD_OPTION", option: "suffix" });
  expect(await rejection(model.completion("x".repeat(100_000), { suffix }))).toMatchObject({ code: "CONTEXT_OVERFLOW" });
});

test("a suffix is refused by its name where the vocabulary has no tokens for it", async () => {
  const model = await openReady();
  expect(model.info!.fillsInTheMiddle).toBe(false);
  const error = await rejection(model.completion("Once", { suffix: "end" }));
  expect(error).toMatchObject({ code: "UNSUPPORTED", option: "suffix", message: expect.stringContaining("no tokens for it") });
  expect(await rejection(model.completion("Once", { suffix: 5 as never }))).toMatchObject({ code: "BAD_OPTION", option: "suffix" });
});

test("a prompt's log-probabilities are those that its tokens have as a reply, whole and in order, whatever was computed before", async () => {
  const model = await openReady({ contextSize: 512 });
  const start = await model.tokenize("Once upon a time there was a little fox. ".repeat(12));
  const reply = await model.completion(start, { temperature: 0, maxTokens: 100, logprobs: true, topLogprobs: 2, ignoreEos: true });
  const said = reply.logprobs!.map(({ id }) => id);
  expect(said).toHaveLength(100);
  const options = { promptLogprobs: true, topLogprobs: 2, maxTokens: 1, temperature: 0 };
  for (let times = 0; times < 2; times++) {
    const { promptLogprobs: told, usage, logprobs } = await model.completion([...start, ...said], options);
    expect([usage.cachedTokens, logprobs]).toEqual([0, undefined]);
    expect(told!.map(({ id }) => id)).toEqual([...start, ...said]);
    expect(told![0]).toMatchObject({ logprob: null, top: [] });
    for (const [i, one] of told!.slice(start.length).entries()) {
      const before = reply.logprobs![i]!;
      expect(one.logprob! - before.logprob).toBeCloseTo(0, 1);
      expect(one.top).toHaveLength(2);
      expect(one.top[0]!.logprob).toBeGreaterThanOrEqual(one.logprob! - 1e-6);
      expect([one.token, one.bytes]).toEqual([before.token, before.bytes]);
    }
  }
});

test("a prompt's log-probabilities come as events before the reply, beside other streams, and not unless they are asked for", async () => {
  const model = await openReady({ contextSize: 512 });
  const prompt = "Once upon a time there was a little fox. ".repeat(12);
  const options = { maxTokens: 4, temperature: 0 };
  const stream = model.completionStream({ prompt, prompt_logprobs: true, ...options });
  const beside = model.completion(prompt, options);
  const kinds: string[] = [];
  const tokens: number[] = [];
  for await (const event of stream.events()) {
    if (event.type !== "progress" && event.type !== kinds.at(-1)) kinds.push(event.type);
    if (event.type === "prompt") tokens.push(...event.tokens.map(({ id }) => id));
  }
  expect(kinds).toEqual(["prompt", "text", "finish"]);
  expect(tokens).toEqual(await model.tokenize(prompt));
  expect((await beside).promptLogprobs).toBeUndefined();
  expect((await stream.result).promptLogprobs).toHaveLength(tokens.length);
  expect((await beside).text).toBe((await stream.result).text);
});

test("more of a prompt's log-probabilities than there is room for are refused before anything is computed", async () => {
  const model = await openReady({ contextSize: 16_384, maxStreams: 1 });
  const error = await rejection(model.completion(new Array<number>(12_600).fill(5), { promptLogprobs: true, topLogprobs: 20 }));
  expect(error).toMatchObject({ code: "BAD_OPTION", option: "promptLogprobs", message: expect.stringContaining("264600") });
  expect(model.stats().prefilledTokens).toBe(0);
  expect(await rejection(model.completion("x", { promptLogprobs: 1 as never }))).toMatchObject({
    code: "BAD_OPTION",
    option: "promptLogprobs",
  });
  expect(await rejection(model.chat(ask("x"), { promptLogprobs: true } as never))).toMatchObject({ code: "BAD_OPTION" });
});
