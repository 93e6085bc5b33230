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
const calling = { tools: [tool], toolChoice: "required", maxSteps: 1 };

export const row = {
  name: "k",
  title: `a tool's arguments of ${newTokens} tokens, beside plain text`,
  models: ["demo"],
  contenders: ["zstream"],
  engine: () => ({ contextSize: newTokens + 512, maxStreams: 1 }),

  async measure({ model }) {
    const options = { temperature: 0, maxTokens: newTokens };
    const plainMessages = await asLong(model, await promptTokens(model, messages, calling));
    const plain = () => arrivals(model, plainMessages, { ...options, ignoreEos: true }, "text");
    const call = () => arrivals(model, messages, { ...options, ...calling }, "toolCall");
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

const promptTokens = async (model, messages, options) => (await model.chat(messages, { ...options, maxTokens: 1 })).usage.promptTokens;

/** Plain text's prompt, as long as the tool's: attention over what came before costs a token as much as the rest of it. */
async function asLong(model, tokens) {
  const words = (n) => [{ role: "user", content: content + " more".repeat(n) }];
  const short = await promptTokens(model, words(0));
  const each = ((await promptTokens(model, words(100))) - short) / 100;
  return words(Math.round((tokens - short) / each));
}

/** When each of its tokens came, in ms. */
async function arrivals(model, messages, options, type) {
  const times = [];
  let finish;
  for await (const event of model.chatStream(messages, options).events()) {
    if (event.type === type) times.push(performance.now());
    if (event.type === "finish") finish = event;
  }
  if (finish.usage.completionTokens !== newTokens)
    throw new Error(`a reply has ${finish.usage.completionTokens} tokens instead of ${newTokens}`);
  return times;
}

const pace = (times) => ((times.length - 1) * 1000) / (times.at(-1) - times[0]);
/** Time of an item between two of them, by their numbers. */
const gap = (times, [from, to]) => (times[Math.min(to, times.length - 1)] - times[from]) / (Math.min(to, times.length - 1) - from);
