// Owns row m: prompts that are computed ahead. How long the first token takes after that, of a cold one; and what prompts that wait to be computed ahead
// cost a stream that runs meanwhile.
import { longestGap, ttft } from "../lib/reply.mjs";

const tokens = 1000;
const runningTokens = 200;
const keyPresses = 20;

export const row = {
  name: "m",
  title: `the first token of ${tokens} tokens after prepare(), and a running stream beside it`,
  models: ["qwen2-0.5b"],
  contenders: ["zstream"],
  repetitions: (reps) => Math.ceil(reps / 2),
  engine: () => ({ contextSize: 4096, maxStreams: 4 }),
  measure,
  figures: [
    { label: "first token, cold", unit: "ms", measure: "coldMs" },
    { label: "first token, prepared", unit: "ms", measure: "preparedMs" },
    { label: "of the cold one's", unit: "", measure: "share", goals: [{ atMost: 0.1 }] },
    {
      label: `a stream's pace while ${keyPresses} prompts want to be prepared`,
      unit: "",
      measure: "beside",
      goals: [{ atLeast: 0.95 }],
      note: "of its pace before and after",
    },
    { label: "its longest gap then, of that before", unit: "", measure: "gap" },
  ],
};

async function measure(engine, { prompts }) {
  const { model } = engine;
  await engine.generate(await prompts.cold(64), { maxTokens: 8 });
  const coldMs = ttft(await engine.generate(await prompts.cold(tokens), { maxTokens: 4 }));
  const prompt = await prompts.cold(tokens);
  await model.prepare(prompt);
  const preparedMs = ttft(await engine.generate(prompt, { maxTokens: 4 }));

  const running = async (meanwhile) => {
    const text = await prompts.cold(64);
    const pressed = [];
    const onText = ({ arrivals }) => {
      if (meanwhile && arrivals.length % Math.floor(runningTokens / keyPresses) === 0) pressed.push(model.prepare(meanwhile));
    };
    const reply = await engine.generate(text, { maxTokens: runningTokens, onText });
    await Promise.all(pressed);
    const { arrivals } = reply;
    const [from, to] = [arrivals[0], arrivals.at(-1)];
    return { pace: (arrivals.length - 1) / (to - from), gap: longestGap(reply, from, to) };
  };
  const [before, beside, after] = [await running(), await running(await prompts.cold(tokens)), await running()];
  return {
    coldMs,
    preparedMs,
    share: preparedMs / coldMs,
    beside: (2 * beside.pace) / (before.pace + after.pace),
    gap: beside.gap / Math.max(before.gap, after.gap),
  };
}
