// Whole sentences instead of tokens, such as a speech synthesizer wants them. Never splits a grapheme, never changes the text.
import { ZSE } from "zstream";

const model = new ZSE();

const story = model.chatStream([{ role: "user", content: "Tell me a story" }], { chunkBy: "sentence" });
for await (const sentence of story) console.log(`say: ${sentence.trim()}`);

await model.close();
