// Ends a reply from outside, with an AbortSignal: the loop fails with the signal's own reason, the engine's slot is free again.
import { ZSE } from "zstream";

const model = new ZSE();
await model.ready;

const signal = AbortSignal.timeout(50);
try {
  for await (const text of model.chatStream([{ role: "user", content: "Tell me a story" }], { signal, ignoreEos: true })) {
    process.stdout.write(text);
  }
} catch (error) {
  console.log(`\n\nended: ${error.message}`);
}
await model.close();
