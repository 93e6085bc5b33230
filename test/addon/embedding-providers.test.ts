// zstream/ai-sdk and zstream/langchain as embedding models, under their frameworks (AI SDK 6 here; 7 is in test/http/node22.test.ts), on an encoder.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Document } from "@langchain/core/documents";
import { cosineSimilarity, embed, embedMany } from "ai";
import { afterAll, describe, expect, test } from "vitest";
import { zseEmbedding } from "../../lib/providers/ai-sdk/index.js";
import { ZSEEmbeddings } from "../../lib/providers/langchain/index.js";
import { writeEncoder } from "../embedding-models.js";
import { openModel, rejection, until } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zse-embed-providers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = writeEncoder(join(folder, "encoder.gguf"), "mean", 11);

async function open() {
  const model = openModel({}, path);
  await model.ready;
  return model;
}
const close = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).every((one, i) => Math.abs(one - b[i]!) < 1e-5);

describe("the AI SDK", () => {
  test("embeds a value, and many, with their usage", async () => {
    const model = await open();
    const provided = zseEmbedding(model, { specification: "v3" });
    expect([provided.modelId, provided.specificationVersion, zseEmbedding(model).specificationVersion]).toEqual(["bert-bge", "v3", "v4"]);
    const expected = await model.embed(["Hello", "fox"]);
    const one = await embed({ model: provided, value: "Hello" });
    expect(close(one.embedding, expected.embeddings[0]!)).toBe(true);
    expect(one.usage.tokens).toBe(3);
    const many = await embedMany({ model: provided, values: ["Hello", "fox"] });
    expect(many.embeddings.every((vector, i) => close(vector, expected.embeddings[i]!))).toBe(true);
    expect(many.usage.tokens).toBe(expected.usage.totalTokens);
    expect(cosineSimilarity(many.embeddings[0]!, one.embedding)).toBeCloseTo(1, 4);
  });

  test("more values than one call takes are several calls, and each vector is its value's", async () => {
    const model = await open();
    const values = Array.from({ length: 2100 }, (_, i) => `v${i % 7}`);
    const { embeddings } = await embedMany({ model: zseEmbedding(model, { specification: "v3" }), values });
    expect(embeddings).toHaveLength(2100);
    expect(close(embeddings[2099]!, embeddings[2099 % 7]!)).toBe(true);
    expect(close(embeddings[1]!, embeddings[0]!)).toBe(false);
  });

  test("takes options by settings and by call, and an abort", async () => {
    const model = await open();
    const provided = zseEmbedding(model, { specification: "v3", name: "mine", options: { dimensions: 8 } });
    expect(provided.modelId).toBe("mine");
    expect((await embed({ model: provided, value: "x" })).embedding).toHaveLength(8);
    const providerOptions = { zstream: { dimensions: 16, normalize: false } };
    expect((await embed({ model: provided, value: "x", providerOptions })).embedding).toHaveLength(16);
    const wrong = embed({ model: provided, value: "x", providerOptions: { zstream: { dimension: 1 } }, maxRetries: 0 });
    expect(await rejection(wrong)).toMatchObject({ code: "BAD_OPTION", option: "dimension" });
    const leaving = new AbortController();
    const values = new Array<string>(2000).fill("a long text to be computed ".repeat(4));
    const left = rejection(embedMany({ model: provided, values, abortSignal: leaving.signal, maxRetries: 0 }));
    await until(() => model.stats().embeddedTokens > 2000, "it is under way");
    leaving.abort();
    expect(await left).toMatchObject({ name: "AbortError" });
    await until(() => model.stats().embedding === 0, "its texts are gone");
  });

  test.each<[unknown, unknown, string]>([
    [{}, undefined, "model"],
    [undefined, undefined, "model"],
    ["model", { specification: "v5" }, "specification"],
    ["model", { name: "" }, "name"],
    ["model", { options: { signal: 1 } }, "options"],
  ])("zseEmbedding(%j, %j) is a BAD_OPTION that names %s", (given, settings, option) => {
    const model = given === "model" ? { embed: () => Promise.reject(new Error("never")) } : given;
    expect(() => zseEmbedding(model as never, settings as never)).toThrow(expect.objectContaining({ code: "BAD_OPTION", option }));
  });
});

describe("LangChain", () => {
  test("embeds documents and queries, with the words that go before each, in batches", async () => {
    const model = await open();
    const embeddings = new ZSEEmbeddings({ model, queryPrefix: "query: ", documentPrefix: "passage: ", batchSize: 2, maxRetries: 0 });
    const documents = [new Document({ pageContent: "Hello" }), new Document({ pageContent: "fox" }), new Document({ pageContent: "x" })];
    const vectors = await embeddings.embedDocuments(documents.map(({ pageContent }) => pageContent));
    const expected = await model.embed(["passage: Hello", "passage: fox", "passage: x", "query: Hello"]);
    expect(vectors).toHaveLength(3);
    for (const [i, vector] of vectors.entries()) expect(close(vector, expected.embeddings[i]!)).toBe(true);
    expect(close(await embeddings.embedQuery("Hello"), expected.embeddings[3]!)).toBe(true);
    expect(await embeddings.embedDocuments([])).toEqual([]);
    expect(await new ZSEEmbeddings({ model, dimensions: 8 }).embedQuery("x")).toHaveLength(8);
  });

  test.each<[unknown, string]>([
    [undefined, "fields"],
    [{}, "model"],
    [{ model: "model", dimension: 3 }, "dimension"],
    [{ model: "model", queryPrefix: 3 }, "queryPrefix"],
    [{ model: "model", batchSize: 0 }, "batchSize"],
  ])("new ZSEEmbeddings(%j) is a BAD_OPTION that names %s", (fields, option) => {
    const model = { embed: () => Promise.reject(new Error("never")) };
    const given = (fields as { model?: unknown } | undefined)?.model === "model" ? { ...(fields as object), model } : fields;
    expect(() => new ZSEEmbeddings(given as never)).toThrow(expect.objectContaining({ code: "BAD_OPTION", option }));
  });
});
