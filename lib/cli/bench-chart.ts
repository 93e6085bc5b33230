// Owns the picture of a benchmark that can be shared: one SVG with nothing fetched from elsewhere, for light and for dark pages. Pure.

import { limitLines, machineLine, modelLine, ms, type Result, rate } from "./bench-page.js";
import { bytes } from "./terminal.js";

const WIDTH = 860;
const HEIGHT = 400;
const TOP = 112;
const BOTTOM = 316;

/** Characters of what a model file says of itself. */
const LONGEST_NAME = 32;

interface Bar {
  label: string;
  value: number;
  /** As it is written above. */
  said: string;
}

/** `command`: what makes it anew. */
export function chart(result: Result, command: string): string {
  const { machine, model, firstToken, streams, limit } = result;
  const speeds = streams.map((one) => ({
    label: one.streams === 1 ? "1 stream" : `${one.streams} streams`,
    value: one.tokensPerSecond.median,
    said: rate(one.tokensPerSecond.median),
  }));
  const waits = [
    { label: "new", value: firstToken.cold.median, said: ms(firstToken.cold.median) },
    { label: "known", value: firstToken.known.median, said: ms(firstToken.known.median) },
  ];
  const notes = [
    machineLine(machine),
    ...(limit === undefined ? [] : [limitLines(limit, model, streams).join("; ")]),
    `${command} · ${machine.date.slice(0, 10)}`,
  ];
  const parts = [
    text(30, 38, modelLine({ ...model, name: cut(model.name), description: cut(model.description) }), "title"),
    text(30, 62, `${firstToken.promptTokens} tokens of prompt, ${streams[0]?.newTokens ?? 0} new tokens a stream`, "quiet"),
    panel(30, 520, "new tokens a second, all streams together", speeds),
    panel(600, 230, "until the first token", waits),
    ...notes.map((note, i) => text(30, 352 + 18 * i, note, "small")),
  ];
  const title = `zStream: ${cut(model.name)}, ${bytes(model.sizeBytes)}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${xml(title)}">
<style>
  svg { background: #fff; font: 13px system-ui, Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; } .head, .value { font-weight: 600; } .quiet, .small, .label { fill: #59636e; } .small { font-size: 11px; }
  .bar { fill: #0072b2; } .line { stroke: #d1d9e0; }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; fill: #e6edf3; } .quiet, .small, .label { fill: #9198a1; } .bar { fill: #56b4e9; } .line { stroke: #3d444d; }
  }
</style>
${parts.join("\n")}
</svg>
`;
}

/** Bars side by side, as high as their values. */
function panel(left: number, width: number, head: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ value }) => value));
  const place = width / bars.length;
  const drawn = bars.map(({ label, value, said }, i) => {
    const height = Math.max(1, ((BOTTOM - TOP - 20) * value) / most);
    const barWidth = Math.min(90, place * 0.6);
    const x = left + place * (i + 0.5);
    return [
      `<rect class="bar" rx="3" x="${round(x - barWidth / 2)}" y="${round(BOTTOM - height)}" width="${round(barWidth)}" height="${round(height)}"/>`,
      text(x, BOTTOM - height - 6, said, "value", "middle"),
      text(x, BOTTOM + 17, label, "label", "middle"),
    ].join("\n");
  });
  const ground = `<line class="line" x1="${left}" y1="${BOTTOM}" x2="${left + width}" y2="${BOTTOM}"/>`;
  return [text(left, 94, head, "head"), ground, ...drawn].join("\n");
}

function text(x: number, y: number, said: string, kind: string, anchor?: "middle"): string {
  const placed = anchor === undefined ? "" : ` text-anchor="${anchor}"`;
  return `<text class="${kind}" x="${round(x)}" y="${round(y)}"${placed}>${xml(said)}</text>`;
}

function cut(name: string): string {
  return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** What is not allowed in XML goes, too: names come from files. */
function xml(said: string): string {
  const marks: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return said
    .toWellFormed()
    .replace(/[\p{Cc}\ufffe\uffff]/gu, " ")
    .replace(/[&<>"]/g, (mark) => marks[mark]!);
}
