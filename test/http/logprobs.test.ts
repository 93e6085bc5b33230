// Log-probabilities on the wire, in both of OpenAI's shapes, and as its SDK reads them.

import OpenAI from "openai";
import { expect, test } from "vitest";

import { GREEDY, json, post, serveApp, serveModel, stream } from "./helpers.js";

const ASKING = { ...GREEDY, max_tokens: 12, logprobs: true, top_logprobs: 3 } as const;
const MESSAGES = [{ role: "user" as const, content: "Say hello in Chinese." }];
const bytesOf = (content: readonly { bytes: number[] | null }[]) =>
  new TextDecoder().decode(Uint8Array.from(content.flatMap(({ bytes }) => bytes ?? [])));

test("the openai SDK reads them of a stream and of a whole reply, the same ones, whose bytes are the text", async () => {
  const { base } = await serveApp();
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "not-needed" });
  const whole = await client.chat.completions.create({ ...ASKING, messages: MESSAGES });
  const [choice] = whole.choices;
  const content = choice!.logprobs!.content!;
  expect(content).toHaveLength(whole.usage!.completion_tokens);
  expect(bytesOf(content)).toBe(choice!.message.content);
  for (const { token, logprob, top_logprobs } of content) {
    expect(top_logprobs).toHaveLength(3);
    expect(top_logprobs[0]).toMatchObject({ token, logprob });
  }
  const runner = client.chat.completions.stream({ ...ASKING, messages: MESSAGES });
  const { choices } = await runner.finalChatCompletion();
  expect(choices[0]!.logprobs!.content).toEqual(content);
  expect(choices[0]!.message.content).toBe(choice!.message.content);
});

test("grouped chunks and several choices have each token once", async () => {
  const { url } = await serveModel({ maxStreams: 2 });
  const body = { ...ASKING, temperature: 1, seed: 4, n: 2 };
  const { chunks, texts } = await stream(url, { ...body, stream_options: { chunk_by: "word" } });
  const contents = [0, 1].map((index) =>
    chunks.flatMap(({ choices }) =>
      choices.flatMap((choice) =>
        choice.index === index ? ((choice.logprobs as { content?: { bytes: number[] }[] } | undefined)?.content ?? []) : [],
      ),
    ),
  );
  expect(contents.map(bytesOf)).toEqual(texts);
  const whole = (await json(await post(url, body))) as unknown as OpenAI.ChatCompletion;
  expect(whole.choices.map(({ logprobs }) => logprobs!.content!.length)).toEqual(contents.map((one) => one.length));
});

test("a completion has OpenAI's older shape, streamed and whole, with the places of tokens in the text", async () => {
  const { base } = await serveModel();
  const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "not-needed" });
  const body = { model: "qwen-7b", prompt: "Once upon a time", temperature: 0, max_tokens: 12, logprobs: 2 } as const;
  const { text, logprobs } = (await client.completions.create(body)).choices[0]!;
  const { tokens, token_logprobs, top_logprobs, text_offset } = logprobs!;
  expect(tokens!.join("")).toBe(text);
  expect(text_offset).toEqual(tokens!.map((_, i) => [...tokens!.slice(0, i).join("")].length));
  for (const [i, token] of tokens!.entries()) {
    expect(top_logprobs![i]).toMatchObject({ [token]: token_logprobs![i] });
    expect(Object.keys(top_logprobs![i]!)).toHaveLength(2);
  }
  const streamed = { tokens: [] as string[], text_offset: [] as number[] };
  for await (const chunk of await client.completions.create({ ...body, stream: true })) {
    streamed.tokens.push(...(chunk.choices[0]!.logprobs?.tokens ?? []));
    streamed.text_offset.push(...(chunk.choices[0]!.logprobs?.text_offset ?? []));
  }
  expect(streamed).toEqual({ tokens, text_offset });
  const { choices } = await client.completions.create({ ...body, logprobs: 0 });
  expect(choices[0]!.logprobs).toMatchObject({ tokens, top_logprobs: tokens!.map(() => null) });
});

test("a completion that asks wrongly is a 400 that names the field", async () => {
  for (const { base } of [await serveModel(), await serveApp()]) {
    for (const [body, param] of [
      [{ prompt: "Once", logprobs: 21 }, "logprobs"],
      [{ prompt: "Once", logprobs: true }, "logprobs"],
      [{ prompt: "Once", top_logprobs: 2 }, "top_logprobs"],
    ] as const) {
      const response = await post(`${base}/v1/completions`, body);
      expect(response.status).toBe(400);
      expect((await json(response)).error.param).toBe(param);
    }
  }
});
