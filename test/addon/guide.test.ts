// The programs of docs/GUIDE.md and the examples of tools and objects run as they stand.

import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ROOT, start } from "./helpers.js";

const guide = readFileSync(join(ROOT, "docs", "GUIDE.md"), "utf8");
/** Each program with the heading that it stands under. */
const programs = guide
  .split(/^## /m)
  .flatMap((section) =>
    [...section.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code], i) => [`${section.split("\n")[0]!} ${i + 1}`, code!] as const),
  );

afterAll(() => rmSync(join(ROOT, "system-prompt.kv"), { force: true })); // one of them writes it

async function run(args: readonly string[], input = ""): Promise<string> {
  const { child, ended } = start([...args], { cwd: ROOT });
  child.stdin?.end(input);
  const { code, stdout, stderr } = await ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

describe("docs/GUIDE.md", () => {
  test("teaches tools, structured output, reasoning, the AI SDK, LangChain, pools, embeddings, predictions, warm prompts and OpenTelemetry", () => {
    const own = ["Tools 1", "Tools 2", "Tools 3", "Structured output 1", "Structured output 2", "Reasoning 1"];
    expect(programs.map(([name]) => name)).toEqual([
      ...own,
      "The AI SDK 1",
      "The AI SDK 2",
      "The AI SDK 3",
      "LangChain 1",
      "LangChain 2",
      "LangChain 3",
      "Several models 1",
      "Embeddings 1",
      "Replies that are known in part 1",
      "A system prompt that is warm at once 1",
      "OpenTelemetry 1",
    ]);
  });
  test.each(programs)("%s", async (_, code) => {
    expect((await run(["--input-type=module", "--eval", code])).length).toBeGreaterThan(10);
  });
});

test("examples/tools.mjs calls its tool", async () => {
  const said = await run([join(ROOT, "examples", "tools.mjs")]);
  expect(said).toContain('get_weather {"city"');
  expect(said).toContain("2 steps");
});
test("examples/structured.mjs has its object", async () => {
  expect(await run([join(ROOT, "examples", "structured.mjs")])).toMatch(/was born in \d{4}/);
});
test("examples/agent.mjs answers with its tools, a question a line", async () => {
  const said = await run([join(ROOT, "examples", "agent.mjs")], "What is the weather in Rome?\nWhat is the weather in Paris?\n");
  expect(said.match(/\[get_weather: /g)!.length).toBeGreaterThanOrEqual(1);
});
test("examples/ai-sdk.mjs calls its tool", async () => {
  expect(await run([join(ROOT, "examples", "ai-sdk.mjs")])).toContain('get_weather {"city":"Paris"}');
});
test("examples/langchain.mjs calls its tool", async () => {
  expect(await run([join(ROOT, "examples", "langchain.mjs")])).toContain('get_weather {"city":"Paris"}');
});
