// A window's request is made anew in the engine's process, out of hostile input: an honest one comes out as it went in, and anything else is refused
// by its name or breaks the connection.

import { describe, expect, test } from "vitest";
import { asSaid } from "../../lib/electron/as-said.js";
import { readWindowMessage, readWindowRequest } from "../../lib/electron/window-request.js";
import { ProtocolError } from "../../lib/engine/port/protocol.js";
import { ZSEError } from "../../lib/errors.js";
import { readChatCall, readCompletionCall } from "../../lib/options/options.js";
import type { ReplyOptions } from "../../lib/types.js";
import { randomOf, randomRoot } from "../random-schemas.js";

const MOST = 2 ** 20;
const STORY = [{ role: "user", content: "Tell me a story" }] as const;
const call = {
  role: "assistant",
  content: null,
  tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: '{"x":1}' } }],
} as const;
const schema = {
  type: "object",
  properties: { name: { type: "string", pattern: "^[a-z]{2,5}$" }, age: { type: "integer", minimum: 3, maximum: 99 } },
  required: ["name"],
} as const;
const tools = [{ type: "function", function: { name: "f", description: "d", parameters: schema } }] as const;

const honest: [string, ReplyOptions][] = [
  ["nothing said", {}],
  ["every number", { temperature: 0.3, topP: 0.5, topK: 7, minP: 0.2, seed: 5, maxTokens: 12, minTokens: 2, mirostat: 2, repeatLastN: -1 }],
  ["lists", { stop: ["a", "b"], logitBias: { 3: -100, 99: 1.5 }, samplers: ["topK", "temperature"], drySequenceBreakers: ["x"] }],
  ["log-probabilities", { logprobs: true, topLogprobs: 3, highWaterMark: 9, stallTimeoutMs: 100, ignoreEos: true }],
  ["a schema", { responseFormat: { type: "json_schema", schema } }],
  ["any JSON", { responseFormat: { type: "json_object" } }],
  ["a grammar", { responseFormat: { type: "grammar", gbnf: 'root ::= "yes" | "no"' } }],
  ["tools", { tools, toolChoice: "required", parallelToolCalls: false }],
  ["a tool by name", { tools: [...tools, { type: "function", function: { name: "g" } }], toolChoice: { name: "g" } }],
  ["no tool", { tools, toolChoice: "none" }],
  ["thoughts", { reasoning: "on" }],
  ["no thoughts", { reasoning: "off" }],
  ["an effort", { reasoning: { effort: "high" } }],
  ["an effort and a budget", { reasoning: { effort: "low", budgetTokens: 20 }, templateArguments: { tone: "dry" } }],
  ["a budget", { reasoning: { budgetTokens: 0 } }],
  ["no effort", { reasoning: { effort: "none", budgetTokens: 0 } }],
];

test.each(honest)("an honest request comes out as it went in: %s", (_, options) => {
  const settings = readChatCall("chatStream()", [{ role: "system", content: "Be \ud83e\udd8a." }, ...STORY, call], options);
  expect(readWindowRequest(structuredClone(asSaid(settings).request), MOST)).toEqual(settings.request);
});

test("so do a completion's, and a reply that goes on with its last message", () => {
  const settings = readCompletionCall("completionStream()", "Once upon", { responseFormat: { type: "json_schema", schema } });
  expect(readWindowRequest(structuredClone(asSaid(settings).request), MOST)).toEqual(settings.request);
  const continued = readChatCall("x", [...STORY, { role: "assistant", content: "Once" }], { continueFinalMessage: true }).request;
  expect(readWindowRequest(structuredClone(continued), MOST)).toEqual(continued);
});

test("what a page was told of a reply that was lost comes with it", () => {
  const { request } = readChatCall("x", STORY, {});
  const lost = { ...request, seed: 7, tellTokens: true, replay: [1, 2, 3] };
  expect(readWindowRequest(structuredClone(lost), MOST)).toEqual(lost);
});

test("random schemas are held to the same", () => {
  const seed = Number(process.env.ZSE_TEST_SEED ?? Date.now() % 1e6);
  console.log(`ZSE_TEST_SEED=${seed}`);
  let tried = 0;
  for (let i = 0; i < 300; i++) {
    const schema = randomRoot(randomOf(seed + i));
    const inTool = [{ type: "function", function: { name: "f", parameters: { type: "object", properties: { x: schema } } } }];
    let settings: ReturnType<typeof readChatCall>;
    try {
      settings = readChatCall("x", STORY, { tools: inTool, responseFormat: { type: "json_schema", schema } });
    } catch {
      continue; // one that cannot be enforced is refused in the page already
    }
    tried += 1;
    expect(readWindowRequest(structuredClone(asSaid(settings).request), MOST), `seed ${seed + i}`).toEqual(settings.request);
  }
  expect(tried).toBeGreaterThan(50);
});

describe("what is wrong is BAD_OPTION, by its name", () => {
  const good = readChatCall("x", STORY, {}).request;
  const deep = `${"[".repeat(5000)}${"]".repeat(5000)}`;
  test.each([
    ["no object", 7, "request"],
    ["no request at all", {}, "messages"],
    ["messages that are no text", { ...good, messages: [] }, "messages"],
    ["messages that are no JSON", { ...good, messages: "[" }, "messages"],
    ["messages that nest", { ...good, messages: deep }, "[0]"],
    ["an empty conversation", { ...good, messages: "[]" }, "messages"],
    ["both", { ...good, prompt: "x" }, "prompt"],
    ["too much text", { ...good, messages: JSON.stringify([{ role: "user", content: "x".repeat(MOST) }]) }, "messages"],
    ["a field of the addon's that is none", { ...good, onEvents: 1 }, "onEvents"],
    ["a callback", { ...good, streamCallback: {} }, "streamCallback"],
    ["a number out of range", { ...good, temperature: 1e9 }, "temperature"],
    ["no number", { ...good, topK: Number.NaN }, "topK"],
    ["another type", { ...good, maxTokens: "1" }, "maxTokens"],
    ["credit without end", { ...good, highWaterMark: 2 ** 31 }, "highWaterMark"],
    ["biases that are no pairs", { ...good, logitBias: [1] }, "logitBias"],
    ["a bias of no token", { ...good, logitBias: ["__proto__", {}] }, "logitBias"],
    ["a bias of nothing", { ...good, logitBias: [1, null] }, "logitBias[1]"],
    ["a Map", { ...good, samplers: new Map() }, "samplers"],
    ["token ids that are none", { ...good, replay: [1, -1] }, "replay"],
    ["a replay without end", { ...good, replay: new Array(2 ** 22 + 1) }, "replay"],
    ["a shape that is none", { ...good, reply: [] }, "reply"],
    ["a part of a shape that is none", { ...good, reply: { evil: 1 } }, "evil"],
    ["tools that are no JSON", { ...good, reply: { tools: "{" } }, "tools"],
    ["a schema that is no schema", { ...good, reply: { jsonSchema: '{"schema":[1]}' } }, "responseFormat.schema"],
    ["a schema that crosses otherwise", { ...good, reply: { jsonSchema: '{"type":"object"}' } }, "responseFormat"],
    ["a grammar of another language", { ...good, reply: { grammar: "%llguidance {}" } }, "responseFormat.gbnf"],
    ["variables of the engine's own", { ...good, reply: { templateArguments: '{"messages":1}' } }, "templateArguments.messages"],
  ])("%s", (_, given, option) => {
    expect(() => readWindowRequest(given, MOST)).toThrow(ZSEError);
    expect(() => readWindowRequest(given, MOST)).toThrow(expect.objectContaining({ code: "BAD_OPTION", option }));
  });
});

describe("what is no message of the protocol breaks the connection", () => {
  const endless: unknown[] = [];
  endless.push(endless);
  const turn = (...commands: unknown[]) => ({ type: "turn", acks: [], commands });
  test.each([
    ["nothing", undefined],
    ["a text", "submit"],
    ["a Map", new Map([["type", "turn"]])],
    ["another kind", { type: "constructor" }],
    ["no commands", { type: "turn", acks: [] }],
    ["too many commands", { type: "turn", acks: [], commands: new Array(9000).fill(["endTurn"]) }],
    ["too much credit at once", { type: "turn", acks: new Array(9000).fill(1), commands: [] }],
    ["a sparse array", { type: "turn", acks: [], commands: new Array(3) }],
    ["an array that holds itself", { type: "turn", acks: [], commands: endless }],
    ["a command of another kind", turn(["close"])],
    ["one of Object's", turn(["__proto__", 1, {}])],
    ["a number of 0", turn(["cancel", 0])],
    ["half a number", turn(["cancel", 1.5])],
    ["a number of 2^32", turn(["submit", 2 ** 32, {}])],
    ["credit below nothing", { type: "turn", acks: [1, -5], commands: [] }],
    ["half a pair of credit", { type: "turn", acks: [1], commands: [] }],
    ["a question that is none", turn(["ask", 1, { tokenize: 5, special: false }])],
    ["a version that is none", { type: "open", version: "1", path: "", options: {} }],
  ])("%s", (_, given) => {
    expect(() => readWindowMessage(given)).toThrow(ProtocolError);
  });
});
