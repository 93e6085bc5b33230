// Owns who of several processes fetches a file: a lock file that tells its owner, and whether that one still lives. Any thread.
//
// The lock saves work and is not what keeps a file right: two owners at once (a process that was stopped for long and wakes up) write the same
// bytes to the same places, and whoever would cut a file or put it in its place asks first whether the lock is still his. So a lock is taken from an owner whose process is gone, and from one that has
// given no sign of life for STALE_MS, as one on another machine may have ended.

import { randomUUID } from "node:crypto";
import { readlinkSync } from "node:fs";
import { open, readFile, stat, unlink, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 250;
const SIGN_OF_LIFE_MS = 2000;
const STALE_MS = 20_000;
/** For the file that guards the taking away of a lock, which is there for a moment. */
const STALE_GUARD_MS = 5000;

/** A lock that this call holds. */
export interface Lock {
  /** Whether it still is this one's; asked of the disk once a second at most, or now. */
  held(now?: "now"): Promise<boolean>;
  release(): Promise<void>;
}

interface Owner {
  pid: number;
  /** Machine, and where process numbers have several meanings there, which one. */
  place: string;
  token: string;
}

/** Numbers of processes mean something only within a container. */
const PLACE = `${hostname()} ${namespace()}`;

function namespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return ""; // no Linux
  }
}

/**
 * Takes the lock, once nobody else who lives has it.
 * @param onWait called again and again while another one has it
 * @throws the signal's reason; what the disk says
 */
export async function acquire(path: string, signal: AbortSignal, onWait: () => unknown): Promise<Lock> {
  const owner: Owner = { pid: process.pid, place: PLACE, token: randomUUID() };
  const seen = new Sightings();
  for (;;) {
    signal.throwIfAborted();
    if (await create(path, JSON.stringify(owner))) return new HeldLock(path, owner.token);
    const other = await ownerOf(path);
    if (other === undefined || !(await isGone(path, other, seen))) await onWait();
    else if (await takeAway(path, other.token, signal)) continue;
    await sleep(POLL_MS, undefined, { signal }).catch(() => {});
  }
}

/** Whether somebody who lives, as far as can be told at once, holds it. */
export async function isHeld(path: string): Promise<boolean> {
  const owner = await ownerOf(path);
  return owner !== undefined && !hasEnded(owner);
}

/** When each file was seen to change last, by this process's own clock: clocks of machines differ. */
class Sightings {
  #last = "";
  #since = 0;

  /** For how long (ms) it has been as it is now. */
  unchangedFor(state: string): number {
    if (state !== this.#last) {
      this.#last = state;
      this.#since = performance.now();
    }
    return performance.now() - this.#since;
  }
}

async function create(path: string, text: string): Promise<boolean> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, "wx", 0o664);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false; // it may be gone by now
    // Windows says EPERM of a file that is being taken away.
    if (code === "EPERM" && (await stat(path).catch(() => undefined)) !== undefined) return false;
    throw error;
  }
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
  return true;
}

/** undefined: there is no lock any more. One that cannot be read, as when it is just being written, has an owner of whom nothing is known. */
async function ownerOf(path: string): Promise<Owner | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { pid, place, token } = JSON.parse(text) as Record<string, unknown>;
    if (Number.isSafeInteger(pid) && typeof place === "string" && typeof token === "string") return { pid: pid as number, place, token };
  } catch {
    // as below
  }
  return { pid: 0, place: "", token: "" };
}

async function isGone(path: string, owner: Owner, seen: Sightings): Promise<boolean> {
  if (hasEnded(owner)) return true;
  const { mtimeMs } = (await stat(path).catch(() => undefined)) ?? { mtimeMs: 0 };
  return seen.unchangedFor(`${owner.token} ${mtimeMs}`) > STALE_MS;
}

function hasEnded({ pid, place }: Owner): boolean {
  if (place !== PLACE || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/**
 * Takes a lock away from an owner that is gone. One at a time may: another who has judged the same owner gone would take away the lock of whoever came
 * after it.
 */
async function takeAway(path: string, token: string, signal: AbortSignal): Promise<boolean> {
  const guard = `${path}.taking`;
  const seen = new Sightings();
  while (!(await create(guard, ""))) {
    signal.throwIfAborted();
    const { mtimeMs } = (await stat(guard).catch(() => undefined)) ?? { mtimeMs: 0 };
    if (seen.unchangedFor(String(mtimeMs)) > STALE_GUARD_MS) await unlink(guard).catch(() => {});
    await sleep(POLL_MS, undefined, { signal }).catch(() => {});
  }
  try {
    if ((await ownerOf(path))?.token !== token) return false;
    await unlink(path);
    return true;
  } finally {
    await unlink(guard).catch(() => {});
  }
}

class HeldLock implements Lock {
  readonly #path: string;
  readonly #token: string;
  readonly #timer: NodeJS.Timeout;
  #asked = performance.now();
  #isLost = false;

  constructor(path: string, token: string) {
    this.#path = path;
    this.#token = token;
    this.#timer = setInterval(() => void this.#giveSign(), SIGN_OF_LIFE_MS);
    this.#timer.unref();
  }

  async held(now?: "now"): Promise<boolean> {
    if (!this.#isLost && (now !== undefined || performance.now() - this.#asked > 1000)) await this.#ask();
    return !this.#isLost;
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    await this.#ask();
    if (!this.#isLost) await unlink(this.#path).catch(() => {});
    this.#isLost = true;
  }

  async #ask(): Promise<void> {
    this.#asked = performance.now();
    if ((await ownerOf(this.#path))?.token !== this.#token) this.#isLost = true;
  }

  async #giveSign(): Promise<void> {
    await this.#ask();
    const now = new Date();
    if (!this.#isLost) await utimes(this.#path, now, now).catch(() => {});
  }
}
