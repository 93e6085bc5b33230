// Owns the calls of tools in a reply, folded. Runs in a page.

import type { ToolCall } from "../types.js";
import { Listing } from "./markdown/listing.js";
import { Icon } from "./parts/icons.js";

export function ToolCalls({ calls, isGrowing }: { calls: readonly ToolCall[]; isGrowing: boolean }) {
  return (
    <div class="calls">
      {calls.map(({ id, function: { name, arguments: said } }) => (
        <details key={id}>
          <summary>
            <Icon name="tool" /> {isGrowing ? "Calling" : "Called"} <code>{name}</code>
          </summary>
          <Listing language="json" chunks={[indented(said)]} open={isGrowing} />
        </details>
      ))}
    </div>
  );
}

/** As it was written where it is no JSON, or not yet. */
function indented(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2);
  } catch {
    return text;
  }
}
