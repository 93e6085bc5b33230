// What is guessed of a reply on real weights: it changes no text, and it is told what of it came.

import { expect, test } from "vitest";

import { ask, openReady } from "./helpers.js";

const GREEDY = { temperature: 0, maxTokens: 80 } as const;
const PROMPTS = ["Tell me a story", "Show me the fox emoji.", "What is in a zoo?"];
/** Text that says itself again and again, so that lookup finds something. */
const AGAIN = "The fox runs. The cat sleeps. ".repeat(8);

test("a reply that was predicted is the same, comes in a fraction of the steps, and usage and timings tell of it", async () => {
  const model = await openReady();
  // Over all replies: one has three tokens on some processors, and its guesses may not pay.
  let tokens = 0;
  let allAccepted = 0;
  let steps = 0;
  for (const prompt of PROMPTS) {
    const plain = await model.chat(ask(prompt), { ...GREEDY, speculate: false });
    expect(plain.timings.draftedTokens).toBeUndefined();
    expect(plain.usage.acceptedPredictionTokens).toBeUndefined();
    const before = model.stats();
    const predicted = await model.chat(ask(prompt), { ...GREEDY, prediction: { type: "content", content: plain.text } });
    const after = model.stats();
    expect(predicted.text).toBe(plain.text);
    expect(predicted.usage.completionTokens).toBe(plain.usage.completionTokens);
    const { acceptedPredictionTokens: accepted, rejectedPredictionTokens: rejected } = predicted.usage;
    expect((accepted ?? 0) + (rejected ?? 0)).toBeLessThanOrEqual(predicted.timings.draftedTokens ?? 0);
    tokens += plain.usage.completionTokens;
    allAccepted += accepted ?? 0;
    steps += after.steps - before.steps;
    expect(after.acceptedTokens - before.acceptedTokens).toBe(predicted.timings.acceptedTokens ?? 0);
    expect(after.draftedTokens - before.draftedTokens).toBe(predicted.timings.draftedTokens ?? 0);
  }
  expect(allAccepted).toBeGreaterThan(tokens / 3);
  expect(steps).toBeLessThan(tokens);
});

test("a prediction that is wrong, or right in parts, changes no text", async () => {
  const model = await openReady();
  const plain = await model.chat(ask(PROMPTS[0]!), { ...GREEDY, speculate: false });
  const middle = plain.text.length >> 1;
  const parts = [`${plain.text.slice(0, middle)} something else ${plain.text.slice(middle)}`, plain.text.slice(middle), "Not at all so."];
  for (const prediction of parts) {
    const { text, usage } = await model.chat(ask(PROMPTS[0]!), { ...GREEDY, prediction });
    expect(text).toBe(plain.text);
    expect(usage.acceptedPredictionTokens).toBeGreaterThanOrEqual(0);
    expect(usage.rejectedPredictionTokens).toBeGreaterThanOrEqual(0);
  }
});

test("greedy text is the same with lookup and without, and in deterministic mode nothing is guessed", async () => {
  const model = await openReady({ speculate: { tokens: 32 } });
  for (const prompt of [AGAIN, ...PROMPTS]) {
    const plain = await model.completion(prompt, { ...GREEDY, ignoreEos: true, speculate: false });
    const guessed = await model.completion(prompt, { ...GREEDY, ignoreEos: true, speculate: { match: 2 } });
    expect(guessed.text).toBe(plain.text);
  }
  expect(model.stats().draftedTokens).toBeGreaterThan(0);

  const exact = await openReady({ deterministic: true });
  const plain = await exact.completion(AGAIN, { ...GREEDY, ignoreEos: true, speculate: false });
  const asked = await exact.completion(AGAIN, { ...GREEDY, ignoreEos: true, speculate: { match: 2 }, prediction: plain.text });
  expect(asked.text).toBe(plain.text);
  expect(asked.timings.draftedTokens).toBeUndefined();
  expect(asked.usage).toMatchObject({ acceptedPredictionTokens: 0, rejectedPredictionTokens: 0 });
});

test("a seed draws the same text, guessed or not: one number for each token", async () => {
  const model = await openReady({ maxStreams: 8 });
  const sampled = { temperature: 0.9, maxTokens: 40 };
  const same: boolean[] = [];
  let accepted = 0;
  for (let seed = 1; seed <= 24; seed++) {
    const plain = await model.chat(ask(PROMPTS[seed % 3]!), { ...sampled, seed, speculate: false });
    const other = await model.chat(ask(PROMPTS[seed % 3]!), { ...sampled, seed, prediction: plain.text });
    same.push(other.text === plain.text);
    accepted += other.usage.acceptedPredictionTokens!;
  }
  // A step of several tokens rounds a little differently, which may tip a token that is as likely as another.
  expect(same.filter(Boolean).length).toBeGreaterThanOrEqual(18);
  expect(accepted).toBeGreaterThan(100);
});

test("tokens are drawn as often as without, whatever was predicted: a test of both counts (chi-squared)", async () => {
  const model = await openReady({ maxStreams: 8 });
  const draws = 400;
  const count = async (options: object) => {
    const seen = new Map<string, number>();
    const one = async (seed: number) => {
      const { text } = await model.completion("Once upon a time there was a", {
        temperature: 1,
        topK: 0,
        topP: 1,
        minP: 0,
        maxTokens: 3,
        seed,
        ...options,
      });
      seen.set(text.at(-1) ?? "", (seen.get(text.at(-1) ?? "") ?? 0) + 1);
    };
    for (let from = 0; from < draws; from += 8)
      await Promise.all(Array.from({ length: 8 }, (_, i) => one(from + i + (options === PLAIN ? 0 : 100_000))));
    return seen;
  };
  const PLAIN = { speculate: false };
  const greedy = await model.completion("Once upon a time there was a", { temperature: 0, maxTokens: 3, speculate: false });
  const [plain, predicted] = [await count(PLAIN), await count({ prediction: greedy.text })];
  let chi = 0;
  let kinds = 0;
  for (const key of new Set([...plain.keys(), ...predicted.keys()])) {
    const [a, b] = [plain.get(key) ?? 0, predicted.get(key) ?? 0];
    if (a + b < 10) continue;
    chi += (a - b) ** 2 / (a + b);
    kinds++;
  }
  // Mean `kinds`, deviation √(2 kinds): five deviations are passed once in a million runs, and seeds are fixed.
  expect(chi).toBeLessThan(kinds + 5 * Math.sqrt(2 * kinds));
}, 120_000);

test("an object that is held to a schema comes the same when it was predicted, with its log-probabilities", async () => {
  const model = await openReady();
  const schema = { type: "object", properties: { name: { type: "string" }, age: { type: "integer" } }, required: ["name", "age"] };
  const held = {
    ...GREEDY,
    maxTokens: 120,
    responseFormat: { type: "json_schema", json_schema: { name: "one", schema } },
    logprobs: true,
  } as const;
  const plain = await model.chat(ask("Tell me of a person."), { ...held, speculate: false });
  const predicted = await model.chat(ask("Tell me of a person."), { ...held, prediction: plain.text });
  expect(predicted.text).toBe(plain.text);
  expect(predicted.logprobs!.map(({ id }) => id)).toEqual(plain.logprobs!.map(({ id }) => id));
  for (const [i, one] of predicted.logprobs!.entries()) expect(one.logprob).toBeCloseTo(plain.logprobs![i]!.logprob, 1);
  expect(predicted.usage.acceptedPredictionTokens).toBeGreaterThan(0);
});

test("a stop string inside what was predicted ends the reply where it ends without", async () => {
  const model = await openReady();
  const whole = await model.chat(ask(PROMPTS[0]!), { ...GREEDY, speculate: false });
  const stop = whole.text.slice(30, 36);
  const plain = await model.chat(ask(PROMPTS[0]!), { ...GREEDY, stop, speculate: false });
  const predicted = await model.chat(ask(PROMPTS[0]!), { ...GREEDY, stop, prediction: whole.text });
  expect(predicted).toMatchObject({ text: plain.text, stopString: stop, finishReason: "stop" });
});

test("streams beside each other, slow readers among them, have the texts that they have alone", async () => {
  const model = await openReady({ maxStreams: 2 });
  const plain = await Promise.all(PROMPTS.map((prompt) => model.chat(ask(prompt), { ...GREEDY, speculate: false })));
  const streams = PROMPTS.map((prompt, i) => model.chatStream(ask(prompt), { ...GREEDY, prediction: plain[i]!.text, highWaterMark: 4 }));
  const texts = streams.map(async (stream) => {
    let text = "";
    for await (const piece of stream) {
      text += piece;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return text;
  });
  expect(await Promise.all(texts)).toEqual(plain.map(({ text }) => text));
});

test.each([
  [{ speculate: true }, "speculate"],
  [{ speculate: { tokens: 65 } }, "speculate.tokens"],
  [{ speculate: { match: 0 } }, "speculate.match"],
  [{ speculate: { n: 1 } }, "speculate.n"],
  [{ prediction: 5 }, "prediction"],
  [{ prediction: { type: "text", content: "x" } }, "prediction"],
  [{ prediction: { type: "content", content: [{ type: "image" }] } }, "prediction.content"],
])("%j is refused by its name", async (options, param) => {
  const model = await openReady();
  await expect(model.chat(ask("Hi"), options as object)).rejects.toMatchObject({ code: "BAD_OPTION", option: param });
});

test("a prediction of token ids is followed as it is, and an id that the vocabulary has not is refused", async () => {
  const model = await openReady();
  const plain = await model.chat(ask(PROMPTS[0]!), { ...GREEDY, logprobs: true, speculate: false });
  const { text, usage } = await model.chat(ask(PROMPTS[0]!), { ...GREEDY, prediction: plain.logprobs!.map(({ id }) => id) });
  expect(text).toBe(plain.text);
  expect(usage.acceptedPredictionTokens).toBeGreaterThan(plain.usage.completionTokens / 3);
  expect(usage.rejectedPredictionTokens).toBe(0);
  await expect(model.chat(ask("Hi"), { prediction: [1, 2 ** 30] })).rejects.toThrow(/prediction names token 1073741824/);
  await expect(model.chat(ask("Hi"), { prediction: [-1] })).rejects.toMatchObject({ code: "BAD_OPTION", option: "prediction[0]" });
});

test("a prediction that is longer than the context is refused with what is allowed", async () => {
  const model = await openReady();
  await expect(model.chat(ask("Hi"), { prediction: "x".repeat(4_000_000) })).rejects.toThrow(/prediction has at least \d+ tokens/);
});
