// Owns a conversation as it is shown: its messages, what has gone wrong, and staying at its end while it grows. Runs in a page.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ChatError } from "../react/chat-error.js";
import type { ChatState, ChatStore } from "../react/chat-store.js";
import { type Chats, isRunning } from "./chats.js";
import { Message } from "./message.js";
import { Icon, Mark } from "./parts/icons.js";
import { useStore } from "./parts/store.js";
import { ResultForm } from "./result-form.js";
import type { Server } from "./server.js";
import { isWhole } from "./tool-calls.js";

const SUGGESTIONS = ["Tell me a story about a fox", "Count from 1 to 9 in words", "Say hello in Japanese."];
/** Messages that are shown at first, and that each wish for more adds. */
const MANY = 50;
/** Pixels from the end that count as being there. */
const NEAR = 60;

export function Conversation({ chats, chat, server }: { chats: Chats; chat: ChatStore; server: Server }) {
  const state = useStore(chat);
  const { messages, status, error } = state;
  const { frame, content, isBehind, toEnd } = useFollowing();
  const [shown, setShown] = useState(MANY);
  const running = isRunning(chat);
  const last = messages.at(-1);
  const earlier = Math.max(0, messages.length - shown);
  return (
    <div class="frame" ref={frame}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
      <section class="conversation" ref={content} aria-label="Conversation" tabIndex={0}>
        {messages.length === 0 && <Welcome model={server.model} onChoose={(said) => chat.send(said)} />}
        {earlier > 0 && (
          <button type="button" class="small earlier" onClick={() => setShown(shown + MANY)}>
            Show earlier messages ({earlier})
          </button>
        )}
        {messages.slice(earlier).map((message) => (
          <Message
            key={message.id}
            message={message}
            isGrowing={running && message === last && message.role === "assistant"}
            isLast={message === last}
            isIdle={!running}
            chat={chat}
            chats={chats}
          />
        ))}
        {running && last?.role !== "assistant" && (
          <p class="waiting">
            <i />
            <i />
            <i />
            {isOpen(server) ? <span class="visually-hidden">Waiting for the reply</span> : <span>Opening {server.model}</span>}
          </p>
        )}
        {status === "stopped" && <p class="note">Stopped.</p>}
        {error !== undefined && <Problem error={error} onAgain={() => chat.retry()} />}
        {isUnanswered(state) && (
          <p class="note">
            There is no reply to this.{" "}
            <button type="button" class="small" onClick={() => chat.retry()}>
              Ask again
            </button>
          </p>
        )}
        {!running && last?.role === "assistant" && last.toolCalls?.some(isWhole) && status !== "failed" && (
          <ResultForm key={`results ${last.id}`} calls={last.toolCalls.filter(isWhole)} onSend={(results) => chat.send(results)} />
        )}
      </section>
      {isBehind && (
        <button type="button" class="round to-end" aria-label="To the end" title="To the end" onClick={toEnd}>
          <Icon name="down" />
        </button>
      )}
      <p class="visually-hidden" role="status">
        {status === "waiting" || status === "streaming" ? "The reply is being written." : ""}
        {status === "ready" && last?.role === "assistant" ? "The reply is complete." : ""}
      </p>
    </div>
  );
}

function Welcome({ model, onChoose }: { model: string | undefined; onChoose: (said: string) => void }) {
  return (
    <div class="welcome">
      <Mark />
      <h1>{model ?? "zStream"}</h1>
      <p>A model of your own. What you say stays between this browser and its server.</p>
      <div class="suggestions">
        {SUGGESTIONS.map((said) => (
          <button key={said} type="button" onClick={() => onChoose(said)}>
            {said}
          </button>
        ))}
      </div>
    </div>
  );
}

function Problem({ error, onAgain }: { error: ChatError; onAgain: () => void }) {
  const wait = error.retryAfterMs === undefined ? "" : ` It may have room in ${Math.ceil(error.retryAfterMs / 1000)} s.`;
  const said =
    error.code === "stream_taken_over"
      ? "This reply goes on in another tab."
      : error.code === "stream_not_found"
        ? "This reply is no longer kept by the server."
        : error.message;
  return (
    <div class="problem" role="alert">
      <p>
        {said}
        {wait}
      </p>
      <button type="button" class="small" onClick={onAgain}>
        Try again
      </button>
    </div>
  );
}

/** A server of several models opens one when it is first asked. */
function isOpen({ chosen }: Server): boolean {
  return chosen?.opening === undefined || chosen.opening === "loaded";
}

/** The page was left before the reply had a name. */
function isUnanswered({ status, messages, error }: ChatState): boolean {
  return status === "ready" && error === undefined && /^(?:user|tool)$/.test(messages.at(-1)?.role ?? "");
}

/** Keeps the end of what grows in sight, until somebody scrolls away from it. */
function useFollowing() {
  const frame = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLElement>(null);
  const follows = useRef(true);
  const [isBehind, setIsBehind] = useState(false);
  const toEnd = () => {
    follows.current = true;
    setIsBehind(false);
    content.current!.scrollTop = content.current!.scrollHeight;
  };
  useLayoutEffect(toEnd, []);
  useEffect(() => {
    const scroller = content.current!;
    let top = scroller.scrollTop;
    const left = () => scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
    const onScroll = () => {
      if (left() <= NEAR) follows.current = true;
      else if (scroller.scrollTop < top) follows.current = false; // what grew pushes nobody up
      top = scroller.scrollTop;
      setIsBehind(!follows.current);
    };
    const stay = () => {
      if (follows.current) scroller.scrollTop = scroller.scrollHeight;
    };
    const sizes = new ResizeObserver(stay);
    const seeAll = () => {
      for (const one of scroller.children) sizes.observe(one);
    };
    const children = new MutationObserver(() => {
      seeAll();
      stay();
    });
    seeAll();
    sizes.observe(scroller);
    children.observe(scroller, { childList: true });
    scroller.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      sizes.disconnect();
      children.disconnect();
      scroller.removeEventListener("scroll", onScroll);
    };
  }, []);
  return { frame, content, isBehind, toEnd };
}
