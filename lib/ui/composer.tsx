// Owns what is typed next: a field that grows, Enter, and the button that sends or stops. Runs in a page.

import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ChatStore } from "../react/chat-store.js";
import { isRunning } from "./chats.js";
import { Icon } from "./parts/icons.js";
import { useStore } from "./parts/store.js";
import { useGrowing } from "./parts/use-growing.js";
import { useMount } from "./parts/use-mount.js";

/** What was typed in a conversation and not sent, while another one is shown. */
const drafts = new Map<string, string>();

const COMMAND = /^(?:Mac|iP)/.test(navigator.platform) ? "⌘" : "Ctrl";

export interface ComposerProps {
  /** The conversation's. */
  id: string;
  chat: ChatStore;
  field: RefObject<HTMLTextAreaElement | null>;
  model: string | undefined;
}

export function Composer({ id, chat, field, model }: ComposerProps) {
  useStore(chat);
  const [draft, setDraft] = useState(drafts.get(id) ?? "");
  const running = isRunning(chat);
  const isEmpty = draft.trim() === "";

  useGrowing(field, draft);
  useMount(() => focus(field.current));
  // biome-ignore lint/correctness/useExhaustiveDependencies: when a reply begins or ends, buttons go
  useEffect(() => {
    // What was pressed may be gone with the state that it changed: the keyboard goes on here.
    const { activeElement } = document;
    if (activeElement === document.body || (activeElement as Partial<HTMLButtonElement> | null)?.disabled) focus(field.current);
  }, [running]);
  const type = (text: string) => {
    setDraft(text);
    if (text === "") drafts.delete(id);
    else drafts.set(id, text);
  };

  const send = () => {
    if (isEmpty || running) return;
    type("");
    chat.send(draft);
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div class="field">
        <textarea
          ref={field}
          rows={1}
          value={draft}
          placeholder={model === undefined ? "Say something" : `Say something to ${model}`}
          aria-label="Message"
          onInput={({ currentTarget }) => type(currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            send();
          }}
        />
        {running ? (
          <button type="button" class="round stop" aria-label="Stop" title="Stop (Esc)" onClick={() => chat.stop()}>
            <Icon name="stop" />
          </button>
        ) : (
          <button type="submit" class="round" aria-label="Send" title="Send (Enter)" disabled={isEmpty}>
            <Icon name="send" />
          </button>
        )}
      </div>
      <p class="hint">
        <span>
          <kbd>Enter</kbd> sends
        </span>
        <span>
          <kbd>Shift Enter</kbd> begins a line
        </span>
        <span>
          <kbd>Esc</kbd> stops
        </span>
        <span>
          <kbd>{COMMAND} K</kbd> begins anew
        </span>
      </p>
    </form>
  );
}

/** Not on a phone, whose keyboard would cover the page. */
function focus(field: HTMLTextAreaElement | null): void {
  if (!matchMedia("(pointer: coarse)").matches) field?.focus();
}
