// Owns row k: a call of a tool with thousands of tokens of arguments, beside plain text of the same length from the same engine. How fast they come,
// and whether a token costs more late in the call than early.
import { mean } from "simple-statistics";

const newTokens = 4000;
const early = [50, 150];
const late = [newTokens - 150, newTokens - 50];
/** Arguments that cannot end before that: the grammar wants them long. */
const tool = {
  type: "function",
  function: {
    name: "save_text",
    description: "Keeps a long text",
    parameters: {
      type: "object",
      properties: { lines: { type: "array", items: { type: "string", minLength: 300 }, minItems: 200 } },
      required: ["lines"],
    },
  },
};
const content = "Keep a long text.";
const messages = [{ role: "user", content }];

export const row = {
  name: "k",
  title: `a tool's arguments of ${newTokens} tokens, beside plain text`,
  models: ["demo"],
  contenders: ["zstream", "llama-server"],
  engine: () => ({ contextSize: newTokens + 512, maxStreams: 1 }),

  async measure(engine) {
    const plainMessages = await asLong(engine, (await engine.chat(messages, { maxTokens: 1, tools: [tool] })).promptTokens);
    const plain = () => arrivals(engine, plainMessages);
    const call = () => arrivals(engine, messages, [tool]);
    // Each beside the other, so that what else the machine does is the same for both.
    const first = await plain();
    const called = await call();
    const second = await plain();
    const plainPace = mean([first, second].map(pace));
    const growth = gap(called, late) / gap(called, early);
    const plainGrowth = mean([first, second].map((times) => gap(times, late) / gap(times, early)));
    return { tokensPerSecond: pace(called), share: pace(called) / plainPace, growth: growth / plainGrowth };
  },

  figures: [
    { label: "arguments", unit: "tok/s", measure: "tokensPerSecond" },
    { label: "their pace, of plain text's", unit: "", measure: "share", goals: [{ atLeast: 0.95 }] },
    {
      label: "a token late in them, of an early one's time",
      unit: "",
      measure: "growth",
      goals: [{ atMost: 1.1 }],
      note: "over the same of plain text, whose attention grows too",
    },
  ],
};

/** Plain text's prompt, as long as the tool's: attention over what came before costs a token as much as the rest of it. */
async function asLong(engine, tokens) {
  const words = (n) => [{ role: "user", content: content + " more".repeat(n) }];
  const [short, long] = [await engine.chat(words(0), { maxTokens: 1 }), await engine.chat(words(100), { maxTokens: 1 })];
  return words(Math.round(((tokens - short.promptTokens) * 100) / (long.promptTokens - short.promptTokens)));
}

/** When its pieces came, in ms. */
async function arrivals(engine, messages, tools) {
  const { times, tokens } = await engine.chat(messages, { maxTokens: newTokens, tools });
  if (tokens !== newTokens) throw new Error(`a reply has ${tokens} tokens instead of ${newTokens}`);
  return times;
}

const pace = (times) => ((newTokens - 1) * 1000) / (times.at(-1) - times[0]);
/** Time of a token between two of them, by their numbers; a piece may be of several. */
const gap = (times, [from, to]) => {
  const at = (token) => times[Math.min(times.length - 1, Math.round((token * times.length) / newTokens))];
  return (at(to) - at(from)) / (to - from);
};
