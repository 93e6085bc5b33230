// The benchmark's statistics: what a figure says must not depend on luck. bench/ is plain JavaScript.
import { describe, expect, it } from "vitest";

const load = (path: string) => import(new URL(`../../bench/lib/${path}`, import.meta.url).href);
const { compare, percentile, reaches, summarize } = await load("statistics.mjs");
const { Arrivals, beginsPlainly, gaps, longestGap, pace, ttft } = await load("reply.mjs");

describe("statistics", () => {
  it("takes the median, so that one disturbed repetition changes nothing", () => {
    expect(summarize([10, 11, 9, 10, 1000])).toMatchObject({ median: 10, min: 9, max: 1000 });
    expect(summarize([10, 11, 9, 10, 1000]).spread).toBeCloseTo(0.1);
  });

  it("refuses to make a figure of nothing or of what is no number", () => {
    expect(() => summarize([])).toThrow("nothing was measured");
    expect(() => summarize([1, Number.NaN])).toThrow("NaN");
    expect(() => summarize([1, undefined])).toThrow("undefined");
    expect(() => compare([1, 2], [1])).toThrow("2 repetitions");
  });

  it("compares within a repetition: a machine that slows down for both changes no ratio", () => {
    const ratio = compare([100, 50, 25], [200, 100, 50]);
    expect(ratio).toMatchObject({ median: 0.5, min: 0.5, max: 0.5, spread: 0 });
  });

  it("knows both directions of a goal, its edge included", () => {
    expect(reaches({ atLeast: 0.97 }, 0.97)).toBe(true);
    expect(reaches({ atLeast: 0.97 }, 0.969)).toBe(false);
    expect(reaches({ atMost: 5 }, 5)).toBe(true);
    expect(reaches({ atMost: 5 }, 5.1)).toBe(false);
    expect(reaches(undefined, 1)).toBeUndefined();
  });

  it("gives the value that a share of the samples does not exceed", () => {
    const samples = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentile(samples, 0.5)).toBeCloseTo(50.5);
    expect(percentile(samples, 0.99)).toBeCloseTo(99, -1);
    expect(percentile([7], 0.99)).toBe(7);
    expect(() => percentile([], 0.5)).toThrow("nothing was measured");
  });
});

describe("a reply", () => {
  const reply = { startedAt: 1000, arrivals: [1500, 1520, 1540, 1840, 1860], tokens: 5, text: "and so on" };

  it("has a time to its first text, and none when it has no text", () => {
    expect(ttft(reply)).toBe(500);
    expect(() => ttft({ ...reply, arrivals: [] })).toThrow("no text");
  });

  it("flows at the pace of its tokens after the first", () => {
    expect(pace(reply)).toBeCloseTo(4 / 0.36);
  });

  it("gives the times between its pieces together with those of others", () => {
    expect(gaps([reply, { arrivals: [0, 5] }, { arrivals: [3] }])).toEqual([20, 20, 300, 20, 5]);
  });

  it("has its longest gap only where it was looked for, those included that reach over the edge", () => {
    expect(longestGap(reply, 1510, 1530)).toBe(20);
    expect(longestGap(reply, 1510, 1600)).toBe(300);
    expect(longestGap(reply, 1700, 1750)).toBe(300);
    expect(() => longestGap(reply, 1900, 2000)).toThrow("wrote nothing");
  });

  it("is looked at only where its first token is a character of its own", () => {
    expect(beginsPlainly({ text: " once" })).toBe(true);
    expect(beginsPlainly({ text: "\u{1F600}" })).toBe(false);
  });

  it("does not count a token that shows nothing as an arrival", () => {
    const arrivals = new Arrivals();
    for (const text of ["a", "", "b"]) arrivals.add(text);
    const { arrivals: times, text, tokens } = arrivals.end({ tokens: 3 });
    expect(times).toHaveLength(2);
    expect(text).toBe("ab");
    expect(tokens).toBe(3);
  });
});
