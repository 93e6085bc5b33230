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

/** One whose reply was cut within it can have no result. */
export function isWhole({ function: { arguments: said } }: ToolCall): boolean {
  return read(said) !== undefined;
}

/** As it was written where it is no JSON, or not yet. */
function indented(text: string): string {
  const value = read(text);
  return value === undefined ? text : JSON.stringify(value, undefined, 2);
}

function read(text: string): object | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
