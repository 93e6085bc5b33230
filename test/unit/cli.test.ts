import { describe, expect, test, vi } from "vitest";

import { progressBar } from "../../lib/cli/progress.js";
import { reportError, UsageError } from "../../lib/cli/report.js";
import { shapeFlagNames } from "../../lib/cli/shape-flags.js";
import { statsLine } from "../../lib/cli/stats-line.js";
import { ZSEError } from "../../lib/errors.js";
import { readChatCall, readEngineOptions } from "../../lib/options/options.js";
import type { EngineOptions, PrefixReason, Reply } from "../../lib/types.js";
import { USER } from "./helpers.js";

const REPLY: Reply = {
  text: "x",
  toolCalls: [],
  finishReason: "stop",
  seed: 1,
  usage: { promptTokens: 15, completionTokens: 42, totalTokens: 57, cachedTokens: 0 },
  timings: { queueMs: 0, prefillMs: 30, ttftMs: 38.4, itlMs: { p50: 5, p99: 6.24, max: 9 }, tokensPerSecond: 187.31, pausedMs: 0 },
};

describe("the line of statistics", () => {
  test("has prompt tokens, time to first token, speed and p99 between tokens", () => {
    expect(statsLine(REPLY)).toBe(
      "15 prompt tokens, first token after 38 ms, 42 tokens at 187.3 tokens/s, p99 between tokens 6.2 ms, stop",
    );
  });
  test("says where a prompt broke that could be mended", () => {
    const broke = (reason: PrefixReason, cachedTokens: number) =>
      statsLine({ ...REPLY, usage: { ...REPLY.usage, cachedTokens }, timings: { ...REPLY.timings, prefix: { brokeAt: 7, reason } } });
    expect(broke("differs", 0)).toMatch(/^15 prompt tokens \(another token than before at 7\), /);
    expect(broke("differs", 7)).toMatch(/^15 prompt tokens \(7 cached; another token than before at 7\), /);
    expect(broke("evicted", 0)).toMatch(/^15 prompt tokens \(what followed 7 had to make way\), /);
    const moved = { brokeAt: 3, reason: "differs", movedTokens: 9 } as const;
    expect(statsLine({ ...REPLY, usage: { ...REPLY.usage, cachedTokens: 12 }, timings: { ...REPLY.timings, prefix: moved } })).toMatch(
      /^15 prompt tokens \(12 cached; another token than before at 3; 9 from other places\), /,
    );
    expect(broke("continued", 7)).toMatch(/^15 prompt tokens \(7 cached\), /);
  });
  test("leaves out what there is not", () => {
    const usage = (completionTokens: number) => ({
      ...REPLY,
      usage: { ...REPLY.usage, promptTokens: 1, completionTokens, cachedTokens: 1 },
    });
    const { ttftMs: _, ...timings } = REPLY.timings;
    expect(statsLine({ ...usage(0), timings })).toBe("1 prompt token (1 cached), 0 tokens, stop");
    expect(statsLine(usage(1))).toBe("1 prompt token (1 cached), first token after 38 ms, 1 token, stop");
  });
});

describe("errors of the command line", () => {
  const report = (error: unknown, flags = {}) => {
    const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const code = reportError(error, shapeFlagNames(flags));
    const printed = write.mock.calls.map(([text]) => text).join("");
    write.mockRestore();
    return { code, printed };
  };
  test("are one sentence", () => {
    expect(report(new Error("no such file"))).toEqual({ code: 1, printed: "zse: no such file\n" });
    expect(report(new UsageError("there is no prompt."))).toEqual({ code: 2, printed: "zse: there is no prompt.\n" });
  });
  test("name a variable of the environment as it is called there", () => {
    const error = new ZSEError("BAD_OPTION", 'HF_ENDPOINT must be an http: or https: address; given "ftp://x".', { option: "HF_ENDPOINT" });
    expect(report(error).printed).toBe('zse: HF_ENDPOINT must be an http: or https: address; given "ftp://x".\n');
  });
  const caught = (call: () => unknown): unknown => {
    try {
      call();
    } catch (error) {
      return error;
    }
    throw new Error("nothing was thrown");
  };
  test("name the flag, where the library names the option", () => {
    const error = caught(() => readChatCall("chat()", USER, { topP: 7 }));
    expect(report(error)).toEqual({ code: 2, printed: "zse: --top-p must be a number from 0 to 1; given 7.\n" });
    const stop = caught(() => readChatCall("chat()", USER, { stop: [""] }));
    expect(report(stop)).toEqual({ code: 2, printed: 'zse: --stop must be a string of 1 to 256 characters; given "".\n' });
    const dir = caught(() => readEngineOptions({ promptCache: { dir: "" } }));
    expect(report(dir)).toEqual({ code: 2, printed: 'zse: --prompt-cache must be the path of a folder; given "".\n' });
  });
  test("name the flag of a draft model, not that of guesses", () => {
    const said = (options: EngineOptions) => report(caught(() => readEngineOptions(options))).printed;
    const draft = { speculate: { draftModel: "small.gguf" } };
    expect(said({ promptCache: { moved: true }, deterministic: true })).toMatch(
      /^zse: --prompt-cache-moved lets a text depend on .* in deterministic mode/,
    );
    expect(said({ speculate: { draftModel: "hf:org/model" } })).toMatch(/^zse: --draft must be a file on this machine; given "hf:/);
    expect(said({ speculate: { ...draft.speculate, tokens: 0 } })).toMatch(/^zse: --speculate is 0, with which --draft guesses nothing/);
    expect(said({ ...draft, deterministic: true })).toMatch(/^zse: --draft guesses nothing in deterministic mode/);
  });
  test("name the flag in the engine's own sentences, but not in what is quoted there", () => {
    const error = new ZSEError("BAD_OPTION", 'promptCache.dir "/proc/topK" cannot be used; try a smaller contextSize, or stop.');
    const sentence = 'zse: --prompt-cache "/proc/topK" cannot be used; try a smaller --context-size, or stop.\n';
    expect(report(error)).toEqual({ code: 2, printed: sentence });
    const path = new ZSEError("BAD_OPTION", "The model's path must be a file's path.", { option: "path" });
    expect(report(path).printed).toBe("zse: The model's path must be a file's path.\n");
  });
  test("name the flag that held a form of the text, wherever the sentence has the option's name", () => {
    const said = 'responseFormat and tools exclude each other; give responseFormat with toolChoice "none"';
    const both = new ZSEError("UNSUPPORTED", said);
    expect(report(both, { format: "x" }).printed).toBe(
      'zse: --format and tools exclude each other; give --format with --tool-choice "none"\n',
    );
    const slow = new ZSEError("BAD_OPTION", 'the grammar of the tools or of responseFormat takes too long; given "responseFormat".');
    expect(report(slow, { grammar: "x" }).printed).toBe(
      'zse: the grammar of the tools or of --grammar takes too long; given "responseFormat".\n',
    );
    const schema = caught(() => readChatCall("chat()", USER, { responseFormat: { type: "json_schema", schema: { not: {} } } }));
    expect(report(schema, { format: "x" }).printed).toMatch(/^zse: --format cannot be .* at \/not/);
    const budget = caught(() => readChatCall("chat()", USER, { reasoning: { budgetTokens: -1 } }));
    expect(report(budget, { reasoningBudget: -1 }).printed).toMatch(/^zse: --reasoning-budget must be a whole number/);
  });
  test("name the place within a file of tools, and no flag for what has none", () => {
    const tools = caught(() => readChatCall("chat()", USER, { tools: [{ type: "function", function: { name: "a b" } }] }));
    expect(report(tools, { tools: "x" }).printed).toMatch(/^zse: --tools\[0\]\.function\.name must be 1 to 128/);
    const refused = new ZSEError("BAD_OPTION", "messages[1] is refused by the template", { option: "messages[1]" });
    expect(report(refused).printed).toBe("zse: messages[1] is refused by the template\n");
  });
});

test("a progress bar that was taken away never comes back: its timer would keep the process alive", () => {
  const { isTTY } = process.stderr;
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  vi.useFakeTimers();
  try {
    process.stderr.isTTY = true;
    const bar = progressBar("{name} {percentage} %", () => "model")!;
    bar(0.25);
    expect(write).toHaveBeenCalled();
    bar(undefined);
    write.mockClear();
    bar(0.5);
    expect([write.mock.calls, vi.getTimerCount()]).toEqual([[], 0]);
  } finally {
    vi.useRealTimers();
    write.mockRestore();
    process.stderr.isTTY = isTTY;
  }
});
