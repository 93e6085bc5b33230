// Owns the list of conversations. Runs in a page.

import { useState } from "preact/hooks";
import type { Chats } from "./chats.js";
import { Icon, Mark } from "./parts/icons.js";
import { useStore } from "./parts/store.js";

export interface SidebarProps {
  chats: Chats;
  /** On a phone, where it lies over the page. */
  isOpen: boolean;
  onBegin(): void;
  onSelect(id: string): void;
}

const DAY_MS = 86_400_000;

export function Sidebar({ chats, isOpen, onBegin, onSelect }: SidebarProps) {
  const { entries, current, running } = useStore(chats);
  /** Of which it has been asked whether it may go. */
  const [doomed, setDoomed] = useState<string>();
  let before: string | undefined;
  return (
    <nav id="conversations" class={isOpen ? "sidebar open" : "sidebar"} aria-label="Conversations">
      <p class="brand">
        <Mark />
        zStream
      </p>
      <button type="button" class="begin" onClick={onBegin} title="New conversation (Ctrl+K)">
        <Icon name="plus" /> New conversation
      </button>
      <ul>
        {entries.map(({ id, title, at }) => {
          const day = dayOf(at);
          const isNewDay = day !== before;
          before = day;
          return [
            isNewDay && (
              <li key={`day ${day}`} class="day">
                {day}
              </li>
            ),
            <li key={id} class={id === current ? "entry current" : "entry"}>
              <button type="button" class="title" aria-current={id === current ? "true" : undefined} onClick={() => onSelect(id)}>
                {running.has(id) && <span class="running" role="img" aria-label="Reply on its way" />}
                <span>{title === "" ? "Untitled" : title}</span>
              </button>
              {doomed === id ? (
                <button
                  type="button"
                  class="quiet small danger"
                  ref={(button) => button?.focus()}
                  onBlur={() => setDoomed(undefined)}
                  onClick={() => chats.remove(id)}
                >
                  Delete
                </button>
              ) : (
                <button
                  type="button"
                  class="quiet small remove"
                  aria-label={`Delete the conversation ${title}`}
                  title="Delete"
                  onClick={() => setDoomed(id)}
                >
                  <Icon name="remove" />
                </button>
              )}
            </li>,
          ];
        })}
      </ul>
      {entries.length === 0 && <p class="none">Conversations stay in this browser.</p>}
    </nav>
  );
}

function dayOf(at: number): string {
  const today = new Date().setHours(0, 0, 0, 0);
  if (at >= today) return "Today";
  if (at >= today - DAY_MS) return "Yesterday";
  return at >= today - 7 * DAY_MS ? "This week" : "Earlier";
}
