// What an isolated engine promises when its host crashes, hangs or speaks nonsense; hosts are the fake addon at the other end of a port.

import { MessageChannel } from "node:worker_threads";
import fc from "fast-check";
import { expect, test } from "vitest";
import { NativeEventKind as Kind, type NativeError, type NativeRequest, type NativeToolCall } from "../../lib/addon/contract.js";
import { AddonLink } from "../../lib/engine/addon-link.js";
import { Engine } from "../../lib/engine/engine.js";
import { NO_STATS, type OpenLink, RESTARTING } from "../../lib/engine/link.js";
import { Delivered } from "../../lib/engine/port/delivered.js";
import { type MessagePortLike, messagePort } from "../../lib/engine/port/port.js";
import { PortHost } from "../../lib/engine/port/port-host.js";
import { PROTOCOL_VERSION, ProtocolError, readToHost } from "../../lib/engine/port/protocol.js";
import { StepWatch } from "../../lib/engine/port/step-watch.js";
import { SupervisedLink, type Supervision } from "../../lib/engine/port/supervised-link.js";
import { Watchdog } from "../../lib/engine/port/watchdog.js";
import { readEngineOptions } from "../../lib/options/options.js";
import { Listener } from "../link-contract.js";
import { fakeHosts } from "./fake-host.js";
import { FakeAddon, type FakeOptions, type ScriptItem } from "./fake-native.js";

const options = readEngineOptions({ maxStreams: 4 }).native;
const opening = { path: "/fake.gguf", options };

function request(more: Partial<NativeRequest> = {}): NativeRequest {
  const base = { prompt: "Once", maxTokens: 0, highWaterMark: 64, stallTimeoutMs: 0, logitBias: [], stop: [] };
  return { ...base, ...more } as unknown as NativeRequest;
}

/** Ten words, and the credit for them. */
const WORDS = Array.from({ length: 10 }, (_, i) => ` w${i}`);
function* endless(): Generator<ScriptItem> {
  for (;;) yield " word";
}

function opened(optionsOf: (index: number) => FakeOptions, supervision: Partial<Supervision> = {}) {
  const { hosts, start } = fakeHosts(optionsOf);
  const listener = new Listener();
  const link = new SupervisedLink(start, opening, { recover: false, hangAfterMs: 60_000, ...supervision }, listener.hear);
  const kinds = (kind: number) => listener.told.filter((one) => one.kind === kind).length;
  const ready = (times = 1) => listener.until(() => kinds(Kind.Ready) === times);
  const close = async () => {
    link.close();
    await listener.until(() => kinds(Kind.Closed) === 1);
  };
  return { hosts, listener, link, kinds, ready, close };
}

const ends = (listener: Listener, id: number) => listener.of(id).filter(({ kind }) => kind === Kind.Finish || kind === Kind.StreamError);

test("a crash ends each running stream once, with ENGINE_FAILED and how it came; the next request is answered by a fresh engine", async () => {
  const { hosts, listener, link, kinds, ready, close } = opened((host) => ({ script: host === 0 ? endless : () => WORDS }));
  await ready();
  for (const id of [1, 2, 3]) link.submit(id, request({ highWaterMark: 5 }));
  await listener.until(() => [1, 2, 3].every((id) => listener.credit(id) === 5));
  hosts[0]!.crash();
  await listener.until(() => kinds(RESTARTING) === 1);
  link.submit(4, request());
  link.ask(9, { tokenize: "fox", special: false, addSpecial: false });
  await listener.until(() => listener.ended(4) && kinds(Kind.Answer) === 1);
  for (const id of [1, 2, 3]) {
    expect(ends(listener, id)).toHaveLength(1);
    expect(listener.end(id).payload).toEqual({
      code: "ENGINE_FAILED",
      message: "the engine's process was ended by SIGSEGV, and this stream with it",
    });
  }
  expect(listener.text(4)).toBe(WORDS.join(""));
  expect(hosts).toHaveLength(2);
  expect(kinds(Kind.Ready)).toBe(2);
  expect(link.stats.restarts).toBe(1);
  expect(link.stats.generatedTokens).toBe(25);
  await close();
});

test("an engine's ready is pending again from a crash until it runs again", async () => {
  const { hosts, start } = fakeHosts();
  const open: OpenLink = (listener) => new SupervisedLink(start, opening, { recover: false, hangAfterMs: 60_000 }, listener);
  const engine = new Engine("/fake.gguf", options, open, () => ({}));
  const first = engine.ready;
  await first;
  expect(engine.ready).toBe(first);
  hosts[0]!.crash();
  while (engine.ready === first) await new Promise((resolve) => setTimeout(resolve, 1));
  await engine.ready;
  expect(engine.stats().restarts).toBe(1);
  const closed = engine.close();
  expect(engine.stats()).toEqual({ ...NO_STATS, restarts: 1 });
  await closed;
  expect(engine.stats()).toEqual({ ...NO_STATS, restarts: 1 });
  expect(hosts).toHaveLength(2);
});

test("a file that crashes its engine while it loads is tried three times, and no more", async () => {
  const { hosts, listener, link, kinds } = opened((host) => {
    setTimeout(() => hosts[host]!.crash("was ended by SIGABRT"), 5);
    return { load: "manual" };
  });
  link.ask(1, { tokenize: "fox", special: false, addSpecial: false });
  await listener.until(() => kinds(Kind.Closed) === 1);
  expect(hosts).toHaveLength(3);
  const [failed] = listener.told.filter(({ kind }) => kind === Kind.LoadError);
  expect((failed!.payload as NativeError).code).toBe("ENGINE_FAILED");
  expect((failed!.payload as NativeError).message).toContain("was ended by SIGABRT; it was started 3 times");
  expect(kinds(Kind.AnswerError)).toBe(1);
  link.submit(1, request());
  link.close();
  await listener.until(() => listener.ended(1));
  expect((listener.end(1).payload as NativeError).code).toBe("CLOSED");
  expect(kinds(Kind.Closed)).toBe(1);
});

test("a load that fails is told, and nothing is started again", async () => {
  const { hosts, listener, kinds } = opened(() => ({ load: { code: "BAD_MODEL", message: "no model" } }));
  await listener.until(() => kinds(Kind.LoadError) === 1);
  hosts[0]!.crash("ended with code 0");
  await listener.until(() => kinds(Kind.Closed) === 1);
  expect(hosts).toHaveLength(1);
});

test("a host that answers nothing is ended and replaced", async () => {
  const { hosts, listener, link, ready, close } = opened((host) => ({ script: host === 0 ? endless : () => WORDS }), { hangAfterMs: 100 });
  await ready();
  link.submit(1, request({ highWaterMark: 1 }));
  await listener.until(() => listener.credit(1) === 1);
  hosts[0]!.stopped = true;
  await listener.until(() => listener.ended(1));
  expect((listener.end(1).payload as NativeError).message).toContain("did not answer for 100 ms");
  expect(hosts[0]!.kills).toBe(1);
  await ready(2);
  await close();
});

test("a host that stops while it closes does not keep the model from closing", async () => {
  const { hosts, ready, close } = opened(() => ({}), { hangAfterMs: 100 });
  await ready();
  hosts[0]!.stopped = true;
  await close();
  expect(hosts).toHaveLength(1);
});

test("a quiet engine keeps no process alive, and a busy one does", async () => {
  const { hosts, listener, link, ready, close } = opened(() => ({ script: () => WORDS }));
  expect(hosts[0]!.alive).toBe(true);
  await ready();
  expect(hosts[0]!.alive).toBe(false);
  link.submit(1, request());
  expect(hosts[0]!.alive).toBe(true);
  await listener.until(() => listener.ended(1));
  expect(hosts[0]!.alive).toBe(false);
  await close();
});

test("what is asked and given back in one turn is one message", async () => {
  const { hosts, listener, link, ready, close } = opened(() => ({ script: endless }));
  await ready();
  const before = hosts[0]!.heard.length;
  for (const id of [1, 2]) link.submit(id, request({ highWaterMark: 4 }));
  link.endTurn();
  await listener.until(() => listener.credit(1) === 4 && listener.credit(2) === 4);
  for (const id of [1, 2, 1, 2]) link.ack(id, 2);
  await listener.until(() => listener.credit(1) === 8 && listener.credit(2) === 8);
  expect(hosts[0]!.heard.slice(before)).toEqual([
    {
      type: "turn",
      acks: [],
      commands: [["submit", 1, request({ highWaterMark: 4 })], ["submit", 2, request({ highWaterMark: 4 })], ["endTurn"]],
    },
    { type: "turn", acks: [1, 4, 2, 4], commands: [] },
  ]);
  await close();
});

test("a stream that is left while its engine is started again ends once, and is not started again", async () => {
  const { hosts, listener, link, kinds, ready, close } = opened(() => ({ script: endless }), { recover: true });
  await ready();
  link.submit(1, request({ highWaterMark: 2 }));
  await listener.until(() => listener.credit(1) === 2);
  hosts[0]!.crash();
  await listener.until(() => kinds(RESTARTING) === 1);
  link.cancel(1);
  await ready(2);
  expect(ends(listener, 1)).toHaveLength(1);
  expect(listener.end(1)).toMatchObject({ kind: Kind.Finish, payload: { reason: "cancelled" } });
  expect(hosts[1]!.engine.streams).toHaveLength(0);
  await close();
});

test("a stream that was left when its engine is lost was cancelled, and has not failed", async () => {
  const { hosts, listener, link, ready, close } = opened(() => ({ script: endless, manualSteps: true }));
  await ready();
  link.submit(1, request());
  link.cancel(1);
  hosts[0]!.crash();
  await listener.until(() => listener.ended(1));
  expect(ends(listener, 1)).toHaveLength(1);
  expect(listener.end(1)).toMatchObject({ kind: Kind.Finish, payload: { reason: "cancelled" } });
  await close();
});

test("what had begun nothing waits for the next engine, and its thought is closed there too", async () => {
  const { hosts, listener, link, kinds, ready, close } = opened((host) => ({ script: () => WORDS, manualSteps: host === 0 }));
  await ready();
  link.submit(1, request());
  link.endReasoning(1);
  hosts[0]!.crash();
  await listener.until(() => kinds(RESTARTING) === 1);
  link.submit(2, request());
  link.endReasoning(2);
  await ready(2);
  await listener.until(() => listener.ended(1) && listener.ended(2));
  expect([1, 2].map((id) => listener.end(id).kind)).toEqual([Kind.Finish, Kind.Finish]);
  expect(hosts[1]!.engine.endedThoughts).toHaveLength(2);
  await close();
});

// ---- recovery ---------------------------------------------------------------------------------------------------------

test("with recover, a stream goes on with the next engine: nothing lost, nothing doubled, and no more credit out than before", async () => {
  const { hosts, listener, link, ready, close } = opened(() => ({ script: () => WORDS }), { recover: true });
  await ready();
  link.submit(1, request({ highWaterMark: 4 }));
  await listener.until(() => listener.credit(1) === 4);
  link.ack(1, 2);
  await listener.until(() => listener.credit(1) === 6);
  hosts[0]!.crash();
  await ready(2);
  const again = () => hosts[1]!.engine.streams[0];
  while ((again()?.delivered ?? 0) < 6) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(listener.credit(1)).toBe(6);
  expect(again()!.maxOutstanding).toBeLessThanOrEqual(4);
  for (let given = 2; !listener.ended(1); ) {
    const owed = listener.credit(1) - given;
    link.ack(1, owed);
    given += owed;
    await listener.until(() => listener.ended(1) || listener.credit(1) > given);
  }
  expect(listener.text(1)).toBe(WORDS.join(""));
  expect(listener.of(1).filter(({ kind }) => kind === Kind.Text)).toHaveLength(10);
  expect(ends(listener, 1)).toHaveLength(1);
  await close();
});

test("with recover, the seed that the engine would have drawn is the same for each engine", async () => {
  const { hosts, listener, link, ready, close } = opened(() => ({ script: endless }), { recover: true });
  await ready();
  link.submit(1, request({ highWaterMark: 1 }));
  await listener.until(() => listener.credit(1) === 1);
  hosts[0]!.crash();
  await ready(2);
  while (hosts[1]!.engine.streams.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const seeds = hosts.map(({ engine }) => engine.streams[0]!.request.seed);
  expect(seeds[0]).toBeTypeOf("number");
  expect(seeds[1]).toBe(seeds[0]);
  await close();
});

test("with recover, a stream whose thought the caller ended cannot go on exactly, and its error says so", async () => {
  const { hosts, listener, link, ready, close } = opened(() => ({ script: endless }), { recover: true });
  await ready();
  link.submit(1, request({ highWaterMark: 1 }));
  await listener.until(() => listener.credit(1) === 1);
  link.endReasoning(1);
  hosts[0]!.crash();
  await listener.until(() => listener.ended(1));
  expect((listener.end(1).payload as NativeError).message).toContain("cannot go on exactly since it had its thought ended by the caller");
  await close();
});

test("with recover, a stream that loses three engines without getting further ends", async () => {
  const { hosts, listener, link, kinds, ready, close } = opened(() => ({ script: endless, manualSteps: true }), { recover: true });
  link.submit(1, request());
  for (const host of [0, 1, 2]) {
    await ready(host + 1);
    while (hosts[host]!.engine.streams.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    hosts[host]!.crash();
  }
  await listener.until(() => listener.ended(1));
  expect((listener.end(1).payload as NativeError).message).toContain("lost 3 of them in a row without getting further");
  expect(kinds(RESTARTING)).toBe(3);
  await close();
});

test("whatever events a reply is cut into the second time, its reader gets each part of it once", () => {
  type Part = { kind: number; index: number; characters: string };
  const part = fc.record({
    kind: fc.constantFrom(Kind.Reasoning, Kind.Text, Kind.ToolCall),
    index: fc.nat({ max: 2 }),
    characters: fc.string({ minLength: 1, maxLength: 12 }),
  });
  const told = (list: Part[], kind: number, index: number) =>
    list
      .filter((one) => one.kind === kind && (kind !== Kind.ToolCall || one.index === index))
      .map(({ characters }) => characters)
      .join("");
  /** The same reply, in other pieces. */
  const cut = (parts: Part[], at: number[]): Part[] =>
    parts.flatMap((one, i) => {
      const where = Math.min(one.characters.length, at[i % at.length]!);
      return [one.characters.slice(0, where), one.characters.slice(where)]
        .filter((piece) => piece !== "")
        .map((characters) => ({ ...one, characters }));
    });
  fc.assert(
    fc.property(
      fc.array(part, { minLength: 1, maxLength: 12 }),
      fc.array(fc.nat({ max: 12 }), { minLength: 1 }),
      fc.array(fc.nat({ max: 12 }), { minLength: 1 }),
      fc.array(fc.nat({ max: 10 }), { minLength: 1, maxLength: 4 }),
      (parts, firstCut, secondCut, crashes) => {
        const delivered = new Delivered();
        const got: Part[] = [];
        let begun = 0; // names of calls that the reader has
        let credit = 0;
        let paid = 0;
        const give = (events: Part[], count: number) => {
          const heads = new Set<number>();
          for (const { kind, index, characters } of events.slice(0, count)) {
            const isCall = kind === Kind.ToolCall;
            const name = isCall && !heads.has(index) ? { name: "f", id: "" } : {};
            heads.add(isCall ? index : -1);
            const payload = isCall ? { index, ...name, argumentsDelta: characters } : characters;
            if (!delivered.catchingUp) delivered.count(kind, payload, 1, 0);
            const { fresh, due } = delivered.catchingUp
              ? delivered.take(kind, payload, 1)
              : { fresh: { kind, payload, tokens: 1 }, due: 0 };
            paid += due;
            if (fresh === undefined) continue;
            credit += fresh.tokens;
            const call = fresh.payload as NativeToolCall;
            got.push({ kind, index, characters: isCall ? call.argumentsDelta : (fresh.payload as string) });
            if (isCall && call.name !== undefined) begun++;
          }
        };
        crashes.forEach((crash, i) => {
          give(cut(parts, i % 2 === 0 ? firstCut : secondCut), crash);
          delivered.restart();
          paid = 0;
        });
        const last = cut(parts, secondCut);
        give(last, last.length);
        for (const kind of [Kind.Reasoning, Kind.Text, Kind.ToolCall]) {
          for (const index of [0, 1, 2]) expect(told(got, kind, index)).toBe(told(parts, kind, index));
        }
        expect(begun).toBe(new Set(parts.filter(({ kind }) => kind === Kind.ToolCall).map(({ index }) => index)).size);
        // Once its reader has given all of it back, the engine is owed nothing.
        expect(paid + delivered.ack(credit)).toBe(last.length);
      },
    ),
    { numRuns: 500 },
  );
});

// ---- the watchdog -----------------------------------------------------------------------------------------------------

test("an engine hangs when a step takes many times longer than the longest before it", () => {
  const watch = new StepWatch();
  const at = (steps: number, decoding: number, now: number) => watch.look({ ...NO_STATS, steps, decoding }, now);
  at(0, 1, 1000);
  at(0, 1, 1400);
  expect([watch.stepMs, watch.longestMs]).toEqual([400, 0]);
  at(1, 1, 1500);
  expect([watch.stepMs, watch.longestMs]).toEqual([0, 500]);
  at(11, 1, 1600);
  at(11, 1, 9000);
  expect([watch.stepMs, watch.longestMs]).toEqual([7400, 500]);
  at(11, 0, 9001);
  expect(watch.stepMs).toBe(0);

  const why: string[] = [];
  const dog = new Watchdog(
    1000,
    () => {},
    (reason) => why.push(reason),
  );
  const pong = (stepMs: number, longestStepMs: number) => dog.answered({ type: "pong", stats: [], stepMs, longestStepMs });
  pong(30_000, 500); // 64 times as long is 32 s
  pong(599_000, 0); // the first may read weights from a slow disk
  pong(900, 1);
  expect(why).toEqual([]);
  pong(33_000, 500);
  pong(1100, 1);
  pong(601_000, 0);
  expect(why).toHaveLength(3);
  expect(why[0]).toContain("hung in a step for 33000 ms (the longest before took 500 ms)");
});

// ---- the protocol -----------------------------------------------------------------------------------------------------

function hostOfPort() {
  const { port1, port2 } = new MessageChannel();
  const addon = new FakeAddon({ script: endless });
  let ended: () => void;
  const gone = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const far = messagePort(port2 as unknown as MessagePortLike);
  new PortHost(
    far,
    ({ path, options: given }, listener) => new AddonLink(addon, path, given, listener),
    () => {
      far.close();
      ended();
    },
  );
  return { port: port1, addon, gone };
}

test("another version of the protocol is refused with a sentence", async () => {
  const { port, gone } = hostOfPort();
  const told = new Promise<unknown>((resolve) => port.once("message", resolve));
  port.postMessage({ type: "open", version: PROTOCOL_VERSION + 1, ...opening });
  const { heads, payloads } = (await told) as { heads: number[]; payloads: NativeError[] };
  expect(heads).toEqual([0, Kind.LoadError, 0, 0, Kind.Closed, 0]);
  expect(payloads[0]!.code).toBe("ENGINE_FAILED");
  expect(payloads[0]!.message).toContain(`version ${PROTOCOL_VERSION + 1} of the protocol, and this engine speaks ${PROTOCOL_VERSION}`);
  await gone;
});

const JUNK: unknown[] = [
  ...[undefined, null, 5, "close", [], {}, { type: 5 }, { type: "opened" }, { type: "open" }],
  ...[
    { type: "open", version: 1, path: 5, options: {} },
    { type: "open", version: 1, path: "x", options: [] },
  ],
  ...[{ type: "turn" }, { type: "turn", acks: [1], commands: [] }, { type: "turn", acks: [0, 1], commands: [] }],
  ...[
    { type: "turn", acks: [1, -1], commands: [] },
    { type: "turn", acks: [], commands: ["cancel"] },
  ],
  ...[
    { type: "turn", acks: [], commands: [["cancel", 0]] },
    { type: "turn", acks: [], commands: [["submit", 1, null]] },
  ],
  ...[
    { type: "turn", acks: [], commands: [["exit", 1]] },
    { type: "turn", acks: [], commands: [["submit", 2 ** 32, {}]] },
  ],
];

test("what is no message of the protocol is told apart, and closes the port: streams of that end are cancelled", async () => {
  for (const junk of JUNK) {
    expect(() => readToHost(junk), JSON.stringify(junk)).toThrow(ProtocolError);
    const { port, addon, gone } = hostOfPort();
    const ready = new Promise((resolve) => port.once("message", resolve));
    port.postMessage({ type: "open", version: PROTOCOL_VERSION, ...opening });
    await ready;
    port.postMessage({ type: "turn", acks: [], commands: [["submit", 1, request({ highWaterMark: 2 })]] });
    for (let i = 0; i < 500; i++) port.postMessage(junk);
    await gone;
    expect(addon.model.streams.every(({ state }) => state === "ended")).toBe(true);
    expect(addon.model.closes).toBe(1);
  }
});
