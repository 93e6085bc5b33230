// A program made with @openai/agents, which has a tool of its own. See scripts/agents-tests.mjs.
import { writeFileSync } from "node:fs";
import { join } from "node:path";

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
  name: "openai-agents",
  packages: ["@openai/agents@0.20.0", "zod@4.6.7"],
  tool: { name: "echo", arguments: { text: "said-by-the-tool" }, marker: "said-by-the-tool" },

  command({ base, bin, model, prompt }) {
    // Beside its packages, where they are found.
    const program = join(bin, "..", "..", "program.mjs");
    writeFileSync(program, PROGRAM);
    return { file: process.execPath, args: [program, base, model, prompt], env: {} };
  },
};
