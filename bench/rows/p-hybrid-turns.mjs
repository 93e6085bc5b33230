// Owns row p: a conversation with a model whose memory cannot be cut (a hybrid): its second turn, another question after the same system
// prompt, both in the process that had the first one and after it was started anew. A prompt is a chat here: messages are where such a model goes on.
const system = 900;
const question = 100;
const message = 20;
const replyTokens = 16;

export const row = {
  name: "p",
  title: `a hybrid's second turn after ${system} + ${question} tokens, another question, and both after a restart`,
  models: ["lfm2-350m"],
  contenders: ["zstream", "llama-server", "before"],
  phases: ["before", "after"],
  engine: () => ({ contextSize: 1536, maxStreams: 4 }),

  async measure(engine, { prompts, phase }) {
    // The same texts in both processes: the seed decides.
    const role = (name, content) => ({ role: name, content });
    const first = [role("system", await prompts.cold(system)), role("user", await prompts.more(question))];
    const [again, other] = [role("user", await prompts.more(message)), role("user", await prompts.more(message))];
    const second = [...first, role("assistant", "I see what you mean."), again];
    await engine.generate(await prompts.cold(64), { maxTokens: 8 });
    const ask = async (messages) => {
      const start = performance.now();
      return (await engine.chat(messages, { maxTokens: replyTokens })).times[0] - start;
    };
    if (phase === "after") {
      const restartTtftMs = await ask(second);
      return { restartTtftMs, restartOtherTtftMs: await ask([first[0], other]) };
    }
    const coldTtftMs = await ask(first);
    const secondTtftMs = await ask(second);
    const otherTtftMs = await ask([first[0], other]);
    const ofCold = { secondOfCold: secondTtftMs / coldTtftMs, otherOfCold: otherTtftMs / coldTtftMs };
    return { coldTtftMs, secondTtftMs, otherTtftMs, ...ofCold };
  },

  figures: [
    { label: `first token, ${system} + ${question} tokens cold`, unit: "ms", measure: "coldTtftMs" },
    { label: "second turn, first token", unit: "ms", measure: "secondTtftMs" },
    { label: "second turn, of the cold one", unit: "×", measure: "secondOfCold", goals: [{ atMost: 0.15 }] },
    { label: "another question, first token", unit: "ms", measure: "otherTtftMs" },
    { label: "another question, of the cold one", unit: "×", measure: "otherOfCold", goals: [{ atMost: 0.15 }] },
    { label: "second turn after a restart, first token", unit: "ms", measure: "restartTtftMs" },
    { label: "another question after a restart, first token", unit: "ms", measure: "restartOtherTtftMs" },
  ],
};
