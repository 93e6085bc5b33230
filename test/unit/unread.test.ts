// Resumable replies that nobody reads: they hold what they like on an idle engine, and make way for those that wait.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { type Unread, UnreadReplies } from "../../lib/http/unread.js";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

class Fake implements Unread {
  state: "running" | "paused" | "ended" = "running";
  constructor(
    readonly choices = 1,
    readonly client = "a",
  ) {}
  pause() {
    this.state = "paused";
  }
  resume() {
    if (this.state === "paused") this.state = "running";
  }
  giveWay() {
    this.state = "ended";
  }
}

function setUp(maxUnread: number) {
  const now = { queued: 0, prefilling: 0, decoding: 4, parked: 0, freeSlots: 0, spilled: 0 };
  const unread = new UnreadReplies(maxUnread, () => now);
  const leave = (...replies: Fake[]) => {
    for (const reply of replies) unread.add(reply);
    vi.advanceTimersByTime(1);
    return () => replies.map(({ state }) => state);
  };
  return { now, unread, leave };
}

describe("a reply that nobody reads", () => {
  test("runs on while nobody waits, however many there are", () => {
    const { leave } = setUp(8);
    const states = leave(...Array.from({ length: 64 }, () => new Fake(8)));
    vi.advanceTimersByTime(60_000);
    expect(new Set(states())).toEqual(new Set(["running"]));
  });

  test("pauses while others wait, and goes on when they do not, or when someone reads it", () => {
    const { now, unread, leave } = setUp(8);
    const replies = [new Fake(), new Fake()];
    const states = leave(...replies);
    now.queued = 1;
    vi.advanceTimersByTime(300);
    expect(states()).toEqual(["paused", "paused"]);
    unread.delete(replies[0]!);
    expect(states()).toEqual(["running", "paused"]);
    now.queued = 0;
    vi.advanceTimersByTime(300);
    expect(states()).toEqual(["running", "running"]);
  });

  test("ends beyond its client's bound while others wait; of each client those that were left first", () => {
    const { now, leave } = setUp(8);
    now.queued = 1;
    const states = leave(new Fake(8), new Fake(4, "b"), new Fake(8), new Fake(4, "b"), new Fake(1));
    expect(states()).toEqual(["ended", "paused", "ended", "paused", "paused"]);
  });

  test("ends, one at a time, while parked streams keep slots that cannot be lent", () => {
    const { now, leave } = setUp(8);
    Object.assign(now, { queued: 1, parked: 4, spilled: 0, decoding: 0 });
    const states = leave(...["a", "b", "c"].map((client) => new Fake(1, client)));
    vi.advanceTimersByTime(1500);
    expect(states()).toEqual(["paused", "paused", "paused"]);
    vi.advanceTimersByTime(1000);
    expect(states()).toEqual(["ended", "paused", "paused"]);
    Object.assign(now, { parked: 3, spilled: 3 }); // lent
    vi.advanceTimersByTime(60_000);
    expect(states()).toEqual(["ended", "paused", "paused"]);
  });

  test("keeps no process alive, and no timer once it is read", () => {
    const { unread, leave } = setUp(8);
    const reply = new Fake();
    leave(reply);
    unread.delete(reply);
    vi.advanceTimersByTime(1000);
    expect(vi.getTimerCount()).toBe(0);
  });
});
