// Owns the page as a whole: what stands where, the keys that work everywhere, and which dialog is open. Runs in a page.

import { useEffect, useRef, useState } from "preact/hooks";
import { type Chats, isRunning } from "./chats.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { KeyDialog } from "./key-dialog.js";
import { ModelChoice } from "./model-choice.js";
import { Icon } from "./parts/icons.js";
import { useStore } from "./parts/store.js";
import type { Server } from "./server.js";
import type { Settings } from "./settings.js";
import { SettingsDialog } from "./settings-dialog.js";
import { Sidebar } from "./sidebar.js";

export interface AppProps {
  settings: Settings;
  server: Server;
  chats: Chats;
}

export function App({ settings, server, chats }: AppProps) {
  const { current, entries } = useStore(chats);
  const { status } = useStore(server);
  useStore(settings);
  const [hasMenu, setHasMenu] = useState(false);
  const [hasSettings, setHasSettings] = useState(false);
  const draft = useRef<HTMLTextAreaElement>(null);
  const chat = chats.current;
  const title = entries.find(({ id }) => id === current)?.title;

  useEffect(() => {
    document.title = title === undefined || title === "" ? "zStream" : `${title} – zStream`;
  }, [title]);

  const begin = () => {
    chats.begin();
    setHasMenu(false);
    draft.current?.focus();
  };

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing) return;
      if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
        event.preventDefault();
        if (document.querySelector("dialog[open]") === null) begin();
      } else if (event.key === "Escape" && document.querySelector("dialog[open]") === null) {
        if (hasMenu) setHasMenu(false);
        else if (isRunning(chats.current)) chats.current.stop();
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });

  const isDark = settings.isDark;
  return (
    <div class="page">
      <Sidebar
        chats={chats}
        isOpen={hasMenu}
        onBegin={begin}
        onSelect={(id) => {
          chats.select(id);
          setHasMenu(false);
        }}
      />
      {hasMenu && <button type="button" class="veil" aria-label="Close the list of conversations" onClick={() => setHasMenu(false)} />}
      <main>
        <header>
          <button
            type="button"
            class="quiet menu"
            aria-label="Conversations"
            aria-expanded={hasMenu}
            aria-controls="conversations"
            onClick={() => setHasMenu(!hasMenu)}
          >
            <Icon name="menu" />
          </button>
          <ModelChoice server={server} settings={settings} />
          <span class="space" />
          <button type="button" class="quiet only-phone" aria-label="New conversation" onClick={begin}>
            <Icon name="plus" />
          </button>
          <button
            type="button"
            class="quiet"
            aria-label={isDark ? "Light colours" : "Dark colours"}
            title={isDark ? "Light colours" : "Dark colours"}
            onClick={() => settings.choose({ theme: isDark ? "light" : "dark" })}
          >
            <Icon name={isDark ? "sun" : "moon"} />
          </button>
          <button type="button" class="quiet" aria-label="Settings" title="Settings" onClick={() => setHasSettings(true)}>
            <Icon name="settings" />
          </button>
        </header>
        <Conversation key={current} chats={chats} chat={chat} server={server} />
        <Composer key={`draft ${current}`} id={current} chat={chat} field={draft} model={server.model} />
      </main>
      {hasSettings && <SettingsDialog settings={settings} onClose={() => setHasSettings(false)} />}
      {status === "wantsKey" && <KeyDialog server={server} />}
    </div>
  );
}
