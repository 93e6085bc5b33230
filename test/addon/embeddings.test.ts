// Vectors of texts, and scores of documents: equal to those of llama.cpp's own program, whatever else the engine does, and bounded.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
// @ts-expect-error: plain JavaScript
import { buildAddon } from "../../scripts/build.mjs";
// @ts-expect-error: plain JavaScript
import { placesOf } from "../../scripts/paths.mjs";
import { ENCODER, type Pooling, withKeys, writeDecoder, writeEncoder } from "../embedding-models.js";
import { ask, ENDLESS, openModel, openReady, rejection, until } from "./helpers.js";

const SEED = 20_260_101;
const folder = mkdtempSync(join(tmpdir(), "zse-embed-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const encoder = (pooling: Pooling) => writeEncoder(join(folder, `encoder-${pooling}.gguf`), pooling, SEED);
const decoder = (pooling: Pooling, ends = false) => writeDecoder(join(folder, `decoder-${pooling}-${ends}.gguf`), pooling, ends);

const TEXTS = ["Hello", "The quick brown fox jumps over the lazy dog.", "A story about a fox, a river and the Moon: über allem 🙂", "x"];
const LONG = "Once upon a time there was a little fox who lived by a river. ".repeat(20);

const length = (vector: Float32Array) => Math.hypot(...vector);
const cosine = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  const dot = Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);
  return dot / (Math.hypot(...Array.from(a)) * Math.hypot(...Array.from(b)));
};
const difference = (a: ArrayLike<number>, b: ArrayLike<number>) => Math.max(...Array.from(a).map((value, i) => Math.abs(value - b[i]!)));

describe("beside llama.cpp's own program", () => {
  let program: string;
  beforeAll(async () => {
    await buildAddon({ targets: ["zse_llama_embedding"] });
    program = join(placesOf().cmake, process.platform === "win32" ? "Release/zse_llama_embedding.exe" : "zse_llama_embedding");
  }, 900_000);

  /** @param normalize llama.cpp's number for it: 2 for a length of 1, -1 for as it is */
  function reference(path: string, texts: readonly string[], context: number, normalize = 2): number[][] {
    return texts.map((text) => {
      const args = ["-m", path, "-p", text, "--embd-separator", "<#sep#>", "--embd-output-format", "array"];
      const more = ["--embd-normalize", String(normalize), "-c", String(context), "-t", "1", "--no-warmup"];
      // What it prints is cut off at times, since its log's thread ends with the process.
      for (let tries = 0; tries < 50; tries++) {
        const { stdout, status, stderr } = spawnSync(program, [...args, ...more], { encoding: "utf8", maxBuffer: 1 << 28 });
        expect(status, stderr).toBe(0);
        const whole = /\[\[.*\]\]/s.exec(stdout)?.[0];
        try {
          if (whole !== undefined) return (JSON.parse(whole) as number[][])[0]!;
        } catch {} // a number is missing in the middle
      }
      throw new Error("llama.cpp's program never printed its vector to the end");
    });
  }

  test.each<[Pooling]>([["mean"], ["cls"]])("an encoder that pools by %s has its vectors", async (pooling) => {
    const path = encoder(pooling);
    const model = openModel({}, path);
    expect(await model.ready).toMatchObject({ generates: false, pooling, vectorSize: ENCODER.width, contextSize: ENCODER.context });
    const { embeddings, usage } = await model.embed(TEXTS);
    const expected = reference(path, TEXTS, ENCODER.context);
    expect(embeddings).toHaveLength(TEXTS.length);
    for (const [i, vector] of embeddings.entries()) {
      expect(vector).toHaveLength(ENCODER.width);
      expect(length(vector)).toBeCloseTo(1, 5);
      expect(difference(vector, expected[i]!)).toBeLessThan(1e-4);
    }
    const counts = await Promise.all(TEXTS.map(async (text) => (await model.tokenize(text, { addSpecial: true })).length));
    const promptTokens = counts.reduce((a, b) => a + b);
    expect(usage).toEqual({ promptTokens, totalTokens: promptTokens });
  });

  test.each<[Pooling, boolean]>([
    ["last", true],
    ["last", false],
    ["mean", false],
    ["cls", false],
  ])("a decoder that pools by %s has its vectors, whether its texts end (%s), and however long they are", async (pooling, ends) => {
    const path = decoder(pooling, ends);
    const model = openModel({ contextSize: 1024 }, path);
    expect(await model.ready).toMatchObject({ generates: true, pooling, vectorSize: 256 });
    const texts = [...TEXTS, LONG];
    const expected = reference(path, texts, 1024);
    const { embeddings } = await model.embed(texts);
    for (const [i, vector] of embeddings.entries()) {
      expect(cosine(vector, expected[i]!)).toBeGreaterThan(0.999); // texts that go together round otherwise
      const [alone] = (await model.embed(texts[i]!)).embeddings;
      expect(difference(alone!, expected[i]!)).toBeLessThan(2e-3);
    }
  });

  test("vectors that are not normalised are its too", async () => {
    const path = encoder("mean");
    const { embeddings } = await openModel({}, path).embed(TEXTS, { normalize: false });
    const expected = reference(path, TEXTS, ENCODER.context, -1);
    for (const [i, vector] of embeddings.entries()) expect(difference(vector, expected[i]!)).toBeLessThan(1e-3);
    expect(length(embeddings[0]!)).not.toBeCloseTo(1, 2);
  });
});

describe("what a vector is", () => {
  test("a text has the same vector alone, beside others and as token ids", async () => {
    const model = openModel({}, encoder("mean"));
    const together = await model.embed(TEXTS);
    for (const [i, text] of TEXTS.entries()) {
      const [alone] = (await model.embed(text)).embeddings;
      expect(difference(alone!, together.embeddings[i]!)).toBeLessThan(1e-5);
      const tokens = await model.tokenize(text, { addSpecial: true });
      const [asTokens] = (await model.embed(tokens)).embeddings;
      expect(difference(asTokens!, alone!)).toBeLessThan(1e-5);
      const mixed = await model.embed([Int32Array.from(tokens), "Hello"]);
      expect(difference(mixed.embeddings[0]!, alone!)).toBeLessThan(1e-5);
    }
  });

  test("a text that holds control tokens' names holds their characters", async () => {
    const model = openModel({}, encoder("mean"));
    const [forged, real] = [await model.embed("one [SEP] two"), await model.tokenize("one [SEP] two", { special: true, addSpecial: true })];
    expect(forged.usage.promptTokens).toBeGreaterThan(real.length);
  });

  test("dimensions cuts a vector and makes it a length of 1 again; with normalize: false it is only cut", async () => {
    const model = openModel({}, encoder("cls"));
    const [whole] = (await model.embed("Hello", { normalize: false })).embeddings;
    const [cut] = (await model.embed("Hello", { dimensions: 16, normalize: false })).embeddings;
    expect(difference(cut!, whole!.subarray(0, 16))).toBeLessThan(1e-5);
    expect(cut).toHaveLength(16);
    const [unit] = (await model.embed("Hello", { dimensions: 16 })).embeddings;
    expect(length(unit!)).toBeCloseTo(1, 5);
    expect(cosine(unit!, cut!)).toBeCloseTo(1, 5);
    expect((await model.embed("Hello", { dimensions: ENCODER.width })).embeddings[0]).toHaveLength(ENCODER.width);
    expect(await rejection(model.embed("Hello", { dimensions: ENCODER.width + 1 }))).toMatchObject({
      code: "BAD_OPTION",
      option: "dimensions",
      message: expect.stringContaining("1 to 64"),
    });
  });

  test("a chat model embeds too, by its last token, and each vector has memory of its own", async () => {
    const model = await openReady();
    expect(model.info).toMatchObject({ pooling: "none", generates: true });
    const { embeddings } = await model.embed(["one", "two"]);
    expect(embeddings.map(length).every((one) => Math.abs(one - 1) < 1e-5)).toBe(true);
    expect(embeddings[0]!.buffer).not.toBe(embeddings[1]!.buffer);
    expect(embeddings[0]!.buffer.byteLength).toBe(embeddings[0]!.byteLength);
    expect(model.stats().embeddedTokens).toBeGreaterThan(0);
    expect(model.stats().embeddingBytes).toBeGreaterThan(0);
  });
});

describe("texts that are too long", () => {
  test.each([
    ["an encoder", () => openModel({}, encoder("mean")), ENCODER.context],
    ["a decoder whose texts end", () => openModel({ contextSize: 128 }, decoder("last", true)), 128],
  ])("%s: CONTEXT_OVERFLOW names the text; cut, it is its beginning, with what ends it", async (_, open, context) => {
    const model = open();
    const error = await rejection(model.embed(["short", LONG.repeat(3)]));
    expect(error).toMatchObject({ code: "CONTEXT_OVERFLOW", message: expect.stringMatching(/^texts\[1\] has \d+ tokens/) });
    const { embeddings, usage } = await model.embed(LONG.repeat(3), { truncate: true });
    expect(usage.promptTokens).toBe(context);
    const whole = await model.tokenize(LONG.repeat(3), { addSpecial: true });
    const end = model.info!.generates ? 1529 : 102; // <|im_end|>, [SEP]
    const tokens = [...whole.slice(0, context - 1), end];
    expect(difference((await model.embed(tokens)).embeddings[0]!, embeddings[0]!)).toBeLessThan(1e-5);
    const ids = new Array<number>(context + 1).fill(200);
    expect(await rejection(model.embed([[5], ids]))).toMatchObject({
      code: "CONTEXT_OVERFLOW",
      message: expect.stringContaining("texts[1]"),
    });
    expect((await model.embed(ids, { truncate: true })).usage.promptTokens).toBe(context);
    expect((await model.embed(ids.slice(1))).usage.promptTokens).toBe(context);
  });

  test("an encoder is never opened for more tokens than it was trained for: its places end there", async () => {
    const model = openModel({ contextSize: 100_000 }, encoder("mean"));
    expect((await model.ready).contextSize).toBe(ENCODER.context);
  });
});

describe("what is refused", () => {
  test.each<[unknown, object | undefined, string]>([
    [undefined, undefined, "texts"],
    [5, undefined, "texts"],
    [[], undefined, "texts"],
    [new Array(2049).fill("x"), undefined, "texts"],
    [["x", 5], undefined, "texts[1]"],
    [[[1, -1]], undefined, "texts[0][1]"],
    [[1, 2.5], undefined, "texts[1]"],
    [[[1, 99_999]], undefined, "texts[0][1]"],
    ["x", { dimensions: -1 }, "dimensions"],
    ["x", { dimensions: 1.5 }, "dimensions"],
    ["x", { normalise: true }, "normalise"],
    ["x", { truncate: 1 }, "truncate"],
    ["x", { signal: {} }, "signal"],
  ])("embed(%j, %j) is a BAD_OPTION that names %s, and nothing is computed", async (texts, options, option) => {
    const model = await openReady();
    expect(await rejection(model.embed(texts as never, options as never))).toMatchObject({ code: "BAD_OPTION", option });
    expect(model.stats().embeddedTokens).toBe(0);
  });

  test("a text without tokens is refused where the model adds none, and its place is named", async () => {
    const model = await openReady();
    expect(await rejection(model.embed(["x", ""]))).toMatchObject({ code: "BAD_OPTION", message: expect.stringContaining("texts[1]") });
    expect((await openModel({}, encoder("mean")).embed("")).usage.promptTokens).toBe(2); // [CLS] [SEP]
  });

  test("hostile texts are embedded or refused, and the engine goes on", async () => {
    const model = openModel({}, encoder("mean"));
    const hostile = [
      "\0",
      "\uD800",
      "\uFFFD".repeat(50),
      " ".repeat(200_000),
      "a".repeat(200_000),
      "<s>[CLS]</s>",
      "🙂".repeat(40),
      "\u0301".repeat(99),
    ];
    for (const text of hostile) {
      const { embeddings } = await model.embed(text, { truncate: true });
      expect(embeddings[0]!.every(Number.isFinite)).toBe(true);
    }
    expect(length((await model.embed("fine")).embeddings[0]!)).toBeCloseTo(1, 5);
  });

  test("an encoder embeds and tokenizes; what asks it for text is UNSUPPORTED before anything is queued", async () => {
    const model = openModel({}, encoder("mean"));
    await model.ready;
    expect(await model.detokenize(await model.tokenize("hello world"))).toContain("hello");
    for (const call of [model.chat(ask("Hi")), model.completion("Hi"), model.countTokens(ask("Hi")), model.applyTemplate(ask("Hi"))]) {
      expect(await rejection(call)).toMatchObject({ code: "UNSUPPORTED", message: expect.stringContaining("encoder") });
    }
    expect(model.stats()).toMatchObject({ queued: 0, freeSlots: 0 });
  });
});

describe("files", () => {
  test("a decoder whose attention is not causal is an encoder: its texts are computed whole, and short ones together", async () => {
    const path = withKeys(decoder("mean"), join(folder, "bidirectional.gguf"), { "qwen2.attention.causal": false });
    const model = openModel({ contextSize: 256 }, path);
    expect(await model.ready).toMatchObject({ generates: false, pooling: "mean" });
    expect(await rejection(model.completion("Hi"))).toMatchObject({ code: "UNSUPPORTED" });
    const texts = Array.from({ length: 70 }, (_, i) => `${i} Once upon a time there was a fox. `.repeat(1 + (i % 6)));
    const { embeddings } = await model.embed(texts);
    for (const i of [0, 5, 41, 69]) {
      const [alone] = (await model.embed(texts[i]!)).embeddings;
      expect(cosine(alone!, embeddings[i]!)).toBeGreaterThan(0.999);
    }
  });

  test.each<[string, Record<string, unknown>]>([
    ["says that its attention is causal", { "bert.attention.causal": true }],
    ["has heads that do not divide its width", { "bert.attention.head_count": 3 }],
    ["has no heads", { "bert.attention.head_count": 0 }],
    ["has more places than its table", { "bert.context_length": 4096 }],
    ["has no token types", { "tokenizer.ggml.token_type_count": 0 }],
    ["names a pooling that there is not", { "bert.pooling_type": 9 }],
    ["has another width than its tensors", { "bert.embedding_length": 32 }],
  ])("an encoder's file that %s is BAD_MODEL", async (what, keys) => {
    const path = withKeys(encoder("mean"), join(folder, `${what}.gguf`), keys);
    expect(await rejection(openModel({}, path).embed("x"))).toMatchObject({ code: "BAD_MODEL" });
  });
});

describe("beside running streams", () => {
  test("streams say what they say without it, in deterministic mode, and go on while texts are embedded", async () => {
    const options = { deterministic: true, contextSize: 1024, maxStreams: 2 };
    const request = { messages: ask("Tell me a story"), maxTokens: 120, ...ENDLESS };
    const alone = await openModel(options).chat(request);
    const model = openModel(options);
    const stream = model.chatStream(request);
    let text = "";
    const done = (async () => {
      for await (const piece of stream) text += piece;
    })();
    await until(() => text.length > 0, "the stream has begun");
    const before = model.stats().generatedTokens;
    const { embeddings } = await model.embed([LONG, ...TEXTS]);
    expect(embeddings).toHaveLength(5);
    expect(model.stats().generatedTokens).toBeGreaterThan(before);
    await done;
    expect(text).toBe(alone.text);
  });

  test("a stream that decodes takes a turn after each piece: a long queue of texts stops nobody", async () => {
    const model = await openReady({ contextSize: 1024, latencyTargetMs: 50 });
    const stream = model.chatStream({ messages: ask("Tell me a story"), maxTokens: 200, ...ENDLESS });
    let tokens = 0;
    let embedding = false;
    let during = 0;
    const done = (async () => {
      for await (const _ of stream) {
        tokens++;
        if (embedding) during++;
      }
    })();
    await until(() => tokens > 5, "the stream has begun");
    embedding = true;
    const calls = await Promise.all(Array.from({ length: 8 }, () => model.embed(new Array<string>(8).fill(LONG))));
    embedding = false;
    expect(calls.every(({ embeddings }) => embeddings.length === 8)).toBe(true);
    expect(during).toBeGreaterThan(20);
    await done;
  });
});

describe("ends", () => {
  test("a signal ends it with its reason, before, while and after it waits, and what it had is free", async () => {
    const model = await openReady({ contextSize: 2048 });
    const reason = new Error("enough");
    expect(await rejection(model.embed("x", { signal: AbortSignal.abort(reason) }))).toBe(reason);
    const controller = new AbortController();
    const texts = new Array<string>(100).fill(LONG);
    const long = model.embed(texts, { signal: controller.signal });
    const other = model.embed("x");
    await until(() => model.stats().embeddedTokens > 0, "it is under way");
    controller.abort(reason);
    expect(await rejection(long)).toBe(reason);
    expect((await other).embeddings).toHaveLength(1);
    await until(() => model.stats().embedding === 0, "its texts are gone");
    expect(model.stats().embeddedTokens).toBeLessThan(100 * 300);
    const after = new AbortController();
    await model.embed("x", { signal: after.signal });
    after.abort();
  });

  test("closing ends what is embedded with CLOSED", async () => {
    const model = await openReady({ contextSize: 2048 });
    const calls = [model.embed(new Array<string>(50).fill(LONG)), model.embed("x")];
    const ends = calls.map((call) => rejection(call).catch(() => ({ code: "answered" })));
    await model.close();
    expect((await ends[0]) as { code: string }).toMatchObject({ code: "CLOSED" });
    await ends[1];
    expect(await rejection(model.embed("x"))).toMatchObject({ code: "CLOSED" });
  });

  test("calls beyond maxStreams + maxQueue are OVERLOADED, and there is room again once others have ended", async () => {
    const model = await openReady({ maxStreams: 1, maxQueue: 2, contextSize: 1024 });
    const texts = new Array<string>(20).fill(LONG);
    const calls = Array.from({ length: 3 }, () => model.embed(texts));
    expect(await rejection(model.embed("x"))).toMatchObject({ code: "OVERLOADED" });
    await Promise.all(calls);
    expect((await model.embed("x")).embeddings).toHaveLength(1);
  });

  test("a damaged model's vectors are ENGINE_FAILED, not numbers that are none", async () => {
    const model = openModel({}, writeEncoder(join(folder, "damaged.gguf"), "mean", SEED, { damaged: true }));
    const message = expect.stringContaining("not made of numbers") as unknown;
    for (let i = 0; i < 2; i++) expect(await rejection(model.embed("x"))).toMatchObject({ code: "ENGINE_FAILED", message });
  });
});

describe("reranking", () => {
  const DOCUMENTS = ["Paris is the capital of France.", "Bananas are yellow.", "France is in Europe.", "x"];

  test("documents come by their scores, the best first, and as many as were asked for", async () => {
    const model = openModel({}, encoder("rank"));
    expect(await model.ready).toMatchObject({ pooling: "rank", generates: false });
    const { results, usage } = await model.rerank("What is the capital of France?", DOCUMENTS);
    expect(results.map(({ index }) => index).sort()).toEqual([0, 1, 2, 3]);
    const scores = results.map(({ score }) => score);
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    expect(new Set(scores).size).toBe(4);
    expect(usage.promptTokens).toBeGreaterThan(20);
    const best = await model.rerank("What is the capital of France?", DOCUMENTS, { topN: 2 });
    expect(best.results.map(({ index }) => index)).toEqual(results.slice(0, 2).map(({ index }) => index));
  });

  test("a document's score is of the query and the document, and of no other document", async () => {
    const model = openModel({}, encoder("rank"));
    const together = await model.rerank("the query", DOCUMENTS);
    for (const { index, score } of together.results) {
      const [alone] = (await model.rerank("the query", [DOCUMENTS[index]!])).results;
      expect(alone!.score).toBeCloseTo(score, 4);
      const [other] = (await model.rerank("another query", [DOCUMENTS[index]!])).results;
      expect(Math.abs(other!.score - score)).toBeGreaterThan(1e-4);
    }
  });

  test("documents that do not fit are an error that names them, or cut", async () => {
    const model = openModel({}, encoder("rank"));
    expect(await rejection(model.rerank("q", ["x", LONG]))).toMatchObject({
      code: "CONTEXT_OVERFLOW",
      message: expect.stringContaining("documents[1]"),
    });
    const { results, usage } = await model.rerank("q", ["x", LONG], { truncate: true });
    expect(results).toHaveLength(2);
    expect(usage.promptTokens).toBeLessThan(2 * ENCODER.context);
  });

  test("a file's own form of pairs is filled in, and no document forges a token of it or another's place", async () => {
    const form = "<|im_start|>judge {query}: {document} ({query})<|im_end|>";
    const model = openModel({ contextSize: 256 }, writeDecoder(join(folder, "form.gguf"), "rank", false, form));
    const tokens = async (text: string) => (await model.tokenize(text, { special: true })).length;
    const used = async (query: string, document: string, options = {}) =>
      (await model.rerank(query, [document], options)).usage.promptTokens;
    expect(await used("what swims", "a fish")).toBe(await tokens("<|im_start|>judge what swims: a fish (what swims)<|im_end|>"));
    expect(await used("q", "x<|im_end|>")).toBeGreaterThan(await tokens("<|im_start|>judge q: x<|im_end|> (q)<|im_end|>"));
    expect(await used("{document}", "{query}")).toBe(await tokens("<|im_start|>judge {document}: {query} ({document})<|im_end|>"));
    expect(await rejection(model.rerank("q", [LONG]))).toMatchObject({ code: "CONTEXT_OVERFLOW" });
    const cut = await used("q", `${LONG} 🙂`, { truncate: true });
    expect(cut).toBeLessThanOrEqual(256);
    expect(cut).toBeGreaterThan(240);
  });

  test("a reranker has no vectors, others have no scores, and each says so", async () => {
    expect(await rejection(openModel({}, encoder("rank")).embed("x"))).toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringContaining("rerank()"),
    });
    expect(await rejection(openModel({}, encoder("mean")).rerank("q", ["x"]))).toMatchObject({ code: "UNSUPPORTED" });
    expect(await rejection((await openReady()).rerank("q", ["x"]))).toMatchObject({ code: "UNSUPPORTED" });
  });

  test.each<[unknown, unknown, object | undefined, string]>([
    [5, ["x"], undefined, "query"],
    ["q", "x", undefined, "documents"],
    ["q", [], undefined, "documents"],
    ["q", [5], undefined, "documents[0]"],
    ["q", ["x"], { topN: 0 }, "topN"],
    ["q", ["x"], { top: 1 }, "top"],
  ])("rerank(%j, %j, %j) is a BAD_OPTION that names %s", async (query, documents, options, option) => {
    const model = openModel({}, encoder("rank"));
    expect(await rejection(model.rerank(query as never, documents as never, options as never))).toMatchObject({
      code: "BAD_OPTION",
      option,
    });
  });
});
