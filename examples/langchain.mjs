// LangChain on a model in this process: npm install @langchain/core zod
import { HumanMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { z } from "zod";
import { ZSE } from "zstream";
import { ChatZSE } from "zstream/langchain";

const model = new ZSE();
const weather = tool(async ({ city }) => `${city}: clear, 20 degrees`, {
  name: "get_weather",
  description: "The weather of a city, now",
  schema: z.object({ city: z.string() }),
});
const chat = new ChatZSE({ model, temperature: 0 }).bindTools([weather]);

const messages = [new HumanMessage("What is the weather in Paris?")];
const asked = await chat.invoke(messages);
messages.push(asked);
for (const call of asked.tool_calls) {
  console.log(call.name, JSON.stringify(call.args));
  messages.push(await weather.invoke(call));
}
for await (const chunk of await chat.stream(messages)) process.stdout.write(chunk.text);
console.log();
await model.close();
