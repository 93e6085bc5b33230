// llama-server's /tokenize under zse serve.

import { expect, test } from "vitest";
import { json, post, serveApp } from "./helpers.js";

test("/tokenize gives the model's own tokens; control tokens are read unless parse_special is false", async () => {
  const { base, model } = await serveApp();
  const tokens = async (body: object) => (await json(await post(`${base}/tokenize`, body))).tokens;
  const text = "<|im_start|>Once upon a time";
  const [special, plain] = [await model.tokenize(text, { special: true }), await model.tokenize(text)];
  expect(special).not.toEqual(plain);
  expect(await tokens({ content: text })).toEqual(special);
  expect(await tokens({ content: text, parse_special: false })).toEqual(plain);
  expect(await tokens({ content: ["Once", 5, " upon"] })).toEqual([
    ...(await model.tokenize("Once")),
    5,
    ...(await model.tokenize(" upon")),
  ]);
  expect(await tokens({ content: "" })).toEqual([]);
});

test.each<[object, string]>([
  [{}, "content"],
  [{ content: 5 }, "content"],
  [{ content: [1.5] }, "content"],
  [{ content: "x", parse_special: 1 }, "parse_special"],
  [{ content: "x", add_special: true }, "add_special"],
  [{ content: "x", with_pieces: true }, "with_pieces"],
])("/tokenize with %j is a 400 that names %s", async (body, param) => {
  const { base } = await serveApp();
  const response = await post(`${base}/tokenize`, body);
  expect([response.status, (await json(response)).error.param]).toEqual([400, param]);
});

test("/tokenize needs a key where there are keys, and a flood of it is told to come back while each answer stays right", async () => {
  const { base, model } = await serveApp({}, { apiKeys: ["sk-1"] });
  expect((await post(`${base}/tokenize`, { content: "x" })).status).toBe(401);
  const headers = { "content-type": "application/json", "x-api-key": "sk-1" };
  const content = "Once upon a time. ".repeat(100);
  const expected = await model.tokenize(content);
  const all = await Promise.all(Array.from({ length: 64 }, () => post(`${base}/tokenize`, { content }, { headers })));
  const answered = all.filter(({ status }) => status === 200);
  expect(answered.length).toBeGreaterThan(0);
  for (const response of answered) expect((await json(response)).tokens).toEqual(expected);
  for (const response of all)
    if (response.status !== 200) expect([response.status, response.headers.get("retry-after")]).toEqual([429, "1"]);
});
