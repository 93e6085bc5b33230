// Owns telling the model what came of its calls: nothing runs tools here but the person. Runs in a page.

import { useState } from "preact/hooks";
import type { ChatMessage } from "../react/chat-store.js";
import type { ToolCall } from "../types.js";

export interface ResultFormProps {
  calls: readonly ToolCall[];
  onSend(results: readonly Omit<ChatMessage, "id">[]): void;
}

export function ResultForm({ calls, onSend }: ResultFormProps) {
  const [results, setResults] = useState<readonly string[]>(calls.map(() => ""));
  return (
    <form
      class="results"
      onSubmit={(event) => {
        event.preventDefault();
        onSend(calls.map(({ id }, i) => ({ role: "tool", toolCallId: id, content: results[i]! })));
      }}
    >
      {calls.map(({ id, function: { name } }, i) => (
        <label key={id}>
          <span>
            What <code>{name}</code> gives
          </span>
          <textarea
            rows={1}
            value={results[i]}
            onInput={({ currentTarget }) => setResults(results.map((one, j) => (i === j ? currentTarget.value : one)))}
          />
        </label>
      ))}
      <button type="submit">Send</button>
    </form>
  );
}
