// Owns asking for the server's key. Runs in a page.

import { useRef, useState } from "preact/hooks";
import { useMount } from "./parts/use-mount.js";
import type { Server } from "./server.js";

export function KeyDialog({ server }: { server: Server }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [key, setKey] = useState("");
  useMount(() => dialog.current?.showModal());
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="key-title" onClose={() => dialog.current?.showModal()}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (key.trim() !== "") void server.giveKey(key.trim());
        }}
      >
        <h2 id="key-title">This server wants a key</h2>
        {server.hasWrongKey && <p role="alert">That one is not taken here.</p>}
        <label>
          Key
          <input
            type="password"
            autocomplete="off"
            spellcheck={false}
            value={key}
            onInput={({ currentTarget }) => setKey(currentTarget.value)}
          />
        </label>
        <p class="fine">It is kept until this tab is closed, and sent to this server alone.</p>
        <div class="buttons">
          <button type="submit" class="primary" disabled={key.trim() === ""}>
            Go on
          </button>
        </div>
      </form>
    </dialog>
  );
}
