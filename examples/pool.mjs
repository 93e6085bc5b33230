// Two models that share the room of one: each is opened when it is asked for, and makes room for the other.
import { ModelPool } from "zstream";

// { writer: "model.gguf", … } names files of yours; without a path it is the embedded demo model.
const pool = new ModelPool({ models: { writer: { contextSize: 1024 }, reader: { contextSize: 512 } }, maxOpen: 1 });

const { text } = await pool.model("writer").chat([{ role: "user", content: "Tell me a story" }], { maxTokens: 60 });
console.log(text);
const answer = await pool.model("reader").chat([{ role: "user", content: `What happens here? ${text}` }], { maxTokens: 30 });
console.log(answer.text);
console.log(pool.list().map(({ name, state }) => `${name}: ${state}`));

await pool.close();
