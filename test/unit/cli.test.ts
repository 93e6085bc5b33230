import { describe, expect, test, vi } from "vitest";

import { reportError, UsageError } from "../../lib/cli/report.js";
import { statsLine } from "../../lib/cli/stats-line.js";
import { readChatCall } from "../../lib/options.js";
import type { Reply } from "../../lib/types.js";
import { USER } from "./helpers.js";

const REPLY: Reply = {
  text: "x",
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
  test("leaves out what there is not", () => {
    const usage = (completionTokens: number) => ({
      ...REPLY,
      usage: { ...REPLY.usage, promptTokens: 1, completionTokens, cachedTokens: 1 },
    });
    expect(statsLine(usage(0))).toBe("1 prompt token (1 cached), 0 tokens, stop");
    expect(statsLine(usage(1))).toBe("1 prompt token (1 cached), first token after 38 ms, 1 token, stop");
  });
});

describe("errors of the command line", () => {
  const report = (error: unknown) => {
    const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const code = reportError(error);
    const printed = write.mock.calls.map(([text]) => text).join("");
    write.mockRestore();
    return { code, printed };
  };
  test("are one sentence", () => {
    expect(report(new Error("no such file"))).toEqual({ code: 1, printed: "zse: no such file\n" });
    expect(report(new UsageError("there is no prompt."))).toEqual({ code: 2, printed: "zse: there is no prompt.\n" });
  });
  test("name the flag, where the library names the option", () => {
    let error: unknown;
    try {
      readChatCall("chat()", USER, { topP: 7 });
    } catch (caught) {
      error = caught;
    }
    expect(report(error)).toEqual({ code: 2, printed: "zse: --top-p must be a number from 0 to 1; given 7.\n" });
  });
});
