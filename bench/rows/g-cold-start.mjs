// Owns row g: from the start of the process to the first token, and what the process holds in memory then.
import { untuned } from "../contenders/index.mjs";

const prompt = "The river";

export const row = {
  name: "g",
  title: "cold start: process start to first token; resident memory over model plus KV cache",
  contenders: untuned,
  engine: ({ trainedContext }) => ({ contextSize: Math.min(4096, trainedContext), maxStreams: 1 }),

  async measure(engine, { modelBytes, kvBytesPerToken, trainedContext }) {
    const reply = await engine.generate(prompt, { maxTokens: 8 });
    const kvBytes = kvBytesPerToken * Math.min(4096, trainedContext);
    return {
      startMs: reply.arrivals[0] - engine.startedAt,
      memory: (await engine.memory()) / (modelBytes + kvBytes),
      megabytes: (await engine.memory()) / 1e6,
    };
  },

  figures: [
    {
      label: "process start to first token",
      unit: "ms",
      measure: "startMs",
      goals: [{ of: "node-llama-cpp", atMost: 0.6 }],
      note: "the file is in the system's cache; llama-server's start is its own, without a client's",
    },
    { label: "resident memory", unit: "MB", measure: "megabytes" },
    // The demo model is a fraction of what a process takes by itself.
    { label: "resident memory over model and KV cache", unit: "×", measure: "memory", goals: [{ atMost: 1.15 }], models: ["qwen2-0.5b"] },
  ],
};
