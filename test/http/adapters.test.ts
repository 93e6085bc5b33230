// A model's adapters over HTTP: "qwen:pirate" is the model with its adapter, in every format; over real sockets, with the clients that people use.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createHandler } from "../../lib/http/index.js";
import { ModelPool } from "../../lib/pool/model-pool.js";
import { DEMO } from "../addon/helpers.js";
import { makeRandomAdapter } from "../random-adapter.js";
import { json, open, post, serveApp } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zse-adapters-http-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const adapters = [{ name: "pirate", path: join(folder, "pirate.gguf") }];
beforeAll(() => makeRandomAdapter(DEMO, adapters[0]!.path, { seed: 1 }));

const messages = [{ role: "user" as const, content: "Tell me a story about a fox" }];
const asked = { messages, temperature: 0, max_tokens: 20 };

describe("zse serve", () => {
  test("answers to a model's name with an adapter behind a colon, and lists it", async () => {
    const { base, model } = await serveApp({ adapters }, { name: "tiny", aliases: ["gpt-4o"] });
    const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none" });
    const said = async (name: string) => (await client.chat.completions.create({ ...asked, model: name })).choices[0]!.message.content;
    const alone = (await model.chat(messages, { temperature: 0, maxTokens: 20 })).text;
    const pirate = (await model.chat(messages, { temperature: 0, maxTokens: 20, adapter: "pirate" })).text;
    expect(pirate).not.toBe(alone);
    expect([await said("tiny"), await said("tiny:pirate"), await said("gpt-4o:pirate")]).toEqual([alone, pirate, pirate]);
    const names = [];
    for await (const { id } of client.models.list()) names.push(id);
    expect(names).toEqual(["tiny", "tiny:pirate", "gpt-4o", "gpt-4o:pirate"]);
    expect((await client.models.retrieve("tiny:pirate")).id).toBe("tiny:pirate");
    for (const wrong of ["tiny:sailor", "other:pirate", "tiny:", ":pirate"]) {
      await expect(said(wrong)).rejects.toMatchObject({
        status: 404,
        code: "model_not_found",
        message: expect.stringContaining("tiny:pirate"),
      });
    }
  });

  test("in every format, streamed and whole", async () => {
    const { base } = await serveApp({ adapters }, { name: "tiny" });
    const texts = async (model: string) => [
      JSON.stringify((await json(await post(`${base}/v1/completions`, { model, prompt: "Once", max_tokens: 12, temperature: 0 }))).choices),
      JSON.stringify((await json(await post(`${base}/v1/messages`, { ...asked, model }))) as object).replace(
        /"id":"[^"]*"|"model":"[^"]*"/g,
        "",
      ),
      await (await post(`${base}/api/chat`, { model, messages, stream: false, options: { temperature: 0, num_predict: 12 } }))
        .json()
        .then((body) => (body as { message: { content: string } }).message.content),
    ];
    const [alone, pirate] = [await texts("tiny"), await texts("tiny:pirate")];
    for (const [i, text] of alone.entries()) expect(pirate[i]).not.toBe(text);
    const tokens = async (model: string) =>
      ((await (await post(`${base}/tokenize`, { model, content: "Hi" })).json()) as { tokens: number[] }).tokens;
    expect(await tokens("tiny:pirate")).toEqual(await tokens("tiny"));
  });
});

describe("a handler", () => {
  const ask = (handler: (request: Request) => Promise<Response>, model: string) =>
    handler(
      new Request("http://x/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...asked, model }),
      }),
    ).then(async (response) => ({
      status: response.status,
      text: ((await response.json()) as { choices?: { message: { content: string } }[] }).choices?.[0]?.message.content,
    }));

  test("of one model takes any name, and knows its adapters behind a colon", async () => {
    const handler = createHandler(await open({ adapters }));
    const [alone, pirate, other] = [await ask(handler, "x"), await ask(handler, "x:pirate"), await ask(handler, "x:7b")];
    expect(pirate.text).not.toBe(alone.text);
    expect(other).toEqual(alone);
  });

  test("of a pool knows them once the model is open: another one is a 404, and the model is let go", async () => {
    await using pool = new ModelPool({
      models: { tiny: { path: DEMO, contextSize: 512, threads: 1, adapters }, plain: { path: DEMO, contextSize: 512, threads: 1 } },
    });
    const handler = createHandler(pool);
    const pirate = await ask(handler, "tiny:pirate");
    expect(pirate.status).toBe(200);
    expect(pirate.text).not.toBe((await ask(handler, "tiny")).text);
    expect(await ask(handler, "plain:pirate")).toEqual({ status: 404, text: undefined });
    expect(await ask(handler, "gone:pirate")).toEqual({ status: 404, text: undefined });
    expect((await ask(handler, "plain")).status).toBe(200);
  });
});
