// Owns showing a listing of code: coloured in chunks, so that only the last one is coloured anew while it grows, with a button that copies it. Runs in a page.

import { type ComponentChildren, createRef } from "preact";
import { CopyButton } from "../parts/copy-button.js";
import { watchNear } from "../parts/near.js";
import { Pure } from "../parts/pure.js";
import { type Word, wordsOf } from "./highlight.js";

/** Chunks of a listing that are coloured wherever they are. */
const MANY = 2;

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
            <Chunk key={i} language={language} text={text} isGrowing={open && i === chunks.length - 1} isOfMany={chunks.length > MANY} />
          ))}
        </code>
      </pre>
    </figure>
  );
}

interface ChunkProps {
  language: string;
  text: string;
  /** More of it is on its way. */
  isGrowing: boolean;
  /** One of so many that only those in sight are coloured: a listing may be a book, and each word of it an element. */
  isOfMany: boolean;
}

class Chunk extends Pure<ChunkProps, { isNear: boolean }> {
  override state = { isNear: false };
  readonly #element = createRef<HTMLSpanElement>();
  #unwatch: (() => void) | undefined;
  #coloured: { language: string; text: string; words: readonly Word[] } = { language: "", text: "", words: [] };

  override componentDidMount(): void {
    this.#watch();
  }

  override componentDidUpdate(): void {
    this.#watch();
  }

  override componentWillUnmount(): void {
    this.#unwatch?.();
  }

  #watch(): void {
    if (this.props.isOfMany) this.#unwatch ??= watchNear(this.#element.current!, (isNear) => this.setState({ isNear }));
  }

  render() {
    const { text, isGrowing, isOfMany } = this.props;
    const isColoured = isGrowing || !isOfMany || this.state.isNear;
    // The line that is being written is coloured when it is whole.
    const whole = !isColoured ? "" : isGrowing ? text.slice(0, text.lastIndexOf("\n") + 1) : text;
    return (
      <span class="chunk" ref={this.#element}>
        {whole !== "" && this.#wordsOf(whole).map(word)}
        {text.slice(whole.length)}
      </span>
    );
  }

  #wordsOf(text: string): readonly Word[] {
    const { language } = this.props;
    if (this.#coloured.text !== text || this.#coloured.language !== language) {
      this.#coloured = { language, text, words: wordsOf(language, text) };
    }
    return this.#coloured.words;
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
