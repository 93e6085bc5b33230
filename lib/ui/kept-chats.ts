// Owns where conversations are kept: this browser's localStorage, within bounds. Runs in a page. Each has an entry of its own, and one more lists them, so that the
// list is there without reading all. Tabs share them: what another one has written is read before anything is changed.

import type { ChatKeeper } from "../react/chat-store.js";

export interface ChatEntry {
  id: string;
  title: string;
  /** When something was said last (ms since 1970). */
  at: number;
  /** Characters that it takes. */
  size: number;
}

const LIST = "zstream:chats";
const MOST_CHATS = 200;
/** Of all together: browsers have room for five million. */
const MOST_CHARACTERS = 4_000_000;

export class KeptChats implements ChatKeeper {
  readonly #store: Storage | undefined;
  /** In place of a store that is forbidden. */
  readonly #memory = new Map<string, string>();

  constructor(store: () => Storage = () => localStorage) {
    try {
      this.#store = store();
    } catch {
      this.#store = undefined;
    }
  }

  /** The newest first. */
  list(): ChatEntry[] {
    try {
      const list = JSON.parse(this.getItem(LIST) ?? "[]") as unknown;
      return Array.isArray(list) ? list.filter(isEntry).sort((a, b) => b.at - a.at) : [];
    } catch {
      return [];
    }
  }

  /** Puts a conversation on the list, or changes what the list says of it. */
  note(id: string, some: { title?: string; at?: number }): void {
    const list = this.list();
    const known = list.find((one) => one.id === id) ?? { id, title: "", at: Date.now(), size: 0 };
    this.#write(LIST, JSON.stringify([{ ...known, ...some }, ...list.filter((one) => one.id !== id)]));
  }

  forget(id: string): void {
    this.removeItem(keyOf(id));
    this.#write(LIST, JSON.stringify(this.list().filter((one) => one.id !== id)));
  }

  getItem(key: string): string | null {
    return this.#store?.getItem(key) ?? this.#memory.get(key) ?? null;
  }

  /** @throws where it is too large to be kept at all */
  setItem(key: string, value: string): void {
    if (value.length > MOST_CHARACTERS) throw new RangeError("The conversation is too long to be kept.");
    const list = this.list();
    const own = list.find((one) => keyOf(one.id) === key);
    if (own !== undefined) own.size = value.length;
    const others = list.filter((one) => one !== own);
    const total = () => value.length + others.reduce((sum, { size }) => sum + size, 0);
    while (others.length > 0 && (total() > MOST_CHARACTERS || others.length >= MOST_CHATS)) this.removeItem(keyOf(others.pop()!.id));
    for (;;) {
      try {
        this.#write(key, value);
        break;
      } catch (error) {
        const oldest = others.pop(); // others of this origin have filled the store
        if (oldest === undefined) throw error;
        this.removeItem(keyOf(oldest.id));
      }
    }
    this.#write(LIST, JSON.stringify(own === undefined ? others : [own, ...others]));
  }

  removeItem(key: string): void {
    this.#store?.removeItem(key);
    this.#memory.delete(key);
  }

  #write(key: string, value: string): void {
    if (this.#store === undefined) this.#memory.set(key, value);
    else this.#store.setItem(key, value);
  }
}

/** Under which a conversation is kept. */
export function keyOf(id: string): string {
  return `zstream:chat:${id}`;
}

/** Whether a change in the store is one of the list. */
export function isList(key: string | null): boolean {
  return key === null || key === LIST;
}

function isEntry(value: unknown): value is ChatEntry {
  const { id, title, at, size } = (value ?? {}) as Record<string, unknown>;
  return typeof id === "string" && typeof title === "string" && Number.isFinite(at) && Number.isFinite(size);
}
