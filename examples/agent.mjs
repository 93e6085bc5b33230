// An agent in a terminal, with two tools: node agent.mjs, then ask. Without a terminal, each line of its input is a question.
import { createInterface } from "node:readline/promises";
import { z } from "zod";
import { tool, ZSE } from "zstream";

const model = new ZSE(process.argv[2]); // a model's file; left out: the demo model
const notes = [];

const tools = [
  tool({
    name: "get_weather",
    description: "The weather of a city, now",
    parameters: z.object({ city: z.string() }),
    execute: ({ city }) => ({ city, sky: "clear", celsius: 20 }),
  }),
  tool({
    name: "write_note",
    description: "Writes a note down and gives all notes so far",
    parameters: z.object({ text: z.string().max(200) }),
    execute: ({ text }) => {
      notes.push(text);
      return notes;
    },
  }),
];

const messages = [{ role: "system", content: "You are an assistant with tools." }];
const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: "> " });
terminal.prompt();
for await (const question of terminal) {
  messages.push({ role: "user", content: question });
  const stream = model.chatStream(messages, { tools, temperature: 0, maxTokens: 200, maxSteps: 4 });
  for await (const event of stream.events()) {
    if (event.type === "text") process.stdout.write(event.text);
    if (event.type !== "step") continue;
    const { text, toolCalls, toolResults } = event.step;
    for (const { name, content } of toolResults) console.log(`[${name}: ${content}]`);
    // What was said and called is the conversation's next part.
    messages.push({ role: "assistant", content: text, ...(toolCalls.length > 0 ? { tool_calls: toolCalls } : {}) });
    for (const { toolCallId, content } of toolResults) messages.push({ role: "tool", tool_call_id: toolCallId, content });
  }
  console.log();
  terminal.prompt();
}
await model.close();
