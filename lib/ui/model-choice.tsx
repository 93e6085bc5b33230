// Owns the choice of a model, and what is said where there is none to choose. Runs in a page.

import { useStore } from "./parts/store.js";
import type { Server } from "./server.js";
import type { Settings } from "./settings.js";

/** Behind a model's name. */
const SAID = { unloaded: " (not open yet)", loading: " (opening)", loaded: "", failed: " (cannot be opened)" } as const;

export function ModelChoice({ server, settings }: { server: Server; settings: Settings }) {
  const { models, status, problem } = useStore(server);
  if (status === "away") {
    return (
      <span class="away" role="alert">
        {problem}{" "}
        <button type="button" class="small" onClick={() => void server.ask()}>
          Try again
        </button>
      </span>
    );
  }
  if (models.length <= 1) return <span class="model">{models[0]?.name ?? (status === "ready" ? "no model" : "…")}</span>;
  return (
    <select
      class="model"
      aria-label="Model"
      value={server.model}
      onChange={({ currentTarget }) => settings.choose({ model: currentTarget.value })}
    >
      {models.map(({ name, opening }) => (
        <option key={name} value={name}>
          {name}
          {opening === undefined ? "" : SAID[opening]}
        </option>
      ))}
    </select>
  );
}
