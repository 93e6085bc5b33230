// AbortSignals: one that ends many streams costs no more for each of them, and one that is broken is the caller's to hear of.

import { describe, expect, test } from "vitest";

import { endless, openReady, rejection, settle, USER, unhandledDuring } from "./helpers.js";

/** A signal that counts who listens. */
function counting() {
  const controller = new AbortController();
  const { signal } = controller;
  const calls = { added: 0, removed: 0 };
  const { addEventListener, removeEventListener } = signal;
  Object.assign(signal, {
    addEventListener(...args: Parameters<typeof addEventListener>) {
      calls.added += 1;
      addEventListener.apply(signal, args);
    },
    removeEventListener(...args: Parameters<typeof removeEventListener>) {
      calls.removed += 1;
      removeEventListener.apply(signal, args);
    },
  });
  return { controller, signal, calls };
}

describe("one signal over many streams", () => {
  test("has one listener, whatever their number, and each stream ends with its reason", async () => {
    const { model } = await openReady({ script: endless }, { maxQueue: 1000 });
    const { controller, signal, calls } = counting();
    const all = Array.from({ length: 500 }, () => rejection(model.chat(USER, { signal })));
    await settle();
    expect(calls).toEqual({ added: 1, removed: 0 });
    const reason = new Error("enough");
    controller.abort(reason);
    for (const error of await Promise.all(all)) expect(error).toBe(reason);
    await settle();
    expect(model.stats().freeSlots).toBe(4);
    await model.close();
  });

  test("is let go of with the last stream, and listened to anew for the next", async () => {
    const { model } = await openReady();
    const { controller, signal, calls } = counting();
    await Promise.all(Array.from({ length: 20 }, () => model.chat(USER, { signal })));
    expect(calls).toEqual({ added: 1, removed: 1 });
    await model.chat(USER, { signal });
    expect(calls).toEqual({ added: 2, removed: 2 });
    controller.abort();
    expect(await rejection(model.chat(USER, { signal }))).toBe(signal.reason);
    await model.close();
  });

  test("ends those that are open, not one that has ended", async () => {
    const { model } = await openReady({ script: (_, index) => (index === 0 ? ["x"] : endless()) });
    const controller = new AbortController();
    const first = await model.chat(USER, { signal: controller.signal });
    const second = rejection(model.chat(USER, { signal: controller.signal }));
    await settle();
    controller.abort();
    expect(first.text).toBe("x");
    expect(await second).toBe(controller.signal.reason);
    await model.close();
  });
});

describe("a signal that throws is told to whoever gave it, every call settles, and its slot comes free", () => {
  /** A signal of somebody's own, one of whose members throws. */
  function broken(member: string) {
    const controller = new AbortController();
    const signal = new Proxy(controller.signal, {
      get(target, name) {
        if (name === member && (member === "aborted" || member === "reason")) throw new Error("no such luck");
        if (name === member) return () => throwing();
        const value = Reflect.get(target, name, target) as unknown;
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    return { controller, signal };
  }
  const throwing = () => {
    throw new Error("no such luck");
  };
  const told = { name: "ZSEError", code: "BAD_OPTION", option: "signal", message: expect.stringContaining("no such luck") };

  test.each(["aborted", "addEventListener", "removeEventListener"])("%s", async (member) => {
    const { model, fake } = await openReady();
    const uncaught: unknown[] = [];
    const onUncaught = (error: unknown) => uncaught.push(error);
    process.on("uncaughtException", onUncaught);
    const unhandled = await unhandledDuring(async () => {
      expect(await rejection(model.chat(USER, { signal: broken(member).signal }))).toMatchObject(told);
      const read = async () => {
        let text = "";
        for await (const piece of model.chatStream(USER, { signal: broken(member).signal })) text += piece;
        return text;
      };
      expect(await rejection(read())).toMatchObject(told);
      if (member !== "removeEventListener")
        expect(fake.streams.length).toBe(0); // nothing was asked of the engine
      else {
        const stream = model.chatStream(USER, { signal: broken(member).signal });
        for await (const _ of stream) break;
        expect(await rejection(stream.result)).toMatchObject(told);
      }
    });
    process.off("uncaughtException", onUncaught);
    expect([...uncaught, ...unhandled]).toEqual([]);
    await settle();
    expect(model.stats()).toMatchObject({ queued: 0, decoding: 0, parked: 0, freeSlots: 4 });
    await model.close();
  });

  test("reason", async () => {
    const { model } = await openReady({ script: endless });
    const { controller, signal } = broken("reason");
    const reply = rejection(model.chat(USER, { signal }));
    await settle();
    controller.abort();
    expect(await reply).toMatchObject(told);
    await settle();
    expect(model.stats().freeSlots).toBe(4);
    await model.close();
  });

  test("one that aborts while it is asked to listen opens nothing", async () => {
    const { model, fake } = await openReady();
    const signal = {
      aborted: false,
      reason: "at once",
      addEventListener: (_: string, listener: () => void) => listener(),
      removeEventListener() {},
    };
    expect(await rejection(model.chat(USER, { signal: signal as never }))).toBe("at once");
    expect(fake.streams.length).toBe(0);
    await model.close();
  });
});

test("a thousand reads at once are answered in their order, and one by one costs nothing more", async () => {
  const { model } = await openReady({ script: () => Array.from({ length: 3000 }, (_, i) => `${i} `) }, {});
  const iterator = model.chatStream(USER)[Symbol.asyncIterator]();
  const reads = Array.from({ length: 2500 }, () => iterator.next());
  const values = (await Promise.all(reads)).map(({ value }) => value as string);
  expect(values).toEqual(Array.from({ length: 2500 }, (_, i) => `${i} `));
  const rest = Array.from({ length: 600 }, () => iterator.next());
  expect((await Promise.all(rest)).filter(({ done }) => done).length).toBe(100);
  await model.close();
});
