// What comes from outside: bounded before anything recursive sees it, refused by name, and quoted no further than it helps.

import { describe, expect, test, vi } from "vitest";
import type { NativeRequest } from "../../lib/addon/contract.js";
import { cut, fieldPath, quote, quoteError } from "../../lib/base/quote.js";
import { ZSEError } from "../../lib/errors.js";
import { createHandler } from "../../lib/http/index.js";
import {
  checkJsonText,
  MOST_KEYS,
  MOST_LEVELS,
  MOST_PARTS,
  MOST_TEXT,
  MOST_VALUES,
  parseForeign,
  plainJson,
} from "../../lib/options/foreign.js";
import { readChatCall, readCompletionCall, readEngineOptions } from "../../lib/options/options.js";
import type { Message } from "../../lib/types.js";
import { openReady, rejection, USER } from "./helpers.js";

function refusal(run: () => unknown): ZSEError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ZSEError);
    expect(error).toMatchObject({ code: "BAD_OPTION" });
    return error as ZSEError;
  }
  throw new Error("nothing was refused");
}

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

const throws = (error: unknown) => {
  throw error;
};
const ask = (message: unknown) => readChatCall("chat()", [...USER, message], undefined);

describe("what a caller passes is refused by the field's name, whatever it does when it is read", () => {
  const itself: Record<string, unknown> = { role: "user" };
  itself.content = [{ type: "text", text: itself }];
  const revoked = Proxy.revocable([], {});
  revoked.revoke();

  test.each([
    ["nests without end", { role: "user", content: nested(300_000) }, "messages[1].content.a", "nests deeper than 100 levels"],
    ["contains itself", itself, "messages[1].content[0].text", "contains itself"],
    [
      "a getter that throws",
      {
        role: "user",
        get content() {
          return throws(new RangeError("no"));
        },
      },
      "messages[1].content",
      "cannot be read: no",
    ],
    [
      "a getter that throws nothing",
      {
        role: "user",
        get content() {
          return throws(undefined);
        },
      },
      "messages[1].content",
      "cannot be read",
    ],
    [
      "a toJSON that throws",
      { role: "user", content: { toJSON: () => throws(new TypeError("no")) } },
      "messages[1].content",
      "cannot be read: no",
    ],
    ["a BigInt", { role: "user", content: 5n }, "messages[1].content", "must be JSON data; given 5n"],
    ["a BigInt in a field that is not known", { role: "user", content: "", tokens: 5n }, "messages[1].tokens", "given 5n"],
    ["a proxy that was revoked", revoked.proxy, "messages[1]", "cannot be read"],
    ["holes without end", Array(4e9), "messages", "more than 200000 values"],
  ])("%s", (_, message, option, said) => {
    const error = refusal(() => ask(message));
    expect(error.option).toBe(option);
    expect(error.message).toContain(said);
    expect(error.message.length).toBeLessThan(200);
  });

  test("shared parts that are endless as JSON are refused, not written out", () => {
    let twice: unknown = "x";
    for (let i = 0; i < 60; i++) twice = [twice, twice];
    expect(refusal(() => ask({ role: "user", content: twice })).message).toContain("more than 200000 values");
  });

  test("options too", () => {
    const broken = (name: string) => Object.defineProperty({}, name, { enumerable: true, get: () => throws(new Error("no")) });
    expect(refusal(() => readChatCall("chat()", USER, broken("seed"))).option).toBe("seed");
    expect(refusal(() => readChatCall("chat()", broken("messages"), undefined)).option).toBe("messages");
    expect(refusal(() => readChatCall("chat()", revoked.proxy, undefined)).message).toContain("cannot be read");
    expect(refusal(() => readCompletionCall("completion()", broken("prompt"), undefined)).option).toBe("prompt");
    expect(refusal(() => readChatCall("chat()", USER, { logitBias: broken("5") })).option).toBe("logitBias.5");
    expect(refusal(() => readChatCall("chat()", USER, { stop: [{ toJSON: () => throws(new Error("no")) }] })).option).toBe("stop[0]");
    expect(refusal(() => readChatCall("chat()", USER, { signal: broken("aborted") })).option).toBe("signal");
    expect(refusal(() => readEngineOptions({ promptCache: broken("ram") })).option).toBe("promptCache.ram");
  });

  test("as a rejection where a promise is given back", async () => {
    const { model } = await openReady();
    expect(await rejection(model.chat([itself] as never))).toMatchObject({ code: "BAD_OPTION" });
    await model.close();
  });

  test("what JSON.stringify would make of it is what is asked", () => {
    class Message {
      constructor(readonly text: string) {}
      toJSON() {
        return { role: "user", content: this.text };
      }
    }
    expect(readChatCall("chat()", [new Message("hi")], undefined).request.messages).toBe('[{"role":"user","content":"hi"}]');
  });
});

describe("what is wide is refused by the field's name", () => {
  const wide = (keys: number) => Object.fromEntries(Array.from({ length: keys }, (_, i) => [`k${i}`, 0]));
  const parts = (count: number) => Array.from({ length: count }, () => ({ type: "text", text: "" }));
  const call = { function: { name: "f", arguments: "{}" } };

  test("keys of an object", () => {
    expect(plainJson(wide(MOST_KEYS), "x")).toEqual(wide(MOST_KEYS));
    const error = refusal(() => plainJson({ logit_bias: wide(MOST_KEYS + 1) }, ""));
    expect([error.option, error.message]).toEqual(["logit_bias", "logit_bias has more than 4096 keys."]);
    expect(refusal(() => plainJson(wide(MOST_KEYS + 1), "")).message).toBe("The body has more than 4096 keys.");
  });

  test("values in all, before they are read", () => {
    let read = 0;
    const items = new Proxy(Array(MOST_VALUES + 1), {
      get(target, key) {
        if (key === "length") return target.length;
        read += 1;
        return undefined;
      },
    });
    expect(refusal(() => plainJson({ x: items }, "")).message).toContain("holds more than 200000 values");
    expect(read).toBeLessThan(3); // toJSON is asked for
    expect(refusal(() => plainJson({ x: Array(100).fill(wide(2100)) }, "")).option).toBe("x");
  });

  test("text in all, whatever the fields", () => {
    const half = "x".repeat(MOST_TEXT / 2);
    const call = { id: half, function: { name: "f", arguments: half } };
    const error = refusal(() => readChatCall("chat()", [{ role: "assistant", tool_calls: [call] }], undefined));
    expect(error.option).toMatch(/^messages\[0\]\.tool_calls\[0\]/);
    expect(error.message).toContain("beyond the 67108864 characters of text that one call may have in all; given 671088");
    expect(refusal(() => readCompletionCall("completion()", `${half}${half}x`, undefined)).option).toBe("prompt");
  });

  test("text that the context cannot hold, before the engine has it", async () => {
    const { model, fake } = await openReady({}, { contextSize: 16 });
    const most = "x".repeat(16 * 1024);
    await model.completion(most);
    expect(await rejection(model.completion(`${most}x`))).toMatchObject({
      code: "CONTEXT_OVERFLOW",
      message: expect.stringMatching(/^the prompt has at least 17 tokens, and the context of a stream holds 16 .* 16385 .* 16384 /),
    });
    expect(await rejection(model.chat([{ role: "user", content: most }]))).toMatchObject({ code: "CONTEXT_OVERFLOW" });
    expect(fake.streams).toHaveLength(1);
  });

  test("a large body, before it is parsed", async () => {
    const handler = createHandler((await openReady()).model);
    const keys = Array.from({ length: 20_000 }, (_, i) => `"k${i}":0`).join();
    const ask = async (body: string) => {
      const parse = vi.spyOn(JSON, "parse");
      const headers = { "content-type": "application/json" };
      const response = await handler(new Request("http://x/", { method: "POST", headers, body }));
      const calls = parse.mock.calls.filter(([text]) => text === body).length;
      parse.mockRestore();
      expect([response.status, calls]).toEqual([400, 0]);
      return ((await response.json()) as { error: { param: string | null; message: string } }).error;
    };
    expect(await ask(`{"messages":[{"role":"user", ${keys}}]}`)).toMatchObject({ param: "messages" });
    expect(await ask(`{"metadata" : {${keys}}}`)).toMatchObject({ message: "metadata has an object of more than 4096 keys." });
    expect((await ask(`{${keys}}`)).message).toBe("The body has an object of more than 4096 keys.");
  });

  test("parts and calls of a message", () => {
    expect(ask({ role: "user", content: parts(MOST_PARTS) })).toBeDefined();
    expect(refusal(() => ask({ role: "user", content: parts(MOST_PARTS + 1) })).option).toBe("messages[1].content");
    const error = refusal(() => ask({ role: "assistant", tool_calls: Array(MOST_PARTS + 1).fill(call) }));
    expect(error.option).toBe("messages[1].tool_calls");
  });
});

describe("plainJson", () => {
  test("is a copy of what JSON can say, up to the bound", () => {
    const value = JSON.parse('{"a":[1,"x",null,{"b":true}],"__proto__":{"c":1}}') as object;
    const copy = plainJson(value, "") as object;
    expect(JSON.stringify(copy)).toBe(JSON.stringify(value));
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
    expect(plainJson(nested(MOST_LEVELS), "x")).toEqual(nested(MOST_LEVELS));
    expect(refusal(() => plainJson(nested(MOST_LEVELS + 1), "x")).option).toBe("x[0].a");
  });
});

describe("the text of a body", () => {
  test("is parsed and not copied", () => {
    const parse = vi.spyOn(JSON, "parse");
    const value = parseForeign('{"messages":[{"role":"user","content":"[{,:"}],"__proto__":{"a":[]}}');
    expect(value).toBe(parse.mock.results[0]!.value);
    parse.mockRestore();
  });

  const many = (count: number, one: unknown) => Array(count).fill(one);
  test.each<[string, unknown]>([
    ["levels", { x: nested(MOST_LEVELS - 1) }],
    ["keys", { x: Object.fromEntries(many(MOST_KEYS, 0).map((_, i) => [`k${i}`, "{:,"])) }],
    ["values", { x: many(MOST_VALUES - 1, 0) }],
    ["empty lists", { x: many(MOST_VALUES - 1, []) }],
  ])("has the bounds that plain data has: %s", (_, most) => {
    const text = JSON.stringify(most);
    expect(parseForeign(text)).toEqual(plainJson(most, ""));
    for (const more of [text.replace(/^\{"x":(.*)\}$/, '{"x":[$1]}'), text.replace(/\}$/, ',"y":0}'), text.replace(/\}\}$/, ',"k":0}}')]) {
      const value = JSON.parse(more) as unknown;
      let refused: ZSEError | undefined;
      try {
        plainJson(value, "");
      } catch (error) {
        refused = error as ZSEError;
      }
      if (refused === undefined) expect(parseForeign(more)).toEqual(value);
      else if (more.length <= 65_536) expect(refusal(() => parseForeign(more))).toEqual(refused);
      else expect(refusal(() => parseForeign(more)).option).toMatch(/^x/);
    }
  });
});

describe("JSON in a string: a call's arguments", () => {
  const calling = (args: string) =>
    ask({ role: "assistant", content: null, tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: args } }] });
  const where = "messages[1].tool_calls[0].function.arguments";

  test.each([
    ["arrays in arrays", "[".repeat(28_000) + "]".repeat(28_000)],
    ["objects in objects", `${'{"a":'.repeat(28_000)}1${"}".repeat(28_000)}`],
    ["brackets that are never closed", "[".repeat(MOST_LEVELS + 1)],
    ["keys without end", `{${Array.from({ length: MOST_KEYS + 1 }, (_, i) => `"k${i}":1`).join()}}`],
  ])("%s are refused by name", (_, args) => {
    expect(refusal(() => calling(args)).option).toBe(where);
  });

  test.each([
    ["as many levels as may be", `{"a":${"[".repeat(MOST_LEVELS - 1)}${"]".repeat(MOST_LEVELS - 1)}}`],
    ["brackets in a string", JSON.stringify({ code: '[[[{{{\\"'.repeat(10_000) })],
    ["a long list of objects", JSON.stringify({ all: Array.from({ length: 10_000 }, (_, i) => ({ i, name: ":" })) })],
    ["spaces, escapes and large numbers", ' { "a" : "\\u00e9\\ud83d\\ude00", "b": 1.7e308 }\n'],
  ])("%s pass as they are", (_, args) => {
    expect(calling(args).request.messages).toContain(JSON.stringify(args));
  });

  test.each([
    ["cut short", '{"city":"Par', 'the JSON text of an object, such as {"city":"Paris"} ("" is {}); given "{\\"city\\":\\"Par"'],
    ["no JSON", '\\"[[[ not closed', "the JSON text of an object"],
    ["in other quotes", "{'city':'Paris'}", "the JSON text of an object"],
    ["an array", "[1]", 'the JSON text of an object, such as {"city":"Paris"} ("" is {}); given "[1]"'],
    ["a text", '"Paris"', "the JSON text of an object"],
    ["a number that is too large", '{"a":[{"b":-1e999}]}', "numbers up to 1.8e308"],
  ])("%s is refused by its message and its call, with what is allowed", (_, args, said) => {
    const error = refusal(() => calling(args));
    expect(error.option).toBe(where);
    expect(error.message).toMatch(new RegExp(`^${where.replaceAll(/[[\].]/g, "\\$&")} m`));
    expect(error.message).toContain(said);
  });

  test("half of a surrogate pair becomes U+FFFD, wherever it hides: no parser behind takes it", () => {
    const half = "\ud800";
    const told = (settings: { request: NativeRequest }) => JSON.stringify(settings.request);
    for (const args of ['{"\\ud800":"x\\uDC00 \\ud83d\\ude00"}', JSON.stringify({ [half]: "x\udc00 😀" })]) {
      expect((JSON.parse(calling(args).request.messages!) as Message[])[1]).toMatchObject({
        tool_calls: [{ function: { arguments: '{"\ufffd":"x\ufffd 😀"}' } }],
      });
    }
    const object = { role: "assistant", tool_calls: [{ function: { name: "f", arguments: { [half]: [half] } } }] };
    const parameters = { type: "object", properties: { [half]: { enum: [half], description: half } } };
    const tools = [{ type: "function", function: { name: "f", description: half, parameters } }];
    for (const settings of [
      ask(object),
      readChatCall("chat()", USER, { tools }),
      readChatCall("chat()", USER, { responseFormat: { type: "json_schema", schema: { const: half } } }),
      readChatCall("chat()", USER, { templateArguments: { [half]: half } }),
    ]) {
      expect(told(settings)).toMatch(/\ufffd/);
      expect(told(settings)).not.toMatch(/\\ud800/i);
    }
  });

  test("is read in time that grows as the text does, also where nothing but escapes is in it", () => {
    const looked = (text: string) => {
      let count = 0;
      const spy = {
        length: text.length,
        charCodeAt: (i: number) => {
          count += 1;
          return text.charCodeAt(i);
        },
        indexOf: (x: string, i: number) => text.indexOf(x, i),
      };
      checkJsonText(spy as unknown as string, "x");
      return count;
    };
    for (const unit of ['\\"', "\\\\", '"\\\\', "[]", '{"a":1}']) {
      const [once, twice] = [looked(unit.repeat(5000)), looked(unit.repeat(10_000))];
      expect(twice, unit).toBeLessThan(2.1 * once + 10);
    }
  });
});

describe("what is quoted is cut", () => {
  const huge = "k".repeat(1_000_000);
  test.each<[string, () => unknown]>([
    ["a role", () => ask({ role: huge, content: "" })],
    ["a field of a message", () => ask({ role: "user", content: "", [huge]: 1 })],
    ["a content", () => ask({ role: "user", content: { [huge]: huge } })],
    ["an option's name", () => readChatCall("chat()", USER, { [huge]: 1 })],
    ["an option's value", () => readChatCall("chat()", USER, { temperature: [huge, huge] })],
    ["a BigInt", () => readChatCall("chat()", USER, { seed: 10n ** 5000n })],
    ["a token id", () => readChatCall("chat()", USER, { logitBias: { [huge]: 1 } })],
    ["a bias", () => readChatCall("chat()", USER, { logitBias: { [`${"0".repeat(100_000)}1`]: 1000 } })],
    ["an engine option", () => readEngineOptions({ promptCache: { [huge]: 1 } })],
    [
      "a path of names",
      () => plainJson(JSON.parse(`${`{"${"k".repeat(1000)}":`.repeat(50)}${"[".repeat(60)}${"]".repeat(60)}${"}".repeat(50)}`), "x"),
    ],
  ])("%s", (_, run) => {
    const { message, option } = refusal(run);
    expect(message.length).toBeLessThan(900);
    expect(option!.length).toBeLessThanOrEqual(200);
  });

  test("and stays text: no half of a surrogate pair, and nothing that throws", () => {
    expect(cut("a😀b", 3)).toBe("a…");
    expect(cut("a😀b", 4)).toBe("a😀b");
    expect(quote({ a: [1, undefined, { b: "x" }], f() {} })).toBe('{"a":[1,null,{"b":"x"}]}');
    expect(quote(new Date(0))).toBe('"1970-01-01T00:00:00.000Z"');
    expect(quote(new Proxy({}, { ownKeys: () => throws(new Error("no")) }))).toBe("a value that cannot be read");
    expect(quote(nested(100_000)).length).toBeLessThanOrEqual(80);
    expect(fieldPath(["messages", 2, "content"])).toBe("messages[2].content");
    expect(new ZSEError("BAD_MODEL", "x".repeat(100_000)).message.length).toBeLessThanOrEqual(2000);
  });
});

test("whatever is thrown in an error's place is told", () => {
  const foreign = { message: "of another realm" };
  for (const [thrown, told] of [
    [new RangeError("too far"), "too far"],
    ["a text", "a text"],
    [foreign, "of another realm"],
    [{ a: 1 }, '{"a":1}'],
    [undefined, "nothing"],
    [7n, "7n"],
    [Symbol("s"), "Symbol(s)"],
  ] as const) {
    expect(quoteError(thrown)).toBe(told);
  }
});

test("a body that a framework has parsed is checked as one that came as text", async () => {
  const { nodeHandler } = await import("../../lib/http/index.js");
  const { IncomingMessage, ServerResponse } = await import("node:http");
  const { Socket } = await import("node:net");
  const { model } = await openReady();
  const itself: Record<string, unknown> = { messages: USER };
  itself.metadata = itself;
  for (const [body, param] of [
    [{ messages: USER, modalities: nested(100_000) }, "modalities.a"],
    [{ messages: USER, anything: { at: nested(100_000) } }, "anything.at.a"],
    [itself, "metadata"],
    [{ messages: USER, seed: 5n }, "seed"],
    [
      {
        messages: USER,
        get user() {
          return throws(new Error("no"));
        },
      },
      "user",
    ],
  ] as const) {
    const request = Object.assign(new IncomingMessage(new Socket()), {
      method: "POST",
      headers: { "content-type": "application/json" },
      complete: true, // all of it has been read
      body,
    });
    const response = new ServerResponse(request);
    let answer = "";
    response.end = ((text: string) => {
      answer = text;
    }) as never;
    await nodeHandler(model)(request, response);
    expect([response.statusCode, (JSON.parse(answer) as { error: { param: string } }).error.param]).toEqual([400, param]);
  }
  const deep = `{"messages":[{"role":"user","content":"x"}],"metadata":${"[".repeat(1e5)}${"]".repeat(1e5)}}`;
  const headers = { "content-type": "application/json" };
  const response = await createHandler(model)(new Request("http://x/", { method: "POST", headers, body: deep }));
  expect([response.status, ((await response.json()) as { error: { param: string } }).error.param]).toEqual([400, "metadata"]);
  await model.close();
});
