// Owns what is typed next: a field that grows, Enter, and the button that sends or stops. Runs in a page.

import type { RefObject } from "preact";
import { useState } from "preact/hooks";
import type { ChatStore } from "../react/chat-store.js";
import { isRunning } from "./chats.js";
import { Icon } from "./parts/icons.js";
import { useStore } from "./parts/store.js";
import { useGrowing } from "./parts/use-growing.js";
import { useMount } from "./parts/use-mount.js";

export interface ComposerProps {
  chat: ChatStore;
  field: RefObject<HTMLTextAreaElement | null>;
  model: string | undefined;
}

export function Composer({ chat, field, model }: ComposerProps) {
  useStore(chat);
  const [draft, setDraft] = useState("");
  const running = isRunning(chat);
  const isEmpty = draft.trim() === "";

  useGrowing(field, draft);
  useMount(() => {
    if (!matchMedia("(pointer: coarse)").matches) field.current?.focus(); // a phone's keyboard would cover the page
  });

  const send = () => {
    if (isEmpty || running) return;
    setDraft("");
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
          onInput={({ currentTarget }) => setDraft(currentTarget.value)}
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
          <kbd>Ctrl K</kbd> begins anew
        </span>
      </p>
    </form>
  );
}
