// Owns `model.cache`: what callers do with the beginnings of prompts that are kept. JS thread that made the model; the engine does it, between its steps.

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { NativeCacheQuestion } from "./addon/contract.js";
import { quote } from "./base/quote.js";
import type { ModelEngine } from "./engine/engine.js";
import { ZSEError } from "./errors.js";
import type { ModelCalls } from "./model-calls.js";
import { readCacheKey } from "./options/custom.js";
import { readOptions } from "./options/rules.js";
import type { CacheEntry, ChatRequest, Message } from "./types.js";

/** An entry by its id, or the chat that it is the prompt of. */
export type CacheTarget = string | readonly Message[] | ChatRequest;

export interface CacheFileOptions {
  /** 32 bytes that the file is sealed with; `null`: it is not sealed. Default: the model's `promptCache.key`, or none where it has none. */
  key?: Uint8Array | null | undefined;
}

/** How long a chat may wait for steps that nothing else wants: where some stream always runs, there are none. */
const PATIENCE_MS = 250;

/** The prompt cache, as a thing that people can own. */
export class ModelCache {
  readonly #engine: ModelEngine;
  readonly #model: ModelCalls;
  #prepared = 0;

  /** @internal */
  constructor(engine: ModelEngine, model: ModelCalls) {
    this.#engine = engine;
    this.#model = model;
  }

  /** What is kept and no stream uses just now. Of less than 64 tokens nothing is. */
  async list(): Promise<CacheEntry[]> {
    return (await this.#engine.cache({ cache: "list" })).entries;
  }

  /**
   * Keeps it in RAM whatever comes, until unpin() or close(). A chat is computed first, as prepare() does.
   * @throws ZSEError BAD_OPTION where nothing of the kind is kept; OVERLOADED where the queue is full, and where what is pinned would be more than half
   *   of `promptCache.ram`; of a chat, what chat() throws
   */
  async pin(target: CacheTarget): Promise<CacheEntry> {
    return await this.#one("pin", target);
  }

  /** It may be let go of again. @throws ZSEError BAD_OPTION where it is not pinned */
  async unpin(target: CacheTarget): Promise<CacheEntry> {
    return await this.#one("unpin", target);
  }

  /**
   * Forgets it: in slots, in RAM and on disk, pinned or not. Without a target, everything that no stream is using.
   * @returns what was forgotten
   * @throws ZSEError BAD_OPTION where it is not kept
   */
  async evict(target?: CacheTarget): Promise<CacheEntry[]> {
    const which = target === undefined ? {} : await this.#which("evict", target);
    return (await this.#engine.cache({ cache: "evict", ...which })).entries;
  }

  /**
   * Writes it to one file, with a key of the model's file, its template, device, `maxStreams` and version. A chat is computed first, as prepare() does.
   * Whoever has the file can read the text out of it, unless it is sealed.
   * @throws ZSEError as pin(), and BAD_OPTION where the file cannot be written
   */
  async export(target: CacheTarget, file: string | URL, options?: CacheFileOptions): Promise<CacheEntry> {
    return await this.#one("export", target, { path: readFile("export", file), ...readFileOptions("export", options) });
  }

  /**
   * Takes an exported prefix in: prompts that begin with it compute only what follows. It is kept as any other; pin() keeps it longer. A file is not
   * trusted further than its checksums reach: they tell damage, and no forgery.
   * @throws ZSEError BAD_OPTION where the file cannot be read or is of another model; BAD_MODEL where it is damaged or no such file; OVERLOADED where
   *   `promptCache.ram` has no room for it
   */
  async import(file: string | URL, options?: CacheFileOptions): Promise<CacheEntry> {
    const which = { path: readFile("import", file), ...readFileOptions("import", options) };
    return (await this.#engine.cache({ cache: "import", ...which })).entries[0]!;
  }

  async #one(cache: "pin" | "unpin" | "export", target: CacheTarget, more: Partial<NativeCacheQuestion> = {}): Promise<CacheEntry> {
    const question = { cache, ...(await this.#which(cache, target)), ...more };
    if (typeof target === "string" || cache === "unpin") return (await this.#engine.cache(question)).entries[0]!;
    return await this.#computed(question, requestOf(target));
  }

  /**
   * Of a chat, which is computed where it is not there yet. It is asked for before, so that no stream can take its place in between.
   */
  async #computed(question: NativeCacheQuestion, request: ChatRequest): Promise<CacheEntry> {
    const ticket = ++lastTicket;
    let answered = false;
    const answer = this.#engine.cache({ ...question, ticket }).finally(() => {
      answered = true;
    });
    const failure = this.#compute(request, () => answered).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    // Where the engine is gone, the answer says so.
    failure.then(() => this.#engine.cache({ cache: "enough", ticket })).catch(() => undefined);
    try {
      return (await answer).entries[0]!;
    } catch (error) {
      throw ((await failure) ?? { error }).error;
    }
  }

  async #which(call: string, target: CacheTarget): Promise<{ id: string } | { tokens: Int32Array }> {
    if (typeof target === "string") {
      if (/^[0-9a-f]{16}$/.test(target)) return { id: target };
      const message = `cache.${call}() takes an entry's id (16 digits, base 16) or a chat; given ${quote(target)}.`;
      throw new ZSEError("BAD_OPTION", message, { option: "id" });
    }
    const request = requestOf(target);
    if (typeof request !== "object" || request === null || !("messages" in request)) {
      const message = `cache.${call}() takes an entry's id, or a chat: messages, or a request with them; given ${quote(target)}.`;
      throw new ZSEError("BAD_OPTION", message, { option: "messages" });
    }
    if (asksForAdapter(request.adapter)) {
      const message = `cache.${call}() finds what was computed with an adapter by its id alone, which cache.list() has; given a chat with an adapter.`;
      throw new ZSEError("BAD_OPTION", message, { option: "adapter" });
    }
    return { tokens: Int32Array.from((await this.#model.applyTemplate(request)).tokens) };
  }

  /** Ahead, where that costs nobody anything; where streams want the slots, or every step, in turn with them: it goes on from what was computed ahead. */
  async #compute(request: ChatRequest, answered: () => boolean): Promise<void> {
    const ahead = this.#model.prepare({ ...request, key: `cache ${++this.#prepared}` });
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS, undefined);
    });
    const ready = await Promise.race([ahead, patience]).finally(() => clearTimeout(timer));
    if (answered() || (ready !== undefined && ready.promptTokens > 0 && ready.readyTokens >= ready.promptTokens - 1)) return;
    await this.#model.chat({ ...request, streamCallback: undefined, maxTokens: 1, maxSteps: 1 });
  }
}

/** Of all questions of this process that wait for what is computed. */
let lastTicket = 0;

const requestOf = (target: Exclude<CacheTarget, string>) => (Array.isArray(target) ? { messages: target } : target) as ChatRequest;

function asksForAdapter(adapter: ChatRequest["adapter"]): boolean {
  if (typeof adapter !== "object" || adapter === null) return adapter !== undefined;
  return Object.values(adapter).some((scale) => scale !== 0);
}

const FILE_OPTIONS = {
  key: { kind: "custom", read: (name: string, given: unknown) => (given === null ? null : readCacheKey(name, given)) },
} as const;

function readFileOptions(call: string, given: unknown): Pick<NativeCacheQuestion, "key"> {
  return readOptions(FILE_OPTIONS, given, `cache.${call}()`);
}

function readFile(call: string, file: string | URL): string {
  let path: unknown = file;
  try {
    if (file instanceof URL && file.protocol === "file:") path = fileURLToPath(file);
  } catch {
    // of another host, say
  }
  if (typeof path === "string" && path !== "" && !path.includes("\0")) return resolve(path);
  throw new ZSEError("BAD_OPTION", `cache.${call}() takes a file's path or file: URL; given ${quote(file)}.`, { option: "file" });
}
