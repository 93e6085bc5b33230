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

/** Empty where the text is no JSON. */
function objectIn(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** "text", "calls", "cut", "malformed", which is told, or what is wrong with it. */
function kindOf({ text, object, toolCalls, finishReason, reasoning, warning, malformedCall }: Reply): string {
  if (finishReason === "length") return "cut";
  if (malformedCall !== undefined) return "malformed";
  for (const call of toolCalls) {
    const given = objectIn(call.function.arguments);
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
    for (const kind of await Promise.all(Array.from({ length: 6 }, (_, i) => ask(i)))) {
      expect(["text", "calls", "cut", "refused", "malformed"], `${name}, seed ${seed}: ${kind}`).toContain(kind);
      seen[kind] = (seen[kind] ?? 0) + 1;
    }
    await model.close();
  }
  // Some grammars of calls, as llama.cpp makes them, allow what its parser of the same template refuses (GLM, Spark2.5, gemma-4, Nemotron-3): it is told.
  expect(seen.malformed ?? 0, `seed ${seed}`).toBeLessThan(8);
  expect(seen.text, `seed ${seed}`).toBeGreaterThan(70);
  expect(seen.calls, `seed ${seed}`).toBeGreaterThan(35);
  expect(new Set(refused).size).toBeLessThan(16);
}, 300_000);

// Handlers of llama.cpp's whose grammars had been waiting for a trigger that nobody has to write.
const handled = /LFM2|MiniMax-M3|MiniCPM5|Kimi-K2|Kimi-K3|DeepSeek-V[34]|Ministral|ling-3/;

test("a schema alone, and a call that is required, hold the whole reply with the templates that llama.cpp has handlers for", async () => {
  const templates = new URL("../../vendor/llama.cpp/models/templates/", import.meta.url);
  const names = readdirSync(templates).filter((name) => handled.test(name));
  expect(names.length).toBeGreaterThan(12);
  for (const name of names) {
    const file = join(folder, "handled.gguf");
    rewriteGguf(DEMO, file, { "tokenizer.chat_template": readFileSync(new URL(name, templates), "utf8") });
    const model = openModel({ contextSize: 4096, maxStreams: 8 }, file);
    const ask = async (number: number) => {
      const messages = [{ role: "user" as const, content: "What is 3 + 4?" }];
      const options = { maxSteps: 1, temperature: 1.5, seed: seed + number, maxTokens: 100 };
      const alone = number % 2 === 0;
      const reply = await model.chat({
        messages,
        ...options,
        ...(alone ? { responseFormat } : { tools, toolChoice: "required" as const }),
      });
      const wanted = alone ? ["text", "cut"] : ["calls", "cut"];
      const kind = !alone && reply.toolCalls.length > 0 ? "calls" : kindOf(reply);
      expect(wanted, `${name}, seed ${seed}: ${kind}`).toContain(kind);
    };
    await Promise.all(Array.from({ length: 8 }, (_, i) => ask(i)));
    await model.close();
  }
}, 300_000);

test("where no call may come, the tag of one is not written in a thought: what followed would be held to nothing", async () => {
  const template = readFileSync(
    new URL("../../vendor/llama.cpp/models/templates/inclusionai-ling-3.0-flash.jinja", import.meta.url),
    "utf8",
  );
  const file = join(folder, "ling.gguf");
  rewriteGguf(DEMO, file, { "tokenizer.chat_template": template });
  const model = openModel({ contextSize: 2048 }, file);
  const [tag] = await model.tokenize("<tool_call>", { special: true });
  const messages = [{ role: "user" as const, content: "What is 3 + 4?" }];
  const held = { ...{ messages, responseFormat, temperature: 0, maxTokens: 100 }, reasoning: { budgetTokens: 10 } };
  const { text, reasoning } = await model.chat({ ...held, logitBias: { [tag!]: 30 } });
  expect(reasoning).toBeTruthy();
  expect(reasoning).not.toContain("<tool_call>");
  expect(text.trimStart()[0]).toBe("{");
  await model.close();
});

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

test("a text ends whole, though a call could begin with its last character", async () => {
  const file = join(folder, "bracket.gguf");
  const template = new URL("../../vendor/llama.cpp/models/templates/MiniMax-M3.jinja", import.meta.url); // its tags begin with ]
  rewriteGguf(DEMO, file, { "tokenizer.chat_template": readFileSync(template, "utf8") });
  const model = openModel({ contextSize: 2048, maxStreams: 4 }, file);
  const array = { type: "array", items: { type: "integer", minimum: 0, maximum: 99 }, minItems: 2, maxItems: 4 };
  const ask = async (number: number) => {
    const options = { tools, maxSteps: 1, temperature: 1.2, seed: seed + number, maxTokens: 100 };
    const messages = [{ role: "user" as const, content: "Give me JSON" }];
    const reply = await model.chat({ messages, ...options, responseFormat: { type: "json_schema", schema: array } });
    if (reply.finishReason === "stop") expect(JSON.parse(reply.text), `seed ${seed}`).toEqual(reply.object);
  };
  await Promise.all(Array.from({ length: 8 }, (_, i) => ask(i)));
  await model.close();
});

test("where a call is required beside a schema, the reply is the call, and no text comes before it", async () => {
  const model = openModel({ contextSize: 1024, maxStreams: 4 });
  for (const toolChoice of ["required", { type: "function" as const, function: { name: "add" } }] as const) {
    for (const content of ["Tell me a story", "Hello", "What is the weather in Rome?"]) {
      const asked = { tools, toolChoice, maxSteps: 1, maxTokens: 100, responseFormat, seed: seed + 1 };
      const { text, toolCalls, finishReason } = await model.chat({ messages: [{ role: "user", content }], ...asked });
      if (finishReason === "length") continue;
      expect([text, toolCalls.length > 0], `seed ${seed}: ${text}`).toEqual(["", true]);
    }
  }
  await model.close();
});

test("a last message that the reply goes on with is a part of what the schema allows, beside tools as without them", async () => {
  const model = openModel({ contextSize: 1024 });
  const going = (begun: string) => [
    { role: "user" as const, content: "Give me JSON about a dog." },
    { role: "assistant" as const, content: begun },
  ];
  const asked = { responseFormat, continueFinalMessage: true, temperature: 0, maxTokens: 100, maxSteps: 1 };
  for (const more of [{}, { tools }]) {
    const begun = '{"answer": "a d';
    const { text } = await model.chat({ messages: going(begun), ...asked, ...more });
    const value = JSON.parse(begun + text) as Record<string, unknown>;
    expect(value.answer).toMatch(/^a d/);
    expect(Number.isInteger(value.n)).toBe(true);
    const refused = { code: "BAD_OPTION", message: expect.stringMatching(/the last message, which the reply goes on with/) as string };
    await expect(model.chat({ messages: going("Sure: "), ...asked, ...more })).rejects.toMatchObject(refused);
  }
  await model.close();
});
