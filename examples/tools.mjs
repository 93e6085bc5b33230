// A tool that the model may call: the library runs it, tells the model what came of it, and the text goes on.
import { tool, ZSE } from "zstream";

const model = new ZSE();

const weather = tool({
  name: "get_weather",
  description: "The weather of a city, now",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  execute: async ({ city }) => ({ city, sky: "clear", celsius: 20 }),
});

const stream = model.chatStream([{ role: "user", content: "What is the weather in Paris?" }], {
  tools: [weather],
  temperature: 0,
  maxTokens: 100,
});
for await (const event of stream.events()) {
  if (event.type === "text") process.stdout.write(event.text);
  if (event.type === "step") for (const call of event.step.toolCalls) console.log(call.function.name, call.function.arguments);
}
console.log(`\n\n${(await stream.result).steps?.length ?? 1} steps`);
await model.close();
