// Ends of processes and threads, in every order: defined, without a crash or a hang. Each in a child of its own.

import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { ROOT, runChild, start } from "./helpers.js";

describe("a process ends", () => {
  test("by process.exit() in the middle of a stream, with its own code", async () => {
    expect(await runChild("exit-in-stream")).toMatchObject({ code: 7, signal: null, stderr: "" });
  });
  test("by an uncaught exception while streams run, and says so", async () => {
    const { code, signal, stderr } = await runChild("throw-in-stream");
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    expect(stderr).toContain("nobody catches this");
  });
  test("by what onProgress throws", async () => {
    const { code, signal, stderr } = await runChild("throw-in-progress");
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    expect(stderr).toContain("thrown by onProgress");
  });
  test.each([0, 1, 3, 10, 30])("by process.exit() %i ms into loading", async (ms) => {
    expect(await runChild("exit-while-loading", String(ms))).toMatchObject({ code: 3, signal: null, stderr: "" });
  });
  test("by itself, with an open model that is quiet", async () => {
    expect(await runChild("idle")).toMatchObject({ code: 0, signal: null, stdout: "3\n", stderr: "" });
  });
  test("not before the model that it waits for is loaded", async () => {
    expect(await runChild("only-load")).toMatchObject({ code: 0, stdout: "qwen2\n", stderr: "" });
  });
  test("with a stream that is parked", async () => {
    expect(await runChild("parked")).toMatchObject({ code: 0, signal: null, stderr: "" });
  });
});

describe("worker threads", () => {
  test("may be terminated while they load or stream; the main thread's model goes on", async () => {
    expect(await runChild("workers")).toMatchObject({ code: 0, signal: null, stdout: "same\n", stderr: "" });
  });
  test("may end with an idle model open", async () => {
    expect(await runChild("worker-ends")).toMatchObject({ code: 0, signal: null, stdout: "0\n0\n0\n", stderr: "" });
  });
});

test("require() of the library works", async () => {
  const { child, ended } = start(["--disable-warning=ExperimentalWarning", join(ROOT, "test", "addon", "children", "require.cjs")]);
  child.stdin?.end();
  expect(await ended).toMatchObject({ code: 0, stdout: "3\n" });
});

test.each(["stream", "callback", "abort", "web-stream", "sentences", "many", "pool"])("examples/%s.mjs runs as it stands", async (name) => {
  const { child, ended } = start([join(ROOT, "examples", `${name}.mjs`)]);
  child.stdin?.end();
  const { code, stdout, stderr } = await ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout.length).toBeGreaterThan(20);
});
