// Owns the rows of the benchmark: what each measures, on whom, and what is expected. A row's contenders run once per repetition,
// in alternating order; measures are named "contender.measure".
import * as raw from "./contenders/raw.mjs";
import { zstream } from "./lib/child.mjs";

const decode = { promptTokens: 64, newTokens: 128 };
const many = { streams: 8, ...decode };
const prompts = [64, 512];

/** Goals are those of issue 2 (the main job). */
export const rows = [
  {
    name: "single",
    title: `one stream, ${decode.newTokens} tokens after a prompt of ${decode.promptTokens}`,
    contenders: {
      raw: (job) => raw.single({ ...job, ...decode }),
      zstream: (job) => zstream("single", { ...job, ...decode }),
    },
    figures: [
      {
        label: "decoding, temperature 0",
        unit: "tok/s",
        ours: "zstream.tokensPerSecond",
        raw: "raw.tokensPerSecond",
        goal: { atLeast: 0.97 },
      },
      { label: "decoding, default sampling", unit: "tok/s", ours: "zstream.tokensPerSecondDefaults", raw: "raw.tokensPerSecond" },
    ],
  },
  {
    name: "ttft",
    title: "time to the first token, beside raw prefill plus one token",
    contenders: {
      raw: (job) => raw.ttft({ ...job, prompts, samples: 3 }),
      zstream: (job) => zstream("ttft", { ...job, prompts, samples: 3 }),
    },
    figures: prompts.flatMap((tokens) => [
      {
        label: `${tokens} tokens, in the engine`,
        unit: "ms",
        ours: `zstream.ttftMs${tokens}`,
        raw: `raw.ttftMs${tokens}`,
        goal: { atMost: 1.05 },
      },
      {
        label: `${tokens} tokens, seen from JS`,
        unit: "ms",
        ours: `zstream.wallMs${tokens}`,
        raw: `raw.ttftMs${tokens}`,
        goal: { atMost: 1.05 },
      },
    ]),
  },
  {
    name: "eight",
    title: `${many.streams} streams of ${many.promptTokens} + ${many.newTokens} tokens, begun at once`,
    contenders: {
      raw: (job) => raw.eight({ ...job, ...many }),
      zstream: (job) => zstream("eight", { ...job, ...many }),
    },
    figures: [
      {
        label: "new tokens over the whole run",
        unit: "tok/s",
        ours: "zstream.tokensPerSecond",
        raw: "raw.tokensPerSecond",
        goal: { atLeast: 0.95 },
      },
      {
        label: "while all decode",
        unit: "tok/s",
        ours: "zstream.tokensPerSecondDecoding",
        raw: "raw.tokensPerSecondDecoding",
        goal: { atLeast: 0.95 },
      },
    ],
  },
  {
    name: "cpu",
    title: "CPU time of JS's main thread per token",
    // A large model makes so few tokens that the cost of one is lost among 10 ms ticks.
    onlyModel: "demo",
    contenders: {
      zstream: (job) => zstream("cpu", { ...job, streams: 64, newTokens: 192, rounds: 3 }),
    },
    figures: [
      { label: "64 streams at once", unit: "µs", ours: "zstream.cpuUs", goal: { atMost: 5 } },
      { label: "one stream", unit: "µs", ours: "zstream.cpuUsAlone" },
    ],
  },
];
