// A schema beside tools: a reply is a text that the schema allows, or calls as their tools' schemas have them. For every chat template that comes
// with llama.cpp's source, at a temperature where the model writes noise.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { Reply } from "../../lib/index.js";
// @ts-expect-error -- a script without types
import { rewriteGguf } from "../hostile/gguf.mjs";
import { DEMO, openModel } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zstream-beside-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const seed = Number(process.env.ZSE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

const strings = {
  type: "object",
  properties: { city: { type: "string", maxLength: 12 } },
  required: ["city"],
  additionalProperties: false,
};
const numbers = {
  type: "object",
  properties: { a: { type: "integer" }, b: { type: "integer" } },
  required: ["a", "b"],
  additionalProperties: false,
};
const tools = [
  { type: "function" as const, function: { name: "get_weather", description: "The weather in a city", parameters: strings } },
  { type: "function" as const, function: { name: "add", parameters: numbers } },
];
const schema = {
  type: "object",
  properties: { answer: { type: "string", maxLength: 20 }, n: { type: "integer", minimum: 0, maximum: 99 } },
  required: ["answer", "n"],
  additionalProperties: false,
};
const responseFormat = { type: "json_schema" as const, schema };

/** "text", "calls", "cut", or what is wrong with it. */
function kindOf({ text, object, toolCalls, finishReason, reasoning, warning }: Reply): string {
  if (finishReason === "length") return "cut";
  for (const call of toolCalls) {
    const given = JSON.parse(call.function.arguments) as Record<string, unknown>;
    const right = call.function.name === "add" ? Number.isInteger(given.a) && Number.isInteger(given.b) : typeof given.city === "string";
    if (!right) return `a call of ${call.function.name} with ${call.function.arguments}`;
  }
  if (toolCalls.length > 0) return text.trim() === "" ? "calls" : `calls behind the text ${text}`;
  const { answer, n } = (object ?? {}) as Record<string, unknown>;
  return typeof answer === "string" && Number.isInteger(n) ? "text" : JSON.stringify({ text, object, reasoning, warning });
}

// Its tags are no tokens of the demo model, and what stands around them makes others of them.
const leftOut = ["Apriel-1.6-15b-Thinker-fixed.jinja"];

test("whatever the chat template, a reply is a text that the schema allows or calls that their tools allow", async () => {
  const templates = new URL("../../vendor/llama.cpp/models/templates/", import.meta.url);
  const seen: Record<string, number> = {};
  const refused: string[] = [];
  for (const name of readdirSync(templates).filter((name) => name.endsWith(".jinja") && !leftOut.includes(name))) {
    const file = join(folder, "template.gguf");
    rewriteGguf(DEMO, file, { "tokenizer.chat_template": readFileSync(new URL(name, templates), "utf8") });
    const model = openModel({ contextSize: 4096, maxStreams: 8 }, file);
    const ask = async (number: number) => {
      const content = number % 2 === 0 ? "Give me JSON about a dog." : "What is the weather in Paris?";
      const options = { tools, maxSteps: 1, responseFormat, temperature: 1.5, seed: seed + number, maxTokens: 200 };
      return model.chat({ messages: [{ role: "user", content }], ...options }).then(kindOf, ({ code, message }) => {
        if (code !== "UNSUPPORTED") return `${code}: ${message}`;
        refused.push(name);
        return "refused";
      });
    };
    for (const kind of await Promise.all(Array.from({ length: 8 }, (_, i) => ask(i)))) {
      expect(["text", "calls", "cut", "refused"], `${name}, seed ${seed}: ${kind}`).toContain(kind);
      seen[kind] = (seen[kind] ?? 0) + 1;
    }
    await model.close();
  }
  expect(seen.text, `seed ${seed}`).toBeGreaterThan(100);
  expect(seen.calls, `seed ${seed}`).toBeGreaterThan(50);
  expect(new Set(refused).size).toBeLessThan(16);
}, 300_000);

test("after calls and their results the text is held to the schema, and its object grows while it streams", async () => {
  const model = openModel({ contextSize: 2048 });
  const asked = { tools, responseFormat, temperature: 0, maxTokens: 200, maxSteps: 1 };
  const question = { role: "user" as const, content: "What is the weather in Paris?" };
  const first = await model.chat({ messages: [question], ...asked });
  expect(first.toolCalls.map((call) => JSON.parse(call.function.arguments))).toEqual([{ city: "Paris" }]);
  const messages = [
    question,
    { role: "assistant" as const, content: null, tool_calls: first.toolCalls },
    { role: "tool" as const, tool_call_id: first.toolCalls[0]!.id, content: "sunny" },
    { role: "user" as const, content: "Give me JSON about a dog." },
  ];
  const stream = model.chatStream(messages, asked);
  const partial: unknown[] = [];
  for await (const event of stream.events()) if (event.type === "object") partial.push(event.partial);
  const reply = await stream.result;
  expect(kindOf(reply)).toBe("text");
  expect(partial.length).toBeGreaterThan(1);
  expect(partial.at(-1)).toEqual(reply.object);
  await model.close();
});

test("where a call is required, it is made, and a schema changes nothing", async () => {
  const model = openModel({ contextSize: 1024 });
  const messages = [{ role: "user" as const, content: "What is the weather in Rome?" }];
  const asked = { tools, toolChoice: "required" as const, maxSteps: 1, temperature: 0, maxTokens: 100 };
  const [plain, held] = [await model.chat({ messages, ...asked }), await model.chat({ messages, ...asked, responseFormat })];
  expect(held.toolCalls.map((call) => call.function)).toEqual(plain.toolCalls.map((call) => call.function));
  await model.close();
});
