// The newest clients, which need Node 22, each from its own package, under the Node that npm's `node` package carries: they stream,
// count and cancel as they do against OpenAI. The server runs here. What they do is node22/client.mjs; node22/provider.mjs has no server.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

import { buildLibrary } from "../addon/helpers.js";
import { callOf } from "../unit/fake-native.js";
import { GREEDY, idle, serveApp, stream, until } from "./helpers.js";
import { serveScript } from "./scripted.js";

const { install, NODE } = (await import(`./node22/${"install"}.mjs`)) as { install(): string | undefined; NODE: string };
const missing = install();
if (missing !== undefined) console.warn(`skipped: ${missing}`);

interface Seen {
  node: string;
  text: string;
  pieces: number;
  inputTokens: number;
  outputTokens: number;
  finishReason: string;
}

/** Runs a program of that folder to its end. */
async function run(program: string, ...args: string[]): Promise<unknown> {
  const { stdout } = await promisify(execFile)(NODE, [join(import.meta.dirname, "node22", program), ...args], { timeout: 50_000 });
  return JSON.parse(stdout);
}

async function client(what: string, base: string): Promise<Seen> {
  return (await run("client.mjs", what, base)) as Seen;
}

describe.skipIf(missing !== undefined)("under Node 22", () => {
  test.each(["openai", "openai's responses", "ai", "ai's responses", "langchain"])("%s streams the reply and its usage", async (name) => {
    const { base, url } = await serveApp();
    const expected = await stream(url, GREEDY);
    const { prompt_tokens, completion_tokens } = expected.chunks.at(-1)!.usage!;
    const seen = await client(`${name} streams`, base);
    expect(seen.node).toMatch(/^v22\./);
    expect(seen.text).toBe(expected.texts[0]);
    expect(seen.pieces).toBeGreaterThan(3);
    expect([seen.inputTokens, seen.outputTokens]).toEqual([prompt_tokens, completion_tokens]);
    if (name === "ai") expect(seen.finishReason).toBe(expected.finishReasons[0]);
  });

  test("the AI SDK's provider for Anthropic streams, runs a tool, and leaves", async () => {
    const { base, url } = await serveApp({ maxStreams: 1, contextSize: 4096 });
    const expected = await stream(url, { ...GREEDY, reasoning_effort: "none" });
    const { prompt_tokens, completion_tokens } = expected.chunks.at(-1)!.usage!;
    expect(await client("anthropic streams", base)).toMatchObject({
      text: expected.texts[0],
      inputTokens: prompt_tokens,
      outputTokens: completion_tokens,
      finishReason: expected.finishReasons[0],
    });
    const leaving = await serveApp({ maxStreams: 1, contextSize: 4096 });
    expect((await client("anthropic leaves", leaving.base)).pieces).toBeGreaterThan(0);
    await until(() => leaving.lines.length > 0, "its line in the log");
    expect(leaving.lines[0]).toMatchObject({ msg: "cancelled", status: 499 });
    const { base: scripted, fake } = await serveScript(callOf("get_weather", { city: "Paris" }, 0, "c1"), ["It is ", "clear."]);
    expect(await client("anthropic runs a tool", scripted)).toMatchObject({ text: "It is clear.", output: "Paris: clear" });
    expect(fake.streams).toHaveLength(2);
  });

  test.each(["ai whole", "langchain whole", "openai's helper"])("%s: the same reply in one piece", async (what) => {
    const { base, url } = await serveApp();
    expect((await client(what, base)).text).toBe((await stream(url, GREEDY)).texts[0]);
  });

  test.each(["openai leaves", "ai leaves", "langchain leaves", "langchain breaks"])(
    "%s: its reply is cancelled on the server",
    async (what) => {
      const { base, model, lines } = await serveApp({ maxStreams: 1, contextSize: 4096 });
      expect((await client(what, base)).pieces).toBeGreaterThan(0);
      await until(() => idle(model, 1), "the slot is free");
      await until(() => lines.length > 0, "its line in the log");
      expect(lines[0]).toMatchObject({ msg: "cancelled", status: 499 });
    },
  );

  test.each(["openai", "ai", "ai's openai", "langchain"])("%s embeds texts", async (name) => {
    const { base, model } = await serveApp();
    const { embeddings, usage } = await model.embed(["a fox", "a river"], { dimensions: 8 });
    const seen = (await run("client.mjs", `${name} embeds`, base)) as { vectors: number[][]; inputTokens?: number };
    expect(seen.vectors).toHaveLength(2);
    for (const [i, vector] of seen.vectors.entries()) {
      expect(vector).toHaveLength(8);
      for (const [j, value] of vector.entries()) expect(value).toBeCloseTo(embeddings[i]![j]!, 2);
    }
    if (name !== "langchain") expect(seen.inputTokens).toBe(usage.promptTokens);
  });

  test("openai and ai see a refusal with its status", async () => {
    const { base } = await serveApp();
    expect(await client("openai is refused", base)).toMatchObject({
      name: "NotFoundError",
      status: 404,
      code: "model_not_found",
      param: "model",
    });
    expect(await client("ai is refused", base)).toMatchObject({ status: 404 });
  });

  test("AI SDK 7 streams, calls tools, has objects and leaves, with zstream/ai-sdk in its own process", async () => {
    buildLibrary();
    const seen = (await run("provider.mjs")) as Record<string, unknown>;
    expect(seen).toMatchObject({
      node: expect.stringMatching(/^v22\./),
      isWhole: true,
      calls: [{ toolName: "get_weather", input: { city: "Paris" } }],
      object: { name: expect.any(String), age: expect.any(Number) },
      warnings: [],
      embeds: { dimensions: 8, isOurs: true, tokens: true },
    });
    expect(seen.pieces).toBeGreaterThan(10);
    expect(String(seen.answer).length).toBeGreaterThan(5);
    expect(seen.cached).toBeGreaterThan(0);
  });
});
