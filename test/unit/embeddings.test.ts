// embed() and rerank() over a fake addon: what is asked of the engine, what comes of its answers, and how they end.

import { describe, expect, test } from "vitest";
import { fakeVector } from "./fake-native.js";
import { openFake, openReady, rejection, settle, unhandledDuring } from "./helpers.js";

const VOCABULARY = { vocabularySize: 1000 };
const RANKS = { pooling: "rank" } as const;

describe("embed()", () => {
  test("gives a vector for each text, in order, with memory of its own, and the tokens that they took", async () => {
    const { model } = await openReady({ info: VOCABULARY });
    const { embeddings, usage } = await model.embed(["fox", [102, 111], Int32Array.of(120)]);
    expect(embeddings.map((vector) => [...vector])).toEqual([fakeVector("fox"), fakeVector("fo"), fakeVector("x")]);
    for (const vector of embeddings) expect(vector.buffer.byteLength).toBe(vector.byteLength);
    expect(usage).toEqual({ promptTokens: 6, totalTokens: 6 });
    expect((await model.embed("fox", { dimensions: 2 })).embeddings).toEqual([Float32Array.from(fakeVector("fox").slice(0, 2))]);
    expect((await model.embed("fox", { normalize: false })).embeddings).toEqual([Float32Array.from(fakeVector("fox", false))]);
    expect((await model.embed([1, 2, 3])).embeddings).toHaveLength(1); // the tokens of one text
  });

  test("waits for the model, and takes what was given as it was then", async () => {
    const { model, fake } = openFake({ load: "manual", info: VOCABULARY });
    const tokens = [102, 111];
    const asked = model.embed([tokens]);
    tokens[0] = 120;
    fake.becomeReady();
    expect([...(await asked).embeddings[0]!]).toEqual(fakeVector("fo"));
  });

  test.each<[string, boolean]>([
    ["before the model is loaded", false],
    ["while it is computed", true],
  ])("a signal ends it %s, with its reason, and the engine is told where it was asked", async (_, isReady) => {
    const { model, fake } = openFake({ load: "manual", holdsVectors: true });
    const leaving = new AbortController();
    const asked = rejection(model.embed("fox", { signal: leaving.signal }));
    if (isReady) fake.becomeReady();
    await settle();
    const reason = new Error("enough");
    const unhandled = await unhandledDuring(async () => {
      leaving.abort(reason);
      expect(await asked).toBe(reason);
      if (!isReady) fake.becomeReady();
      await settle();
      fake.answerVectors();
    });
    expect(unhandled).toEqual([]);
    expect(fake.withdrawn).toHaveLength(isReady ? 1 : 0);
  });

  test("room for calls is taken until the engine has answered, withdrawn ones too", async () => {
    const { model, fake } = await openReady({ holdsVectors: true }, { maxStreams: 1, maxQueue: 1 });
    const leaving = new AbortController();
    const calls = [rejection(model.embed("a", { signal: leaving.signal })), model.embed("b")];
    await settle();
    const error = await rejection(model.embed("c"));
    expect(error).toMatchObject({ code: "OVERLOADED", message: expect.stringContaining("maxStreams + maxQueue = 2") });
    leaving.abort();
    await calls[0];
    expect(fake.withdrawn).toHaveLength(1);
    await settle();
    const next = model.embed("d");
    await settle();
    fake.answerVectors();
    expect([...(await next).embeddings[0]!]).toEqual(fakeVector("d"));
    await calls[1];
  });

  test("a signal that aborts after the answer changes nothing, and is not listened to any more", async () => {
    const { model, fake } = await openReady();
    const leaving = new AbortController();
    await model.embed("fox", { signal: leaving.signal });
    leaving.abort();
    await settle();
    expect(fake.withdrawn).toEqual([]);
  });

  test("what only the model can know is refused before the engine is asked", async () => {
    const { model } = await openReady({ info: { vocabularySize: 1000, contextSize: 4, vectorSize: 4 } });
    const refused = async (texts: Parameters<typeof model.embed>[0], options = {}) => rejection(model.embed(texts, options));
    expect(await refused([[5], [1000]])).toMatchObject({ code: "BAD_OPTION", option: "texts[1][0]" });
    expect(await refused("x", { dimensions: 5 })).toMatchObject({ code: "BAD_OPTION", option: "dimensions" });
    expect(await refused([[5], [1, 2, 3, 4, 5]])).toMatchObject({ code: "CONTEXT_OVERFLOW", message: expect.stringContaining("texts[1]") });
    expect((await model.embed([[1, 2, 3, 4, 5]], { truncate: true })).embeddings).toHaveLength(1);
    const { model: ranks } = await openReady({ info: RANKS });
    expect(await rejection(ranks.embed("x"))).toMatchObject({ code: "UNSUPPORTED" });
  });

  test("more text than one call may have is refused, and nothing is copied", async () => {
    const { model } = await openReady();
    const large = "x".repeat(40 * 2 ** 20);
    expect(await rejection(model.embed([large, large]))).toMatchObject({ code: "BAD_OPTION", option: "texts[1]" });
    const tokens = new Int32Array(2 ** 21 + 1);
    expect(await rejection(model.embed([tokens, tokens]))).toMatchObject({ code: "BAD_OPTION", option: "texts[1]" });
  });

  test("closing the model ends it with CLOSED", async () => {
    const { model } = await openReady({ holdsVectors: true });
    const asked = rejection(model.embed("fox"));
    await settle();
    await model.close();
    expect(await asked).toMatchObject({ code: "CLOSED" });
  });
});

describe("rerank()", () => {
  test("gives the documents by their scores, the best first, as many as were asked for", async () => {
    const { model } = await openReady({ info: RANKS });
    const documents = ["aa", "a", "aaaa", "aaa"];
    const { results, usage } = await model.rerank("q", documents);
    expect(results).toEqual([2, 3, 0, 1].map((index) => ({ index, score: documents[index]!.length })));
    expect(usage).toEqual({ promptTokens: 14, totalTokens: 14 });
    expect((await model.rerank("q", documents, { topN: 2 })).results).toEqual(results.slice(0, 2));
    expect((await model.rerank("q", documents, { topN: 9 })).results).toEqual(results);
  });

  test("a model that gives no scores is UNSUPPORTED; a signal ends it", async () => {
    const { model } = await openReady();
    expect(await rejection(model.rerank("q", ["x"]))).toMatchObject({ code: "UNSUPPORTED" });
    const { model: ranks } = await openReady({ info: RANKS, holdsVectors: true });
    const reason = new Error("enough");
    expect(await rejection(ranks.rerank("q", ["x"], { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });
});

test("an encoder refuses streams before anything is queued", async () => {
  const { model, fake } = await openReady({ info: { generates: false, architecture: "bert" } });
  for (const call of [
    model.chat([{ role: "user", content: "Hi" }]),
    model.completion("Hi"),
    model.countTokens([{ role: "user", content: "Hi" }]),
  ]) {
    expect(await rejection(call)).toMatchObject({ code: "UNSUPPORTED", message: expect.stringContaining('"bert"') });
  }
  expect(fake.streams).toEqual([]);
});
