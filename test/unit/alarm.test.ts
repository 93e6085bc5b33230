import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Alarm } from "../../lib/http/alarm.js";

describe("a deadline that moves ahead with every token", () => {
  let rings: number[];
  let alarm: Alarm;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    rings = [];
    const from = performance.now();
    alarm = new Alarm(() => rings.push(Math.round(performance.now() - from)));
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("rings once when nothing has moved it, at its time", () => {
    alarm.set(100);
    vi.advanceTimersByTime(1000);
    expect(rings).toEqual([100]);
  });

  test("rings its full time after it was set last, and makes one timer for many settings", () => {
    const made = vi.spyOn(globalThis, "setTimeout");
    for (let i = 0; i < 50; i++) {
      alarm.set(100);
      vi.advanceTimersByTime(1);
    }
    expect(made).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1000);
    expect(rings).toEqual([149]);
  });

  test("may be set to an earlier time", () => {
    alarm.set(1000);
    alarm.set(10);
    vi.advanceTimersByTime(5000);
    expect(rings).toEqual([10]);
  });

  test("does not ring once it was silenced, and can be set again", () => {
    alarm.set(100);
    alarm.silence();
    vi.advanceTimersByTime(150);
    expect(rings).toEqual([]);
    alarm.set(100);
    vi.advanceTimersByTime(150);
    expect(rings).toEqual([250]);
  });

  test("0 is never, and what is stopped leaves no timer", () => {
    alarm.set(100);
    alarm.set(0);
    vi.advanceTimersByTime(1000);
    alarm.set(100);
    alarm.stop();
    expect(vi.getTimerCount()).toBe(0);
    expect(rings).toEqual([]);
  });
});
