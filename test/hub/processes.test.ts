// Processes that want the same model share the work, and one that is killed loses nothing but its own life.

import { mkdirSync, readFileSync, statSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { acquire, isHeld } from "../../lib/hub/lock.js";
import type { FetchEvent, PulledModel } from "../../lib/types.js";
import { start, until } from "../addon/helpers.js";
import { DEMO, filesBelow, REPO, worlds } from "./helpers.js";
import { type Hostile, sha256 } from "./hostile-hub.js";

const world = worlds();
const Q8 = `hf:${REPO}:Q8_0`;
const PARTIAL = `hub/models--org--demo-GGUF/blobs/${sha256(DEMO)}.zse.incomplete`;
const LOCK = `hub/.locks/models--org--demo-GGUF/${sha256(DEMO)}.zse.lock`;

interface Child {
  pid: number;
  kill(): void;
  /** What it has said so far. */
  readonly lines: { event?: FetchEvent; path?: string; fetched?: boolean }[];
  ended: ReturnType<typeof start>["ended"];
}

function child(reference = Q8): Child {
  const { child, ended } = start([join(import.meta.dirname, "children", "pull.mjs"), reference], {
    env: { ...process.env, ...world.now.environment },
  });
  let said = "";
  child.stdout?.on("data", (text: string) => {
    said += text;
  });
  return {
    pid: child.pid!,
    kill: () => void child.kill("SIGKILL"),
    get lines() {
      return said
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line));
    },
    ended,
  };
}

/** Gives the file in pieces with pauses; `go()` gives the rest at once. */
function slowly(): { hostile: Hostile; go(): void } {
  let fast = false;
  const hostile: Hostile = ({ at, headers }, response, content) => {
    if (at !== "storage") return false;
    const from = Number(/\d+/.exec(headers.range ?? "0"));
    const head = { "content-length": content!.length - from, "content-range": `bytes ${from}-${content!.length - 1}/${content!.length}` };
    response.writeHead(from > 0 ? 206 : 200, head);
    let sent = from;
    const next = () => {
      if (response.destroyed) return;
      const to = fast ? content!.length : Math.min(sent + 20_000, content!.length - 100_000);
      if (to > sent) response.write(content!.subarray(sent, to));
      sent = Math.max(sent, to);
      if (sent < content!.length) setTimeout(next, 10);
      else response.end();
    };
    next();
    return true;
  };
  return { hostile, go: () => void (fast = true) };
}

const receivedBy = (one: Child) => Math.max(0, ...one.lines.map(({ event }) => (event?.type === "download" ? event.receivedBytes : 0)));
const isShared = (one: Child) => one.lines.some(({ event }) => event?.type === "download" && event.shared);

test("two processes fetch a file once; the second one shows the first one's progress", async () => {
  const { hub } = world.now;
  const { hostile, go } = slowly();
  hub.hostile = hostile;
  const first = child();
  await until(() => receivedBy(first) > 100_000, "the first one begins");
  const second = child();
  await until(() => isShared(second) && receivedBy(second) > 200_000, "the second one sees it");
  go();
  expect(await first.ended).toMatchObject({ code: 0 });
  expect(await second.ended).toMatchObject({ code: 0 });
  expect(hub.fetches.filter(({ at }) => at === "storage")).toHaveLength(1);
  const [one, two] = [first.lines.at(-1)!, second.lines.at(-1)!];
  expect(two.path).toBe(one.path);
  expect(readFileSync(one.path!).equals(DEMO)).toBe(true);
  expect(filesBelow(world.now.home).filter((path) => /lock|incomplete/.test(path))).toEqual([]);
});

test("a process that is killed in the middle leaves what it had, and the one that waits goes on with it", async () => {
  const { hub, home } = world.now;
  const { hostile, go } = slowly();
  hub.hostile = hostile;
  const first = child();
  await until(() => receivedBy(first) > 300_000, "the first one begins");
  const second = child();
  await until(() => isShared(second), "the second one waits");
  first.kill();
  await first.ended;
  const { size } = statSync(join(home, PARTIAL));
  go();
  expect(await second.ended).toMatchObject({ code: 0 });
  const ranges = hub.fetches.filter(({ at }) => at === "storage").map(({ headers }) => headers.range);
  expect(ranges).toEqual([undefined, `bytes=${size}-`]);
  expect(size).toBeGreaterThan(300_000);
  expect(readFileSync(second.lines.at(-1)!.path!).equals(DEMO)).toBe(true);
});

test("killed again and again, it comes to its end, each time from where it was", async () => {
  const { hub, home } = world.now;
  const { hostile, go } = slowly();
  hub.hostile = hostile;
  let before = 0;
  const sizes: number[] = [];
  for (let i = 0; i < 3; i++) {
    const one = child();
    await until(() => receivedBy(one) > before + 200_000, "it goes on");
    one.kill();
    await one.ended;
    const { size } = statSync(join(home, PARTIAL));
    expect(size).toBeGreaterThan(before);
    before = size;
    sizes.push(size);
  }
  go();
  const last = child();
  expect(await last.ended).toMatchObject({ code: 0 });
  const ranges = hub.fetches.filter(({ at }) => at === "storage").map(({ headers }) => headers.range);
  expect(ranges).toEqual([undefined, ...sizes.map((size) => `bytes=${size}-`)]);
  expect(readFileSync(last.lines.at(-1)!.path!).equals(DEMO)).toBe(true);
});

test("one that was robbed of its lock while it slept does no harm to what the next one fetched", async () => {
  const { hub, home, pull } = world.now;
  let next: Promise<PulledModel> | undefined;
  let looked: Promise<boolean> | undefined;
  let asked = 0;
  hub.hostile = ({ at }, response, content) => {
    if (at !== "storage" || ++asked > 2) return false;
    if (asked === 1) {
      response
        .writeHead(200, { "content-length": content!.length })
        .write(content!.subarray(0, 500_000), () => setTimeout(() => response.destroy(), 20));
      return true;
    }
    // Its second try: meanwhile another one takes the lock and fetches the rest. Then the range is not heeded, and it would begin anew.
    unlinkSync(join(home, LOCK));
    next = pull(Q8);
    looked = next.then(async ({ path }) => {
      response.writeHead(200, { "content-length": content!.length }).write(content!.subarray(0, 1000));
      await new Promise((resolve) => setTimeout(resolve, 200));
      response.destroy();
      return readFileSync(path).equals(DEMO);
    });
    return true;
  };
  const first = await pull(Q8);
  expect((await next!).path).toBe(first.path);
  expect(await looked).toBe(true);
  expect(asked).toBe(3);
  expect(filesBelow(home).filter((path) => /lock|incomplete/.test(path))).toEqual([]);
});

test("two pulls of one process share the work as well", async () => {
  const { pull, hub } = world.now;
  const both: PulledModel[] = await Promise.all([pull(Q8), pull(Q8), pull(`hf:${REPO}`)]);
  expect(new Set(both.map(({ path }) => path)).size).toBe(1);
  expect(hub.fetches.filter(({ at }) => at === "storage")).toHaveLength(1);
});

describe("a lock", () => {
  const path = () => {
    mkdirSync(dirname(join(world.now.home, LOCK)), { recursive: true });
    return join(world.now.home, LOCK);
  };
  const never = new AbortController().signal;
  test("of a process that has ended is taken from it", async () => {
    const { pid, ended } = child("hf:nobody");
    await ended;
    const owner = { pid, place: placeOf(await acquired(path())), token: "x" };
    writeFileSync(path(), JSON.stringify(owner));
    expect(await isHeld(path())).toBe(false);
    const lock = await acquire(path(), never, () => {});
    expect(await lock.held()).toBe(true);
    await lock.release();
    expect(filesBelow(world.now.home)).toEqual([]);
  });
  test("of another machine counts while it shows signs of life", async () => {
    writeFileSync(path(), JSON.stringify({ pid: 1, place: "elsewhere", token: "x" }));
    expect(await isHeld(path())).toBe(true);
    const stop = new AbortController();
    let waits = 0;
    const waiting = acquire(path(), stop.signal, () => {
      waits += 1;
      utimesSync(path(), new Date(), new Date(waits * 1000)); // its clock is wrong; that it goes on is what counts
      if (waits === 4) stop.abort(new Error("enough"));
    });
    await expect(waiting).rejects.toThrow("enough");
  });
  test("of another machine is taken from it once it shows none for long", async () => {
    writeFileSync(path(), JSON.stringify({ pid: 1, place: "elsewhere", token: "x" }));
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      let waits = 0;
      const lock = await acquire(path(), never, () => {
        waits += 1;
        vi.advanceTimersByTime(4000);
      });
      expect(waits).toBeGreaterThan(4);
      await lock.release();
    } finally {
      vi.useRealTimers();
    }
  });
  test("that is no JSON is waited for like any other", async () => {
    writeFileSync(path(), "\0\0");
    const stop = new AbortController();
    const waiting = acquire(path(), stop.signal, () => stop.abort(new Error("enough")));
    await expect(waiting).rejects.toThrow("enough");
  });
  test("that somebody took away is known to be lost, and theirs stays", async () => {
    const lock = await acquire(path(), never, () => {});
    writeFileSync(path(), JSON.stringify({ pid: process.pid, place: hostname(), token: "theirs" }));
    await expect.poll(() => lock.held(), { timeout: 5000 }).toBe(false);
    await lock.release();
    expect(readFileSync(path(), "utf8")).toContain("theirs");
  });
  test("is had by one at a time, however many take it from one that has ended", async () => {
    const { pid, ended } = child("hf:nobody");
    await ended;
    const place = placeOf(await acquired(path()));
    writeFileSync(path(), JSON.stringify({ pid, place, token: "x" }));
    let holders = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const lock = await acquire(path(), never, () => {});
        holders += 1;
        most = Math.max(most, holders);
        await new Promise((resolve) => setTimeout(resolve, 5));
        holders -= 1;
        await lock.release();
      }),
    );
    expect(most).toBe(1);
  });
  /** What a lock of this process says. */
  async function acquired(path: string): Promise<string> {
    const lock = await acquire(path, never, () => {});
    const text = readFileSync(path, "utf8");
    await lock.release();
    return text;
  }
  const placeOf = (text: string) => (JSON.parse(text) as { place: string }).place;
});
