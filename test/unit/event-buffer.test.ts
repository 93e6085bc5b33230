import { expect, test } from "vitest";

import type { Item } from "../../lib/engine/items.js";
import { EventBuffer } from "../../lib/stream/event-buffer.js";

const progress = (processedTokens: number) => ({ type: "progress", processedTokens, promptTokens: 9, cachedTokens: 0 }) as const;

function drain(buffer: EventBuffer): Item[] {
  const items: Item[] = [];
  for (let item = buffer.shift(); item !== undefined; item = buffer.shift()) items.push(item);
  return items;
}

test("items come out in the order in which they went in, with their tokens", () => {
  const buffer = new EventBuffer();
  buffer.push("a", 1);
  buffer.push("b", 3);
  expect([buffer.shift(), buffer.shiftedTokens, buffer.shift(), buffer.shiftedTokens]).toEqual(["a", 1, "b", 3]);
  expect(buffer.shift()).toBeUndefined();
});

test("of progress in a row only the newest is kept", () => {
  const buffer = new EventBuffer();
  buffer.push(progress(1), 0);
  buffer.push(progress(2), 0);
  buffer.push("a", 1);
  buffer.push(progress(3), 0);
  expect(drain(buffer)).toEqual([progress(2), "a", progress(3)]);
});

test("a consumer that is always a little behind loses nothing and keeps nothing", () => {
  const buffer = new EventBuffer();
  const got: Item[] = [];
  for (let i = 0; i < 3000; i++) {
    buffer.push(String(i), 1);
    if (i >= 5) got.push(buffer.shift()!);
  }
  expect([...got, ...drain(buffer)]).toEqual(Array.from({ length: 3000 }, (_, i) => String(i)));
  expect(buffer.empty).toBe(true);
});
