// Windows are hostile, whatever the page in them is meant to be: nothing that one says ends the engine's process, reaches another window's streams, or
// leaves anything behind.

import { expect, test } from "vitest";
import { NativeEventKind as Kind } from "../../lib/addon/contract.js";
import { WindowModel } from "../../lib/electron/renderer.js";
import type { BatchMessage } from "../../lib/engine/port/protocol.js";
import { readChatCall } from "../../lib/options/options.js";
import { ENDLESS, readAll, until } from "../addon/helpers.js";
import { randomOf } from "../random-schemas.js";
import { openHost } from "./channel.js";

/** Whether a page was told that its model is loaded: before that, what it asks for is refused. */
const isReady = (heard: readonly unknown[]) =>
  (heard as BatchMessage[]).some(({ type, heads }) => type === "batch" && heads.some((head, i) => i % 3 === 1 && head === Kind.Ready));

const STORY = [{ role: "user", content: "Tell me a story" }] as const;

test("10,000 random messages change nothing for the window beside, and leave nothing behind", { timeout: 120_000 }, async () => {
  const seed = Number(process.env.ZSE_TEST_SEED ?? Date.now() % 1e6);
  console.log(`ZSE_TEST_SEED=${seed}`);
  const random = randomOf(seed);
  const { connect, said, stats, close } = openHost();
  const honest = new WindowModel("demo", {}, async () => connect(1).page);
  const alone = (await honest.chat(STORY, { temperature: 0, maxTokens: 30 })).text;
  const { request } = readChatCall("x", STORY, { maxTokens: 2 });

  const junk: unknown[] = [
    undefined,
    null,
    0,
    -1,
    1.5,
    2 ** 32,
    Number.NaN,
    "",
    "x".repeat(70_000),
    true,
    [],
    {},
    new Map(),
    new Date(),
    7n,
    new Uint8Array(9),
    new Error("x"),
    [[[[]]]],
  ];
  const value = (): unknown =>
    random.chance(0.7)
      ? random.of(junk)
      : random.chance(0.5)
        ? 1 + random.below(6)
        : { [random.of(["a", "then", "__proto__", "length"])]: random.of(junk) };
  const wild = (): unknown => {
    const mutated: Record<string, unknown> = { ...request };
    for (let i = random.below(3); i >= 0; i--) mutated[random.of([...Object.keys(request), "reply", "prompt", "replay", "evil"])] = value();
    return random.chance(0.3) ? value() : mutated;
  };
  const question = (): unknown =>
    random.of([
      { tokenize: "Once", special: random.chance(0.5), addSpecial: random.chance(0.5) },
      { detokenize: Int32Array.of(1, random.of([5, -1, 2 ** 31 - 1])), special: true },
      {
        embed: random.of([["Once"], [Int32Array.of(random.of([5, -1, 2 ** 31 - 1]))], [value()], [], new Array(50).fill("upon a time")]),
        dimensions: random.of([0, 8, -1, 1e9, Number.NaN]),
        normalize: true,
        truncate: random.chance(0.5),
      },
      { rerank: "Once", documents: random.of([["upon"], [value()], []]), truncate: true },
      {
        render: {
          messages: random.chance(0.7) ? '[{"role":"user","content":"Once"}]' : value(),
          reply: random.chance(0.5) ? undefined : value(),
        },
      },
    ]);
  const command = (): unknown => {
    const id = random.chance(0.9) ? 1 + random.below(8) : value();
    switch (random.below(9)) {
      case 8:
        return ["withdraw", id];
      case 0:
      case 1:
        return ["submit", id, wild()];
      case 2:
        return ["cancel", id];
      case 3:
        return ["endReasoning", id];
      case 4:
        return ["ask", id, random.chance(0.7) ? question() : value()];
      case 5:
        return ["endTurn"];
      case 6:
        return ["submit", id, { ...request, maxTokens: 1 + random.below(3) }];
      default:
        return value();
    }
  };
  const message = (): unknown => {
    if (random.chance(0.1)) return value();
    if (random.chance(0.1))
      return { type: random.of(["ping", "close", "open", "turn", "constructor", 3]), version: 1, path: "", options: {}, acks: value() };
    const acks = random.chance(0.8) ? [] : [1 + random.below(8), random.below(4)];
    return { type: "turn", acks, commands: Array.from({ length: random.below(4) }, command) };
  };

  let ports = 0;
  let attacker = connect(2);
  const beside: Promise<string>[] = [];
  for (let i = 0; i < 10_000; i++) {
    if (!attacker.isOpen() || ports === 0) {
      attacker = connect(2);
      ports += 1;
      if (random.chance(0.95)) attacker.page.postMessage({ type: "open", version: 1, path: "/etc/passwd", options: {} });
    }
    attacker.page.postMessage(message());
    if (random.chance(0.002)) attacker.page.close();
    if (i % 500 === 0) beside.push(honest.chat(STORY, { temperature: 0, maxTokens: 30 }).then(({ text }) => text, String));
    if (i % 20 === 0) await new Promise(setImmediate);
  }
  const texts = await Promise.all(beside);
  expect(texts.filter((text) => text !== alone && !/streams are running/.test(text))).toEqual([]);
  attacker.page.close();
  expect(ports).toBeGreaterThan(500);
  expect(said.filter(({ type }) => type === "violation").length).toBeGreaterThan(500);
  expect(said.filter((one) => one.type === "disconnected" && one.window === 1)).toEqual([]);
  await until(() => stats().freeSlots === 4 && stats().queued === 0, "all slots are free");
  expect((await honest.chat(STORY, { temperature: 0, maxTokens: 30 })).text).toBe(alone);
  await close();
});

test("a window's numbers mean nothing in another: cancelling and giving credit back touch its own streams alone", async () => {
  const { connect, close } = openHost();
  const honest = new WindowModel("demo", {}, async () => connect(1).page);
  const events = honest.chatStream(STORY, { ...ENDLESS, maxTokens: 200, highWaterMark: 4 }).events();
  await events.next();
  const attacker = connect(2);
  attacker.page.postMessage({ type: "open", version: 1, path: "", options: {} });
  for (let id = 1; id < 100; id++)
    attacker.page.postMessage({
      type: "turn",
      acks: [id, 1000],
      commands: [
        ["cancel", id],
        ["endReasoning", id],
      ],
    });
  expect(attacker.isOpen()).toBe(true);
  const finish = (await readAll(events)).at(-1);
  expect(finish).toMatchObject({ type: "finish", reason: "length", usage: { completionTokens: 200 } });
  await close();
});

test("credit that was never given breaks the connection, and the stream is ended", async () => {
  const { connect, said, stats, close } = openHost();
  const attacker = connect(2);
  attacker.page.postMessage({ type: "open", version: 1, path: "", options: {} });
  await until(() => isReady(attacker.heard), "it is loaded");
  const { request } = readChatCall("x", STORY, { ...ENDLESS, highWaterMark: 2 });
  attacker.page.postMessage({ type: "turn", acks: [], commands: [["submit", 1, request], ["endTurn"]] });
  await until(() => stats().parked === 1, "it is parked");
  attacker.page.postMessage({ type: "turn", acks: [1, 1_000_000], commands: [] });
  expect(attacker.isOpen()).toBe(false);
  expect(said).toContainEqual({ type: "violation", window: 2, why: expect.stringMatching(/credit/) });
  const last = attacker.heard.at(-1) as BatchMessage;
  expect(last.payloads).toContainEqual(expect.objectContaining({ code: "ENGINE_FAILED" }));
  await until(() => stats().freeSlots === 4, "its slot is free");
  await close();
});

test("a replay of tokens that the model does not have is refused", async () => {
  const { connect, close } = openHost();
  const { page, heard } = connect(1);
  page.postMessage({ type: "open", version: 1, path: "", options: {} });
  await until(() => isReady(heard), "it is loaded");
  const { request } = readChatCall("x", STORY, {});
  page.postMessage({ type: "turn", acks: [], commands: [["submit", 1, { ...request, seed: 1, replay: [2 ** 31 - 1] }], ["endTurn"]] });
  page.postMessage({
    type: "turn",
    acks: [],
    commands: [["submit", 2, { ...request, seed: 1, replay: new Array(600).fill(1) }], ["endTurn"]],
  });
  const errors = (heard as BatchMessage[])
    .flatMap(({ payloads }) => payloads)
    .filter((one) => (one as { code?: string } | undefined)?.code === "BAD_OPTION");
  expect(errors).toHaveLength(2);
  await close();
});

test("a page of another version is told so", async () => {
  const { connect, close } = openHost();
  const { page, heard, isOpen } = connect(1);
  page.postMessage({ type: "open", version: 99, path: "", options: {} });
  expect(isOpen()).toBe(false);
  expect((heard[0] as BatchMessage).payloads[0]).toMatchObject({ message: expect.stringMatching(/version 99/) });
  await close();
});
