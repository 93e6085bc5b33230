// Owns the reader of row h's server-sent events, in a process of its own: asks for all streams at once, counts what comes. First line of
// stdin: JSON of { port, texts, newTokens, rounds }; it says "ready" after a warm-up, starts at "go", says "done".
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";

const agent = new Agent({ keepAlive: true });
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { port, texts, newTokens, rounds } = JSON.parse((await lines.next()).value);
await all(8);
process.stdout.write("ready\n");
await lines.next();
for (let round = 0; round < rounds; round++) await all(newTokens);
process.stdout.write("done\n");
await lines.next();
agent.destroy();

function all(tokens) {
  return Promise.all(texts.map((prompt) => read(prompt, tokens)));
}

function read(prompt, maxTokens) {
  const body = JSON.stringify({ prompt, stream: true, temperature: 0, ignore_eos: true, max_tokens: maxTokens });
  return new Promise((resolve, reject) => {
    const options = {
      host: "127.0.0.1",
      port,
      path: "/v1/completions",
      method: "POST",
      agent,
      headers: { "content-type": "application/json" },
    };
    const message = request(options, (response) => {
      let tail = "";
      response.setEncoding("latin1").on("data", (text) => {
        tail = (tail + text).slice(-16);
      });
      response.on("end", () =>
        tail.endsWith("[DONE]\n\n") ? resolve() : reject(new Error(`a stream ended with ${JSON.stringify(tail)}`)),
      );
    });
    message.on("error", reject).end(body);
  });
}
