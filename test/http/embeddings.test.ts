// Routes for vectors and scores under zse serve, over real sockets: by hand, then by the packages that people use.

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { afterAll, describe, expect, test } from "vitest";
import { ROOT, start } from "../addon/helpers.js";
import { ENCODER, writeEncoder } from "../embedding-models.js";
import { json, post, serveApp, until } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zse-embed-http-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const ENCODING = writeEncoder(join(folder, "encoder.gguf"), "mean", 7);
const RANKING = writeEncoder(join(folder, "reranker.gguf"), "rank", 7);
const LONG = "Once upon a time there was a little fox who lived by a river. ".repeat(20);

const serveEncoder = (engine = {}, options = {}) => serveApp(engine, options, {}, ENCODING);
const close = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).every((one, i) => Math.abs(one - b[i]!) < 1e-5);

interface List {
  object: string;
  model: string;
  data: { object: string; index: number; embedding: number[] | string }[];
  usage: { prompt_tokens: number; total_tokens: number };
}

describe("/v1/embeddings", () => {
  test("gives each text's vector as numbers or as base64, with the usage, under the name that was asked", async () => {
    const { base, model } = await serveEncoder({}, { aliases: ["text-embedding-3-small"] });
    const input = ["Hello", "The quick brown fox"];
    const { embeddings, usage } = await model.embed(input);
    const asked = async (more: object) =>
      (await json(await post(`${base}/v1/embeddings`, { model: "text-embedding-3-small", input, ...more }))) as unknown as List;
    for (const format of ["float", "base64", undefined]) {
      const list = await asked({ encoding_format: format });
      expect(list).toMatchObject({
        object: "list",
        model: "text-embedding-3-small",
        usage: { prompt_tokens: usage.promptTokens, total_tokens: usage.promptTokens },
      });
      for (const [i, { object, index, embedding }] of list.data.entries()) {
        expect([object, index]).toEqual(["embedding", i]);
        const bytes = typeof embedding === "string" ? Buffer.from(embedding, "base64") : undefined;
        const vector = bytes === undefined ? (embedding as number[]) : new Float32Array(new Uint8Array(bytes).buffer);
        expect(typeof embedding === "string").toBe(format === "base64");
        expect(close(vector, embeddings[i]!)).toBe(true);
      }
    }
  });

  test("takes one text, token ids, lists of them, and dimensions, at every address that clients ask", async () => {
    const { base, model } = await serveEncoder();
    const tokens = await model.tokenize("Hello", { addSpecial: true });
    const [expected] = (await model.embed("Hello")).embeddings;
    for (const path of ["/v1/embeddings", "/embeddings", "//v1/embeddings/"]) {
      for (const input of ["Hello", ["Hello"], tokens, [tokens]]) {
        const { data } = (await json(await post(`${base}${path}`, { input }))) as unknown as List;
        expect(data).toHaveLength(1);
        expect(close(data[0]!.embedding as number[], expected!)).toBe(true);
      }
    }
    const { data } = (await json(await post(`${base}/v1/embeddings`, { input: "Hello", dimensions: 8, user: "me" }))) as unknown as List;
    expect(data[0]!.embedding).toHaveLength(8);
  });

  test.each<[object, string, string]>([
    [{}, "input", "invalid_value"],
    [{ input: 5 }, "input", "invalid_value"],
    [{ input: [] }, "input", "invalid_value"],
    [{ input: ["x", 5] }, "input[1]", "invalid_value"],
    [{ input: [[1, 99_999]] }, "input[0][1]", "invalid_value"],
    [{ input: new Array(2049).fill("x") }, "input", "invalid_value"],
    [{ input: "x", encoding_format: "hex" }, "encoding_format", "invalid_value"],
    [{ input: "x", dimensions: 0 }, "dimensions", "invalid_value"],
    [{ input: "x", dimensions: 65 }, "dimensions", "invalid_value"],
    [{ input: "x", model: 5 }, "model", "invalid_value"],
    [{ input: ["x", LONG] }, "input", "context_length_exceeded"],
  ])("a wrong request is a 400 that names what is wrong (%#)", async (body, param, code) => {
    const { base } = await serveEncoder();
    const response = await post(`${base}/v1/embeddings`, body);
    const { error } = await json(response);
    expect([response.status, error.param, error.code, error.type]).toEqual([400, param, code, "invalid_request_error"]);
    expect(error.message).not.toContain("texts");
    if (code === "context_length_exceeded")
      expect(error.message).toMatch(/maximum context length is 128 tokens.*input\[1\] has \d+ tokens/);
  });

  test("needs a key where there are keys, and a model that is here", async () => {
    const { base } = await serveEncoder({}, { apiKeys: ["sk-1"] });
    for (const path of ["/v1/embeddings", "/embeddings", "/api/embed", "/api/embeddings", "/v1/rerank", "/rerank"]) {
      expect((await post(`${base}${path}`, { input: "x" })).status).toBe(401);
      const headers = { "content-type": "application/json", authorization: "Bearer sk-1" };
      expect((await post(`${base}${path}`, { input: "x", model: "other" }, { headers })).status).toBe(404);
    }
  });

  test("a client that leaves ends what it asked for", async () => {
    const { base, model } = await serveApp({ contextSize: 1024 });
    const leaving = new AbortController();
    const input = new Array<string>(200).fill(LONG);
    const left = post(`${base}/v1/embeddings`, { input }, { signal: leaving.signal }).catch(() => "left");
    await until(() => model.stats().embeddedTokens > 0, "it is under way");
    leaving.abort();
    expect(await left).toBe("left");
    await until(() => model.stats().embedding === 0, "its texts are gone");
    expect(model.stats().embeddedTokens).toBeLessThan(200 * 300);
  });

  test("more requests than there is room for are told to come back, and each answer stays right", async () => {
    const { base } = await serveApp({ contextSize: 1024, maxStreams: 1, maxQueue: 1 });
    const input = new Array<string>(10).fill(LONG);
    const all = await Promise.all(Array.from({ length: 8 }, () => post(`${base}/v1/embeddings`, { input })));
    const statuses = all.map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([200, 429]));
    for (const response of all) {
      if (response.status === 429) expect(response.headers.get("retry-after")).not.toBeNull();
      else expect(((await response.json()) as List).data).toHaveLength(10);
    }
  });

  test("an encoder's server says so to who asks it for a chat, in /api/show and in /metrics", async () => {
    const { base, url } = await serveEncoder();
    const response = await post(url, { model: "qwen-7b", messages: [{ role: "user", content: "Hi" }] });
    expect([response.status, (await json(response)).error.message]).toEqual([400, expect.stringContaining("encoder")]);
    expect(await (await post(`${base}/api/show`, { model: "qwen-7b" })).json()).toMatchObject({ capabilities: ["embedding"] });
    await post(`${base}/v1/embeddings`, { input: "Hello" });
    expect(await (await fetch(`${base}/metrics`)).text()).toMatch(/zstream_embedded_tokens_total\{.*\} 3/);
  });
});

describe("/v1/rerank", () => {
  const documents = ["Paris is the capital of France.", "Bananas are yellow.", "x"];
  const query = "What is the capital of France?";
  const serve = () => serveApp({}, {}, {}, RANKING);

  test("gives the documents by their scores, as Jina, llama-server and TEI do", async () => {
    const { base, model } = await serve();
    const { results, usage } = await model.rerank(query, documents);
    const told = results.map(({ index, score }) => ({ index, relevance_score: score }));
    for (const path of ["/v1/rerank", "/rerank", "/v1/reranking", "/reranking"]) {
      expect(await json(await post(`${base}${path}`, { query, documents }))).toMatchObject({
        object: "list",
        model: "qwen-7b",
        usage: { prompt_tokens: usage.promptTokens, total_tokens: usage.promptTokens },
        results: told,
      });
    }
    const objects = documents.map((text) => ({ text }));
    const best = await json(await post(`${base}/v1/rerank`, { query, documents: objects, top_n: 1, return_documents: true }));
    expect(best.results).toEqual([{ ...told[0], document: { text: documents[results[0]!.index] } }]);
    const tei = await json(await post(`${base}/rerank`, { query, texts: documents, return_text: true }));
    expect(tei).toEqual(results.map(({ index, score }) => ({ index, score, text: documents[index] })));
  });

  test.each<[object, string]>([
    [{ documents }, "query"],
    [{ query }, "documents"],
    [{ query, documents: [] }, "documents"],
    [{ query, documents: ["x", 5] }, "documents[1]"],
    [{ query, texts: "x" }, "texts"],
    [{ query, documents, top_n: 0 }, "top_n"],
    [{ query, documents: [LONG] }, "documents"],
  ])("a wrong request is a 400 that names what is wrong (%#)", async (body, param) => {
    const { base } = await serve();
    const response = await post(`${base}/v1/rerank`, body);
    expect([response.status, (await json(response)).error.param]).toEqual([400, param]);
  });

  test("a model that gives no scores says so", async () => {
    const { base } = await serveEncoder();
    const response = await post(`${base}/v1/rerank`, { query, documents });
    expect([response.status, (await json(response)).error.code]).toEqual([400, "unsupported_parameter"]);
  });
});

test.each([
  ["an encoder", ENCODING, '"embedding":['],
  ["a reranker", RANKING, '"relevance_score":'],
])("zse serve with %s prints a line that it answers when it is pasted", async (_, path, expected) => {
  const { child, ended } = start([join(ROOT, "dist", "cli", "main.js"), "serve", path, "--port", "0", "--threads", "1"]);
  let out = "";
  child.stdout!.on("data", (text: string) => {
    out += text;
  });
  await until(() => out.includes("\n\ncurl ") && out.endsWith("\n\n"), "the ready lines", 30_000);
  const curl = /^curl .*$/m.exec(out)![0].replace("curl -N", "curl -sN");
  const { stdout } = await promisify(execFile)("bash", ["-c", curl]);
  expect(stdout).toContain(expected);
  child.kill("SIGTERM");
  expect((await ended).code).toBe(0);
});

describe("clients", () => {
  test("openai: vectors of texts, by its own base64 and as numbers; a refusal is its error", async () => {
    const { base, model } = await serveEncoder();
    const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "x", maxRetries: 0 });
    const { embeddings } = await model.embed(["Hello", "fox"]);
    for (const encoding_format of [undefined, "float", "base64"] as const) {
      const request = { model: "qwen-7b", input: ["Hello", "fox"], ...(encoding_format === undefined ? {} : { encoding_format }) };
      const { data, usage } = await client.embeddings.create(request);
      expect(usage.prompt_tokens).toBe(6);
      if (encoding_format === "base64") continue; // it is given as it came
      for (const [i, one] of data.entries()) expect(close(one.embedding, embeddings[i]!)).toBe(true);
    }
    const refused = client.embeddings.create({ model: "qwen-7b", input: LONG });
    await expect(refused).rejects.toMatchObject({ status: 400, code: "context_length_exceeded" });
  });

  test("ollama-js: vectors of texts, cut where they are too long unless that is refused, and the old call's, which are not normalised", async () => {
    const { base, model } = await serveEncoder();
    const ollama = new Ollama({ host: base });
    const { embeddings, usage } = await model.embed(["Hello", "fox"]);
    const answer = await ollama.embed({ model: "qwen-7b", input: ["Hello", "fox"] });
    expect(answer).toMatchObject({ model: "qwen-7b", prompt_eval_count: usage.promptTokens });
    for (const [i, one] of answer.embeddings.entries()) expect(close(one, embeddings[i]!)).toBe(true);
    expect(answer.total_duration).toBeGreaterThan(0);
    expect((await ollama.embed({ model: "qwen-7b:latest", input: LONG })).prompt_eval_count).toBe(ENCODER.context);
    await expect(ollama.embed({ model: "qwen-7b", input: LONG, truncate: false })).rejects.toThrow("maximum context length");
    expect((await ollama.embed({ model: "qwen-7b", input: "x", dimensions: 8 })).embeddings[0]).toHaveLength(8);
    const [plain] = (await model.embed("Hello", { normalize: false })).embeddings;
    expect(close((await ollama.embeddings({ model: "qwen-7b", prompt: "Hello" })).embedding, plain!)).toBe(true);
    expect((await ollama.embeddings({ model: "qwen-7b", prompt: "" })).embedding).toEqual([]);
    expect((await ollama.embed({ model: "qwen-7b", input: [] })).embeddings).toEqual([]);
    await expect(ollama.embed({ model: "other", input: "x" })).rejects.toThrow("no model");
  });
});
