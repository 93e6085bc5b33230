// Owns changing what was said. Runs in a page.

import { useRef, useState } from "preact/hooks";
import { useGrowing } from "./parts/use-growing.js";
import { useMount } from "./parts/use-mount.js";

export function EditForm({ text, onSend, onCancel }: { text: string; onSend: (said: string) => void; onCancel: () => void }) {
  const [draft, setDraft] = useState(text);
  const field = useRef<HTMLTextAreaElement>(null);
  useGrowing(field, draft);
  useMount(() => {
    field.current?.focus();
    field.current?.setSelectionRange(text.length, text.length);
  });
  const send = () => draft.trim() !== "" && onSend(draft);
  return (
    <form
      class="edit"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        ref={field}
        rows={1}
        value={draft}
        aria-label="Edited message"
        onInput={({ currentTarget }) => setDraft(currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") {
            event.preventDefault();
            onCancel();
          } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            send();
          }
        }}
      />
      <div class="buttons">
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
        <button type="submit" class="primary" disabled={draft.trim() === ""}>
          Send
        </button>
      </div>
    </form>
  );
}
