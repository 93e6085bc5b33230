// Owns row e: prompts whose beginning is known already. The second turn of a conversation; the same system prompt from another
// user; the same again after the process was started anew.
import { untuned } from "../contenders/index.mjs";
import { ttft } from "../lib/reply.mjs";

const system = 1000;
const message = 10;
const replyTokens = 16;

export const row = {
  name: "e",
  title: `second turn; a system prompt of ${system} tokens from another user, and after a restart`,
  contenders: untuned,
  repetitions: (reps) => Math.ceil(reps / 2),
  phases: ["before", "after"],
  engine: () => ({ contextSize: 1536, maxStreams: 4 }),

  async measure(engine, { prompts, phase }) {
    // The same texts in both processes: the seed decides.
    const texts = { system: await prompts.cold(system), messages: [] };
    while (texts.messages.length < 4) texts.messages.push(await prompts.more(message));
    const [anna, annaAgain, ben, carla] = texts.messages;
    await engine.generate(await prompts.cold(64), { maxTokens: 8 });
    const ask = (prompt) => engine.generate(prompt, { maxTokens: replyTokens });

    if (phase === "after") {
      const reply = await ask(`${texts.system}\n${carla}\n`);
      return { restartTtftMs: ttft(reply), restartComputed: reply.promptTokens - reply.cachedTokens };
    }
    const first = await ask(`${texts.system}\n${anna}\n`);
    const second = await ask(`${texts.system}\n${anna}\n${first.text}\n${annaAgain}\n`);
    const other = await ask(`${texts.system}\n${ben}\n`);
    return {
      coldTtftMs: ttft(first),
      secondTtftMs: ttft(second),
      // Of the first turn's prompt, how much was computed again: the reply and the new message have to be.
      secondAgain: Math.max(0, first.promptTokens - second.cachedTokens),
      otherTtftMs: ttft(other),
      otherAgain: Math.max(0, system - other.cachedTokens),
    };
  },

  figures: [
    { label: `first token, ${system} + ${message} tokens cold`, unit: "ms", measure: "coldTtftMs" },
    { label: "second turn, first token", unit: "ms", measure: "secondTtftMs" },
    { label: "second turn, known tokens computed again", unit: "tokens", measure: "secondAgain", goals: [{ atMost: 2 }] },
    { label: "another user, first token", unit: "ms", measure: "otherTtftMs" },
    { label: "another user, known tokens computed again", unit: "tokens", measure: "otherAgain", goals: [{ atMost: 2 }] },
    { label: "after a restart, first token", unit: "ms", measure: "restartTtftMs", goals: [{ atMost: 60 }] },
    { label: "after a restart, tokens computed", unit: "tokens", measure: "restartComputed" },
  ],
};
