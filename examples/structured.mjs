// A reply that is held to a schema while it is generated: here zod's; valibot, arktype and plain JSON Schema do as well.

import { z } from "zod";
import { ZSE } from "zstream";

const model = new ZSE();

const Person = z.object({
  name: z.string().min(1).max(20),
  born: z.iso.date(),
  likes: z.array(z.enum(["music", "books", "cats"])).max(2),
});

const stream = model.chatStream([{ role: "user", content: "Make up a person" }], { responseFormat: Person, reasoning: "off", seed: 1 });
for await (const event of stream.events()) if (event.type === "object") console.log(event.partial);

const { object } = await stream.result;
console.log(object.name, "was born in", object.born.slice(0, 4));
await model.close();
