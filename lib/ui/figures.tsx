// Owns the line that says how a reply went. Runs in a page.

import type { ChatFigures } from "../react/chat-store.js";

export function Figures({ figures }: { figures: ChatFigures }) {
  const { firstTokenMs, tokensPerSecond, longestGapMs, usage, finishReason } = figures;
  return (
    <ul class="figures" aria-label="How it went">
      {firstTokenMs !== undefined && <Figure name="first token" value={milliseconds(firstTokenMs)} />}
      {tokensPerSecond !== undefined && <Figure name="tokens/s" value={tokensPerSecond.toFixed(tokensPerSecond < 10 ? 1 : 0)} isBefore />}
      {longestGapMs !== undefined && <Figure name="longest gap" value={milliseconds(longestGapMs)} />}
      {usage !== undefined && <Figure name="tokens" value={String(usage.completionTokens)} isBefore />}
      {usage !== undefined && (
        <li>
          prompt <b>{usage.promptTokens}</b>, <b>{usage.cachedTokens}</b> from cache
        </li>
      )}
      {finishReason === "length" && <li class="cut">cut at its longest</li>}
    </ul>
  );
}

function Figure({ name, value, isBefore = false }: { name: string; value: string; isBefore?: boolean }) {
  return (
    <li>
      {isBefore ? "" : `${name} `}
      <b>{value}</b>
      {isBefore ? ` ${name}` : ""}
    </li>
  );
}

function milliseconds(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
