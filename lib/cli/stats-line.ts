// Owns the line of statistics that follows a reply on stderr. Pure, but for the question whether stderr takes colour.

import { styleText } from "node:util";

import type { PrefixBreak, Reply } from "../types.js";

/** Such as: 15 prompt tokens, first token after 38 ms, 42 tokens at 187.3 tokens/s, p99 between tokens 6.2 ms, stop */
export function statsLine({ usage, timings, finishReason }: Reply): string {
  const known = [...(usage.cachedTokens > 0 ? [`${usage.cachedTokens} cached`] : []), ...brokeAt(timings.prefix)];
  const cached = known.length > 0 ? ` (${known.join("; ")})` : "";
  const parts = [`${count(usage.promptTokens, "prompt token")}${cached}`];
  if (timings.ttftMs !== undefined) parts.push(`first token after ${milliseconds(timings.ttftMs)}`);
  parts.push(
    count(usage.completionTokens, "token") + (usage.completionTokens > 1 ? ` at ${timings.tokensPerSecond.toFixed(1)} tokens/s` : ""),
  );
  if (usage.completionTokens > 1) parts.push(`p99 between tokens ${milliseconds(timings.itlMs.p99)}`);
  parts.push(finishReason);
  return parts.join(", ");
}

/** Where something could be mended: "another token than before at 37"; and what was taken over all the same. */
function brokeAt(prefix: PrefixBreak | undefined): string[] {
  if (prefix === undefined) return [];
  const { reason, brokeAt, movedTokens } = prefix;
  const why =
    reason === "differs"
      ? [`another token than before at ${brokeAt}`]
      : reason === "evicted"
        ? [`what followed ${brokeAt} had to make way`]
        : [];
  return movedTokens === undefined ? why : [...why, `${movedTokens} from other places`];
}

/** Prints it on stderr, dim where that can be. */
export function printStats(reply: Reply): void {
  process.stderr.write(`${dim(`[${statsLine(reply)}]`)}\n`);
}

export function dim(text: string): string {
  return process.stderr.isTTY && !process.env.NO_COLOR ? styleText("dim", text) : text;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}
