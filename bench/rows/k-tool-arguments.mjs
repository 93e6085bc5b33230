// Owns row k: a call of a tool with thousands of tokens of arguments, beside plain text of the same length from the same engine. How fast they come,
// and whether a token costs more late in the call than early.
import { mean, quantileSorted } from "simple-statistics";

const newTokens = 4000;
/** Tokens whose times are looked at together. */
const windowTokens = 500;
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
    const { promptTokens } = await engine.chat(messages, { maxTokens: 1, tools: [tool] });
    const plainMessages = await asLong(engine, promptTokens);
    const maxTokens = Math.min(newTokens, (engine.slotTokens ?? Number.POSITIVE_INFINITY) - promptTokens - 16);
    const plain = () => arrivals(engine, plainMessages, maxTokens);
    const call = () => arrivals(engine, messages, maxTokens, [tool]);
    // In turns, so that what else the machine does is the same for both.
    const plains = [await plain()];
    const calls = [];
    for (let pair = 0; pair < 2; pair++) {
      calls.push(await call());
      plains.push(await plain());
    }
    const [called, plainly] = [calls, plains].map((runs) => costs(runs, maxTokens));
    return {
      tokens: maxTokens,
      tokensPerSecond: mean(calls.map(pace)),
      share: mean(calls.map(pace)) / mean(plains.map(pace)),
      undisturbed: mean(plainly) / mean(called),
      growth: called.at(-1) / called[0] / (plainly.at(-1) / plainly[0]),
    };
  },

  figures: [
    { label: "tokens of arguments", unit: "", measure: "tokens", note: "llama-server: what a slot of it has room for" },
    { label: "their pace", unit: "tok/s", measure: "tokensPerSecond" },
    {
      label: "their pace, of plain text's",
      unit: "",
      measure: "share",
      goals: [{ atLeast: 0.95 }],
      note: "first token to last",
    },
    {
      label: "the same without what other programs took",
      unit: "",
      measure: "undisturbed",
      note: "by what tokens cost where no other program takes the cores: the lower quartile of eight tokens' times, in windows of 500",
    },
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
async function arrivals(engine, messages, maxTokens, tools) {
  const { times, tokens } = await engine.chat(messages, { maxTokens, tools });
  if (tokens !== maxTokens) throw new Error(`a reply has ${tokens} tokens instead of ${maxTokens}`);
  return times;
}

const pace = (times) => ((times.length - 1) * 1000) / (times.at(-1) - times[0]);

/**
 * What a token costs in each window, ms. Other programs only ever add to it, for some tokens at a time, and more to one reply than to another: so it is
 * the lower quartile over all runs of the times that eight tokens in a row took.
 */
function costs(runs, tokens) {
  return Array.from({ length: Math.floor(tokens / windowTokens) }, (_, window) => {
    const eights = runs.flatMap((times) => {
      const pieces = Math.floor((windowTokens * times.length) / tokens);
      const inside = times.slice(window * pieces, (window + 1) * pieces);
      return inside.slice(8).map((time, i) => (time - inside[i]) / 8);
    });
    return quantileSorted(
      eights.sort((a, b) => a - b),
      0.25,
    );
  });
}
