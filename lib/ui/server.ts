// Owns the page's server: which models it has, whether it wants a key, and replies from it. Runs in a page. Addresses are relative, so that the page works
// below a proxy's path, too.

import type { ReplySource } from "../react/source.js";
import { sseSource } from "../react/sse-source.js";
import type { Message } from "../types.js";
import { Store } from "./parts/store.js";
import { readKey, type Settings, writeKey } from "./settings.js";

/** A model by one of its names. */
export interface NamedModel {
  name: string;
  /** Of a server that opens its models when they are asked for. */
  opening?: "unloaded" | "loading" | "loaded" | "failed";
}

export interface ServerState {
  /** "wantsKey": it has refused the one that it was given, or none was given. */
  status: "asking" | "ready" | "wantsKey" | "away";
  models: readonly NamedModel[];
  /** Of "away". */
  problem: string | undefined;
}

export class Server extends Store<ServerState> {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    super({ status: "asking", models: [], problem: undefined });
    this.#settings = settings;
  }

  /** The one that is asked next. */
  get chosen(): NamedModel | undefined {
    const { model } = this.#settings.state();
    const { models } = this.state();
    return models.find(({ name }) => name === model) ?? models[0];
  }

  get model(): string | undefined {
    return this.chosen?.name;
  }

  /** Whether a key was given that is not taken. */
  get hasWrongKey(): boolean {
    return this.state().status === "wantsKey" && readKey() !== "";
  }

  async ask(): Promise<void> {
    this.set({ ...this.state(), status: "asking" });
    await this.#askModels();
  }

  async #askModels(): Promise<void> {
    try {
      const response = await fetch("v1/models", { headers: authorization() });
      if (response.status === 401) return this.set({ ...this.state(), status: "wantsKey" });
      if (!response.ok) throw new Error(`The server answered ${response.status}.`);
      const { data } = (await response.json()) as { data?: unknown };
      this.set({ status: "ready", models: Array.isArray(data) ? data.flatMap(modelOf) : [], problem: undefined });
    } catch (error) {
      const problem = error instanceof TypeError ? "The server cannot be reached." : (error as Error).message;
      this.set({ ...this.state(), status: "away", problem });
    }
  }

  giveKey(key: string): Promise<void> {
    writeKey(key);
    return this.ask();
  }

  /** Replies to a conversation, by what is chosen when they are asked for. */
  readonly source: ReplySource = {
    open: (messages, signal) => this.#watched(this.#replies().open(this.#withSystem(messages), signal)),
    resume: (name, signal) => this.#watched(this.#replies().resume!(name, signal)),
  };

  #replies(): ReplySource {
    const { temperature, longestReply, effort, tools } = this.#settings.state();
    return sseSource({
      url: "v1/chat/completions",
      headers: authorization(),
      body: {
        model: this.model,
        ...(temperature === undefined ? {} : { temperature }),
        ...(longestReply === undefined ? {} : { max_completion_tokens: longestReply }),
        ...(effort === undefined ? {} : { reasoning_effort: effort }),
        ...(tools.trim() === "" ? {} : { tools: JSON.parse(tools) as unknown }),
      },
    });
  }

  #withSystem(messages: readonly Message[]): readonly Message[] {
    const { system } = this.#settings.state();
    return system.trim() === "" ? messages : [{ role: "system", content: system }, ...messages];
  }

  /** A key may be taken back, and a server may go, while the page is open. */
  async *#watched<Piece>(pieces: AsyncIterable<Piece>): AsyncGenerator<Piece> {
    try {
      yield* pieces;
    } catch (error) {
      const { status } = error as { status?: unknown };
      if (status === 401) this.set({ ...this.state(), status: "wantsKey" });
      else if (status === 404) void this.ask(); // the model may be gone
      throw error;
    } finally {
      // Whoever has heard the end of a reply takes nothing more, so this is not behind the pieces.
      const { status, models } = this.state();
      if (status === "away" || (status === "ready" && models.some(({ opening }) => opening !== undefined))) void this.#askModels();
    }
  }
}

function authorization(): Record<string, string> {
  const key = readKey();
  return key === "" ? {} : { authorization: `Bearer ${key}` };
}

function modelOf(listed: { id?: unknown; status?: { value?: unknown; failed?: unknown } } | null): NamedModel[] {
  const { id, status } = listed ?? {};
  if (typeof id !== "string") return [];
  const opening = status?.failed === true ? "failed" : (["unloaded", "loading", "loaded"] as const).find((one) => one === status?.value);
  return [opening === undefined ? { name: id } : { name: id, opening }];
}
