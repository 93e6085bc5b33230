// Owns the dialog of what is chosen for all conversations. Runs in a page.

import { useRef, useState } from "preact/hooks";
import { Icon } from "./parts/icons.js";
import { useStore } from "./parts/store.js";
import { useMount } from "./parts/use-mount.js";
import { EFFORTS, type Settings, type Theme, toolsProblem } from "./settings.js";

export function SettingsDialog({ settings, onClose }: { settings: Settings; onClose: () => void }) {
  const { theme, system, temperature, longestReply, effort, tools } = useStore(settings);
  const dialog = useRef<HTMLDialogElement>(null);
  const [draft, setDraft] = useState(tools);
  const problem = toolsProblem(draft);
  useMount(() => dialog.current?.showModal());
  const number = (text: string, min: number, max: number) => {
    const value = Number(text);
    return text.trim() === "" || !(value >= min && value <= max) ? undefined : value;
  };
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes it, as every dialog
    <dialog
      ref={dialog}
      class="dialog"
      aria-labelledby="settings-title"
      onClose={onClose}
      onClick={({ target, currentTarget }) => target === currentTarget && currentTarget.close()}
    >
      <form method="dialog">
        <div class="top">
          <h2 id="settings-title">Settings</h2>
          <button type="submit" class="quiet" aria-label="Close">
            <Icon name="close" />
          </button>
        </div>
        <label>
          Colours
          <select value={theme} onChange={({ currentTarget }) => settings.choose({ theme: currentTarget.value as Theme })}>
            <option value="system">The system's</option>
            <option value="light">Light</option>
            <option value="dark">Dark</option>
          </select>
        </label>
        <label>
          System prompt
          <textarea
            rows={3}
            value={system}
            placeholder="Stands before each conversation"
            onInput={({ currentTarget }) => settings.choose({ system: currentTarget.value })}
          />
        </label>
        <div class="row">
          <label>
            Temperature
            <input
              type="number"
              min="0"
              max="5"
              step="0.1"
              placeholder="the model's"
              value={temperature ?? ""}
              onChange={({ currentTarget }) => settings.choose({ temperature: number(currentTarget.value, 0, 5) })}
            />
          </label>
          <label>
            Longest reply
            <input
              type="number"
              min="1"
              step="1"
              placeholder="tokens"
              value={longestReply ?? ""}
              onChange={({ currentTarget }) => {
                const value = number(currentTarget.value, 1, Number.MAX_SAFE_INTEGER);
                settings.choose({ longestReply: value === undefined ? undefined : Math.floor(value) });
              }}
            />
          </label>
          <label>
            Thinking
            <select
              value={effort ?? ""}
              onChange={({ currentTarget }) => settings.choose({ effort: EFFORTS.find((one) => one === currentTarget.value) })}
            >
              <option value="">the model's</option>
              {EFFORTS.map((one) => (
                <option key={one} value={one}>
                  {one}
                </option>
              ))}
            </select>
          </label>
        </div>
        <label>
          Tools, as JSON
          <textarea
            rows={4}
            class="code"
            spellcheck={false}
            value={draft}
            placeholder='[{"type": "function", "function": {"name": …}}]'
            aria-invalid={problem !== undefined}
            aria-describedby={problem === undefined ? undefined : "tools-problem"}
            onInput={({ currentTarget }) => {
              setDraft(currentTarget.value);
              if (toolsProblem(currentTarget.value) === undefined) settings.choose({ tools: currentTarget.value });
            }}
          />
        </label>
        {problem !== undefined && (
          <p id="tools-problem" class="fine wrong">
            {problem}
          </p>
        )}
      </form>
    </dialog>
  );
}
