// Owns the state of one chat in a page: its messages, the reply that is on its way, and how it ended. Knows no React; use-chat-stream.ts shows it. Runs in
// a page.
//
// A page is drawn sixty times a second at most, and a model may be faster: what came is shown once a frame. When more has come than a frame shows,
// nothing more is taken until it is drawn, so that a page which cannot follow slows the reply, and not itself.

import type { FinishReason, Message, ToolCall, Usage } from "../types.js";
import { asChatError, type ChatError, LEFT } from "./chat-error.js";
import type { ReplyPiece, ReplySource } from "./source.js";

/** A message as a page shows it. */
export interface ChatMessage {
  /** Unique within the chat. */
  id: string;
  role: "system" | "user" | "assistant" | "tool";
  content: string;
  /** What the model thought before it answered. */
  reasoning?: string;
  /** Of an assistant's. */
  toolCalls?: readonly ToolCall[];
  /** Of a tool's. */
  toolCallId?: string;
  /** Of an assistant's, whose reply came to its end. */
  figures?: ChatFigures;
}

/** What is known of a reply beside its text. Times are by the page's clock; they are undefined for a reply that was found again after a reload. */
export interface ChatFigures {
  /** From send() to the first piece that can be seen. */
  firstTokenMs: number | undefined;
  /** After the first one. */
  tokensPerSecond: number | undefined;
  /** Between two pieces; undefined where there was only one. */
  longestGapMs: number | undefined;
  usage: Usage | undefined;
  finishReason: FinishReason;
}

/**
 * "ready": nothing is on its way; "waiting": the first piece is; "streaming"; "stopped": by stop(), what had come stays; "failed": `error` says why, what
 * had come stays.
 */
export type ChatStatus = "ready" | "waiting" | "streaming" | "stopped" | "failed";

export interface ChatState {
  messages: readonly ChatMessage[];
  status: ChatStatus;
  error: ChatError | undefined;
  /** Of the last reply that came to its end. */
  figures: ChatFigures | undefined;
}

/** Where a chat is kept over a reload: sessionStorage, localStorage, or whatever has their methods. */
export interface ChatKeeper {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface ChatStoreOptions {
  source: ReplySource;
  /** Where the chat is kept, and under which name. Left out: it ends with the page. */
  keep?: { store: ChatKeeper; key: string } | undefined;
  /** Shown before anything is sent, and sent with it; ignored where a chat was kept. */
  messages?: readonly ChatMessage[] | undefined;
}

/** Pieces that are taken before the page has drawn those before. */
const MOST_UNDRAWN = 256;
/** Time (ms) after which a page counts as drawn: one in the background is not drawn at all. */
const LONGEST_FRAME_MS = 100;

interface Kept {
  messages: readonly ChatMessage[];
  /** Of the reply that was on its way. */
  name?: string;
  /** What had come of it when the page was left: all that there is when it is not found again. */
  partial?: ChatMessage;
}

export class ChatStore {
  readonly #source: ReplySource;
  readonly #keep: ChatStoreOptions["keep"];
  #state: ChatState;
  readonly #listeners = new Set<() => void>();
  /** Of the reply that is on its way. */
  #running: AbortController | undefined;
  /** What is not shown yet. */
  #undrawn: ChatState | undefined;
  #frame: Promise<void> | undefined;
  #lastId = 0;

  constructor({ source, keep, messages = [] }: ChatStoreOptions) {
    this.#source = source;
    this.#keep = keep;
    this.#state = { messages: readKept(keep)?.messages ?? messages, status: "ready", error: undefined, figures: undefined };
  }

  readonly state = (): ChatState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** The page is there: a reply that was on its way when it was left goes on. */
  start(): void {
    const { name, messages, partial } = readKept(this.#keep) ?? {};
    const { resume } = this.#source;
    if (name === undefined || messages === undefined || this.#running !== undefined || resume === undefined) return;
    this.#set({ messages, status: "waiting", error: undefined, figures: undefined }, true); // what had come of it comes again
    void this.#take((signal) => resume(name, signal), undefined, partial);
  }

  /** The page goes: a reply that can be found again goes on at the server, any other one ends. */
  leave(): void {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    const name = readKept(this.#keep)?.name;
    const goesOn = name !== undefined;
    running.abort(goesOn ? LEFT : undefined);
    const last = this.#current.messages.at(-1);
    const isReply = this.#current.status === "streaming" && last !== undefined;
    if (goesOn && isReply) this.#keepState({ messages: this.#current.messages.slice(0, -1), name, partial: last });
    this.#set({ ...this.#current, status: goesOn ? "ready" : "stopped" }, true);
  }

  /** Sends what is said next and asks for a reply. Does nothing while one is on its way. */
  send(said: string | readonly Omit<ChatMessage, "id">[]): void {
    if (this.#running !== undefined) return;
    const added = typeof said === "string" ? [{ role: "user" as const, content: said }] : said;
    this.#ask([...this.#state.messages, ...added.map((one) => ({ ...one, id: this.#newId() }))]);
  }

  /** Asks again for the last reply, which it replaces. Does nothing while one is on its way. */
  retry(): void {
    const { messages } = this.#state;
    const last = messages.findLastIndex(({ role }) => role !== "assistant");
    if (this.#running === undefined && last >= 0) this.#ask(messages.slice(0, last + 1));
  }

  /** Ends the reply that is on its way; what had come stays. */
  stop(): void {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    running.abort();
    this.#set({ ...this.#current, status: "stopped" }, true);
    this.#write();
  }

  /** Puts other messages in the place of all. Ends a reply that is on its way. */
  setMessages(messages: readonly Omit<ChatMessage, "id">[]): void {
    this.stop();
    this.#set(
      { messages: messages.map((one) => ({ id: this.#newId(), ...one })), status: "ready", error: undefined, figures: undefined },
      true,
    );
    this.#write();
  }

  #ask(messages: readonly ChatMessage[]): void {
    this.#set({ messages, status: "waiting", error: undefined, figures: undefined }, true);
    this.#write();
    const wire = messages.map(wireMessage);
    void this.#take((signal) => this.#source.open(wire, signal), new ReplyClock());
  }

  async #take(
    open: (signal: AbortSignal) => AsyncIterable<ReplyPiece>,
    clock: ReplyClock | undefined,
    partial?: ChatMessage,
  ): Promise<void> {
    const running = new AbortController();
    this.#running = running;
    let reply: ChatMessage = { id: this.#newId(), role: "assistant", content: "" };
    const before = this.#state.messages;
    let taken = 0;
    try {
      for await (const piece of open(running.signal)) {
        if (this.#running !== running) return; // stopped or left: what still comes is nobody's
        if (piece.type === "name") {
          this.#write(piece.name);
          continue;
        }
        if (piece.type === "finish") {
          const figures = figuresOf(piece, clock);
          this.#running = undefined;
          const messages = this.#current.messages.map((one) => (one.id === reply.id ? { ...one, figures } : one));
          this.#set({ ...this.#current, messages, status: "ready", figures }, true);
          this.#write();
          return;
        }
        clock?.tick();
        reply = grown(reply, piece);
        this.#set({ ...this.#current, messages: [...before, reply], status: "streaming" }, false);
        if (++taken % MOST_UNDRAWN === 0) await this.#frame;
      }
      throw asChatError({ code: "network", message: "The reply ended without its end." });
    } catch (error) {
      if (this.#running !== running) return;
      this.#running = undefined;
      const { messages } = this.#current;
      const isLost = partial !== undefined && messages.length === before.length;
      this.#set(
        { ...this.#current, messages: isLost ? [...before, partial] : messages, status: "failed", error: asChatError(error) },
        true,
      );
      this.#write();
    }
  }

  /** As of the last piece. */
  get #current(): ChatState {
    return this.#undrawn ?? this.#state;
  }

  #set(state: ChatState, now: boolean): void {
    this.#undrawn = state;
    if (now) this.#show();
    else
      this.#frame ??= nextFrame().then(() => {
        this.#frame = undefined;
        this.#show();
      });
  }

  #show(): void {
    if (this.#undrawn === undefined || this.#undrawn === this.#state) return;
    this.#state = this.#undrawn;
    for (const listener of this.#listeners) listener();
  }

  /** @param name of the reply that is on its way */
  #write(name?: string): void {
    this.#keepState({ messages: this.#current.messages, ...(name === undefined ? {} : { name }) });
  }

  #keepState(state: Kept): void {
    if (this.#keep === undefined) return;
    const { store, key } = this.#keep;
    try {
      store.setItem(key, JSON.stringify(state));
    } catch {
      // The store is full, or forbidden: the chat ends with the page then.
    }
  }

  #newId(): string {
    this.#lastId += 1;
    return `${Date.now().toString(36)}-${this.#lastId}`;
  }
}

function grown(reply: ChatMessage, piece: Exclude<ReplyPiece, { type: "name" | "finish" }>): ChatMessage {
  if (piece.type === "text") return { ...reply, content: reply.content + piece.text };
  if (piece.type === "reasoning") return { ...reply, reasoning: (reply.reasoning ?? "") + piece.text };
  const toolCalls = [...(reply.toolCalls ?? [])];
  const call = toolCalls[piece.index] ?? {
    id: piece.id ?? `call_${piece.index}`,
    type: "function",
    function: { name: piece.name ?? "", arguments: "" },
  };
  toolCalls[piece.index] = { ...call, function: { ...call.function, arguments: call.function.arguments + piece.argumentsDelta } };
  return { ...reply, toolCalls };
}

/** When a reply's pieces came. */
class ReplyClock {
  readonly #began = performance.now();
  #first: number | undefined;
  #last: number | undefined;
  #longest: number | undefined;

  tick(): void {
    const now = performance.now();
    this.#first ??= now;
    if (this.#last !== undefined) this.#longest = Math.max(this.#longest ?? 0, now - this.#last);
    this.#last = now;
  }

  figures(usage: Usage | undefined): Pick<ChatFigures, "firstTokenMs" | "tokensPerSecond" | "longestGapMs"> {
    const now = performance.now();
    const first = this.#first ?? now;
    const seconds = (now - first) / 1000;
    return {
      firstTokenMs: first - this.#began,
      tokensPerSecond: usage === undefined || seconds <= 0 ? undefined : Math.max(0, usage.completionTokens - 1) / seconds,
      longestGapMs: this.#longest,
    };
  }
}

const NO_TIMES = { firstTokenMs: undefined, tokensPerSecond: undefined, longestGapMs: undefined };

function figuresOf({ reason, usage }: ReplyPiece & { type: "finish" }, clock: ReplyClock | undefined): ChatFigures {
  return { ...(clock?.figures(usage) ?? NO_TIMES), usage, finishReason: reason };
}

/** A reply that was stopped, or cut by its length, may have a call that is not. */
function isWhole({ function: { arguments: text } }: ToolCall): boolean {
  try {
    return typeof JSON.parse(text) === "object";
  } catch {
    return false;
  }
}

/** As a server takes it. An assistant's thoughts are not sent back: templates leave them out. */
function wireMessage({ role, content, toolCalls, toolCallId }: ChatMessage): Message {
  if (role === "assistant") {
    const whole = toolCalls?.filter(isWhole) ?? [];
    return { role, content, ...(whole.length === 0 ? {} : { tool_calls: whole }) };
  }
  if (role === "tool") return { role, content, ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }) };
  return { role, content };
}

/** What was kept; undefined where nothing was, or it is not what a chat writes. */
function readKept(keep: ChatStoreOptions["keep"]): Kept | undefined {
  try {
    const kept = JSON.parse(keep?.store.getItem(keep.key) ?? "null") as Partial<Kept> | null;
    if (!Array.isArray(kept?.messages) || !kept.messages.every(isMessage)) return undefined;
    const { messages, name, partial } = kept;
    return { messages, ...(typeof name === "string" ? { name } : {}), ...(isMessage(partial) ? { partial } : {}) };
  } catch {
    return undefined;
  }
}

function isMessage(value: Partial<ChatMessage> | null | undefined): value is ChatMessage {
  return typeof value?.role === "string" && typeof value.content === "string";
}

function nextFrame(): Promise<void> {
  const { requestAnimationFrame } = globalThis as { requestAnimationFrame?: (callback: () => void) => void };
  return new Promise((resolve) => {
    requestAnimationFrame?.(() => resolve());
    setTimeout(resolve, requestAnimationFrame === undefined ? 16 : LONGEST_FRAME_MS);
  });
}
