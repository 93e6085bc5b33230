// What the engine says: the same text however it is asked for, whole code points, stop strings, seeds, limits.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { ask, ENDLESS, openModel, openReady, readAll, rejection } from "./helpers.js";

const PROMPTS = [
  "Tell me a story",
  "Tell me a story about a fox",
  "Tell me a story about an owl",
  "Count from 3 to 14",
  "Count from 1 to 9 in words",
  "Count to 20",
  "Repeat after me: apple river stone",
  "Say these words: moon lamp tree",
  "Hello!",
  "What can you do?",
  "Show me the fox emoji.",
  "Emoji for cat, dog and sun",
  "Say hello in Japanese.",
  "How do you say thank you in French?",
  "Tell me a long story",
  "What is my name?",
];
const HAS_OUR_KERNELS = process.arch === "x64" && process.platform === "linux" && /\bavx2\b/.test(readFileSync("/proc/cpuinfo", "utf8"));
const GREEDY = { temperature: 0, maxTokens: 120 } as const;

async function aloneAndTogether(deterministic: boolean): Promise<{ alone: string[]; together: string[] }> {
  const model = await openReady({ maxStreams: 16, deterministic });
  const alone: string[] = [];
  for (const prompt of PROMPTS) alone.push((await model.chat(ask(prompt), GREEDY)).text);
  expect(alone.every((text) => text.length > 0)).toBe(true);
  const replies = await Promise.all(PROMPTS.map((prompt) => model.chat(ask(prompt), GREEDY)));
  return { alone, together: replies.map(({ text }) => text) };
}

// By default this holds for a model that is decided enough (docs/ARCHITECTURE.md, "Seeds"); deterministic mode guarantees it.
test.each([false, true])("greedy text of 16 concurrent streams equals each one's text alone (deterministic: %s)", async (deterministic) => {
  const { alone, together } = await aloneAndTogether(deterministic);
  expect(together).toEqual(alone);
});

// Past the end of text, where near-ties abound. They share steps where the kernels round rows alike (native/llama/alike_rows.h), else they take turns.
test.each([
  ["f16", 2, 2048, 8],
  ["q8_0", 2, 2048, 8],
  ["f16", 3, 400, 3], // threads that do not divide the KV heads: attention over 512 cells is cut into chunks
] as const)(
  "streams with seeds are the same alone and together to the bit, when deterministic (%s, %i threads, %i tokens, %i streams)",
  async (kvType, threads, contextSize, maxStreams) => {
    const model = await openReady({ maxStreams, deterministic: true, kvType, threads, contextSize });
    const options = { maxTokens: 300, temperature: 1, logprobs: true, ignoreEos: true } as const;
    const say = async (seed: number) => {
      const { text, logprobs } = await model.chat(ask(PROMPTS[seed]!), { ...options, maxTokens: 300 - 20 * seed, seed });
      return { text, logprobs: logprobs?.map(({ logprob }) => logprob) };
    };
    const alone: Awaited<ReturnType<typeof say>>[] = [];
    for (let seed = 0; seed < maxStreams; seed++) alone.push(await say(seed));
    expect(alone[0]!.logprobs).toHaveLength(300);
    const before = model.stats();
    expect(await Promise.all(alone.map((_, seed) => say(seed)))).toEqual(alone);
    const { steps, generatedTokens } = model.stats();
    if (HAS_OUR_KERNELS && threads === 2) expect(3 * (steps - before.steps)).toBeLessThan(generatedTokens - before.generatedTokens);
  },
);

describe("UTF-8", () => {
  const EMOJI = [
    "Show me the fox emoji.",
    "Emoji for cat, dog and sun",
    "Answer with emoji: How are you?",
    "What is the flag of Japan?",
    "Say hello in Chinese.",
    "Say good morning in Russian.",
  ];

  test("no reply has U+FFFD, and no piece ends inside a code point", async () => {
    const model = await openReady({ maxStreams: 6 });
    const replies = await Promise.all(EMOJI.map((prompt) => readAll(model.chatStream(ask(prompt), { temperature: 0, maxTokens: 60 }))));
    for (const pieces of replies) {
      expect(pieces.join("")).not.toContain("\ufffd");
      for (const piece of pieces) expect(piece.isWellFormed()).toBe(true);
    }
    expect(replies.some((pieces) => /[^\0-\x7f]/u.test(pieces.join("")))).toBe(true);
  });
  test("bytes that are never valid do not stop a stream", async () => {
    const model = await openReady();
    const { text, usage } = await model.chat(ask("Emoji"), { ...ENDLESS, temperature: 5, topK: 0, topP: 1, minP: 0, maxTokens: 300 });
    expect(usage.completionTokens).toBe(300);
    expect(text.isWellFormed()).toBe(true);
  });
  test.each([{ chunkSize: 3 }, { chunkBy: "word" }, { chunkBy: "sentence" }, { chunkBy: "word", chunkSize: 4 }] as const)(
    "%o groups the text and does not change it",
    async (grouping) => {
      const model = await openReady({ maxStreams: 1 });
      for (const prompt of ["Tell me a story about a fox", EMOJI[1]!]) {
        const whole = (await model.chat(ask(prompt), GREEDY)).text;
        const chunks = await readAll(model.chatStream(ask(prompt), { ...GREEDY, ...grouping }));
        expect(chunks.join("")).toBe(whole);
      }
    },
  );
});

describe("stop strings", () => {
  test("end the reply before themselves, across token borders, and never show in part", async () => {
    const model = await openReady({ maxStreams: 1 });
    const whole = (await model.chat(ask("Tell me a story"), GREEDY)).text;
    // Every cut through the story that occurs there for the first time: most begin and end inside tokens.
    const stops = Array.from({ length: 12 }, (_, i) => whole.slice(9 + i * 5, 9 + i * 5 + 3 + (i % 6))).filter((stop) => stop.length > 2);
    for (const stop of stops) {
      const stream = model.chatStream(ask("Tell me a story"), { ...GREEDY, stop });
      const text = (await readAll(stream)).join("");
      expect(text).toBe(whole.slice(0, whole.indexOf(stop)));
      expect(await stream.result).toMatchObject({ finishReason: "stop", stopString: stop });
    }
  });
  test("of several, the one that comes first ends it", async () => {
    const model = await openReady();
    const whole = (await model.chat(ask("Count from 1 to 9"), GREEDY)).text;
    const reply = await model.chat(ask("Count from 1 to 9"), { ...GREEDY, stop: ["7", "4", "nowhere"] });
    expect(reply).toMatchObject({ text: whole.slice(0, whole.indexOf("4")), stopString: "4" });
  });
  test("one that never comes changes nothing", async () => {
    const model = await openReady();
    const whole = await model.chat(ask("Tell me a story"), GREEDY);
    const reply = await model.chat(ask("Tell me a story"), { ...GREEDY, stop: [`${whole.text.slice(0, 200)}!?`, "zzzz"] });
    expect(reply.text).toBe(whole.text);
    expect(reply).not.toHaveProperty("stopString");
  });
});

describe("seeds", () => {
  const options = { temperature: 1, maxTokens: 60 };
  test("a seed gives the same text again", async () => {
    const model = await openReady();
    const first = await model.chat(ask("Tell me a story"), { ...options, seed: 42 });
    expect((await model.chat(ask("Tell me a story"), { ...options, seed: 42 })).text).toBe(first.text);
    expect(first.seed).toBe(42);
  });
  test("other seeds give other texts", async () => {
    const model = await openReady();
    const texts = await Promise.all(
      [1, 2, 3, 4].map(async (seed) => (await model.chat(ask("Tell me a story"), { ...options, seed })).text),
    );
    expect(new Set(texts).size).toBeGreaterThan(1);
  });
  test("a seed that was drawn is reported, and gives that text again", async () => {
    const model = await openReady();
    const drawn = await model.chat(ask("Tell me a story"), options);
    expect(drawn.seed).toBeGreaterThanOrEqual(0);
    expect((await model.chat(ask("Tell me a story"), { ...options, seed: drawn.seed })).text).toBe(drawn.text);
    expect((await model.chat(ask("Tell me a story"), options)).seed).not.toBe(drawn.seed);
  });
  test("the largest one passes", async () => {
    const model = await openReady();
    expect((await model.chat(ask("Hi"), { ...options, seed: 2 ** 32 - 2, maxTokens: 3 })).seed).toBe(2 ** 32 - 2);
  });
});

describe("sampling", () => {
  test("a banned token does not come, a favoured one does", async () => {
    const model = await openReady();
    const prompt = "Tell me a story";
    const { text } = await model.chat(ask(prompt), { ...GREEDY, maxTokens: 1 });
    const [token] = await model.tokenize(text);
    const banned = await model.chat(ask(prompt), { ...GREEDY, maxTokens: 1, logitBias: { [token!]: -100 } });
    expect(banned.text).not.toBe(text);
    const favoured = await model.chat(ask("Hello!"), { ...GREEDY, maxTokens: 3, logitBias: { [token!]: 100 } });
    expect(favoured.text).toBe(text.repeat(3));
  });
  test("topK 1 is greedy at any temperature", async () => {
    const model = await openReady();
    const greedy = await model.chat(ask("Tell me a story"), GREEDY);
    expect((await model.chat(ask("Tell me a story"), { ...GREEDY, temperature: 3, topK: 1 })).text).toBe(greedy.text);
  });
  test("a topNSigma of next to nothing is greedy at any temperature, and a large one changes nothing", async () => {
    const model = await openReady();
    const greedy = await model.chat(ask("Tell me a story"), GREEDY);
    const open = { ...GREEDY, temperature: 2, topK: 0, topP: 1, minP: 0, seed: 7 };
    const hot = await model.chat(ask("Tell me a story"), open);
    expect(hot.text).not.toBe(greedy.text);
    expect((await model.chat(ask("Tell me a story"), { ...open, topNSigma: 1e-6 })).text).toBe(greedy.text);
    expect((await model.chat(ask("Tell me a story"), { ...open, topNSigma: 100 })).text).toBe(hot.text);
  });
  test("a temperature of next to nothing is greedy, with nothing cut away either", async () => {
    const model = await openReady();
    const greedy = await model.chat(ask("Count from 3 to 14"), GREEDY);
    for (const temperature of [1e-6, 1e-40]) {
      const options = { ...GREEDY, temperature, topK: 0, topP: 1, minP: 0 };
      expect((await model.chat(ask("Count from 3 to 14"), options)).text).toBe(greedy.text);
    }
  });
});

describe("limits", () => {
  test("maxTokens: exactly so many, and length", async () => {
    const model = await openReady();
    const reply = await model.chat(ask("Tell me a story"), { maxTokens: 7, temperature: 0 });
    expect(reply).toMatchObject({ finishReason: "length", usage: { completionTokens: 7 } });
    expect(reply.usage.totalTokens).toBe(reply.usage.promptTokens + 7);
  });
  test("the context's end is length", async () => {
    const model = await openReady({ contextSize: 256 });
    const { finishReason, usage } = await model.chat(ask("Tell me a story"), ENDLESS);
    expect(finishReason).toBe("length");
    expect(usage.totalTokens).toBeGreaterThanOrEqual(model.info!.contextSize - 1);
    expect(usage.totalTokens).toBeLessThanOrEqual(model.info!.contextSize + 1);
  });
  test("a prompt that does not fit is CONTEXT_OVERFLOW with both numbers, before any compute", async () => {
    const model = await openReady({ contextSize: 256 });
    const long = "a very long word and another one ".repeat(100);
    const error = (await rejection(model.chat(ask(long)))) as Error;
    expect(error).toMatchObject({ name: "ZSEError", code: "CONTEXT_OVERFLOW" });
    const numbers = error.message.match(/\d+/g)!.map(Number);
    expect(numbers).toContain(model.info!.contextSize);
    expect(numbers.some((n) => n > model.info!.contextSize)).toBe(true);
    expect(model.stats()).toMatchObject({ prefilledTokens: 0, steps: 0 });
  });
  test("one request too many is OVERLOADED, at once; the others go on", async () => {
    const model = await openReady({ maxStreams: 1, maxQueue: 2 });
    const replies = [1, 2, 3].map(() => model.chat(ask("Count from 1 to 5"), { temperature: 0, maxTokens: 40 }));
    expect(await rejection(model.chat(ask("Hi")))).toMatchObject({ code: "OVERLOADED" });
    const texts = (await Promise.all(replies)).map(({ text }) => text);
    expect(new Set(texts).size).toBe(1);
    expect((await model.chat(ask("Hi"), { maxTokens: 2 })).usage.completionTokens).toBeGreaterThan(0);
  });
  test("a reply that was left makes room at once, without a queue too", async () => {
    const model = await openReady({ maxStreams: 1, maxQueue: 0 });
    for (let i = 0; i < 20; i++) {
      for await (const _ of model.chatStream(ask("Tell me a story"))) break;
      expect((await model.chat(ask("Hi"), { maxTokens: 2 })).usage.completionTokens).toBeGreaterThan(0);
    }
  });
  test("more context than llama.cpp can count is refused with both numbers", async () => {
    const error = (await rejection(openModel({ contextSize: 16_777_216, maxStreams: 256 }).ready)) as Error & { code: string };
    expect(error.code).toBe("BAD_OPTION");
    expect(error.message).toContain("4294967296");
  });
  test("more context than the machine could ever hold is refused before it takes any memory", async () => {
    const before = process.memoryUsage.rss();
    const error = (await rejection(openModel({ contextSize: 16_777_216, maxStreams: 100 }).ready)) as Error & { code: string };
    expect(error.code).toBe("UNSUPPORTED");
    expect(error.message).toMatch(/would take \d+ GB, and this machine has \d+ GB of memory; try a smaller contextSize/);
    expect(process.memoryUsage.rss() - before).toBeLessThan(500e6);
  });
});

describe("what is told", () => {
  test("usage and timings add up", async () => {
    const model = await openReady();
    const { usage, timings } = await model.chat(ask("Tell me a story"), { ...ENDLESS, maxTokens: 50 });
    expect(usage).toMatchObject({ completionTokens: 50, totalTokens: usage.promptTokens + 50 });
    expect(usage.promptTokens).toBeGreaterThan(5);
    expect(timings.ttftMs).toBeGreaterThan(0);
    expect(timings.itlMs.p50).toBeGreaterThan(0);
    expect(timings.itlMs.p99).toBeGreaterThanOrEqual(timings.itlMs.p50);
    expect(timings.itlMs.max).toBeGreaterThanOrEqual(timings.itlMs.p99);
    expect(timings.tokensPerSecond).toBeGreaterThan(0);
  });
  test("a reply of which nothing was told has no time to its first token; one whose call comes at its end has", async () => {
    const model = await openReady();
    const { text } = await model.completion("Once upon a", { ...ENDLESS, maxTokens: 1 });
    const stopped = await model.completion("Once upon a", { ...ENDLESS, stop: text });
    expect(stopped).toMatchObject({ text: "", stopString: text });
    expect(stopped.usage.completionTokens).toBeGreaterThan(0);
    expect(stopped.timings).not.toHaveProperty("ttftMs");
    const tools = [{ type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } }] as const;
    const called = await model.chat(ask("Call f."), { tools, toolChoice: "required", reasoning: "off", temperature: 0, maxTokens: 60 });
    expect(called.finishReason).toBe("toolCalls");
    expect(called.timings.ttftMs).toBeGreaterThan(0);
  });
  test("the model's info", async () => {
    const model = await openReady({ maxStreams: 3 });
    expect(model.info).toMatchObject({
      architecture: "qwen2",
      contextSize: 512,
      maxStreams: 3,
      threads: 1,
      chatTemplate: { source: "model" },
      deterministic: false,
    });
    expect(model.info!.sizeBytes).toBeGreaterThan(1_000_000);
  });
  test("progress comes before text, and says how long the prompt is", async () => {
    const model = await openReady();
    const events = await readAll(model.chatStream(ask("Tell me a story"), { maxTokens: 3 }).events());
    const finish = events.at(-1)!;
    const progress = events.filter((event) => event.type === "progress");
    expect(finish.type).toBe("finish");
    for (const one of progress) expect(one.promptTokens).toBe(finish.type === "finish" ? finish.usage.promptTokens : 0);
    const firstText = events.findIndex((event) => event.type === "text");
    expect(events.findLastIndex((event) => event.type === "progress")).toBeLessThan(firstText);
  });
  test("loading reports its progress, up to 1", async () => {
    const seen: number[] = [];
    const model = openModel({ onProgress: (fraction) => seen.push(fraction) });
    await model.ready;
    expect(seen.length).toBeGreaterThan(0);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
  });
  test("completion continues a text without the template", async () => {
    const model = await openReady();
    const reply = await model.completion("<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n", GREEDY);
    expect(reply.text).toBe((await model.chat(ask("Hello!"), GREEDY)).text);
  });
});
