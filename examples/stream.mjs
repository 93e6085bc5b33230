// A story, token by token. Leaving the loop early would cancel it.
import { ZSE } from "zstream";

const model = new ZSE(); // the embedded demo model; new ZSE("qwen-7b.gguf") opens yours

const stream = model.chatStream([{ role: "user", content: "Tell me a story about a fox" }]);
for await (const text of stream) process.stdout.write(text);

const { usage, timings } = await stream.result;
console.log(
  `\n\n${usage.completionTokens} tokens, first one after ${timings.ttftMs?.toFixed(1)} ms, ${timings.tokensPerSecond.toFixed(0)} tokens/s`,
);
await model.close();
