// Random interleavings of everything that can happen to streams. fast-check prints the seed and the path of a failure; give them
// to fc.assert to see it again.

import fc from "fast-check";
import { expect, test } from "vitest";

import type { TokenStream } from "../../lib/stream/token-stream.js";
import { openReady, settle, USER } from "./helpers.js";

const TOKENS = Array.from({ length: 30 }, (_, i) => ` ${i}`);
const WHOLE = TOKENS.join("");

interface Tracked {
  stream: TokenStream;
  iterator: AsyncIterator<string> | undefined;
  /** What its consumer has read. */
  text: string;
  /** How its consumer's reading ended: more than one entry is one too many. */
  ends: string[];
  outcome: Promise<string>;
}

function track(stream: TokenStream, read: boolean): Tracked {
  const outcome = stream.result.then(
    ({ text, finishReason }) => `${finishReason}:${text}`,
    (error: { code: string }) => error.code,
  );
  return { stream, iterator: read ? stream[Symbol.asyncIterator]() : undefined, text: "", ends: [], outcome };
}

function readOne(one: Tracked): void {
  one.iterator?.next().then(
    ({ value, done }) => {
      if (done === true) return void (one.ends.includes("done") || one.ends.push("done"));
      if (one.ends.length > 0) one.ends.push("text after the end");
      one.text += value;
    },
    (error: { code: string }) => one.ends.push(error.code),
  );
}

const stream = fc.nat({ max: 9 });
const action = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("open" as const), read: fc.boolean(), highWaterMark: fc.integer({ min: 1, max: 8 }) }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("step" as const), times: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("read" as const), stream, times: fc.integer({ min: 1, max: 10 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("abort" as const), stream }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), stream }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
);

test("every stream ends exactly once, loses nothing, and never runs further ahead than its credit", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60 }), fc.boolean(), async (actions, closeEarly) => {
      const { model, fake } = await openReady({ manualSteps: true, script: () => TOKENS }, { maxStreams: 3, maxQueue: 4 });
      const all: Tracked[] = [];
      const at = (index: number) => all[index % Math.max(1, all.length)];
      for (const one of actions) {
        if (one.do === "open") all.push(track(model.chatStream(USER, { highWaterMark: one.highWaterMark }), one.read));
        else if (one.do === "step") for (let i = 0; i < one.times; i++) fake.step();
        else if (one.do === "turn") await settle(1);
        else if (one.do === "abort") at(one.stream)?.stream.abort();
        else if (one.do === "leave") void at(one.stream)?.iterator?.return?.();
        else for (let i = 0; i < one.times && at(one.stream) !== undefined; i++) readOne(at(one.stream)!);
      }
      const closed = closeEarly ? model.close() : undefined;
      // To the end: everyone reads what is left.
      for (let round = 0; round < 300; round++) {
        for (const one of all) readOne(one);
        fake.step();
        if (round % 10 === 0) await settle(1);
      }
      await settle(2);
      await (closed ?? model.close());

      for (const one of all) {
        const outcome = await one.outcome;
        expect(
          outcome === `stop:${WHOLE}` || outcome.startsWith("cancelled:") || /^(ABORTED|CLOSED|OVERLOADED)$/.test(outcome),
          outcome,
        ).toBe(true);
        if (outcome.startsWith("cancelled:")) expect(WHOLE.startsWith(outcome.slice(10))).toBe(true);
        if (one.iterator === undefined) continue;
        expect(WHOLE.startsWith(one.text)).toBe(true);
        expect(one.ends.filter((end) => end !== "done").length, one.ends.join()).toBeLessThanOrEqual(1);
        if (outcome.startsWith("stop:")) expect({ text: one.text, ends: one.ends }).toEqual({ text: WHOLE, ends: ["done"] });
        if (outcome.startsWith("cancelled:")) expect(one.text).toBe(outcome.slice(10));
      }
      for (const one of fake.streams) {
        expect(one.maxOutstanding).toBeLessThanOrEqual(one.request.highWaterMark);
        expect(one.state).toBe("ended");
      }
    }),
    { numRuns: 150 },
  );
}, 60_000);
