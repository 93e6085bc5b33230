// Owns showing a listing of code: coloured in chunks, so that only the last one is coloured anew while it grows, with a button that copies it. Runs in a page.

import type { ComponentChildren } from "preact";
import { CopyButton } from "../parts/copy-button.js";
import { Pure } from "../parts/pure.js";
import { type Word, wordsOf } from "./highlight.js";

/** `open`: more of it is on its way. */
export function Listing({ language, chunks, open }: { language: string; chunks: readonly string[]; open: boolean }) {
  return (
    <figure class="listing">
      <figcaption>
        <span>{language === "" ? "text" : language}</span>
        {!open && <CopyButton text={() => chunks.join("")} what="Copy code" />}
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
      <pre tabIndex={0}>
        <code>
          {chunks.map((text, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: chunks keep their places
            <Chunk key={i} language={language} text={text} isLast={i === chunks.length - 1} open={open} />
          ))}
        </code>
      </pre>
    </figure>
  );
}

interface ChunkProps {
  language: string;
  text: string;
  isLast: boolean;
  open: boolean;
}

class Chunk extends Pure<ChunkProps> {
  #coloured: { language: string; text: string; words: readonly Word[] } = { language: "", text: "", words: [] };

  render() {
    const { language, text, isLast, open } = this.props;
    // The line that is being written is coloured when it is whole.
    const whole = open && isLast ? text.slice(0, text.lastIndexOf("\n") + 1) : text;
    if (this.#coloured.text !== whole || this.#coloured.language !== language) {
      this.#coloured = { language, text: whole, words: wordsOf(language, whole) };
    }
    return (
      <span class="chunk">
        {this.#coloured.words.map(word)}
        {text.slice(whole.length)}
      </span>
    );
  }
}

function word(one: Word, index: number): ComponentChildren {
  if (typeof one === "string") return one;
  return (
    <span key={index} class={one.class}>
      {one.inner.map(word)}
    </span>
  );
}
