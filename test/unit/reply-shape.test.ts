// What is asked of a reply besides plain text: how it is read, and what is refused by which name.

import { type } from "arktype";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ZSEError } from "../../lib/errors.js";
import { readChatCall, readCompletionCall } from "../../lib/options/options.js";
import { tool } from "../../lib/tools/tool.js";
import { USER } from "./helpers.js";

const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const weather = (more: object = {}) => ({
  type: "function",
  function: { name: "get_weather", description: "D", parameters: CITY, ...more },
});
const time = { type: "function", function: { name: "get_time" } };

/** What the addon is told, its JSON parsed. */
function shape(options: object, messages: readonly unknown[] = USER): Record<string, unknown> {
  const { reply } = readChatCall("chat()", messages, options).request;
  const parsed = Object.entries(reply!).map(([name, value]) => [
    name,
    ["tools", "jsonSchema", "templateArguments"].includes(name) ? JSON.parse(value as string) : value,
  ]);
  return Object.fromEntries(parsed) as Record<string, unknown>;
}
function refusal(options: object, messages: readonly unknown[] = USER): ZSEError {
  try {
    readChatCall("chat()", messages, options);
  } catch (error) {
    expect(error).toBeInstanceOf(ZSEError);
    expect((error as ZSEError).code).toBe("BAD_OPTION");
    return error as ZSEError;
  }
  throw new Error("nothing was refused");
}

describe("tools", () => {
  test("are told as they are, with their defaults", () => {
    const closed = { ...CITY, additionalProperties: false };
    expect(shape({ tools: [weather(), time] })).toEqual({
      tools: [
        { type: "function", function: { name: "get_weather", description: "D", parameters: closed } },
        { type: "function", function: { name: "get_time", parameters: { type: "object", properties: {} } } },
      ],
      toolChoice: "auto",
      parallelToolCalls: true,
    });
    expect(shape({ tools: [] })).toEqual({});
  });
  test("with toolChoice none there are none: the model cannot write calls of what it does not see", () => {
    expect(shape({ tools: [weather()], tool_choice: "none", parallel_tool_calls: false })).toEqual({});
    expect(refusal({ tools: [weather(), weather()], toolChoice: "none" }).option).toBe("tools[1].function.name");
    expect(shape({ tools: [weather()], toolChoice: "none", responseFormat: { type: "grammar", gbnf: "x" } })).toEqual({ grammar: "x" });
  });
  test.each([{ name: "get_time" }, { type: "function", function: { name: "get_time" } }])(
    "toolChoice %j shows that tool alone, and requires it",
    (toolChoice) => {
      const { tools, toolChoice: choice } = shape({ tools: [weather(), time], toolChoice });
      expect([(tools as unknown[]).length, choice]).toEqual([1, "required"]);
    },
  );
  test.each([
    [
      "OpenAI's chat API",
      { type: "allowed_tools", allowed_tools: { mode: "required", tools: [{ type: "function", function: { name: "b" } }] } },
    ],
    ["its Responses API", { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "b" }] }],
  ])("some of the tools, as %s allows them: the others are not offered", (_, tool_choice) => {
    const tools = ["a", "b", "c"].map((name) => weather({ name }));
    const offered = shape({ tools, tool_choice });
    expect((offered.tools as { function: { name: string } }[]).map((one) => one.function.name)).toEqual(["b"]);
    expect(offered.toolChoice).toBe("required");
    expect(shape({ tools, tool_choice: { type: "allowed_tools", tools: [{ name: "c" }, { name: "a" }] } })).toMatchObject({
      toolChoice: "auto",
      tools: [{ function: { name: "a" } }, { function: { name: "c" } }],
    });
  });
  test.each([
    [{ tools: "x" }, "tools", "tools must be an array of tools"],
    [{ tools: [{ type: "web_search" }] }, "tools[0].type", 'must be "function"'],
    [{ tools: [{ type: "function" }] }, "tools[0]", "or what tool() returns"],
    [{ tools: [null] }, "tools[0]", "given null"],
    [{ tools: [weather({ name: "a b" })] }, "tools[0].function.name", "1 to 128 of the characters"],
    [{ tools: [weather(), weather()] }, "tools[1].function.name", "twice"],
    [{ tools: [weather({ description: 5 })] }, "tools[0].function.description", "must be a string"],
    [{ tools: [weather({ strict: "yes" })] }, "tools[0].function.strict", "true or false"],
    [{ tools: [weather({ parameters: { type: "string" } })] }, "tools[0].function.parameters", 'of type "object"'],
    [{ tools: [weather({ parameters: "x" })] }, "tools[0].function.parameters", "a schema is an object"],
    [
      { tools: [weather({ strict: true, parameters: { ...CITY, minProperties: 3 } })] },
      "tools[0].function.parameters",
      "at /minProperties",
    ],
    [{ tools: [{ ...weather(), execute: 5 }] }, "tools[0].execute", "must be a function"],
    [{ tools: Array(1025).fill(weather()) }, "tools", "up to 1024"],
    [{ toolChoice: "required" }, "toolChoice", "needs tools"],
    [{ tool_choice: { name: "x" }, tools: [time] }, "tool_choice", "none of tools"],
    [{ toolChoice: 5 }, "toolChoice", "must be"],
    [{ toolChoice: { type: "allowed_tools" }, tools: [time] }, "toolChoice.tools", "at least one"],
    [
      { toolChoice: { type: "allowed_tools", allowed_tools: { tools: [] } }, tools: [time] },
      "toolChoice.allowed_tools.tools",
      "at least one",
    ],
    [
      { tool_choice: { type: "allowed_tools", allowed_tools: { mode: "none", tools: [{ name: "time" }] } }, tools: [time] },
      "tool_choice.allowed_tools.mode",
      '"auto" or "required"',
    ],
    [
      { tool_choice: { type: "allowed_tools", allowed_tools: { tools: [{ name: "x" }] } }, tools: [time] },
      "tool_choice.allowed_tools.tools[0]",
      "none of tools",
    ],
    [{ toolChoice: { type: "allowed_tools", tools: ["time"] }, tools: [time] }, "toolChoice.tools[0]", "{ name } }"],
    [{ tools: [weather({ parameters: { a: 10n } })] }, "tools[0].function.parameters.a", "JSON data"],
  ])("%o is refused", (options, option, message) => {
    const error = refusal(options);
    expect(error.option).toBe(option);
    expect(error.message).toContain(message);
  });
  test("a parameter of any name is kept, one that every object has by itself too", () => {
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
    const properties = JSON.parse(`{${names.map((name) => `"${name}":{"type":"string"}`).join()}}`) as object;
    const parameters = { type: "object", properties, required: names };
    const [read] = shape({ tools: [weather({ parameters })] }).tools as { function: { parameters: typeof parameters } }[];
    expect(Object.keys(read!.function.parameters.properties).sort()).toEqual([...names].sort());
    expect(read!.function.parameters.required).toEqual(names);
    const only = { type: "object", required: ["__proto__"] };
    expect(JSON.stringify(shape({ tools: [weather({ parameters: only })] }).tools)).toContain('"properties":{"__proto__":');
    expect(refusal({ tools: [weather({ parameters, strict: true })] }).message).toContain("/properties/__proto__");
  });
  test("parameters without an end, or that contain themselves, are refused and not walked", () => {
    const deep = Array.from({ length: 200 }).reduce<object>((inner) => ({ items: inner }), {});
    expect(refusal({ tools: [weather({ parameters: deep })] }).message).toContain("nests deeper than 100 levels");
    const round: Record<string, unknown> = { type: "object" };
    round.properties = { round };
    expect(refusal({ tools: [weather({ parameters: round })] }).message).toContain("contains itself");
  });
});

describe("tool()", () => {
  test("gives OpenAI's shape, whatever the schema is of", () => {
    const expected = {
      type: "function",
      function: { name: "get_weather", description: "D", parameters: { ...CITY, additionalProperties: false } },
    };
    for (const parameters of [CITY, z.object({ city: z.string() }), v.object({ city: v.string() }), type({ city: "string" })]) {
      const made = tool({ name: "get_weather", description: "D", parameters });
      expect(JSON.parse(JSON.stringify({ ...made, schema: undefined }))).toEqual(expected);
      expect(shape({ tools: [made] }).tools).toEqual([expected]);
    }
  });
  test("keeps the schema's own check, and what runs it", async () => {
    const made = tool({ name: "f", parameters: z.object({ n: z.number().refine((n) => n > 3, "too small") }), execute: ({ n }) => n });
    const [read] = readChatCall("chat()", USER, { tools: [made] }).shape.tools;
    expect(await read!.validate!({ n: 1 })).toEqual({ issue: "/n: too small" });
    expect(read!.execute).toBe(made.execute);
  });
  test("tells at once what is wrong, by the names it has here", () => {
    const told = (given: unknown) => {
      try {
        tool(given as never);
      } catch (error) {
        return [(error as ZSEError).code, (error as ZSEError).option];
      }
      return undefined;
    };
    expect(told({ name: "a b" })).toEqual(["BAD_OPTION", "tool().name"]);
    expect(told({ name: "a", execute: 5 })).toEqual(["BAD_OPTION", "tool().execute"]);
    expect(told({ name: "a", parameters: { type: "array" } })).toEqual(["BAD_OPTION", "tool().parameters"]);
    expect(told({ name: "a", strict: true, parameters: { type: "object", not: {} } })).toEqual(["BAD_OPTION", "tool().parameters"]);
    expect(told(5)).toEqual(["BAD_OPTION", "options"]);
  });
});

describe("responseFormat", () => {
  test.each([
    [{ type: "json_schema", schema: CITY }],
    [{ type: "json_schema", json_schema: { name: "x", strict: true, schema: CITY } }],
    [{ type: "json_object", schema: CITY }],
    [z.object({ city: z.string() })],
    [{ type: "json_schema", schema: z.object({ city: z.string() }) }],
    [{ type: "json_schema", schema: v.object({ city: v.string() }) }],
    [{ type: "json_schema", schema: type({ city: "string" }) }],
  ])("%# is the same schema", (responseFormat) => {
    expect(shape({ responseFormat })).toEqual({ jsonSchema: { ...CITY, additionalProperties: false } });
  });
  test("any JSON object, any text, a grammar", () => {
    expect(shape({ response_format: { type: "json_object" } })).toEqual({ jsonSchema: { type: "object" } });
    expect(shape({ responseFormat: { type: "text" } })).toEqual({});
    expect(shape({ responseFormat: { type: "grammar", gbnf: 'root ::= "a"' } })).toEqual({ grammar: 'root ::= "a"' });
  });
  test("a completion takes it too, and nothing that a template would tell", () => {
    const read = (options: object) => readCompletionCall("completion()", "x", options).request.reply;
    expect(read({ responseFormat: { type: "json_object" } })).toEqual({ jsonSchema: '{"type":"object"}' });
    expect(read({})).toBeUndefined();
    expect(() => read({ tools: [time] })).toThrow("tools is for chats");
    expect(() => read({ reasoning: "on" })).toThrow("reasoning is for chats");
    expect(() => read({ continueFinalMessage: true })).toThrow("continueFinalMessage is for chats");
  });
  test("a library's own check runs on what was generated", async () => {
    const { object } = readChatCall("chat()", USER, { responseFormat: z.object({ n: z.int().transform((n) => n + 1) }) }).shape;
    expect(await object!.validate!({ n: 1 })).toEqual({ value: { n: 2 } });
    expect(await object!.validate!({ n: "x" })).toEqual({ issue: expect.stringContaining("/n: ") as unknown });
  });
  test.each([
    [{ responseFormat: "json" }, "responseFormat", "must be { type"],
    [{ response_format: { type: "xml" } }, "response_format.type", 'given type "xml"'],
    [{ responseFormat: { type: "json_schema" } }, "responseFormat.schema", "must be a JSON Schema"],
    [
      { response_format: { type: "json_schema", json_schema: { name: "x" } } },
      "response_format.json_schema.schema",
      "must be a JSON Schema",
    ],
    [{ responseFormat: { type: "json_schema", schema: { type: "number", multipleOf: 0.5 } } }, "responseFormat.schema", "at /multipleOf"],
    [{ responseFormat: { type: "grammar", gbnf: "" } }, "responseFormat.gbnf", "GBNF"],
    [{ responseFormat: { type: "grammar", gbnf: " %llguidance {}" } }, "responseFormat.gbnf", "llguidance"],
    [{ responseFormat: { type: "grammar", gbnf: "x" }, tools: [time] }, "responseFormat", "exclude each other"],
    [
      { responseFormat: { "~standard": { version: 1, vendor: "mine", validate: () => ({ value: 1 }) } } },
      "responseFormat",
      "tells no JSON Schema",
    ],
    [{ responseFormat: z.object({ a: z.bigint() }) }, "responseFormat", "has no JSON Schema"],
  ])("%o is refused", (options, option, message) => {
    const error = refusal(options);
    expect(error.message).toContain(message);
    expect(error.option).toBe(option);
  });
  test("what a schema throws when it is asked is a refusal, too", () => {
    const trap = new Proxy(
      {},
      {
        has: () => true,
        get: () => {
          throw new Error("mine");
        },
      },
    );
    expect(refusal({ responseFormat: trap }).message).toContain("mine");
  });
});

describe("reasoning", () => {
  test.each([
    ["auto", {}],
    ["on", { thinking: true }],
    ["off", { thinking: false }],
    [{ effort: "low" }, { thinking: true, templateArguments: { reasoning_effort: "low" } }],
    [{ effort: "none" }, { thinking: false }],
    [{ budgetTokens: 200 }, { reasoningBudget: 200 }],
    [{ budget_tokens: 0 }, { reasoningBudget: 0 }],
  ])("%j", (reasoning, expected) => {
    expect(shape({ reasoning })).toEqual(expected);
  });
  test("the template's own variables go beside it", () => {
    expect(shape({ reasoning: { effort: "high" }, template_arguments: { x: [1] } })).toMatchObject({
      templateArguments: { x: [1], reasoning_effort: "high" },
    });
  });
  test("variables that say the same as reasoning are let pass", () => {
    const templateArguments = { enable_thinking: true, reasoning_effort: "low" };
    expect(shape({ reasoning: { effort: "low" }, templateArguments })).toEqual({ thinking: true, templateArguments });
  });
  test.each([
    [{ reasoning: true }, "reasoning"],
    [{ reasoning: { effort: "much" } }, "reasoning.effort"],
    [{ reasoning: { budgetTokens: -1 } }, "reasoning.budgetTokens"],
    [{ reasoning: { budget: 1 } }, "reasoning.budget"],
    [{ templateArguments: { messages: [] } }, "templateArguments.messages"],
    [{ template_arguments: [] }, "template_arguments"],
    [{ reasoning: { effort: "none", budgetTokens: 5 } }, "reasoning"],
    [{ reasoning: "off", template_arguments: { enable_thinking: true } }, "template_arguments.enable_thinking"],
    [{ reasoning: { effort: "low" }, templateArguments: { thinking: false } }, "templateArguments.thinking"],
    [{ reasoning: { effort: "low" }, templateArguments: { reasoning_effort: "high" } }, "templateArguments.reasoning_effort"],
  ])("%j is refused", (options, option) => {
    expect(refusal(options).option).toBe(option);
  });
});

describe("a field that there is none of, within an option", () => {
  const format = { type: "json_schema", schema: CITY };
  test.each([
    [{ responseFormat: { ...format, stirct: false } }, "responseFormat.stirct", "name, description, schema, strict"],
    [
      { response_format: { type: "json_schema", json_schema: { schema: CITY, strickt: true } } },
      "response_format.json_schema.strickt",
      "strict",
    ],
    [{ responseFormat: { type: "json_schema", json_schema: { schema: CITY }, strict: false } }, "responseFormat.strict", "json_schema"],
    [{ responseFormat: { type: "json_object", shema: CITY } }, "responseFormat.shema", "type, schema"],
    [{ responseFormat: { type: "grammar", gbnf: "x", grammer: "y" } }, "responseFormat.grammer", "gbnf"],
    [{ responseFormat: { type: "text", schema: CITY } }, "responseFormat.schema", "there are: type."],
    [{ tools: [{ ...weather(), exectue: () => 1 }] }, "tools[0].exectue", "type, function, execute"],
    [{ tools: [time, weather({ stict: true })] }, "tools[1].function.stict", "name, description, parameters, strict"],
    [{ tools: [time], toolChoice: { name: "get_time", mode: "auto" } }, "toolChoice.mode", "type, name"],
    [
      { tools: [time], tool_choice: { type: "function", function: { name: "get_time", strict: true } } },
      "tool_choice.function.strict",
      "there are: name.",
    ],
    [
      { tools: [time], toolChoice: { type: "allowed_tools", mode: "auto", tols: [], tools: [{ name: "get_time" }] } },
      "toolChoice.tols",
      "mode, tools",
    ],
    [
      { tools: [time], toolChoice: { type: "allowed_tools", allowed_tools: { tools: [{ name: "get_time", x: 1 }] } } },
      "toolChoice.allowed_tools.tools[0].x",
      "type, name",
    ],
    [
      { tools: [time], toolChoice: { type: "allowed_tools", allowed_tools: { mod: "auto", tools: [{ name: "get_time" }] } } },
      "toolChoice.allowed_tools.mod",
      "mode, tools",
    ],
  ])("is refused by its place, with those that there are: %o", (options, option, allowed) => {
    const error = refusal(options);
    expect(error.option).toBe(option);
    expect(error.message).toContain(allowed);
  });
  test("of tool(), too", () => {
    expect(() => tool({ name: "f", paramters: CITY } as never)).toThrow('tool() has no "paramters"; there are: name, description');
  });
  test("says nothing where it has no value", () => {
    const tools = [{ ...weather({ strict: undefined, deprecated: undefined }), execute: undefined, extra: undefined }];
    expect(shape({ tools, responseFormat: { type: "text", schema: undefined } })).toHaveProperty("tools");
  });
  test("a schema's name and description, and a strict of null, are OpenAI's", () => {
    const said = { name: "x", description: "D", strict: null, schema: CITY };
    for (const responseFormat of [
      { type: "json_schema", ...said },
      { type: "json_schema", json_schema: said },
    ])
      expect(shape({ responseFormat })).toHaveProperty("jsonSchema");
    expect(refusal({ responseFormat: { ...format, strict: "no" } }).option).toBe("responseFormat.strict");
  });
});

test("continueFinalMessage needs a message to go on with", () => {
  const messages = [...USER, { role: "assistant", content: "Once" }];
  expect(shape({ continue_final_message: true }, messages)).toEqual({ continueFinalMessage: true });
  expect(refusal({ continueFinalMessage: true }).message).toContain('needs a last message of role "assistant"');
});
