// A program made with @openai/agents, which has a tool of its own: POST /v1/responses. It needs the whole of the last event.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { SAYS_HI } from "./lib/turns.mjs";

const PROGRAM = `
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool } from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";

const [, , base, model, prompt] = process.argv;
setTracingDisabled(true);
const openAIClient = new OpenAI({ baseURL: base + "/v1", apiKey: "none", maxRetries: 0 });
const echo = tool({
  name: "echo",
  description: "Says what it is told",
  parameters: z.object({ text: z.string() }),
  execute: ({ text }) => Promise.resolve(text),
});
const agent = new Agent({ name: "Echo", instructions: "Be brief.", model, tools: [echo] });
const result = await new Runner({ modelProvider: new OpenAIProvider({ openAIClient }) }).run(agent, prompt, { stream: true });
await result.completed;
console.log(result.finalOutput);
`;

export default {
  name: "a program made with @openai/agents",
  packages: ["@openai/agents@0.20.0", "zod@4.6.7"],
  turns: [
    { ...SAYS_HI, requests: 2 },
    {
      what: "a turn in which its tool runs",
      prompt: "say hello with the tool",
      part: { tool: "echo", args: { text: "hello" }, text: "It said hello." },
      says: /It said hello\./,
      requests: 3,
    },
  ],
  start({ base, model, home, prompt, modules }) {
    // Beside its packages, where they are found.
    const program = join(modules, "..", "program.mjs");
    writeFileSync(program, PROGRAM);
    return { file: process.execPath, args: [program, base, model, prompt], env: { HOME: home } };
  },
};
