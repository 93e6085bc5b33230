// zstream/langchain under LangChain itself, on the demo model. LangChain's own tests are langchain-kit.test.ts.

import { type BaseMessage, HumanMessage, ToolMessage, trimMessages } from "@langchain/core/messages";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate } from "@langchain/core/prompts";
import { tool } from "@langchain/core/tools";
import { expect, test } from "vitest";
import { z } from "zod";
import { ChatZSE } from "../../lib/providers/langchain/index.js";
import { ENDLESS, openReady, sleep, until } from "./helpers.js";

const weather = tool(({ city }) => JSON.stringify({ city, sky: "clear", celsius: 20 }), {
  name: "get_weather",
  description: "The weather of a city, now",
  schema: z.object({ city: z.string() }),
});

test("a chain streams the text that the model says", async () => {
  const model = await openReady();
  const chain = ChatPromptTemplate.fromMessages([["human", "Tell me a {what}"]])
    .pipe(new ChatZSE({ model, temperature: 0 }))
    .pipe(new StringOutputParser());
  const texts: string[] = [];
  for await (const text of await chain.stream({ what: "story" })) texts.push(text);
  const expected = await model.chat([{ role: "user", content: "Tell me a story" }], { temperature: 0 });
  expect(texts.join("")).toBe(expected.text);
  expect(texts.length).toBeGreaterThan(10);
});
test("a tool is called, and its result is answered", async () => {
  const chat = new ChatZSE({ model: await openReady(), temperature: 0 }).bindTools([weather]);
  const messages = [new HumanMessage("What is the weather in Paris?")];
  const asked = await chat.invoke(messages);
  expect(asked.tool_calls).toMatchObject([{ name: "get_weather", args: { city: "Paris" } }]);
  const result = (await weather.invoke(asked.tool_calls![0]!)) as ToolMessage;
  expect(ToolMessage.isInstance(result)).toBe(true);
  const answer = await chat.invoke([...messages, asked, result]);
  expect(answer.text.length).toBeGreaterThan(5);
  expect(answer.usage_metadata!.input_token_details!.cache_read).toBeGreaterThan(0);
});
test("structured output is held to its schema, by a call and by the text", async () => {
  const Person = z.object({ name: z.string().max(20), age: z.int().min(0).max(120) });
  const chat = new ChatZSE({ model: await openReady(), temperature: 0, reasoning: "off" });
  for (const method of ["functionCalling", "jsonSchema"] as const) {
    const value = await chat.withStructuredOutput(Person, { method }).invoke("Give me JSON for a person named Anna, aged 31, from Paris.");
    expect(Person.parse(value)).toEqual(value);
  }
});
test("messages are trimmed to a number of the model's own tokens", async () => {
  const model = await openReady();
  const chat = new ChatZSE({ model });
  const messages = [new HumanMessage("Tell me a story about a fox"), new HumanMessage("What is the weather in Paris?")];
  const last = (await model.tokenize("What is the weather in Paris?")).length;
  expect(await chat.getNumTokens("What is the weather in Paris?")).toBe(last);
  const count = async (given: BaseMessage[]) =>
    (await Promise.all(given.map(({ content }) => chat.getNumTokens(content)))).reduce((a, b) => a + b, 0);
  expect(await trimMessages(messages, { maxTokens: last, tokenCounter: count, strategy: "last" })).toEqual(messages.slice(1));
});
test("a reader that stops parks the stream in the engine, and it goes on with the reader", async () => {
  const model = await openReady();
  const chat = new ChatZSE({ model, ...ENDLESS, highWaterMark: 8, maxTokens: 200 });
  const iterator = (await chat.stream("Tell me a story"))[Symbol.asyncIterator]();
  await iterator.next();
  await until(() => model.stats().parked === 1, "it is parked");
  const { generatedTokens } = model.stats();
  await sleep(100);
  expect(model.stats()).toMatchObject({ parked: 1, generatedTokens });
  expect(generatedTokens).toBeLessThan(30);
  let last: unknown;
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) last = next.value;
  expect(last).toMatchObject({ usage_metadata: { output_tokens: 200 }, response_metadata: { finish_reason: "length" } });
  expect(model.stats()).toMatchObject({ parked: 0, decoding: 0 });
});
test("leaving frees the slot", async () => {
  const model = await openReady({ maxStreams: 1 });
  for await (const _ of await new ChatZSE({ model, ...ENDLESS }).stream("Tell me a story")) break;
  await until(() => model.stats().freeSlots === 1, "the slot is free");
});
