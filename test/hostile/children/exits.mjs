// Leaving while a prompt is prepared that would never be done: `exits.mjs <how>`. Says how long it took, from the call to the last event
// that this process can see.
import { modelWith, open, outcome, say, user } from "./attack.mjs";

const forEver = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
const inChat = modelWith({ "tokenizer.chat_template": `{% if messages[0].content == "go" %}${forEver}{% endif %}hi` });
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const how = process.argv[2];

if (how === "exit while it loads" || how === "close while it loads") {
  const model = open(modelWith({ "tokenizer.chat_template": forEver }));
  const ready = outcome(model.ready);
  await wait(400); // the template is being analysed by then
  if (how === "exit while it loads") leave();
  const from = performance.now();
  await model.close();
  say({ ms: performance.now() - from, ready: (await ready).outcome });
  say({ done: true });
} else {
  const model = open(inChat);
  await model.ready;
  const chats = Array.from({ length: 20 }, () => outcome(model.chat(user("go"), { maxTokens: 1 })));
  await wait(300);
  if (how === "exit") leave();
  const from = performance.now();
  await model.close();
  say({ ms: performance.now() - from, chats: (await Promise.all(chats)).map((chat) => chat.outcome) });
  say({ done: true });
}

function leave() {
  const from = performance.now();
  process.on("exit", () => say({ done: true, ms: performance.now() - from }));
  process.exit(0);
}
