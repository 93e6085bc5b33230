// Owns fetching one file into the cache: from where an earlier try ended, checked, and put in its place whole. Any thread.

import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rename, stat, statfs } from "node:fs/promises";
import { quote } from "../base/quote.js";
import type { RepoCache } from "./cache.js";
import { diskFailure, failed, Passing } from "./failures.js";
import type { HubFile } from "./listing.js";
import { acquire, type Lock } from "./lock.js";
import { Patience, type Retry } from "./patience.js";
import { type Answer, type Ask, get, passing } from "./request.js";
import type { HubSettings } from "./settings.js";

/** What is told of a file on its way. */
export interface BlobListener {
  /** So many of its bytes are there. `shared`: another process fetches them. */
  onBytes(there: number, shared: boolean): void;
  /** So many of the bytes of an earlier try were read again. */
  onChecked(checked: number, of: number): void;
  onRetry(retry: Retry): void;
}

export interface BlobTask {
  file: HubFile;
  cache: RepoCache;
  /** Where it is to be had. */
  url: URL;
  settings: HubSettings;
  signal: AbortSignal;
  listener: BlobListener;
}

/** Somebody else has the lock now: what was begun is theirs to go on with. */
class LockLost extends Error {}

const PIECE = 2 ** 20;
/** Bytes that a try must bring to count as one that was not in vain. */
const GAIN = 2 ** 18;
/** Bytes that must come in four times the silence that is allowed: whoever gives one now and then is as good as silent. */
const TRICKLE = 2 ** 16;

/**
 * Fetches a file, unless it is there. Another process that does so already is waited for, and followed where it ends.
 * @throws ZSEError DOWNLOAD_FAILED, MODEL_NOT_FOUND; the signal's reason. What was fetched is kept for the next try.
 */
export async function fetchBlob(task: BlobTask): Promise<void> {
  const { cache, file, signal, listener } = task;
  while (!(await cache.has(file.digest, file.bytes))) {
    const partial = cache.partial(file.digest);
    const watch = async () => listener.onBytes((await stat(partial).catch(() => undefined))?.size ?? 0, true);
    const lock = await onDisk(cache.lock(file.digest), () => acquire(cache.lock(file.digest), signal, watch));
    try {
      if (await cache.has(file.digest, file.bytes)) break;
      await new Download(task, lock).run();
    } catch (error) {
      if (!(error instanceof LockLost)) throw error;
    } finally {
      await lock.release();
    }
  }
  listener.onBytes(file.bytes, false);
}

async function onDisk<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw diskFailure(error, path);
  }
}

class Download {
  readonly #task: BlobTask;
  readonly #lock: Lock;
  readonly #partial: string;
  readonly #ask: Ask;
  /** Bytes that are there and in the hash. */
  #there = 0;
  #hash!: Hash;
  #handle!: FileHandle;

  constructor(task: BlobTask, lock: Lock) {
    this.#task = task;
    this.#lock = lock;
    this.#partial = task.cache.partial(task.file.digest);
    this.#ask = { repo: task.cache.repo, what: task.file.path, signal: task.signal };
  }

  async run(): Promise<void> {
    const flags = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0);
    this.#handle = await this.#disk(() => open(this.#partial, flags, 0o666));
    try {
      await this.#checkWhatIsThere();
      await this.#checkRoom();
      if (!(await this.#fetchWhole())) {
        // What an earlier try left may have been wrong from the first byte on: once more, and all of it.
        await this.#beginAnew();
        if (!(await this.#fetchWhole())) {
          await this.#beginAnew();
          throw failed(
            `${this.#what} does not have the checksum that the hub tells of it, twice: a proxy or a mirror may have changed it.`,
          );
        }
      }
      await this.#disk(() => this.#handle.sync());
      await this.#mustHoldLock("now");
    } finally {
      await this.#handle.close();
    }
    await this.#disk(async () => {
      await rename(this.#partial, this.#task.cache.blob(this.#task.file.digest));
    });
  }

  get #what(): string {
    return `hf:${this.#ask.repo}/${this.#task.file.path}`;
  }

  async #disk<Result>(work: () => Promise<Result>): Promise<Result> {
    return await onDisk(this.#partial, work);
  }

  #newHash(): void {
    const { digest, bytes } = this.#task.file;
    this.#there = 0;
    this.#hash = createHash(digest.length === 64 ? "sha256" : "sha1");
    if (digest.length === 40) this.#hash.update(`blob ${bytes}\0`); // git's way
  }

  async #mustHoldLock(now?: "now"): Promise<void> {
    if (!(await this.#lock.held(now))) throw new LockLost();
  }

  async #beginAnew(): Promise<void> {
    await this.#mustHoldLock("now"); // the file may be another one's by now, or be whole
    await this.#disk(() => this.#handle.truncate(0));
    this.#newHash();
  }

  /** Takes what an earlier try has left into the hash. */
  async #checkWhatIsThere(): Promise<void> {
    const { file, listener, signal } = this.#task;
    this.#newHash();
    const { size } = await this.#disk(() => this.#handle.stat());
    if (size > file.bytes) return await this.#beginAnew();
    const piece = Buffer.allocUnsafe(PIECE);
    while (this.#there < size) {
      signal.throwIfAborted();
      const { bytesRead } = await this.#disk(() => this.#handle.read(piece, 0, PIECE, this.#there));
      if (bytesRead === 0) break;
      this.#hash.update(piece.subarray(0, bytesRead));
      this.#there += bytesRead;
      listener.onChecked(this.#there, size);
    }
  }

  async #checkRoom(): Promise<void> {
    const missing = this.#task.file.bytes - this.#there;
    const { bavail, bsize } = await statfs(this.#partial).catch(() => ({ bavail: Number.POSITIVE_INFINITY, bsize: 1 }));
    if (missing <= bavail * bsize) return;
    const free = `the disk of ${quote(this.#task.cache.folder)} has ${Math.floor(bavail * bsize)}`;
    throw failed(`${this.#what} needs ${missing} more bytes, and ${free}. HF_HUB_CACHE names another folder.`);
  }

  /** Returns whether the checksum is right. */
  async #fetchWhole(): Promise<boolean> {
    const { file, settings, signal, listener } = this.#task;
    const patience = new Patience(settings.firstWaitMs, signal, (retry) => listener.onRetry(retry));
    while (this.#there < file.bytes) {
      const before = this.#there;
      try {
        await this.#fetchOn();
      } catch (error) {
        if (error instanceof LockLost) throw error;
        if (this.#there - before >= GAIN) patience.gained();
        await patience.wait(passing(error, this.#ask));
      }
    }
    return this.#hash.copy().digest("hex") === file.digest;
  }

  /** One request, for what is missing. */
  async #fetchOn(): Promise<void> {
    const { url, settings, file } = this.#task;
    const headers: Record<string, string> = this.#there > 0 ? { range: `bytes=${this.#there}-` } : {};
    const answer = await get(url, settings, { ...this.#ask, headers }, [416]);
    try {
      await this.#take(answer);
    } finally {
      answer.body.destroy();
    }
    if (this.#there < file.bytes) throw new Passing(`${this.#what}: the connection ended after ${this.#there} of ${file.bytes} bytes`);
  }

  async #take({ status, headers, body }: Answer): Promise<void> {
    const { bytes } = this.#task.file;
    if (status === 416) {
      await this.#beginAnew();
      throw new Passing(`${this.#what}: the hub does not give the rest of it alone`);
    }
    if (status === 206) {
      const [, from, of] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers["content-range"] ?? "") ?? [];
      if (Number(from) !== this.#there) throw failed(`${this.#what}: the hub gave another part than it was asked for.`);
      if (of !== "*" && Number(of) !== bytes) throw this.#wrongLength(of!);
    } else {
      const length = headers["content-length"];
      if (length !== undefined && Number(length) !== bytes) throw this.#wrongLength(length);
      if (this.#there > 0) await this.#beginAnew(); // the part was not heeded: this is all of it
    }
    const isTrickle = this.#trickle();
    for await (const piece of body as AsyncIterable<Buffer>) {
      if (isTrickle(piece.length)) throw new Passing(`${this.#what}: it comes too slowly`);
      if (this.#there + piece.length > bytes) {
        await this.#beginAnew();
        throw this.#wrongLength("more");
      }
      await this.#mustHoldLock();
      await this.#disk(() => writeAll(this.#handle, piece, this.#there));
      this.#hash.update(piece);
      this.#there += piece.length;
      this.#task.listener.onBytes(this.#there, false);
    }
  }

  /** Told of each piece; whether too little has come for long. */
  #trickle(): (bytes: number) => boolean {
    const window = 4 * this.#task.settings.silenceMs;
    let since = performance.now();
    let sum = 0;
    return (bytes) => {
      sum += bytes;
      if (performance.now() - since < window) return false;
      const isTooLittle = sum < TRICKLE;
      since = performance.now();
      sum = 0;
      return isTooLittle;
    };
  }

  #wrongLength(given: string): Error {
    return failed(`${this.#what} has ${this.#task.file.bytes} bytes by the list of files, and the hub sends ${given}.`);
  }
}

/** At a place of its own, never at the end: who else writes this file by mistake writes the same. */
async function writeAll(handle: FileHandle, piece: Buffer, at: number): Promise<void> {
  for (let done = 0; done < piece.length; ) {
    const { bytesWritten } = await handle.write(piece, done, piece.length - done, at + done);
    done += bytesWritten;
  }
}
