// Adapters are named at open and by streams; what is wrong with either is told by its place.

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { readWindowRequest } from "../../lib/electron/window-request.js";
import { readChatCall, readEngineOptions } from "../../lib/options/options.js";

const opened = (adapters: unknown) => readEngineOptions({ adapters }).native.adapters;
const chosen = (adapter: unknown) => readChatCall("chat()", [{ role: "user", content: "Hi" }], { adapter }).request.adapters;

test("a model is opened with files by name, at their full strength where none is given", () => {
  expect(opened([{ name: "pirate", path: "a/b.gguf" }])).toEqual([{ name: "pirate", path: resolve("a/b.gguf"), scale: 1 }]);
  const url = pathToFileURL(resolve("x y.gguf"));
  expect(opened([{ name: "ä b", path: url, scale: -0.5 }])).toEqual([{ name: "ä b", path: resolve("x y.gguf"), scale: -0.5 }]);
  expect(opened([])).toEqual([]);
  expect(opened(undefined)).toBeUndefined();
});

describe("what is no adapter is refused by its place", () => {
  test.each<[unknown, string]>([
    ["pirate", "adapters"],
    [Array.from({ length: 65 }, (_, i) => ({ name: `a${i}`, path: "x" })), "adapters"],
    [[null], "adapters[0]"],
    [[{ path: "x" }], "adapters[0].name"],
    [[{ name: "a:b", path: "x" }], "adapters[0].name"],
    [[{ name: "", path: "x" }], "adapters[0].name"],
    [[{ name: "a".repeat(65), path: "x" }], "adapters[0].name"],
    [
      [
        { name: "a", path: "x" },
        { name: "a", path: "y" },
      ],
      "adapters[1].name",
    ],
    [[{ name: "a" }], "adapters[0].path"],
    [[{ name: "a", path: "" }], "adapters[0].path"],
    [[{ name: "a", path: new URL("https://example.com/a.gguf") }], "adapters[0].path"],
    [[{ name: "a", path: "x", scale: Number.NaN }], "adapters[0].scale"],
    [[{ name: "a", path: "x", scale: 101 }], "adapters[0].scale"],
    [[{ name: "a", path: "x", weight: 1 }], "adapters[0].weight"],
  ])("%j", (given, option) => {
    expect(() => opened(given)).toThrow(expect.objectContaining({ code: "BAD_OPTION", option }));
  });
});

test("a stream asks for one by name, or for several by their strengths, in an order of their own", () => {
  expect(chosen("pirate")).toEqual([{ name: "pirate" }]);
  const both = [
    { name: "a", scale: 2 },
    { name: "b", scale: 0.5 },
  ];
  expect(chosen({ b: 0.5, a: 2 })).toEqual(both);
  expect(chosen({ a: 2, none: 0, b: 0.5 })).toEqual(both);
  expect(chosen({ a: 0 })).toBeUndefined();
  expect(chosen(undefined)).toBeUndefined();
});

test.each<[unknown, string]>([
  [3, "adapter"],
  [["a"], "adapter"],
  [{ a: "1" }, "adapter.a"],
  [{ a: Number.POSITIVE_INFINITY }, "adapter.a"],
])("a stream's %j is refused by its place", (given, option) => {
  expect(() => chosen(given)).toThrow(expect.objectContaining({ code: "BAD_OPTION", option }));
});

test("a window asks for them as a caller in this process does", () => {
  const window = (adapters: unknown) => readWindowRequest({ prompt: "Hi", adapters }, 1000).adapters;
  expect(
    window([
      { name: "b", scale: 0.5 },
      { name: "a", scale: 1 },
    ]),
  ).toEqual([
    { name: "a", scale: 1 },
    { name: "b", scale: 0.5 },
  ]);
  for (const wrong of ["a", [3], [{ scale: 1 }], [{ name: "a" }], [{ name: "a", scale: "1" }]]) {
    expect(() => window(wrong)).toThrow(expect.objectContaining({ code: "BAD_OPTION" }));
  }
});
