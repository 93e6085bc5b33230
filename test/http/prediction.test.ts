// OpenAI's predicted output on the wire: what usage tells of it, streamed and whole, and as its SDK asks for it.

import OpenAI from "openai";
import { expect, test } from "vitest";

import { GREEDY, json, post, serveApp } from "./helpers.js";

const MESSAGES = [{ role: "user" as const, content: "Tell me a story" }];
const BODY = { ...GREEDY, messages: MESSAGES, max_tokens: 50 };

test("a prediction changes no text, and usage counts its tokens, streamed and whole, as the openai SDK reads it", async () => {
  const { base } = await serveApp();
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "not-needed" });
  const plain = await client.chat.completions.create({ ...BODY });
  expect(plain.usage!.completion_tokens_details).toBeUndefined();
  const { content } = plain.choices[0]!.message;
  for (const said of [content!, [{ type: "text" as const, text: content! }]]) {
    const predicted = await client.chat.completions.create({ ...BODY, prediction: { type: "content", content: said } });
    expect(predicted.choices[0]!.message.content).toBe(content);
    const details = predicted.usage!.completion_tokens_details!;
    expect(details.accepted_prediction_tokens).toBeGreaterThan(10);
    expect(details.rejected_prediction_tokens).toBeGreaterThanOrEqual(0);
  }
  const stream = client.chat.completions.stream({
    ...BODY,
    prediction: { type: "content", content: content! },
    stream_options: { include_usage: true },
  });
  const last = await stream.finalChatCompletion();
  expect(last.choices[0]!.message.content).toBe(content);
  expect(last.usage!.completion_tokens_details!.accepted_prediction_tokens).toBeGreaterThan(10);
});

test("what is no prediction, and what cannot be guessed so, is a 400 that names the field", async () => {
  const { url } = await serveApp();
  for (const [fields, param] of [
    [{ prediction: "text" }, undefined],
    [{ prediction: { type: "other", content: "x" } }, "prediction"],
    [{ prediction: { type: "content", content: 5 } }, "prediction.content"],
    [{ speculate: { tokens: 1000 } }, "speculate.tokens"],
  ] as const) {
    const response = await post(url, { ...BODY, ...fields });
    const body = (await json(response)) as { error?: { param: string } };
    if (param === undefined) expect(response.status).toBe(200);
    else expect({ status: response.status, param: body.error!.param }).toEqual({ status: 400, param });
  }
});

test("metrics count what was guessed and what of it came", async () => {
  const { base, url } = await serveApp();
  const { choices } = (await json(await post(url, BODY))) as { choices: { message: { content: string } }[] };
  await json(await post(url, { ...BODY, prediction: { type: "content", content: choices[0]!.message.content } }));
  const text = await (await fetch(`${base}/metrics`)).text();
  const [drafted, accepted] = ["drafted", "accepted"].map((what) =>
    Number(new RegExp(`^zstream_${what}_tokens_total\\S* (\\d+)$`, "m").exec(text)?.[1]),
  );
  expect(accepted).toBeGreaterThan(10);
  expect(drafted).toBeGreaterThanOrEqual(accepted!);
});
