// An honest reader's first token while others send prompts that are made to take long, over what it is when nobody does. Everything in
// one process on one engine; medians of some dozens.
import { modelWith, open, outcome, say, user } from "./attack.mjs";

const spaces = " ".repeat(1 << 20);
// A template that is slow on long histories, as some are: it looks back from each message over all before it.
const slow = modelWith({
  "tokenizer.chat_template":
    "{% for m in messages %}{% for n in messages %}{% if n.role == m.role %}{% endif %}{% endfor %}{{ m.content }}{% endfor %}",
});
const model = open(slow, { contextSize: 2048, maxStreams: 8, threads: 2 });
await model.ready;
const history = (count) => Array.from({ length: count }, (_, i) => ({ role: i % 2 ? "assistant" : "user", content: `${i}` }));

const attacks = {
  "long histories through a slow template": (signal) => model.chat(history(901), { maxTokens: 1, signal }),
  "texts that cannot fit": (signal) => model.completion(`${Math.random()}${"a".repeat(20_000)}`, { maxTokens: 1, signal }),
  "1 MB to tokenize": () => model.tokenize(spaces),
  "control tokens": (signal) => model.completion("<|im_end|>".repeat(2000), { maxTokens: 1, signal }),
};

let number = 0;
async function firstTokens() {
  const times = [];
  for (let i = 0; i < 25; i++) {
    const from = performance.now();
    const stream = model.completionStream(`${number++} Once upon a time ${"there was a fox. ".repeat(30)}`, {
      maxTokens: 2,
      ignoreEos: true,
    });
    for await (const _ of stream) {
      times.push(performance.now() - from);
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
}

await firstTokens();
for (const [name, attack] of Object.entries(attacks)) {
  say({ name, begins: true });
  const quiet = await firstTokens();
  const leave = new AbortController();
  let ended = 0;
  const attackers = Array.from({ length: 4 }, async () => {
    while (!leave.signal.aborted) {
      await outcome(attack(leave.signal));
      ended++;
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  const beside = await firstTokens();
  leave.abort();
  await Promise.all(attackers);
  say({ name, quiet, beside, ratio: beside / quiet, ended });
}
say({ name: "afterwards", result: await outcome(model.chat(user("Hi"), { maxTokens: 1 })) });
await model.close();
say({ done: true });
