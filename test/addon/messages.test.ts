// Messages as people send them reach the model: what a template takes only in its own way, and messages that are continued. Every template of
// llama.cpp's source has its turn in test/llama/message_bridges_test.cpp.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

import type { Message } from "../../lib/types.js";
// @ts-expect-error: plain JavaScript, shared with children
import { rewriteGguf } from "../hostile/gguf.mjs";
import { DEMO, openModel, openReady } from "./helpers.js";

const folder = mkdtempSync(join(tmpdir(), "zse-messages-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const OPTIONS = { temperature: 0, maxTokens: 24 } as const;

/** Refuses all but turns that alternate, and a system message. */
const STRICT = `{%- for m in messages %}
  {%- if m.role == "system" %}{{ raise_exception("System role not supported") }}{% endif %}
  {%- if (m.role == "user") != (loop.index0 % 2 == 0) %}{{ raise_exception("Roles must alternate") }}{% endif %}
  {{- "<|im_start|>" + m.role + "\\n" + m.content + "<|im_end|>\\n" }}
{%- endfor %}{% if add_generation_prompt %}{{ "<|im_start|>assistant\\n" }}{% endif %}`;

test("a template of strict turns without a system role takes a conversation that has neither", async () => {
  const model = openModel({}, rewriteGguf(DEMO, join(folder, "strict.gguf"), { "tokenizer.chat_template": STRICT }) as string);
  const sent: Message[] = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hello!" },
    { role: "user", content: "Are you there?" },
    { role: "assistant", content: "Yes." },
    { role: "system", content: "Speak of foxes." },
    { role: "user", content: "Tell me a story" },
  ];
  const reply = await model.chat(sent, OPTIONS);
  const user = "Be brief.\nHello!\n\nAre you there?";
  const prompt = `<|im_start|>user\n${user}<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n<|im_start|>user\nSpeak of foxes.\n\nTell me a story<|im_end|>\n<|im_start|>assistant\n`;
  const same = await model.completion(prompt, OPTIONS);
  expect(reply.usage.promptTokens).toBe(same.usage.promptTokens);
  expect(reply.text).toBe(same.text);
});

test("a reply goes on where the last message ends, when that is asked for", async () => {
  const model = await openReady();
  const messages: Message[] = [
    { role: "user", content: "Tell me a story about a fox" },
    { role: "assistant", content: "Once upon a time" },
  ];
  const continued = await model.chat(messages, { ...OPTIONS, continueFinalMessage: true });
  // A template with thoughts has an empty one before an answer that is begun.
  const turn = "<|im_start|>user\nTell me a story about a fox<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nOnce upon a time";
  const same = await model.completion(turn, OPTIONS);
  expect(continued.usage.promptTokens).toBe(same.usage.promptTokens);
  expect(continued.text).toBe(same.text);
  const another = await model.chat(messages, OPTIONS);
  expect(another.text).not.toBe(continued.text);
});
