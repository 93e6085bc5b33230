// The AI SDK on a model in this process: npm install ai zod
import { stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { ZSE } from "zstream";
import { zse } from "zstream/ai-sdk";

const model = new ZSE();

const { fullStream } = streamText({
  model: zse(model, { specification: "v3" }), // AI SDK 6; AI SDK 7 takes zse(model)
  prompt: "What is the weather in Paris?",
  temperature: 0,
  tools: {
    get_weather: tool({
      description: "The weather of a city, now",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => ({ city, sky: "clear", celsius: 20 }),
    }),
  },
  stopWhen: stepCountIs(5),
});
for await (const part of fullStream) {
  if (part.type === "text-delta") process.stdout.write(part.text);
  if (part.type === "tool-call") console.log(part.toolName, JSON.stringify(part.input));
}
console.log();
await model.close();
