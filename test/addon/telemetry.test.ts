// OpenTelemetry in a program of its own, with the compiled library.

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { ROOT, start } from "./helpers.js";

const PROGRAM = `
  import { createRequire } from "node:module";
  import { ZSE } from "zstream";
  const model = new ZSE();
  const loaded = () => Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes("@opentelemetry"));
  const ask = () => model.chat({ messages: [{ role: "user", content: "Hello" }], maxTokens: 5 });
  await ask();
  const before = loaded();
  const api = await import("@opentelemetry/api");
  const names = [];
  const span = { isRecording: () => false, end() {}, spanContext: () => ({}) };
  api.trace.setGlobalTracerProvider({ getTracer: () => ({ startSpan: (name) => (names.push(name), span) }) });
  await ask();
  console.log(JSON.stringify({ before, after: loaded(), names }));
  await model.close();
`;

test("its package is loaded when an SDK is registered, however late, and not before", async () => {
  const { child, ended } = start(["--input-type=module", "--eval", PROGRAM]);
  child.stdin?.end();
  const { stdout, stderr } = await ended;
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({ before: false, after: true, names: [expect.stringMatching(/^chat /)] });
});

test("zse tells the SDK that a module registers in front of it", async () => {
  const sdk = pathToFileURL(join(import.meta.dirname, "children", "console-spans.mjs")).href;
  const { child, ended } = start(["--import", sdk, join(ROOT, "dist", "cli", "main.js"), "run", "Hello", "--max-tokens", "5"]);
  child.stdin?.end();
  const { code, stderr } = await ended;
  expect(code).toBe(0);
  expect(stderr).toContain("span: chat zStream demo, 5 tokens");
});
