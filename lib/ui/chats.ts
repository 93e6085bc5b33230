// Owns the conversations of a tab: which one is shown, which replies are on their way, and what may be done to them. Runs in a page. A reply goes on when another
// conversation is shown, and is found again when the page is loaded anew.

import { type ChatMessage, ChatStore } from "../react/chat-store.js";
import type { ReplySource } from "../react/source.js";
import { type ChatEntry, isList, KeptChats, keyOf } from "./kept-chats.js";
import { Store } from "./parts/store.js";

export interface ChatsState {
  /** The newest first. */
  entries: readonly ChatEntry[];
  /** The one that is shown; on no list before anything is said in it. */
  current: string;
  /** Whose reply is on its way. */
  running: ReadonlySet<string>;
}

/** What this tab is at, over a reload. */
const TAB = "zstream:tab";
const LONGEST_TITLE = 80;

export class Chats extends Store<ChatsState> {
  readonly #kept = new KeptChats();
  readonly #source: ReplySource;
  readonly #open = new Map<string, ChatStore>();
  /** The page goes, and what it says of its replies now is not what the next one should find. */
  #leaving = false;

  constructor(source: ReplySource) {
    const { current, running } = readTab();
    super({ entries: [], current: current ?? newId(), running: new Set() });
    this.#source = source;
    this.#list();
    for (const id of running) if (this.state().entries.some((one) => one.id === id)) this.chat(id).start();
    this.chat(this.state().current).start();
    addEventListener("storage", ({ key }) => this.#onOtherTab(key));
    addEventListener("pagehide", () => this.#leave());
    addEventListener("pageshow", ({ persisted }) => persisted && this.#comeBack());
  }

  /** A conversation, shown or not. */
  chat(id: string): ChatStore {
    const known = this.#open.get(id);
    if (known !== undefined) return known;
    const chat = new ChatStore({ source: this.#source, keep: { store: this.#kept, key: keyOf(id) } });
    this.#open.set(id, chat);
    let before = chat.state();
    chat.subscribe(() => {
      const { status, messages } = chat.state();
      if (status !== before.status || messages.length !== before.messages.length) this.#note(id, chat);
      before = chat.state();
    });
    return chat;
  }

  get current(): ChatStore {
    return this.chat(this.state().current);
  }

  select(id: string): void {
    this.#show(id);
    this.current.start(); // one that another tab has left
  }

  /** Shows an empty conversation. */
  begin(): void {
    if (this.current.state().messages.length > 0) this.#show(newId());
  }

  remove(id: string): void {
    this.#open.get(id)?.stop();
    this.#open.delete(id);
    this.#kept.forget(id);
    this.#list();
    if (this.state().current === id) this.#show(this.state().entries[0]?.id ?? newId());
    this.#noteRunning();
  }

  /** Says something else in a message's place, and asks anew: what was said behind it goes. */
  edit(chat: ChatStore, id: string, said: string): void {
    const { messages } = chat.state();
    const at = messages.findIndex((one) => one.id === id);
    if (at === -1) return;
    chat.setMessages(messages.slice(0, at));
    chat.send(said);
  }

  #show(id: string): void {
    const { current } = this.state();
    this.set({ ...this.state(), current: id });
    if (current !== id && !isRunning(this.chat(current))) this.#open.delete(current); // it is kept, and can be read again
    this.#writeTab();
  }

  #onOtherTab(key: string | null): void {
    const { current } = this.state();
    if (isList(key)) this.#list();
    else if (key === keyOf(current) && !isRunning(this.chat(current))) {
      this.#open.delete(current); // it is read again
      this.set({ ...this.state() });
    }
  }

  /** Replies go on at the server. A connection that broke by itself would be taken up again, and be in the next page's way. */
  #leave(): void {
    this.#leaving = true;
    for (const id of this.state().running) this.chat(id).leave();
  }

  /** The browser had only put the page aside. */
  #comeBack(): void {
    this.#leaving = false;
    for (const id of readTab().running) this.chat(id).start();
  }

  #note(id: string, chat: ChatStore): void {
    if (this.#leaving || this.#open.get(id) !== chat) return; // or removed
    const first = chat.state().messages.find(({ role }) => role === "user");
    if (first !== undefined) {
      try {
        this.#kept.note(id, { title: titleOf(first), at: Date.now() });
      } catch {
        // The store is full: the conversation ends with the page.
      }
      this.#list();
    }
    this.#noteRunning();
    if (!isRunning(chat) && this.state().current !== id) this.#open.delete(id);
  }

  #list(): void {
    this.set({ ...this.state(), entries: this.#kept.list() });
  }

  #noteRunning(): void {
    this.set({ ...this.state(), running: new Set([...this.#open].filter(([, chat]) => isRunning(chat)).map(([id]) => id)) });
    this.#writeTab();
  }

  #writeTab(): void {
    const { current, running } = this.state();
    try {
      sessionStorage.setItem(TAB, JSON.stringify({ current, running: [...running] }));
    } catch {
      // Forbidden: a reload begins anew then.
    }
  }
}

export function isRunning(chat: ChatStore): boolean {
  const { status } = chat.state();
  return status === "waiting" || status === "streaming";
}

function titleOf({ content }: ChatMessage): string {
  const line = content.trim().replace(/\s+/g, " ");
  return line.length > LONGEST_TITLE ? `${line.slice(0, LONGEST_TITLE - 1).trimEnd()}…` : line;
}

function newId(): string {
  return `${Date.now().toString(36)}-${Math.floor(Math.random() * 2 ** 32).toString(36)}`;
}

function readTab(): { current: string | undefined; running: readonly string[] } {
  try {
    const { current, running } = (JSON.parse(sessionStorage.getItem(TAB) ?? "{}") ?? {}) as { current?: unknown; running?: unknown };
    return {
      current: typeof current === "string" ? current : undefined,
      running: Array.isArray(running) ? running.filter((id) => typeof id === "string") : [],
    };
  } catch {
    return { current: undefined, running: [] };
  }
}
