// Owns the React hook: one chat of a component's, over the event stream of a server or over a model of the page's own. Runs in a page.

import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { type ChatKeeper, type ChatMessage, type ChatState, ChatStore } from "./chat-store.js";
import { modelSource } from "./model-source.js";
import type { ReplySource, StreamingModel } from "./source.js";
import { type SseSourceOptions, sseSource } from "./sse-source.js";

/** Options of `useChatStream()`. One of `url`, `model` and `source` says where replies come from; another one counts from the next message on. */
export interface UseChatStreamOptions extends Partial<SseSourceOptions> {
  /** A model that the page has itself, such as `openModel()` of zstream/electron gives. */
  model?: StreamingModel | undefined;
  /** Options of each reply of `model`: `temperature`, `tools`, … */
  options?: Parameters<typeof modelSource>[1];
  /** Anything else. */
  source?: ReplySource | undefined;
  /** The chat's name, under which it is kept in `store`. Left out: it ends with the page. Another name is another chat. */
  id?: string | undefined;
  /** Where a chat with an `id` is kept, so that it, and the reply that is on its way, survive a reload. Default sessionStorage. */
  store?: ChatKeeper | undefined;
  /** Shown before anything is sent, and sent with it. */
  initialMessages?: readonly ChatMessage[] | undefined;
}

/** A chat, as of the last frame. */
export interface ChatStream extends ChatState {
  /** Says something, and asks for a reply. Does nothing while one is on its way. */
  send(said: string | readonly Omit<ChatMessage, "id">[]): void;
  /** Ends the reply that is on its way, at the server too; what had come stays. */
  stop(): void;
  /** Asks again for the last reply, which it replaces. */
  retry(): void;
  /** Puts other messages in the place of all; [] begins anew. */
  setMessages(messages: readonly Omit<ChatMessage, "id">[]): void;
}

/**
 * A chat with a model, as a component's state.
 *
 * ```tsx
 * const { messages, status, error, send, stop } = useChatStream({ url: "/v1/chat/completions", id: "main" });
 * ```
 * With an `id` the chat survives a reload: messages are shown again, and a reply that was on its way goes on where it is resumable.
 * @throws ChatError never: why a reply failed is `error`, by its code
 */
export function useChatStream(options: UseChatStreamOptions): ChatStream {
  const { id } = options;
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const [chats] = useState(() => new Map<string | undefined, ChatStore>());
  let chat = chats.get(id);
  if (chat === undefined) {
    chat = new ChatStore({ source: latestSource(latest), keep: keeping(options), messages: options.initialMessages });
    chats.clear(); // another name is another chat
    chats.set(id, chat);
  }
  const store = chat;
  const state = useSyncExternalStore(store.subscribe, store.state, store.state);
  useEffect(() => {
    store.start();
    return () => store.leave();
  }, [store]);
  return {
    ...state,
    send: (said) => store.send(said),
    stop: () => store.stop(),
    retry: () => store.retry(),
    setMessages: (messages) => store.setMessages(messages),
  };
}

/** What the options of the last time that it was drawn say. */
function latestSource(latest: { current: UseChatStreamOptions }): ReplySource {
  const source = () => sourceOf(latest.current);
  return {
    open: (messages, signal) => source().open(messages, signal),
    ...(source().resume === undefined ? {} : { resume: (name, signal) => source().resume!(name, signal) }),
  };
}

function sourceOf({ source, model, options, url, ...sse }: UseChatStreamOptions): ReplySource {
  if (source !== undefined) return source;
  if (model !== undefined) return modelSource(model, options);
  if (url !== undefined) return sseSource({ ...sse, url });
  throw new TypeError("useChatStream() needs one of url, model and source.");
}

function keeping({ id, store }: UseChatStreamOptions): { store: ChatKeeper; key: string } | undefined {
  if (id === undefined) return undefined;
  const kept = store ?? sessionStore();
  return kept === undefined ? undefined : { store: kept, key: `zstream:${id}` };
}

/** The page's own, where it has one: not on a server, and not where it is forbidden. */
function sessionStore(): ChatKeeper | undefined {
  try {
    return (globalThis as { sessionStorage?: ChatKeeper }).sessionStorage;
  } catch {
    return undefined;
  }
}
