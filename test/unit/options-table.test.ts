// One option has one range, wherever it is told or read: the table of lib/options, the docs, the types, the wire, the command line and
// the addon's reader agree.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { addModelFlags, addReplyFlags, engineOptions, replyOptions } from "../../lib/cli/flags.js";
import { chatCompletions } from "../../lib/http/formats/openai-chat/index.js";
import { readRequest } from "../../lib/http/formats/openai-chat/request.js";
import { DEFAULT_SAMPLERS, SAMPLERS } from "../../lib/options/samplers.js";
import { ENGINE_OPTIONS, type OptionTable, RECOMMENDABLE, REPLY_OPTIONS, snakeCase } from "../../lib/options/table.js";
import { bodyCheck } from "../../lib/server/schema.js";

const root = join(import.meta.dirname, "..", "..");
const read = (...path: string[]) => readFileSync(join(root, ...path), "utf8");
const api = read("docs", "api.md");
const server = read("docs", "SERVER.md");
const types = ["engine", "requests"].map((name) => read("lib", "types", `${name}.ts`)).join("\n");
const contract = read("lib", "addon", "contract.ts");
const addonReader = read("native", "node", "request_values.cpp");
const nativeRequest = read("native", "core", "request.h");
/** Options that end on the JavaScript side. */
const NOT_NATIVE = new Set([
  ...[
    "signal",
    "chunkSize",
    "chunkBy",
    "chunkMaxDelayMs",
    "includeUsage",
    "streamCallback",
    "onProgress",
    "isolate",
    "maxSteps",
    "toolErrors",
    "onStep",
  ],
  "adapter", // crosses as NativeRequest.adapters
  // These cross as NativeRequest.reply, in its words.
  ...["tools", "toolChoice", "parallelToolCalls", "responseFormat", "reasoning", "templateArguments", "continueFinalMessage"],
]);

const all = Object.entries({ ...ENGINE_OPTIONS, ...REPLY_OPTIONS } as OptionTable);
const checkBody = bodyCheck({ maxMessages: 10, maxChoices: 8 });
const check = (body: unknown) => checkBody(body, chatCompletions);
const body = (more: object) => ({ messages: [{ role: "user", content: "Hi" }], stream: true, ...more });

describe("docs/api.md tells every option with its range and default, as the code has them", () => {
  test.each(all)("%s", (name, option) => {
    const row = api.split("\n").find((line) => line.startsWith(`| \`${name}\` |`));
    expect(row, `docs/api.md has a row that begins with | \`${name}\` |`).toBeDefined();
    const [, , values, standard] = row!.split("|").map((cell) => cell.trim());
    if (option.kind === "number" || option.kind === "integer") {
      expect(values).toBe(`${option.min} to ${option.max}`);
      expect(standard).toBe("default" in option ? String(option.default) : "drawn");
    } else if (option.kind === "enum") {
      expect(values).toBe(option.values.map((one) => `\`"${one}"\``).join(", "));
      expect(standard).toBe(`\`"${option.default}"\``);
    } else if (option.kind === "boolean") {
      expect(values).toBe("boolean");
      expect(standard).toBe("default" in option ? `\`${option.default}\`` : "");
    }
  });
});

test.each(all)("%s is a field of the public types", (name) => {
  expect(new RegExp(`^ {2}${name}\\?:\\s`, "m").test(types), `lib/types/ has ${name}?`).toBe(true);
});

test.each(all.filter(([name]) => !NOT_NATIVE.has(name)))("the addon reads %s under its own name", (name) => {
  expect(new RegExp(`^ {2}${name}\\??: `, "m").test(contract), `lib/addon/contract.ts has ${name}`).toBe(true);
  expect(addonReader.includes(`"${name}"`), `native/node/request_values.cpp reads "${name}"`).toBe(true);
});

describe("the engine's own default, where tests and other callers leave an option out, is the table's", () => {
  const numbers = Object.entries(REPLY_OPTIONS as OptionTable).filter(
    ([, option]) => (option.kind === "number" || option.kind === "integer" || option.kind === "boolean") && option.default !== undefined,
  );
  test.each(numbers.filter(([name]) => !NOT_NATIVE.has(name)))("%s", (name, option) => {
    const field = new RegExp(`^  (?:int|float|bool) ${snakeCase(name)} = ([^;]+);`, "m").exec(nativeRequest)?.[1];
    expect(field, `native/core/request.h has ${snakeCase(name)}`).toBeDefined();
    const value = field === "true" || field === "false" ? field === "true" : Number.parseFloat(field!);
    expect(value).toBe((option as { default?: unknown }).default);
  });
  test("drySequenceBreakers", () => {
    const list = /dry_sequence_breakers = \{(.*)\};/.exec(nativeRequest)![1]!;
    expect(JSON.parse(`[${list}]`)).toEqual(REPLY_OPTIONS.drySequenceBreakers.default);
  });
  test("samplers", () => {
    const kinds = (text: string) => [...text.matchAll(/(?<=\bk)[A-Z]\w+/g)].map(([kind]) => kind![0]!.toLowerCase() + kind!.slice(1));
    const order = /samplers = (\{[^}]+\})/.exec(nativeRequest)![1]!;
    expect(kinds(order)).toEqual(DEFAULT_SAMPLERS);
    expect(kinds(/enum class SamplerKind (\{[^}]+\})/.exec(nativeRequest)![1]!)).toEqual(SAMPLERS);
    for (const name of SAMPLERS) {
      expect(addonReader).toContain(`{"${name}", SamplerKind::k${name[0]!.toUpperCase()}${name.slice(1)}}`);
      expect(api, `docs/api.md names ${name}`).toContain(`\`${name}\``);
    }
  });
});

test("what the addon reads of a file's recommendations is what the table has, and the types and docs name it", () => {
  const reader = read("native", "base", "recommended_sampling.cpp");
  const names = [...reader.matchAll(/\{"general\.sampling\.\w+", "(\w+)"\}/g)].map(([, name]) => name!);
  expect([...names, "samplers"].sort()).toEqual([...RECOMMENDABLE].sort());
  const told = /RecommendedSampling = Pick<([^>]+)>/.exec(types)![1]!;
  const listed = /general\.sampling[\s\S]*?\n\n/.exec(api)![0];
  for (const name of RECOMMENDABLE) {
    expect(told).toContain(`"${name}"`);
    expect(listed, `docs/api.md lists ${name} as recommendable`).toContain(`\`${name}\``);
  }
});

test.each(all.filter(([, option]) => option.wire === "body"))("docs/SERVER.md names the field of %s", (name) => {
  expect(server).toContain(`\`${snakeCase(name)}\``);
});

/** What a person at a terminal has no use for, or has elsewhere. */
const NO_FLAG = new Set([
  ...["logitBias", "logprobs", "topLogprobs"],
  ...["tools", "toolChoice", "parallelToolCalls", "responseFormat", "continueFinalMessage"],
  ...["prediction", "speculate"],
]);
test.each(all.filter(([name, option]) => option.wire === "body" && !NO_FLAG.has(name)))("%s has a flag", (_, option) => {
  expect(option.flag).toBeDefined();
});

describe("a body takes what the library takes, and no more", () => {
  const wired = Object.entries(REPLY_OPTIONS as OptionTable).filter(([, option]) => option.wire !== undefined);
  const put = (name: string, wire: string | undefined, value: unknown) =>
    body(wire === "body" ? { [snakeCase(name)]: value } : { stream_options: { [snakeCase(name)]: value } });

  test.each(wired)("%s", (name, option) => {
    if (option.kind === "number" || option.kind === "integer") {
      for (const value of [option.min, option.max]) {
        const request = put(name, option.wire, value);
        expect(() => check(request)).not.toThrow();
        expect(readRequest(request, 8).options).toMatchObject({ [snakeCase(name)]: value });
      }
      if (option.off !== undefined) {
        expect(() => check(put(name, option.wire, option.off))).not.toThrow();
        expect(readRequest(put(name, option.wire, option.off), 8).options).toMatchObject({ [snakeCase(name)]: 0 });
      }
      const below = (option.off ?? option.min) - 1;
      for (const value of [below, option.max + 1, "1"]) expect(() => check(put(name, option.wire, value))).toThrow(snakeCase(name));
    } else if (option.kind === "enum") {
      for (const value of option.values) expect(() => check(put(name, option.wire, value))).not.toThrow();
      expect(() => check(put(name, option.wire, "none of them"))).toThrow(snakeCase(name));
    } else if (option.kind === "boolean") {
      expect(() => check(put(name, option.wire, true))).not.toThrow();
      expect(() => check(put(name, option.wire, "yes"))).toThrow(snakeCase(name));
    }
  });
});

test("the command line tells each default as it is", () => {
  const command = addReplyFlags(addModelFlags(new Command()));
  const help = command.helpInformation().replace(/\s+/g, " ");
  for (const [, option] of all) {
    if (option.flag === undefined) continue;
    expect(help).toContain(option.flag);
    if ((option.kind === "number" || option.kind === "integer") && option.default !== undefined)
      expect(help).toContain(`default: ${option.default})`);
  }
});

test.each(all.filter(([, option]) => option.flag !== undefined))("the flag of %s reaches the option", (name, option) => {
  const long = /--[a-z-]+/.exec(option.flag!)![0];
  const number = option.kind === "number" || option.kind === "integer";
  const value = number ? [String(option.max)] : option.kind === "enum" ? [option.values[0]!] : option.kind === "custom" ? ["1"] : [];
  const flags = addReplyFlags(addModelFlags(new Command()))
    .parse([long, ...value], { from: "user" })
    .opts();
  const options = name in REPLY_OPTIONS ? replyOptions(flags) : engineOptions(flags);
  expect(Object.keys(options)).toEqual([name]);
  if (number) expect(options).toEqual({ [name]: option.max });
});
