// Bodies that are nearly right: whatever stands in one field, the answer is a reply or a 4xx in the format's own shape, never a 5xx. The engine is
// the fake one. fast-check prints the seed of a body that fails, and makes the body small.

import fc from "fast-check";
import { expect, test } from "vitest";
import { serveScriptApp } from "./scripted.js";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const schema = { type: "object", properties: { a: { type: "string" } }, required: ["a"] };
const call = { type: "tool_use", id: "t1", name: "f", input: { a: "x" } };
const BODIES: [string, Json][] = [
  [
    "/v1/messages",
    {
      model: "qwen-7b",
      max_tokens: 8,
      system: [{ type: "text", text: "s", cache_control: { type: "ephemeral" } }],
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "document", source: { type: "text", data: "d" }, title: "t" },
          ],
        },
        { role: "assistant", content: [{ type: "thinking", thinking: "hm", signature: "s" }, { type: "text", text: "b" }, call] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "c" }], is_error: true }] },
        { role: "system", content: "d" },
      ],
      tools: [
        { name: "f", description: "d", input_schema: schema, input_examples: [{ a: "x" }], strict: true, allowed_callers: ["direct"] },
      ],
      tool_choice: { type: "auto", disable_parallel_tool_use: true },
      thinking: { type: "enabled", budget_tokens: 1024, display: "omitted" },
      output_config: { effort: "low" },
      stop_sequences: ["x"],
      temperature: 1,
      top_k: 5,
      stream: true,
      stream_options: { chunk_size: 2 },
      context_management: { edits: [] },
    },
  ],
  [
    "/api/chat",
    {
      model: "qwen-7b",
      messages: [
        { role: "user", content: "a", images: [] },
        { role: "assistant", content: "", thinking: "hm", tool_calls: [{ function: { name: "f", arguments: { a: "x" } } }] },
        { role: "tool", content: "c", tool_name: "f" },
      ],
      tools: [{ type: "function", function: { name: "f", description: "d", parameters: schema } }],
      options: { num_predict: 5, seed: 3, stop: ["x"], num_ctx: 9, temperature: 0.5, tfs_z: 1 },
      think: false,
      logprobs: true,
      top_logprobs: 2,
      keep_alive: "5m",
      stream: false,
    },
  ],
  [
    "/api/generate",
    { model: "qwen-7b", prompt: "a", system: "b", raw: false, format: schema, options: {}, stream: true, suffix: "", context: [] },
  ],
  ["/v1/completions", { model: "qwen-7b", prompt: ["a", "b"], n: 2, echo: true, max_tokens: 5, stream: true, stop: ["x"], logit_bias: {} }],
  ["/tokenize", { content: ["a", 5], parse_special: true, add_special: false, with_pieces: false }],
];

/** The places of all values in a body. */
function placesIn(value: Json, at: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [at];
  const entries: [string | number, Json][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [at, ...entries.flatMap(([key, one]) => placesIn(one, [...at, key]))];
}

function withValue(value: Json, [key, ...rest]: readonly (string | number)[], replaced: Json): Json {
  if (key === undefined) return replaced;
  const copy = structuredClone(value) as Record<string | number, Json>;
  copy[key] = withValue(copy[key]!, rest, replaced);
  return copy as Json;
}

const odd = fc.oneof(
  fc.constantFrom<Json>(
    null,
    true,
    false,
    0,
    -1,
    1.5,
    1e308,
    2 ** 53,
    "",
    "x",
    "auto",
    "enabled",
    "none",
    "text",
    [],
    {},
    [[]],
    [null],
    [{}],
    "\ud800",
  ),
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Json>,
);

test.each(BODIES)("%s", async (path, body) => {
  const { base } = await serveScriptApp({}, ...Array.from({ length: 4000 }, () => ["x"]));
  const places = placesIn(body);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...places), odd, async (place, value) => {
      const response = await fetch(`${base}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(withValue(body, place, value)),
      });
      const text = await response.text();
      expect(response.status, text).toBeLessThan(500);
      if (response.status === 200) return;
      const { error } = JSON.parse(text) as { error: string | { message: string } };
      const message = typeof error === "string" ? error : error.message;
      expect(message.length).toBeGreaterThan(10);
    }),
    { numRuns: 400 },
  );
});
