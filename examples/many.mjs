// Four streams from one model at the same time: they share each step of the engine (continuous batching).
import { ZSE } from "zstream";

const model = new ZSE({ maxStreams: 4 });
const animals = ["a fox", "an owl", "a bear", "a mouse"];

const replies = await Promise.all(
  animals.map((animal) => model.chat([{ role: "user", content: `Tell me a story about ${animal}` }], { maxTokens: 60 })),
);
for (const [i, reply] of replies.entries()) console.log(`${animals[i]}: ${reply.text}\n`);

await model.close();
