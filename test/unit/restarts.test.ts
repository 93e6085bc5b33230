// An engine's process that ends is started again, and what ends it at once does not keep a machine busy.

import { expect, test } from "vitest";
import { Restarts } from "../../lib/electron/restarts.js";

test("pauses double up to half a minute", () => {
  const restarts = new Restarts();
  const pauses = Array.from({ length: 10 }, (_, i) => {
    restarts.started(i);
    return restarts.ended(i, []);
  });
  expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  expect(restarts.crashes).toBe(10);
});

test("they are forgotten once a reply has come to its end, and after a minute", () => {
  const restarts = new Restarts();
  for (let i = 0; i < 5; i++) restarts.ended(0, []);
  restarts.worked();
  expect(restarts.ended(0, [])).toBe(250);
  restarts.started(1000);
  expect(restarts.ended(60_999, [])).toBe(500);
  restarts.started(70_000);
  expect(restarts.ended(130_000, [])).toBe(250);
});

test("a model that ends the process three times in a row while it is opened is refused by its name; others are not", () => {
  const restarts = new Restarts();
  for (let i = 0; i < 2; i++) restarts.ended(0, ["bad", "good"]);
  restarts.loaded("good");
  expect(restarts.refusal("bad")).toBeUndefined();
  restarts.ended(0, ["bad", "good"]);
  expect(restarts.refusal("bad")).toMatch(/"bad".* 3 times/);
  expect(restarts.refusal("good")).toBeUndefined();
});
