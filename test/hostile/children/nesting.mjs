// Deep, wide and cyclic values in every place of a library call that takes JSON from outside.
import { open, outcome, say, user } from "./attack.mjs";

const model = open(undefined, { contextSize: 2048 }); // that holds the longest of the texts: what is wide or deep is to be told as such
await model.ready;
const deepList = (depth) => {
  let value = [];
  for (let i = 0; i < depth; i++) value = [value];
  return value;
};
const deepObject = (depth) => {
  let value = {};
  for (let i = 0; i < depth; i++) value = { a: value };
  return value;
};
const call = (args) => [
  ...user("Hi"),
  { role: "assistant", content: "", tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: args } }] },
  { role: "tool", tool_call_id: "1", content: "x" },
];
const keys = (count) => `{${Array.from({ length: count }, (_, i) => `"k${i}":${i}`).join(",")}}`;
const cyclic = {};
cyclic.self = cyclic;

for (const depth of [200, 30_000, 1_000_000]) {
  const brackets = "[".repeat(depth) + "]".repeat(depth);
  const braces = `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
  for (const [name, messages] of Object.entries({
    "arguments of brackets": call(brackets),
    "arguments of braces": call(braces),
    "arguments never closed": call("[".repeat(depth)),
    "a message's content": [{ role: "user", content: deepList(depth) }],
    "an unknown field": [{ role: "user", content: "Hi", extra: deepObject(depth) }],
    "a content part": [{ role: "user", content: [{ type: "text", text: "Hi", extra: deepList(depth) }] }],
    "the messages themselves": deepList(depth),
    "arguments as an object": call(deepObject(depth)),
    "a tool call": [{ role: "assistant", content: "", tool_calls: deepList(depth) }],
    "an option": undefined,
  })) {
    const place = `${name}, ${depth} deep`;
    say({ name: place, begins: true });
    const result = await outcome(
      (async () => (messages ? model.chat(messages, { maxTokens: 1 }) : model.chat(user("Hi"), { maxTokens: 1, stop: deepList(depth) })))(),
    );
    say({ name: place, result });
  }
}
for (const [name, messages] of Object.entries({
  "60,000 keys": call(keys(60_000)),
  "many objects of many keys": call(`[${Array.from({ length: 30 }, () => keys(3000)).join(",")}]`),
  "a cycle": [{ role: "user", content: "Hi", cyclic }],
  "a getter that throws": [
    {
      role: "user",
      get content() {
        throw new RangeError("no");
      },
    },
  ],
  "a toJSON that throws": [
    {
      role: "user",
      content: "Hi",
      extra: {
        toJSON() {
          throw new RangeError("no");
        },
      },
    },
  ],
  "a BigInt": [{ role: "user", content: "Hi", extra: 1n }],
})) {
  say({ name, begins: true });
  say({ name, result: await outcome((async () => model.chat(messages, { maxTokens: 1 }))()) });
}
say({ name: "afterwards", result: await outcome(model.chat(user("Hi"), { maxTokens: 1 })) });
await model.close();
say({ done: true });
