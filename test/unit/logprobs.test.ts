// Log-probabilities reach every way of reading a stream, each token's once, whatever the grouping; streams that do not ask have none.

import { describe, expect, test } from "vitest";

import type { NativeTokenLogprobs } from "../../lib/addon/contract.js";
import type { StreamEvent, TokenLogprobs } from "../../lib/types.js";
import type { ScriptItem } from "./fake-native.js";
import { openReady, readAll, rejection, USER } from "./helpers.js";

const packed = (text: string) => String.fromCharCode(...new TextEncoder().encode(text));
const native = (id: number, bytes: string): NativeTokenLogprobs => ({
  id,
  bytes,
  logprob: -id,
  top: [
    { id, bytes, logprob: -id },
    { id: 99, bytes: "", name: "<|end|>", logprob: -99 },
  ],
});

/** "é " of two halves, a word, and a text of which no token is left. */
const PIECES: ScriptItem[] = [
  { text: "é", tokens: 2, logprobs: [native(1, "\xc3"), native(2, "\xa9")] },
  { text: " was here. ", tokens: 1, logprobs: [native(3, packed(" was here. "))] },
  { text: "So", tokens: 1, logprobs: [native(4, packed("So"))] },
  { text: " what", tokens: 1, logprobs: [native(5, packed(" what"))] },
  { text: "?", tokens: 1, logprobs: [] },
];
const script = { script: () => PIECES };
const ids = (logprobs: readonly TokenLogprobs[] | undefined) => logprobs?.map(({ id }) => id);
const texts = (events: StreamEvent[]) => events.filter((event) => event.type === "text");

describe("with logprobs: true", () => {
  test("each text event has those of its tokens, as text and as bytes, and so has the reply", async () => {
    const { model } = await openReady(script);
    const stream = model.chatStream(USER, { logprobs: true, topLogprobs: 2 });
    const events = texts(await readAll(stream.events()));
    expect(events.map(({ text, logprobs }) => [text, ids(logprobs)])).toEqual([
      ["é", [1, 2]],
      [" was here. ", [3]],
      ["So", [4]],
      [" what", [5]],
      ["?", []],
    ]);
    expect(events[0]!.logprobs![0]).toEqual({
      id: 1,
      token: "\uFFFD",
      bytes: [0xc3],
      logprob: -1,
      top: [
        { id: 1, token: "\uFFFD", bytes: [0xc3], logprob: -1 },
        { id: 99, token: "<|end|>", bytes: [], logprob: -99 },
      ],
    });
    const { logprobs, text } = await stream.result;
    expect(new TextDecoder().decode(Uint8Array.from(logprobs!.flatMap(({ bytes }) => bytes)))).toBe(text.slice(0, -1));
  });

  test.each([
    ["word", 1],
    ["word", 2],
    ["sentence", 1],
    ["token", 3],
  ] as const)("grouped by %s, %i at a time, each token is told once, in order", async (chunkBy, chunkSize) => {
    const { model } = await openReady(script);
    const stream = model.chatStream(USER, { logprobs: true, chunkBy, chunkSize });
    const events = texts(await readAll(stream.events()));
    expect(events.map(({ text }) => text).join("")).toBe("é was here. So what?");
    expect(events.flatMap(({ logprobs }) => ids(logprobs)!)).toEqual([1, 2, 3, 4, 5]);
    // Where a chunk begins inside a piece, its token was told with the chunk before.
    let place = 0;
    const begins = [0, 0, 1, 12, 14];
    for (const { text, logprobs } of events) {
      for (const { id } of logprobs!) expect(begins[id - 1]).toBeGreaterThanOrEqual(place);
      place += text.length;
      for (const { id } of logprobs!) expect(begins[id - 1]).toBeLessThan(place);
    }
  });

  test("a collected reply, a callback's and a text reader's have them too; one that was left has those that were read", async () => {
    const { model } = await openReady(script);
    expect(ids((await model.chat(USER, { logprobs: true })).logprobs)).toEqual([1, 2, 3, 4, 5]);
    const called: string[] = [];
    const reply = await model.chat(USER, { logprobs: true, streamCallback: (text) => void called.push(text) });
    expect(called.join("")).toBe(reply.text);
    expect(ids(reply.logprobs)).toEqual([1, 2, 3, 4, 5]);
    const left = model.chatStream(USER, { logprobs: true });
    for await (const text of left) if (text === "So") break;
    expect(await left.result).toMatchObject({ text: "é was here. So", logprobs: [1, 2, 3, 4].map((id) => ({ id })) });
  });
});

test("without it, nothing is told", async () => {
  const { model } = await openReady();
  const stream = model.chatStream(USER);
  for (const event of await readAll(stream.events())) expect(event).not.toHaveProperty("logprobs");
  expect(await stream.result).not.toHaveProperty("logprobs");
});

test.each(["topLogprobs", "top_logprobs"] as const)("%s wants logprobs, and is refused by the name that was written", async (name) => {
  const { model } = await openReady();
  expect(() => model.chatStream(USER, { [name]: 3 })).toThrow(`${name} wants logprobs: true; given 3 without it.`);
  expect(await rejection(model.chat(USER, { [name]: 3, logprobs: false }))).toMatchObject({ code: "BAD_OPTION", option: name });
  expect(await model.chat(USER, { [name]: 0 })).toHaveProperty("text");
});
