// `timings.prefix`: every reply says up to which token its prompt was known, and why no further.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { EngineOptions, Message } from "../../lib/types.js";
import { writeMemoryModel } from "../memory-models.js";
import { openModel } from "./helpers.js";

const GREEDY = { temperature: 0, maxTokens: 8 } as const;
const RULES = "Be kind to everyone, keep every answer short, and tell stories about the animals that people name. ".repeat(6);
const chat = (system: string, ...rest: Message[]): Message[] => [
  { role: "system", content: system },
  { role: "user", content: "Hello" },
  ...rest,
];

async function prefixOf(model: ReturnType<typeof openModel>, messages: Message[], options = {}) {
  const { timings, usage } = await model.chat(messages, { ...GREEDY, ...options });
  return { ...timings.prefix!, cached: usage.cachedTokens, promptTokens: usage.promptTokens };
}

test.each<[string, EngineOptions]>([
  ["in this process", {}],
  ["in a process of its own", { isolate: true }],
])("a changing line near the beginning is found by the token and the text where the prompt broke (%s)", async (_, options) => {
  const model = openModel({ contextSize: 2048, ...options });
  const first = await prefixOf(model, chat(`It is 10:41:07. ${RULES}`));
  expect(first).toMatchObject({ brokeAt: 0, reason: "new", cached: 0 });
  expect(first.text).toBeUndefined();

  const again = await prefixOf(model, chat(`It is 10:41:07. ${RULES}`));
  expect(again).toMatchObject({ brokeAt: again.promptTokens, reason: "whole", cached: again.promptTokens - 1 });

  const messages = chat(`It is 10:52:33. ${RULES}`);
  const changed = await prefixOf(model, messages);
  expect(changed).toMatchObject({ reason: "differs", cached: 0 });
  const { tokens } = await model.applyTemplate({ messages });
  const known = (await model.applyTemplate({ messages: chat(`It is 10:41:07. ${RULES}`) })).tokens;
  expect(changed.brokeAt).toBe(tokens.findIndex((token, i) => token !== known[i]));
  expect(`It is 10:52:33. ${RULES}`).toContain(changed.text);
  await model.close();
});

test("a break within a character is told with the whole character, and a cut one is not told", async () => {
  const model = openModel({ contextSize: 2048 });
  const faces = ["😀", "😁", "😂", "😃", "😄"];
  const told: string[] = [];
  for (const face of faces) told.push((await prefixOf(model, chat(`I am ${face}${faces.join("")} today. ${RULES}`))).text ?? "");
  for (const [i, text] of told.slice(1).entries()) expect(text.startsWith(faces[i + 1]!), text).toBe(true);
  const listed = await model.cache.list();
  for (const text of [...told, ...listed.map((entry) => entry.text)]) expect(text).not.toContain("\uFFFD");
  await model.close();
});

test("what was kept and cannot be read is told as lost, and the prompt is computed", async () => {
  const dir = mkdtempSync(join(tmpdir(), "zstream-lost-"));
  const options = { contextSize: 2048, promptCache: { dir, ram: 0 } }; // or it would be read ahead
  const first = openModel(options);
  const known = await prefixOf(first, chat(RULES));
  await first.close();
  const second = openModel(options);
  await second.ready;
  const file = readdirSync(dir, { recursive: true }).find((name) => String(name).endsWith(".kv")) as string;
  const bytes = readFileSync(join(dir, file));
  bytes[bytes.length - 100]! ^= 1; // of the image, which is read when it is wanted
  writeFileSync(join(dir, file), bytes);
  expect(await prefixOf(second, chat(RULES))).toMatchObject({ brokeAt: known.promptTokens - 1, reason: "lost", cached: 0 });
  expect(await prefixOf(second, chat(RULES))).toMatchObject({ reason: "whole" });
  await second.close();
  rmSync(dir, { recursive: true });
});

test("a model whose attention slides tells a place that it cannot be cut at, and nothing as lost that is there", async () => {
  const folder = mkdtempSync(join(tmpdir(), "zstream-slides-"));
  const model = openModel({ contextSize: 2048, maxStreams: 2 }, writeMemoryModel(join(folder, "sliding.gguf"), "sliding", 7));
  await prefixOf(model, chat(RULES));
  await prefixOf(model, chat(`Today. ${RULES}`)); // both slots hold something
  const changed = `${RULES.slice(0, 300)}Oops ${RULES.slice(300)}`;
  expect(await prefixOf(model, chat(changed))).toMatchObject({ reason: "coarse", cached: 0 });
  await model.close();
  rmSync(folder, { recursive: true });
});

test("in deterministic mode a change near the beginning is told as that, since little is lost by the size of a piece", async () => {
  const model = openModel({ contextSize: 2048, deterministic: true });
  await prefixOf(model, chat(RULES));
  expect(await prefixOf(model, chat(`It is 10:52:33. ${RULES}`))).toMatchObject({ reason: "differs", cached: 0 });
  expect(await prefixOf(model, chat(RULES))).toMatchObject({ reason: "coarse" });
  await model.close();
});

test("the next turn goes on where the last one ended; the cache off says so", async () => {
  const model = openModel({ contextSize: 2048 });
  const { text } = await model.chat(chat(RULES), { temperature: 0, maxTokens: 60 });
  const next = await prefixOf(model, chat(RULES, { role: "assistant", content: text }, { role: "user", content: "And now?" }));
  expect(next.reason).toBe("continued");
  expect(next.cached).toBe(next.brokeAt);
  await model.close();
  const off = openModel({ contextSize: 2048, promptCache: false });
  expect(await prefixOf(off, chat(RULES))).toMatchObject({ brokeAt: 0, reason: "off" });
  await off.close();
});
