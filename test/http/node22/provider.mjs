// Owns what AI SDK 7 does with zstream/ai-sdk in its own process, on the demo model, and tells on stdout what it saw, as JSON. Run by
// ../node22.test.ts. The compiled library is what users import.
import { embed, embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { ZSE } from "../../../dist/index.js";
import { zse, zseEmbedding } from "../../../dist/providers/ai-sdk/index.js";

const model = new ZSE({ threads: 1, contextSize: 512 });
await model.ready;
const provided = zse(model);

const streamed = streamText({ model: provided, prompt: "Tell me a story", temperature: 0 });
const texts = [];
for await (const text of streamed.textStream) texts.push(text);
const { text: expected } = await model.chat([{ role: "user", content: "Tell me a story" }], { temperature: 0 });

const get_weather = tool({
  description: "The weather of a city, now",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => ({ city, sky: "clear", celsius: 20 }),
});
const settings = { model: provided, temperature: 0 };
const looked = streamText({ ...settings, prompt: "What is the weather in Paris?", tools: { get_weather }, stopWhen: stepCountIs(3) });
const steps = await looked.steps;

const Person = z.object({ name: z.string().max(20), age: z.int().min(0).max(120) });
const described = await generateText({
  ...settings,
  prompt: "Give me JSON for a person named Anna, aged 31, from Paris.",
  output: Output.object({ schema: Person }),
});

const abort = new AbortController();
const left = streamText({
  ...settings,
  prompt: "Tell me a story",
  abortSignal: abort.signal,
  providerOptions: { zstream: { ignoreEos: true } },
});
for await (const _ of left.textStream) abort.abort();
while (model.stats().freeSlots < 4) await new Promise((resolve) => setTimeout(resolve, 10));

const embeds = zseEmbedding(model);
const one = await embed({ model: embeds, value: "fox", providerOptions: { zstream: { dimensions: 8 } } });
const many = await embedMany({ model: embeds, values: ["fox", "river"] });
const ours = await model.embed(["fox", "river"]);

console.log(
  JSON.stringify({
    node: process.version,
    isWhole: texts.join("") === expected,
    pieces: texts.length,
    calls: steps[0].toolCalls.map(({ toolName, input }) => ({ toolName, input })),
    answer: steps[1].text,
    cached: steps[1].usage.inputTokenDetails.cacheReadTokens,
    object: Person.parse(described.output),
    warnings: (await streamed.warnings) ?? [],
    embeds: {
      dimensions: one.embedding.length,
      isOurs: many.embeddings.every((vector, i) => vector.every((value, j) => Math.abs(value - ours.embeddings[i][j]) < 1e-2)),
      tokens: many.usage.tokens === ours.usage.totalTokens,
    },
  }),
);
await model.close();
