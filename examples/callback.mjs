// The callback style. A promise that the callback returns is awaited: a slow writer slows the model, nothing piles up.
import { setTimeout as sleep } from "node:timers/promises";
import { ZSE } from "zstream";

const model = new ZSE();

const reply = await model.chat({
  messages: [{ role: "user", content: "Count from 1 to 10" }],
  temperature: 0,
  highWaterMark: 8, // tokens that the model may be ahead
  streamCallback: async (text) => {
    process.stdout.write(text);
    await sleep(30);
  },
});
console.log(`\n\n${reply.finishReason}; paused for ${reply.timings.pausedMs.toFixed(0)} ms`);
await model.close();
