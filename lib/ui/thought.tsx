// Owns what the model thought before it answered: folded, and drawn only when it is unfolded. Runs in a page.

import { useState } from "preact/hooks";
import { Markdown } from "./markdown/markdown.js";
import { Icon } from "./parts/icons.js";

export function Thought({ text, isGrowing }: { text: string; isGrowing: boolean }) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <details class={isGrowing ? "thought growing" : "thought"} onToggle={({ currentTarget }) => setIsOpen(currentTarget.open)}>
      <summary>
        <Icon name="thought" /> {isGrowing ? "Thinking" : "Thought"}
      </summary>
      {isOpen && <Markdown text={text} isGrowing={isGrowing} />}
    </details>
  );
}
