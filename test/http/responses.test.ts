// OpenAI's Responses on the wire: the whole sequence of events, the same in one piece, what a body's fields come to, what is kept. Replies come
// from a script, so that every shape does, then from the demo model.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NO_USE } from "../../lib/engine/link.js";
import { InputReader } from "../../lib/http/formats/openai-responses/custom-tools.js";
import { nodeHandler } from "../../lib/http/index.js";
import type { StreamEvent } from "../../lib/types.js";
import { callOf } from "../unit/fake-native.js";
import { idle, json, listen, post, serveApp, serveModel, sleep, until } from "./helpers.js";
import { events, output, type ResponseObject, read, responses, shapeOf, terminal, textOf } from "./responses-sse.js";
import { type ScriptedServer, serveScript, serveScriptWith } from "./scripted.js";

const ASKED = { model: "qwen-7b", input: "What is the weather in Paris?" } as const;
const WEATHER = {
  type: "function",
  name: "get_weather",
  description: "The weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
} as const;

const THOUGHT = { type: "reasoning", content: [{ type: "reasoning_text", text: "hm" }] };
const SAID_BEFORE = { role: "assistant", content: "Let me see." };
const CALLED = { type: "function_call", call_id: "c", name: "f", arguments: "{}" };
const PATCH = { type: "custom", name: "patch", description: "Changes a file." } as const;

const messagesOf = ({ fake }: ScriptedServer, index = 0) => JSON.parse(fake.streams[index]!.request.messages!) as unknown[];

describe("a stream of a response", () => {
  test("has the whole sequence: a thought, a text, calls, and the response that they come to", async () => {
    const { base } = await serveScript([
      { reasoning: "hm" },
      "It",
      " is",
      ...callOf("get_weather", { city: "Paris" }, 0, "c1"),
      ...callOf("get_weather", { city: "Rome" }, 1, "c2"),
    ]);
    const said = await events(base, { ...ASKED, tools: [WEATHER] });
    expect(said.map(({ type }) => shapeOf(type))).toEqual([
      ...["created", "in_progress"],
      ...[
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
      ],
      ...["output_item.added", "content_part.added", "output_text.delta", "output_text.delta"],
      ...["output_text.done", "content_part.done", "output_item.done"],
      ...["output_item.added", "function_call_arguments.delta", "function_call_arguments.delta", "function_call_arguments.done"],
      ...["output_item.done"],
      ...["output_item.added", "function_call_arguments.delta", "function_call_arguments.delta", "function_call_arguments.done"],
      ...["output_item.done", "completed"],
    ]);
    const { response } = terminal(said);
    expect(response).toMatchObject({ object: "response", status: "completed", model: "qwen-7b", error: null, incomplete_details: null });
    expect(output(response)).toMatchObject([
      { type: "reasoning", content: [{ type: "reasoning_text", text: "hm" }] },
      { type: "message", role: "assistant", status: "completed", content: [{ type: "output_text", text: "It is", annotations: [] }] },
      { type: "function_call", call_id: "c1", name: "get_weather", arguments: '{"city":"Paris"}' },
      { type: "function_call", call_id: "c2", name: "get_weather", arguments: '{"city":"Rome"}' },
    ]);
    expect(response.usage).toEqual({
      ...{ input_tokens: 7, input_tokens_details: { cached_tokens: 0 } },
      ...{ output_tokens: 9, output_tokens_details: { reasoning_tokens: 1 }, total_tokens: 16 },
    });
  });

  test("in one piece it is the response that the stream ends with", async () => {
    const reply = [{ reasoning: "hm" }, "It is", ...callOf("get_weather", { city: "Paris" }, 0, "c1")];
    const { base } = await serveScript(reply, reply);
    const body = { ...ASKED, tools: [WEATHER], metadata: { a: "b" }, instructions: "Be brief.", temperature: 0.5 };
    const { response } = terminal(await events(base, body));
    const whole = (await (await post(responses(base), body)).json()) as typeof response;
    expect(withoutIds(whole)).toEqual(withoutIds(response));
    expect(whole).toMatchObject({ metadata: { a: "b" }, instructions: "Be brief.", temperature: 0.5, tools: [WEATHER] });
  });

  test("thoughts are a summary where one is asked for, and sealed too; what is sealed comes back as the thought", async () => {
    const server = await serveScript([{ reasoning: "hm" }, { reasoning: "m" }, "x"], ["y"]);
    const body = { ...ASKED, reasoning: { summary: "auto" }, include: ["reasoning.encrypted_content"], store: false };
    const said = await events(server.base, body);
    expect(said.slice(2, 9).map(({ type }) => shapeOf(type))).toEqual([
      ...["output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.delta"],
      ...["reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"],
    ]);
    const [thought] = output(terminal(said).response);
    expect(thought).toMatchObject({ type: "reasoning", summary: [{ type: "summary_text", text: "hmm" }] });
    const { encrypted_content } = thought as { encrypted_content: string };
    const input = [
      { role: "user", content: "a" },
      { type: "reasoning", id: "rs_1", summary: [], encrypted_content },
      { role: "assistant", content: "x" },
      { role: "user", content: "b" },
    ];
    await post(responses(server.base), { input, store: false });
    expect(messagesOf(server, 1)[1]).toEqual({ role: "assistant", reasoning_content: "hmm", content: "x" });
  });

  test("a call of a custom tool streams its text, and comes back as the call that it was", async () => {
    const input = 'a "b"\n\\ \t\u00e9 \ud83d\ude42 end';
    const server = await serveScript(callOf("patch", { input }, 0, "c1"), ["y"]);
    const body = { ...ASKED, tools: [PATCH], store: false };
    const said = await events(server.base, body);
    const added = said.find(({ type }) => type === "response.output_item.added")!;
    expect(added.item).toMatchObject({ type: "custom_tool_call", status: "in_progress", name: "patch", call_id: "c1", input: "" });
    expect(said.slice(2).map(({ type }) => shapeOf(type))).toEqual([
      ...["output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.delta"],
      ...["custom_tool_call_input.done", "output_item.done", "completed"],
    ]);
    const deltas = said.filter(({ type }) => type === "response.custom_tool_call_input.delta").map(({ delta }) => delta);
    expect(deltas.join("")).toBe(input);
    expect(said.find(({ type }) => type === "response.custom_tool_call_input.done")!.input).toBe(input);
    const [call] = output(terminal(said).response);
    expect(call).toMatchObject({ type: "custom_tool_call", status: "completed", name: "patch", call_id: "c1", input });
    const result = { type: "custom_tool_call_output", call_id: "c1", output: "done" };
    await post(responses(server.base), { ...body, input: [{ role: "user", content: "a" }, call, result] });
    expect(messagesOf(server, 1).slice(1)).toMatchObject([
      { role: "assistant", tool_calls: [{ id: "c1", function: { name: "patch", arguments: JSON.stringify({ input }) } }] },
      { role: "tool", tool_call_id: "c1", content: "done" },
    ]);
  });

  test("a custom tool's text is the same however its call is cut, and whatever is in it", async () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.boolean(), fc.array(fc.nat(40)), (input, ascii, cuts) => {
        const plain = JSON.stringify({ input });
        const escaped = plain.replace(/[^ -~]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
        const given = ascii ? escaped : plain;
        const reader = new InputReader();
        const places = [0, ...cuts.map((cut) => cut % given.length).sort((a, b) => a - b), given.length];
        const pieces = places.slice(1).map((place, i) => reader.add(given.slice(places[i], place)));
        expect([...pieces, reader.end()].join("")).toBe(input);
        for (const piece of pieces) if (ascii) expect(piece.isWellFormed()).toBe(true);
      }),
    );
    const other = new InputReader();
    expect([other.add('{"text":"a"}'), other.end()]).toEqual(["", '{"text":"a"}']);
    const cut = new InputReader();
    expect([cut.add('{"inp'), cut.end()]).toEqual(["", ""]);
  });

  test("a reply that is cut short is incomplete, and says why", async () => {
    const { base } = await serveScript(["a", "b", "c"]);
    const said = await events(base, { ...ASKED, max_output_tokens: 2 });
    const end = terminal(said);
    expect(end.type).toBe("response.incomplete");
    expect(end.response).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
    expect(output(end.response)).toMatchObject([{ status: "incomplete", content: [{ text: "ab" }] }]);
  });

  test("a reply that says nothing has an empty message", async () => {
    const { base } = await serveScript([]);
    const { response } = terminal(await events(base, ASKED));
    expect(output(response)).toMatchObject([{ type: "message", content: [{ type: "output_text", text: "" }] }]);
  });

  test("log-probabilities are beside the text, and in the whole", async () => {
    const { base } = await serveScript(["a", "b"]);
    const said = await events(base, { ...ASKED, include: ["message.output_text.logprobs"], top_logprobs: 1 });
    const deltas = said.filter(({ type }) => type === "response.output_text.delta");
    expect(deltas[0]!.logprobs).toEqual([
      { token: "a", logprob: -1, bytes: [97], top_logprobs: [{ token: "a", logprob: -1, bytes: [97] }] },
    ]);
    const [message] = output(terminal(said).response) as { content: { logprobs: unknown[] }[] }[];
    expect(message!.content[0]!.logprobs).toHaveLength(2);
  });

  test("heartbeats are data, without a number, and begin after response.created", async () => {
    async function* slowly(): AsyncGenerator<StreamEvent> {
      await sleep(30);
      yield { type: "text", text: "a" };
      await sleep(30);
      yield { type: "finish", reason: "stop", ...NO_USE, seed: 1 };
    }
    const chatStream = () => ({ events: slowly });
    const base = await listen(nodeHandler({ chatStream, completionStream: chatStream }, { heartbeatMs: 5 }));
    const text = await (await post(responses(base), { ...ASKED, stream: true })).text();
    expect(text.startsWith("event: response.created\n")).toBe(true);
    expect(text).toContain('event: keepalive\ndata: {"type":"keepalive"}\n\n');
    expect(textOf(terminal(read(text)).response)).toBe("a");
  });

  test("a failure is an error event and then the failed response, with its code", async () => {
    const { base } = await serveScript(["a", { error: { code: "ENGINE_FAILED", message: "x" } }]);
    const said = await events(base, ASKED);
    expect(said.slice(-2).map(({ type }) => type)).toEqual(["error", "response.failed"]);
    const [error, failed] = said.slice(-2);
    expect(error).toMatchObject({ code: "engine_failed", error: { code: "engine_failed", type: "server_error", param: null } });
    expect(failed!.response).toMatchObject({ status: "failed", error: { code: "engine_failed" } });
  });
});

describe("input items become the messages that the model reads", () => {
  test.each<[string, unknown, unknown[]]>([
    ["a text", "Hi", [{ role: "user", content: "Hi" }]],
    [
      "messages of all roles, with parts or without",
      [
        { role: "system", content: "S" },
        { type: "message", role: "developer", content: [{ type: "input_text", text: "D" }] },
        { type: "message", role: "user", content: [{ type: "input_text", text: "U" }] },
        {
          type: "message",
          id: "msg_1",
          role: "assistant",
          status: "completed",
          content: [{ type: "output_text", text: "A", annotations: [] }],
        },
        { role: "assistant", content: [{ type: "refusal", refusal: "No." }] },
      ],
      [
        { role: "system", content: "S" },
        { role: "developer", content: "D" },
        { role: "user", content: "U" },
        { role: "assistant", content: "A" },
        { role: "assistant", content: [{ type: "text", text: "No." }] },
      ],
    ],
    [
      "a tool's result whose call is not there is one all the same",
      [{ type: "function_call_output", call_id: "c9", output: "one" }],
      [{ role: "tool", tool_call_id: "c9", content: "one" }],
    ],
    [
      "a thought, a text and calls of one reply are one message",
      [
        { role: "user", content: "U" },
        { type: "reasoning", id: "rs_1", summary: [], content: [{ type: "reasoning_text", text: "hm" }] },
        { role: "assistant", content: "Let me see." },
        { type: "function_call", call_id: "c1", name: "f", arguments: '{"a":1}' },
        { type: "function_call", call_id: "c2", name: "g", namespace: "n", arguments: "{}" },
        { type: "function_call_output", call_id: "c1", output: "one" },
        { type: "function_call_output", call_id: "c2", output: [{ type: "input_text", text: "two" }] },
        { type: "function_call", call_id: "c3", name: "f", arguments: "" },
        { type: "function_call_output", call_id: "c3", output: "three" },
      ],
      [
        { role: "user", content: "U" },
        {
          role: "assistant",
          tool_calls: [
            { id: "c1", type: "function", function: { name: "f", arguments: '{"a":1}' } },
            { id: "c2", type: "function", function: { name: "n.g", arguments: "{}" } },
          ],
          reasoning_content: "hm",
          content: "Let me see.",
        },
        { role: "tool", content: "one", tool_call_id: "c1", name: "f" },
        { role: "tool", content: "two", tool_call_id: "c2", name: "n.g" },
        { role: "assistant", tool_calls: [{ id: "c3", type: "function", function: { name: "f", arguments: "{}" } }], content: null },
        { role: "tool", content: "three", tool_call_id: "c3", name: "f" },
      ],
    ],
  ])("%s", async (_, input, expected) => {
    const server = await serveScript(["x"]);
    const response = await post(responses(server.base), { input });
    expect(response.status, await response.clone().text()).toBe(200);
    expect(messagesOf(server)).toEqual(expected);
  });

  test("ids of items reach no prompt", async () => {
    const server = await serveScript(["x"], ["x"]);
    for (const id of ["msg_1", "msg_2"]) await post(responses(server.base), { input: [{ id, role: "user", content: "Hi" }] });
    expect(messagesOf(server, 0)).toEqual(messagesOf(server, 1));
  });
});

describe("fields of a body reach the engine", () => {
  const schema = { type: "object", properties: { a: { type: "integer" } } };
  const enforced = JSON.stringify({ type: "object", properties: { a: { type: "integer" } }, required: [], additionalProperties: false });
  const f = { type: "function", name: "f", parameters: { type: "object", properties: {} } };
  const g = { ...f, name: "g" };
  const named = (tools: string) => (JSON.parse(tools) as { function: { name: string } }[]).map(({ function: { name } }) => name);
  test.each<[string, object, object]>([
    ["tool_choice", { tools: [f, g], tool_choice: { type: "function", name: "g" } }, { toolChoice: "required" }],
    ["parallel_tool_calls", { tools: [f], parallel_tool_calls: false }, { parallelToolCalls: false }],
    ["text.format json_schema", { text: { format: { type: "json_schema", name: "x", schema, strict: true } } }, { jsonSchema: enforced }],
    ["text.format json_object", { text: { format: { type: "json_object" } } }, { jsonSchema: '{"type":"object"}' }],
    ["reasoning.effort", { reasoning: { effort: "low" } }, { thinking: true, templateArguments: '{"reasoning_effort":"low"}' }],
    ["reasoning.effort none", { reasoning: { effort: "none" } }, { thinking: false }],
    ["fields of local servers", { grammar: 'root ::= "a"' }, { grammar: 'root ::= "a"' }],
  ])("%s", async (_, body, expected) => {
    const { base, fake } = await serveScript(["x"]);
    const response = await post(responses(base), { input: "x", ...body });
    expect(response.status, await response.clone().text()).toBe(200);
    expect(fake.streams[0]!.request.reply).toMatchObject(expected);
  });
  test("sampling, and the limit", async () => {
    const { base, fake } = await serveScript(["x"]);
    const body = { temperature: 0.5, top_p: 0.25, max_output_tokens: 9, top_k: 3, seed: 5 };
    await post(responses(base), { input: "x", ...body });
    const { sampling, maxTokens, seed } = fake.streams[0]!.request as unknown as Record<string, unknown>;
    expect({ ...(sampling as object), ...fake.streams[0]!.request, maxTokens, seed }).toMatchObject({
      ...{ temperature: 0.5, topP: 0.25, topK: 3, maxTokens: 9, seed: 5 },
    });
  });
  test("instructions come first; null is as good as left out", async () => {
    const server = await serveScript(["x"], ["x"]);
    await post(responses(server.base), { instructions: "I", input: "x", tools: null, previous_response_id: null, text: null });
    expect(messagesOf(server)).toEqual([
      { role: "system", content: "I" },
      { role: "user", content: "x" },
    ]);
  });
  test("functions of a namespace are the model's by one name, and the client's by two", async () => {
    const namespace = { type: "namespace", name: "crm", description: "About customers.", tools: [{ ...f, description: "F" }, g] };
    const server = await serveScript(callOf("crm.g", {}, 0, "c1"));
    const said = await events(server.base, { input: "x", tools: [f, namespace] });
    expect(output(terminal(said).response)[0]).toMatchObject({ type: "function_call", name: "g", namespace: "crm", call_id: "c1" });
    const { tools } = server.fake.streams[0]!.request.reply!;
    expect(named(tools!)).toEqual(["f", "crm.f", "crm.g"]);
    expect(tools).toContain("About customers.\\n\\nF");
  });
  test("a custom tool is a function of one text for the model, with its grammar in its description", async () => {
    const { base, fake } = await serveScript(["x"], ["x"]);
    const format = { type: "grammar", syntax: "lark", definition: "start: /a+/" };
    await post(responses(base), { input: "x", tools: [{ ...PATCH, format }], tool_choice: { type: "custom", name: "patch" } });
    const { tools, toolChoice } = fake.streams[0]!.request.reply!;
    expect(toolChoice).toBe("required");
    const [{ function: told }] = JSON.parse(tools!) as [{ function: { name: string; description: string; parameters: object } }];
    expect(told.name).toBe("patch");
    expect(told.description).toBe("Changes a file.\n\nThe input must match this Lark grammar:\nstart: /a+/");
    expect(told.parameters).toMatchObject({ properties: { input: { type: "string" } }, required: ["input"] });
    const tool_choice = { type: "allowed_tools", mode: "auto", tools: [{ type: "custom", name: "patch" }] };
    expect((await post(responses(base), { input: "x", tools: [f, PATCH], tool_choice })).status).toBe(200);
    expect(named(fake.streams[1]!.request.reply!.tools!)).toEqual(["patch"]);
  });
  test("of allowed tools, those alone are there", async () => {
    const { base, fake } = await serveScript(["x"]);
    const tool_choice = { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "g" }] };
    expect((await post(responses(base), { input: "x", tools: [f, g], tool_choice })).status).toBe(200);
    expect(fake.streams[0]!.request.reply).toMatchObject({ toolChoice: "required" });
    expect(named(fake.streams[0]!.request.reply!.tools!)).toEqual(["g"]);
  });
  test("what means nothing to a local model is let pass, and repeated", async () => {
    const { base } = await serveScript(["x"]);
    const fields = {
      user: "u",
      safety_identifier: "s",
      prompt_cache_key: "k",
      truncation: "auto",
      metadata: { a: "1" },
      max_tool_calls: 3,
    };
    const more = { service_tier: "flex", client_metadata: { x: "y" }, prompt_cache_retention: "24h", text: { verbosity: "low" } };
    const response = await post(responses(base), { input: "x", ...fields, ...more });
    expect(await response.json()).toMatchObject({
      ...fields,
      service_tier: "default",
      text: { format: { type: "text" }, verbosity: "low" },
    });
  });
  test("with truncation auto the oldest turns are left out of a prompt that is too long, and nothing else", async () => {
    const server = await serveScript(["x"], ["x"], ["x"], ["x"]);
    const turn = (i: number) => [
      { role: "user", content: `${i} ${"a".repeat(80)}` },
      { type: "function_call", call_id: `c${i}`, name: "f", arguments: "{}" },
      { type: "function_call_output", call_id: `c${i}`, output: "r" },
      { role: "assistant", content: "said" },
    ];
    const input = [...[0, 1, 2, 3, 4, 5, 6, 7].flatMap(turn), { role: "user", content: "last" }];
    const body = { instructions: "I", input, truncation: "auto", max_output_tokens: 2 };
    const first = await post(responses(server.base), body);
    expect(await first.json()).toMatchObject({ truncation: "auto", status: "completed" });
    const kept = messagesOf(server) as { role: string; content: string }[];
    expect(kept[0]).toEqual({ role: "system", content: "I" });
    expect(kept[1]!.role).toBe("user");
    expect(kept[1]!.content.startsWith("0")).toBe(false);
    expect(kept.at(-1)).toEqual({ role: "user", content: "last" });
    expect((kept.length - 2) % 4).toBe(0);
    // What fits stays whole; with room for a longer reply more goes; what cannot fit is left to the engine.
    await post(responses(server.base), { ...body, input: input.slice(-5) });
    expect(messagesOf(server, 1)).toHaveLength(6);
    await post(responses(server.base), { ...body, max_output_tokens: 400 });
    expect(messagesOf(server, 2).length).toBeLessThan(kept.length);
    await post(responses(server.base), { ...body, truncation: "disabled" });
    expect(messagesOf(server, 3)).toHaveLength(34);
  });
  test.each<[object, string]>([
    [{ input: undefined }, "input"],
    [{ input: [] }, "input"],
    [{ input: 5 }, "input"],
    [{ input: [5] }, "input[0]"],
    [{ messages: [{ role: "user", content: "x" }] }, "messages"],
    [{ input: [{ role: "robot", content: "x" }] }, "input[0].role"],
    [{ input: [{ role: "user", content: [{ type: "input_image", image_url: "x" }] }] }, "input[0].content[0]"],
    [
      {
        instructions: "I",
        input: [
          { role: "user", content: "x" },
          { role: "user", content: 5 },
        ],
      },
      "input[1].content",
    ],
    // Of items that are one message, the one that is wrong.
    [{ input: [THOUGHT, SAID_BEFORE, { ...CALLED, arguments: "no json" }] }, "input[2].arguments"],
    [{ input: [{ role: "user", content: "x" }, CALLED, { ...CALLED, call_id: "d", arguments: "[1]" }] }, "input[2].arguments"],
    [{ input: [THOUGHT, { ...SAID_BEFORE, content: [{ type: "input_image" }] }, CALLED] }, "input[1].content[0]"],
    [
      { input: [CALLED, { type: "function_call_output", call_id: "c", output: [{ type: "input_image", image_url: "x" }] }] },
      "input[1].output[0]",
    ],
    [{ input: [{ type: "computer_call", id: "x" }] }, "input[0].type"],
    [{ input: [{ type: "item_reference", id: "msg_x" }] }, "input[0].id"],
    [{ input: [{ type: "function_call", name: "f", arguments: "{}" }] }, "input[0].call_id"],
    [{ input: [{ type: "function_call_output", call_id: "c", output: 5 }] }, "input[0].output"],
    [{ input: [{ type: "reasoning", content: [{ text: 5 }] }] }, "input[0].content[0].text"],
    [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
    [{ tools: [f, { type: "mcp", name: "x" }] }, "tools[1].type"],
    [{ tools: [{ type: "namespace", name: "n", tools: [{ type: "mcp" }] }] }, "tools[0].tools[0].type"],
    [{ tools: [{ type: "custom" }] }, "tools[0].name"],
    [{ tools: [{ ...PATCH, format: { type: "xml" } }] }, "tools[0].format"],
    [{ tools: [{ ...PATCH, format: { type: "grammar", syntax: "peg", definition: "x" } }] }, "tools[0].format.syntax"],
    [{ tools: [{ ...PATCH, format: { type: "grammar", syntax: "lark" } }] }, "tools[0].format.definition"],
    [{ tools: [PATCH], tool_choice: { type: "function", name: "patch" } }, "tool_choice.name"],
    [{ input: [{ type: "custom_tool_call", name: "patch", call_id: "c" }] }, "input[0].input"],
    [{ tools: [f, { ...f, name: "a b" }] }, "tools[1].name"],
    [{ tools: [{ ...f, parameters: 5 }] }, "tools[0].parameters"],
    [{ tool_choice: "required" }, "tool_choice"],
    [{ tools: [f], tool_choice: { type: "function", name: "g" } }, "tool_choice.name"],
    [{ tools: [f], tool_choice: { type: "web_search_preview" } }, "tool_choice.type"],
    [{ text: { format: { type: "json_schema", name: "x", schema: { not: {} } } } }, "text.format.schema"],
    [{ text: { format: { type: "xml" } } }, "text.format.type"],
    [{ text: 5 }, "text"],
    [{ reasoning: { effort: "much" } }, "reasoning.effort"],
    [{ reasoning: { summary: "long" } }, "reasoning.summary"],
    [{ max_output_tokens: 0 }, "max_output_tokens"],
    [{ temperature: 9 }, "temperature"],
    [{ include: ["x"] }, "include[0]"],
    [{ metadata: { a: 5 } }, "metadata"],
    [{ truncation: "some" }, "truncation"],
    [{ conversation: "conv_1" }, "conversation"],
    [{ prompt: { id: "p" } }, "prompt"],
    [{ context_management: [{ type: "compaction" }] }, "context_management"],
    [{ previous_response_id: "resp_x" }, "previous_response_id"],
    [{ background: true, store: false }, "background"],
    [{ store: "yes" }, "store"],
    [{ n: 2 }, "n"],
    [{ stream_options: { x: 1 }, stream: true }, "stream_options.x"],
  ])("%j is refused, and %s is named", async (body, param) => {
    const { base } = await serveScript(["x"]);
    const response = await post(responses(base), { input: "x", ...body });
    expect(response.status).toBe(param === "input[0].id" ? 404 : 400); // an item that is not there, as OpenAI answers
    const { error } = await json(response);
    expect(error.param).toBe(param);
    expect(error.message).toContain(param.split(".")[0]);
  });
});

test("whatever stands in a body, it is answered or refused by a name; nothing fails in the server", async () => {
  const seed = Number(process.env.ZSE_TEST_SEED ?? Date.now() % 1e9);
  console.log(`ZSE_TEST_SEED=${seed}`);
  const failures: unknown[] = [];
  let answered = 0;
  const server = await serveScriptWith({ onError: (error) => void failures.push(error) }, ...Array.from({ length: 400 }, () => ["x"]));
  const { output: kept } = (await (await post(responses(server.base), { input: "x" })).json()) as ResponseObject;
  const body = {
    instructions: "I",
    input: [
      { type: "message", role: "user", content: [{ type: "input_text", text: "U" }] },
      { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "s" }], content: [], encrypted_content: "zse1.eA==" },
      { type: "function_call", call_id: "c1", name: "f", namespace: "n", arguments: "{}" },
      { type: "function_call_output", call_id: "c1", output: [{ type: "input_text", text: "one" }] },
      { type: "item_reference", id: kept[0]!.id },
      { role: "user", content: "y" },
    ],
    tools: [{ type: "namespace", name: "n", description: "N", tools: [{ type: "function", name: "f", parameters: { type: "object" } }] }],
    tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "f", namespace: "n" }] },
    text: { format: { type: "json_schema", name: "x", schema: { type: "object" }, strict: true }, verbosity: "low" },
    reasoning: { effort: "low", summary: "auto" },
    include: ["reasoning.encrypted_content"],
    metadata: { a: "b" },
    stream_options: { include_obfuscation: true },
    stream: true,
  };
  const values: unknown[] = [
    null,
    0,
    -1,
    1.5,
    "",
    "x",
    "zse1.%",
    true,
    [],
    [[]],
    {},
    { type: "x" },
    { type: "function" },
    "\ud800",
    { role: "user" },
  ];
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.constantFrom(...values), fc.boolean(), async (which, value, isRemoved) => {
      const changed = structuredClone(body) as unknown as Record<string, unknown>;
      const places = placesIn(changed);
      const [holder, key] = places[which % places.length]!;
      if (isRemoved) delete holder[key];
      else holder[key] = value;
      const response = await post(responses(server.base), changed);
      const text = await response.text();
      if (response.status === 200) answered++;
      expect([200, 400, 404], text).toContain(response.status);
      if (response.status !== 200)
        expect((JSON.parse(text) as { error: { param: unknown } }).error.param, text).toEqual(expect.any(String));
      expect(failures).toEqual([]);
    }),
    { seed, numRuns: 400 },
  );
  expect(answered, "not all is refused").toBeGreaterThan(40);
});

/** Every place of a value in plain data. */
function placesIn(value: object): [Record<string, unknown>, string][] {
  return Object.entries(value).flatMap(([key, inner]) => [
    [value as Record<string, unknown>, key] as [Record<string, unknown>, string],
    ...(typeof inner === "object" && inner !== null ? placesIn(inner as object) : []),
  ]);
}

describe("what is kept", () => {
  const get = async (url: string) => {
    const response = await fetch(url);
    return { status: response.status, body: (await response.json()) as ResponseObject & { error: { code: string } } };
  };
  test("a response is there until it is deleted, unless store is false", async () => {
    const { base } = await serveScript(["a"], ["b"], ["c"]);
    const { response } = terminal(await events(base, ASKED));
    const url = `${responses(base)}/${response.id}`;
    expect((await get(url)).body).toEqual(response);
    const whole = (await (await post(responses(base), ASKED)).json()) as ResponseObject;
    expect((await get(`${responses(base)}/${whole.id}`)).body).toEqual(whole);
    expect(await (await fetch(url, { method: "DELETE" })).json()).toEqual({ id: response.id, object: "response", deleted: true });
    expect(await get(url)).toMatchObject({ status: 404, body: { error: { code: "response_not_found" } } });
    expect((await fetch(url, { method: "DELETE" })).status).toBe(404);
    const unkept = (await (await post(responses(base), { ...ASKED, store: false })).json()) as ResponseObject;
    expect((await get(`${responses(base)}/${unkept.id}`)).status).toBe(404);
  });

  test("a request goes on from one: the whole conversation is the prompt, without the earlier instructions", async () => {
    const server = await serveScript([{ reasoning: "hm" }, ...callOf("f", {}, 0, "c1")], ["b"], ["c"]);
    const f = { type: "function", name: "f", parameters: { type: "object", properties: {} } };
    const ids: string[] = [];
    const turns = [
      { instructions: "I", input: "one", tools: [f] },
      { input: [{ type: "function_call_output", call_id: "c1", output: "two" }], tools: [f] },
      { instructions: "J", input: "three" },
    ];
    for (const turn of turns) {
      const body = { ...turn, ...(ids.length > 0 ? { previous_response_id: ids.at(-1) } : {}) };
      const { response } = terminal(await events(server.base, body));
      ids.push(response.id);
    }
    expect(messagesOf(server, 2)).toMatchObject([
      { role: "system", content: "J" },
      { role: "user", content: "one" },
      { role: "assistant", reasoning_content: "hm", tool_calls: [{ id: "c1" }] },
      { role: "tool", content: "two" },
      { role: "assistant", content: "b" },
      { role: "user", content: "three" },
    ]);
    // It holds all of it: what it went on from may go.
    await fetch(`${responses(server.base)}/${ids[0]}`, { method: "DELETE" });
    expect((await post(responses(server.base), { input: "x", previous_response_id: ids[2] })).status).toBe(200);
  });

  test("its input is listed in pages, the newest first", async () => {
    const { base } = await serveScript(["a"]);
    const input = ["1", "2", "3"].map((content) => ({ role: "user", content }));
    const { id } = (await (await post(responses(base), { input })).json()) as ResponseObject;
    const list = async (query: string) => (await get(`${responses(base)}/${id}/input_items?${query}`)).body as unknown as Page;
    const contents = ({ data }: Page) =>
      data.map(({ content }) => {
        const [part, ...more] = content as unknown as { type: string; text: string }[];
        expect([part!.type, more]).toEqual(["input_text", []]); // a text is told as the part that it stands for
        return part!.text;
      });
    const first = await list("limit=2");
    expect([contents(first), first.has_more]).toEqual([["3", "2"], true]);
    const second = await list(`limit=2&after=${first.last_id}`);
    expect([contents(second), second.has_more]).toEqual([["1"], false]);
    expect(contents(await list("order=asc"))).toEqual(["1", "2", "3"]);
    for (const query of ["limit=0", "order=x", "after=x"])
      expect((await get(`${responses(base)}/${id}/input_items?${query}`)).status).toBe(400);
  });

  test("it is bounded in number and in bytes: of more, what was used longest ago is forgotten", async () => {
    const { base } = await serveScriptWith({ keptReplies: { maxReplies: 2 } }, ["a"], ["b"], ["c"]);
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) {
      if (i === 2) await get(`${responses(base)}/${ids[0]}`); // used again
      ids.push(((await (await post(responses(base), ASKED)).json()) as ResponseObject).id);
    }
    const there = await Promise.all(ids.map(async (id) => (await get(`${responses(base)}/${id}`)).status));
    expect(there).toEqual([200, 404, 200]);
    // Nor is one kept that is too large itself, by either bound.
    for (const options of [{ keptReplies: { maxBytes: 100 } }, { maxBodyBytes: 400 }]) {
      const small = await serveScriptWith(options, ["a"]);
      const { id } = (await (await post(responses(small.base), ASKED)).json()) as ResponseObject;
      expect((await get(`${responses(small.base)}/${id}`)).status).toBe(404);
    }
  });

  test("pieces of it are referred to, each once, and no more of them than a body might bring", async () => {
    const server = await serveScriptWith({ maxBodyBytes: 4000 }, ...["a", "b", "c"].map((text) => [text.repeat(3000)]), ["x"]);
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) {
      const { output } = (await (await post(responses(server.base), { input: "x" })).json()) as ResponseObject;
      ids.push(output[0]!.id as string);
    }
    const ask = async (...referred: string[]) => {
      const input = [...referred.map((id) => ({ type: "item_reference", id })), { role: "user", content: "y" }];
      return post(responses(server.base), { input });
    };
    expect((await ask(ids[0]!, ids[1]!)).status).toBe(200);
    expect(messagesOf(server, 3)).toMatchObject([{ content: "a".repeat(3000) }, { content: "b".repeat(3000) }, { content: "y" }]);
    const twice = await ask(ids[0]!, ids[0]!);
    expect((await json(twice)).error).toMatchObject({ param: "input[1].id", code: "invalid_value" });
    expect((await ask(...ids)).status).toBe(413);
  });

  test("with background, a stream is resumed after any of its events, without a loss", async () => {
    const { base } = await serveScript(["a", "b", "c"]);
    const response = await post(responses(base), { ...ASKED, stream: true, background: true });
    const said = read(await response.text());
    const { id } = said[0]!.response;
    for (const after of [0, 4, said.length - 2]) {
      const again = await fetch(`${responses(base)}/${id}?stream=true&starting_after=${after}`);
      expect(read(await again.text(), { from: after + 1 })).toEqual(said.slice(after + 1));
    }
    for (const after of ["x", "-1", "-2", "1.5", "", "9999", said.length]) {
      const refused = await fetch(`${responses(base)}/${id}?stream=true&starting_after=${after}`);
      expect(refused.status, `${after}`).toBe(400);
      const { param, message } = (await json(refused)).error;
      expect([param, message], `${after}`).toEqual(["starting_after", expect.stringContaining("starting_after ")]);
    }
    expect((await fetch(`${responses(base)}/resp_x?stream=true`)).status).toBe(404);
  });

  test.each([true, false])("in the background a reply runs for nobody, is looked at, and is cancelled (stream: %s)", async (stream) => {
    const { base, fake } = await serveScript(endlessly(), ["x"]);
    const asked = new AbortController();
    const response = await post(responses(base), { ...ASKED, background: true, stream }, { signal: asked.signal });
    const { id, status } = stream ? await firstResponse(response) : ((await response.json()) as ResponseObject);
    asked.abort();
    expect(status).toBe("in_progress");
    const url = `${responses(base)}/${id}`;
    while (textOf((await get(url)).body) === "") await sleep(2);
    const early = await json(await post(responses(base), { input: "x", previous_response_id: id }));
    expect(early.error.message).toContain("still in progress");
    const cancelled = (await (await fetch(`${url}/cancel`, { method: "POST" })).json()) as ResponseObject;
    expect(cancelled).toMatchObject({ id, status: "cancelled", error: null, output: [{ status: "incomplete" }] });
    await until(() => fake.streams[0]!.state === "ended", "the engine is rid of it");
    expect((await get(url)).body).toEqual(cancelled);
    expect((await fetch(`${url}/cancel`, { method: "POST" })).status).toBe(200); // as often as one likes
  });

  test("one client has so many in the background at a time", async () => {
    const { base } = await serveScriptWith({ resumable: { maxUnread: 2 } }, endlessly(), endlessly(), ["x"]);
    const ask = () => post(responses(base), { ...ASKED, background: true });
    const { id } = (await (await ask()).json()) as ResponseObject;
    const { id: other } = (await (await ask()).json()) as ResponseObject;
    const third = await ask();
    expect([third.status, third.headers.get("retry-after"), (await json(third)).error.code]).toEqual([429, "1", "rate_limit_exceeded"]);
    await fetch(`${responses(base)}/${id}/cancel`, { method: "POST" });
    while ((await ask()).status !== 200) await sleep(2);
    await fetch(`${responses(base)}/${other}`, { method: "DELETE" });
  });

  test("in the background it ends by itself, and is there then; one that was never in it cannot be cancelled", async () => {
    const { base } = await serveScript(["a"], ["b"]);
    const { id } = (await (await post(responses(base), { ...ASKED, background: true })).json()) as ResponseObject;
    while ((await get(`${responses(base)}/${id}`)).body.status !== "completed") await sleep(2);
    expect((await fetch(`${responses(base)}/${id}/cancel`, { method: "POST" })).status).toBe(400);
  });
});

interface Page {
  data: { content: string }[];
  last_id: string;
  has_more: boolean;
}

describe("the demo model behind zse serve", () => {
  test("streams what it says in one piece for the same seed", async () => {
    const { base } = await serveApp();
    const body = { model: "qwen-7b", input: "Tell me a story", max_output_tokens: 40, temperature: 1, seed: 7 };
    const { response } = terminal(await events(base, body));
    const whole = (await (await post(responses(base), body)).json()) as ResponseObject;
    expect(textOf(whole).length).toBeGreaterThan(0);
    expect(textOf(response)).toBe(textOf(whole));
  });

  test("what goes on from a kept response has its prompt from the cache", async () => {
    const { base } = await serveApp({ contextSize: 2048 });
    const first = (await (
      await post(responses(base), { input: `Tell me a story. ${"It is about a fox. ".repeat(20)}`, temperature: 0, max_output_tokens: 30 })
    ).json()) as ResponseObject;
    const again = { input: "Go on", previous_response_id: first.id, temperature: 0, max_output_tokens: 5 };
    const second = (await (await post(responses(base), again)).json()) as ResponseObject;
    const { input_tokens } = first.usage as { input_tokens: number };
    const { cached_tokens } = (second.usage as { input_tokens_details: { cached_tokens: number } }).input_tokens_details;
    expect(cached_tokens).toBeGreaterThanOrEqual(input_tokens);
  });

  test("input_tokens is what a request's usage says", async () => {
    const { base, model } = await serveApp({ maxStreams: 1 });
    const body = { instructions: "Be brief.", input: "Tell me a story" };
    const counted = (await (await post(`${responses(base)}/input_tokens`, body)).json()) as { input_tokens: number };
    const { usage } = (await (await post(responses(base), { ...body, max_output_tokens: 1 })).json()) as ResponseObject;
    expect(counted).toEqual({ object: "response.input_tokens", input_tokens: usage!.input_tokens });
    await until(() => idle(model, 1), "the slot is free");
    expect((await post(`${responses(base)}/input_tokens`, { input: 5 })).status).toBe(400);
  });

  test("a client that leaves cancels its reply", async () => {
    const { base, model } = await serveApp({ maxStreams: 1, contextSize: 4096 });
    const leaving = new AbortController();
    const body = { ...ASKED, stream: true, ignore_eos: true, seed: 1 };
    const response = await post(responses(base), body, { signal: leaving.signal });
    await firstResponse(response);
    leaving.abort();
    await until(() => idle(model, 1), "the slot is free");
  });

  test("a prompt that is too long is a 400 in the words that agents look for", async () => {
    const { base } = await serveApp({ contextSize: 256 });
    const { error } = await json(await post(responses(base), { input: "long ".repeat(2000), stream: true }));
    expect(error).toMatchObject({ code: "context_length_exceeded", param: "input" });
    expect(error.message).toContain("maximum context length is 256 tokens");
  });

  test("… and names the item that has most of it, as it is written", async () => {
    const { base } = await serveApp({ contextSize: 256 });
    const call = { type: "function_call", call_id: "c1", name: "read", arguments: "{}" };
    const input = [{ role: "user", content: "Hi" }, call, { type: "function_call_output", call_id: "c1", output: "long ".repeat(2000) }];
    const { error } = await json(await post(responses(base), { instructions: "Be brief.", input }));
    expect(error.param).toBe("input");
    expect(error.message).toMatch(/resulted in .* tokens\. Please reduce the length of the input\. Most of it is input\[2\]\.$/);
  });

  test("a list of items has a bound, and fields that are wrong are named as they are written", async () => {
    const { base } = await serveApp({}, { maxMessages: 1 });
    const many = await json(await post(responses(base), { input: Array.from({ length: 5 }, () => ({ role: "user", content: "x" })) }));
    expect(many.error).toMatchObject({ param: "input", message: expect.stringContaining("up to 4 items") as unknown });
    for (const [body, param] of [
      [{ max_output_tokens: "9" }, "max_output_tokens"],
      [{ temperature: 9 }, "temperature"],
      [{ model: "other" }, "model"],
      [{ stream: true, stream_options: { x: 1 } }, "stream_options.x"],
      [{ tools: [{ type: "function", name: "f", parameters: { type: "object" }, strict: "yes" }] }, "tools[0].strict"],
    ] as const) {
      expect((await json(await post(responses(base), { input: "x", ...body }))).error.param).toBe(param);
    }
  });

  test("every spelling of the routes is answered, and other methods are refused", async () => {
    const { base } = await serveApp({}, { apiKeys: ["k"] });
    const init = { headers: { "content-type": "application/json", authorization: "Bearer k" } };
    for (const path of ["/responses", "//v1/responses", "/v1/responses/"]) {
      expect((await post(`${base}${path}`, { input: "x", max_output_tokens: 1 }, init)).status).toBe(200);
      expect((await post(`${base}${path}`, { input: "x" })).status).toBe(401);
    }
    const put = await fetch(`${base}/v1/responses/resp_x`, { method: "PUT", headers: init.headers });
    expect([put.status, put.headers.get("allow")]).toEqual([405, "GET, HEAD, DELETE"]);
    expect((await fetch(`${base}/v1/responses/resp_x`)).status).toBe(401);
  });

  test("nodeHandler() answers the same at paths that end so; elsewhere the body decides", async () => {
    const { base } = await serveModel();
    const objects = async (path: string, body: object) => (await json(await post(`${base}${path}`, { max_tokens: 1, ...body }))).object;
    expect(await objects("/api", { input: "x" })).toBe("response");
    expect(await objects("/v1/completions", { messages: [{ role: "user", content: "x" }] })).toBe("chat.completion");
    expect((await json(await post(`${base}/api/responses`, { messages: [] }))).error.param).toBe("messages");
    const { id } = (await (await post(`${base}/api/responses`, { input: "x", max_output_tokens: 1 })).json()) as ResponseObject;
    expect((await fetch(`${base}/api/responses/${id}`)).status).toBe(200);
    expect(
      ((await (await post(`${base}/api/responses/input_tokens`, { input: "x" })).json()) as { input_tokens: number }).input_tokens,
    ).toBeGreaterThan(0);
  });
});

function* endlessly(): Generator<string> {
  while (true) yield "x ";
}

/** The response that a stream begins with; the rest is left unread. */
async function firstResponse(response: Response): Promise<ResponseObject> {
  let text = "";
  const reader = response.body!.getReader();
  while (!text.includes("\n\n")) text += new TextDecoder().decode((await reader.read()).value);
  return (JSON.parse(/^data: (.*)$/m.exec(text)![1]!) as { response: ResponseObject }).response;
}

/** What is drawn or of the clock. */
function withoutIds(response: object): unknown {
  const text = JSON.stringify(response).replace(/"(resp|msg|rs|fc)_[0-9a-f]{32}"/g, '"$1"');
  return JSON.parse(text.replace(/"(created_at|completed_at)":\d+/g, '"$1":0'));
}
