import { describe, expect, test, vi } from "vitest";

import { progressBar } from "../../lib/cli/progress.js";
import { reportError, UsageError } from "../../lib/cli/report.js";
import { statsLine } from "../../lib/cli/stats-line.js";
import { ZSEError } from "../../lib/errors.js";
import { readChatCall, readEngineOptions } from "../../lib/options/options.js";
import type { Reply } from "../../lib/types.js";
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
  test("name the flag in the engine's own sentences, but not in what is quoted there", () => {
    const error = new ZSEError("BAD_OPTION", 'promptCache.dir "/proc/topK" cannot be used; try a smaller contextSize, or stop.');
    const sentence = 'zse: --prompt-cache "/proc/topK" cannot be used; try a smaller --context-size, or stop.\n';
    expect(report(error)).toEqual({ code: 2, printed: sentence });
    const path = new ZSEError("BAD_OPTION", "The model's path must be a file's path.", { option: "path" });
    expect(report(path).printed).toBe("zse: The model's path must be a file's path.\n");
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
