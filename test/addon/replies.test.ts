// Tools, thoughts and grammars on the demo model: calls come in pieces, thoughts end when they are told to, and a grammar that nobody can use harms
// its own stream alone.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Message, tool } from "../../lib/index.js";
// @ts-expect-error: plain JavaScript, shared with children
import { rewriteGguf } from "../hostile/gguf.mjs";
import { DEMO, openModel, openReady } from "./helpers.js";

const GREEDY = { temperature: 0 } as const;
const says = (content: string): Message[] => [{ role: "user", content }];
const weather = {
  type: "function",
  function: { name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
} as const;
const sum = "Think first: what is 7 + 5?";

test("a call's arguments come piece by piece, and joined they are the call", async () => {
  const model = await openReady();
  const stream = model.chatStream(says("What is the weather in Paris?"), { ...GREEDY, tools: [weather] });
  const pieces: string[] = [];
  for await (const event of stream.events()) {
    if (event.type !== "toolCall") continue;
    expect(event.name).toBe(pieces.length === 0 ? "get_weather" : undefined);
    pieces.push(event.argumentsDelta);
  }
  const { toolCalls, finishReason, text } = await stream.result;
  expect(pieces.length).toBeGreaterThan(0); // how many depends on when the parser answers
  expect(toolCalls[0]!.function).toEqual({ name: "get_weather", arguments: pieces.join("") });
  expect(JSON.parse(pieces.join(""))).toEqual({ city: "Paris" });
  expect([finishReason, text]).toEqual(["toolCalls", ""]);
  await model.close();
});

test("what looks like a call and is none is text, and an event that says so", async () => {
  const model = await openReady();
  const [end] = await model.tokenize("<|im_end|>", { special: true });
  const messages: Message[] = [...says("What is the weather in Paris?"), { role: "assistant", content: '<tool_call>\n{"name": nonsense' }];
  const asked = { ...GREEDY, tools: [weather], continueFinalMessage: true, minTokens: 3, logitBias: { [end!]: 100 } };
  const stream = model.chatStream(messages, asked);
  const events = [];
  for await (const event of stream.events()) if (event.type !== "progress") events.push(event);
  const { text, warning, malformedCall, finishReason } = await stream.result;
  expect(text).not.toBe("");
  expect(finishReason).toBe("stop");
  expect(malformedCall).toEqual({ text, reason: warning });
  expect(events.at(-2)).toEqual({ type: "malformedCall", ...malformedCall });
  await model.close();
});

test("a call in whose middle maxTokens ends the reply is incomplete, and none is run", async () => {
  const model = await openReady();
  const ran: unknown[] = [];
  const tools = [{ ...weather, execute: (args: unknown) => ran.push(args) }];
  const asked = { messages: says("What is the weather in Paris?"), ...GREEDY, tools };
  const { completionTokens } = (await model.chat({ ...asked, maxSteps: 1 })).usage;
  const cut = new Set<boolean | undefined>();
  for (let maxTokens = 1; maxTokens < completionTokens; maxTokens++) {
    const { toolCalls, finishReason } = await model.chat({ ...asked, maxTokens });
    expect(finishReason).toBe("length");
    for (const { function: called, incomplete } of toolCalls) {
      cut.add(incomplete);
      if (incomplete) expect(() => JSON.parse(called.arguments) as unknown).toThrow(SyntaxError);
      else expect(JSON.parse(called.arguments)).toEqual({ city: "Paris" });
    }
  }
  expect(cut).toContain(true);
  expect(ran).toEqual([]);
  await model.close();
});

test("a call that is required is made, one that is not wanted is not", async () => {
  const model = await openReady();
  const required = await model.chat({ messages: says("Hello"), ...GREEDY, tools: [weather], toolChoice: "required" });
  expect(required.toolCalls).toHaveLength(1);
  expect(JSON.parse(required.toolCalls[0]!.function.arguments)).toEqual({ city: expect.any(String) });
  const none = await model.chat({ messages: says("What is the weather in Paris?"), ...GREEDY, tools: [weather], toolChoice: "none" });
  expect(none.toolCalls).toEqual([]);
  expect(none.text).not.toMatch(/tool_call|get_weather/);
  expect(none.finishReason).toBe("stop");
  await model.close();
});

test("a thought is told apart, ends within its budget, and ends when it is told to", async () => {
  const model = await openReady();
  const free = await model.chat({ messages: says(sum), ...GREEDY });
  expect(free.reasoning).toContain("7");
  expect(free.text).toContain("12");
  const { reasoningTokens = 0 } = free.usage;
  expect(reasoningTokens).toBeGreaterThan(8);

  const bound = await model.chat({ messages: says(sum), ...GREEDY, reasoning: { budgetTokens: 3 } });
  expect(bound.usage.reasoningTokens).toBeLessThan(reasoningTokens);
  expect(bound.text).not.toBe("");

  const stream = model.chatStream(says(sum), { ...GREEDY, highWaterMark: 1 });
  for await (const event of stream.events()) if (event.type === "reasoning") stream.endReasoning();
  const ended = await stream.result;
  // On a busy machine it may have ended by itself, or was just about to: what closes it is two tokens at most.
  expect(ended.usage.reasoningTokens).toBeLessThanOrEqual(reasoningTokens + 2);
  expect(ended.text).not.toBe("");
  await model.close();
});

test("whatever the parser's answers take, each token's log-probability is told, and the thought's tokens are counted the same", async () => {
  const model = await openReady();
  const counts = new Set<string>();
  for (let round = 0; round < 8; round++) {
    const asked = { messages: says("What is the weather in Paris?"), ...GREEDY, logprobs: true, tools: [weather] };
    const { usage, logprobs } = await model.chat({ ...asked, reasoning: { effort: "high" } });
    expect(logprobs).toHaveLength(usage.completionTokens);
    counts.add(`${usage.completionTokens} tokens, ${usage.reasoningTokens} of the thought`);
  }
  expect([...counts]).toHaveLength(1);
});

test("a grammar of the caller's holds the answer, and lets the thought before it be", async () => {
  const model = await openReady();
  const responseFormat = { type: "grammar", gbnf: 'root ::= "The sum is " [0-9]{1,3} "."' } as const;
  const { text, reasoning } = await model.chat({ messages: says(sum), ...GREEDY, responseFormat });
  expect(text).toMatch(/^The sum is \d{1,3}\.$/);
  expect(reasoning).toContain("7");
  await model.close();
});

test.each([
  ["that does not end", "root ::= ("],
  ["without a rule that it names", 'root ::= "a" other'],
  ["that begins with itself", 'root ::= root "a"'],
  ["that repeats too much", 'root ::= (("a"|"b"|"ab")?){1,2000}'],
  ["of a hundred thousand brackets", "(".repeat(100_000)],
  ["whose repetition has less at most than at least", 'root ::= "a"{5,2}'],
  ["with a range that ends before it begins", "root ::= [z-a]"],
  [
    "whose rules double each other",
    `root ::= r0 "b"\n${Array.from({ length: 25 }, (_, i) => `r${i} ::= r${i + 1} r${i + 1}`).join("\n")}\nr25 ::= "a"?`,
  ],
  ["that takes gigabytes", `root ::= "${"x".repeat(1_000_000)}"{2000}`],
])("a grammar %s is a BAD_OPTION about responseFormat, and other streams go on", async (_, gbnf) => {
  const model = await openReady();
  const other = model.chat({ messages: says("Tell me a story"), ...GREEDY, maxTokens: 40 });
  const held = model.chat({ messages: says("Hello"), ...GREEDY, maxTokens: 20, responseFormat: { type: "grammar", gbnf } });
  await expect(held).rejects.toMatchObject({ code: "BAD_OPTION", message: expect.stringContaining("responseFormat") });
  expect((await other).usage.completionTokens).toBe(40);
  expect((await model.chat({ messages: says("Hello"), ...GREEDY })).text).not.toBe("");
  await model.close();
});

test("a grammar that can be read in hundreds of ways holds a reply all the same", async () => {
  const model = await openReady();
  const gbnf = `root ::= ${'("a"? '.repeat(200)}${")".repeat(200)} "b"`;
  const { text, finishReason } = await model.chat({
    messages: says("Hello"),
    temperature: 1.5,
    maxTokens: 250,
    responseFormat: { type: "grammar", gbnf },
  });
  expect(finishReason).toBe("stop");
  expect(text).toMatch(/^a{0,200}b$/);
  await model.close();
});

test.each(["auto", "required"] as const)("one call at a time is one call (%s)", async (toolChoice) => {
  const model = await openReady();
  const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] } as const;
  const weather = { name: "get_weather", description: "The weather of a city, now", parameters };
  const tools = [{ type: "function", function: weather }] as const;
  const options = { ...GREEDY, maxTokens: 100, tools, toolChoice };
  const both = await model.chat(says("What is the weather in Paris and in Rome?"), options);
  expect(both.toolCalls).toHaveLength(2);
  const one = await model.chat(says("What is the weather in Paris and in Rome?"), { ...options, parallelToolCalls: false });
  expect(one.toolCalls).toHaveLength(1);
  expect(one.finishReason).toBe("toolCalls");
  await model.close();
});

test("once the tag of a call is there, a call follows, however warm the reply", async () => {
  const model = await openReady();
  const tools = [
    tool({ name: "get_weather", parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }),
  ];
  const replies = await Promise.all(
    Array.from({ length: 30 }, (_, seed) =>
      model.chat(says("What is the weather in Paris?"), { tools, temperature: 3, minP: 0, topP: 1, topK: 0, maxTokens: 100, seed }),
    ),
  );
  for (const { text } of replies) expect(text).not.toContain("<tool_call>");
  expect(replies.filter(({ toolCalls }) => toolCalls.length > 0).length).toBeGreaterThan(5);
  await model.close();
});

test("endReasoning() before the first token leaves no thought, queued or not", async () => {
  const model = await openReady({ maxStreams: 1 });
  const ask = () => model.chatStream(says("Think first: what is 7 + 5?"), { ...GREEDY, maxTokens: 120, reasoning: "on" });
  const free = await ask().result;
  expect(free.reasoning!.length).toBeGreaterThan(10);
  const before = model.chatStream(says("Tell me a story"), { ...GREEDY, maxTokens: 20 });
  const streams = [ask(), ask()];
  for (const stream of streams) stream.endReasoning();
  for (const stream of streams) {
    const { reasoning = "", text } = await stream.result;
    expect(reasoning.trim()).toBe("");
    expect(text).not.toBe("");
  }
  await before.result;
  await model.close();
});

test("a budget whose end is banned is a BAD_OPTION, not a thought without end", async () => {
  const model = await openReady();
  const [end] = await model.tokenize("</think>", { special: true });
  const request = { ...GREEDY, maxTokens: 60, logitBias: { [end!]: -100 }, reasoning: { budgetTokens: 3 } };
  await expect(model.chat(says("Think first: what is 7 + 5?"), request)).rejects.toMatchObject({
    code: "BAD_OPTION",
    message: expect.stringContaining("logitBias"),
  });
  expect((await model.chat(says("Hello"), GREEDY)).text).not.toBe("");
  await model.close();
});

test.each(["MiniMax-M2", "StepFun3.5-Flash", "NVIDIA-Nemotron-Nano-v2", "deepseek-ai-DeepSeek-V3.1", "GLM-4.6"])(
  'reasoning "off" holds with the template of %s, whatever its prompt begins',
  async (name) => {
    const folder = mkdtempSync(join(tmpdir(), "zstream-off-"));
    try {
      const template = readFileSync(new URL(`../../vendor/llama.cpp/models/templates/${name}.jinja`, import.meta.url), "utf8");
      const file = rewriteGguf(DEMO, join(folder, "off.gguf"), { "tokenizer.chat_template": template }) as string;
      const model = openModel({ contextSize: 2048 }, file);
      const messages = [{ role: "user" as const, content: "Think first: what is 7 + 5?" }];
      const { reasoning, text } = await model.chat({ messages, reasoning: "off", temperature: 0, maxTokens: 40 });
      expect((reasoning ?? "").trim()).toBe("");
      expect(text).not.toContain("</think>");
      expect(text.length).toBeGreaterThan(0);
      await model.close();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

test.each(["off", { budgetTokens: 3 }] as const)(
  "a tag of thoughts within a held text or a call is text (reasoning: %j)",
  async (reasoning) => {
    const model = await openReady();
    const [tag] = await model.tokenize("<think>", { special: true });
    const written = { type: "string", pattern: '^a[^"\\\\]{6}<think>[^"\\\\]{12}$' };
    const object = { type: "object", properties: { city: written }, required: ["city"], additionalProperties: false };
    const ask = { ...GREEDY, reasoning, logitBias: { [tag!]: 20 }, maxTokens: 200 };
    const schema = await model.chat({ messages: says("Give an example"), ...ask, responseFormat: { type: "json_schema", schema: object } });
    expect([schema.finishReason, schema.warning]).toEqual(["stop", undefined]);
    expect((schema.object as { city: string }).city).toContain("<think>");
    for (const toolChoice of ["required", "auto"] as const) {
      const tools = [{ ...weather, function: { name: "get_weather", parameters: object } }];
      const said = await model.chat({ messages: says("What is the weather in Paris?"), ...ask, tools, toolChoice });
      expect(said.malformedCall).toBeUndefined();
      for (const call of said.toolCalls) expect(JSON.parse(call.function.arguments).city).toContain("<think>");
      if (toolChoice === "required") expect(said.toolCalls).toHaveLength(1);
    }
    await model.close();
  },
);
