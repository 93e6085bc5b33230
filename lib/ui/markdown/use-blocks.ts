// Owns how much of a page's time the reading of replies may take. Runs in a page.

import { useEffect, useReducer, useRef } from "preact/hooks";
import { type Block, Blocks } from "./blocks.js";

/** Reading (ms) for one frame; a long text that comes at once is shown in several. */
const MOST_MS = 20;
/** Reading (ms) that nobody notices. After more, a text that grows rests for so many times as long. */
const UNNOTICED_MS = 6;
const REST = 4;

/** The blocks of a text, as far as they have been read. */
export function useBlocks(text: string, isGrowing: boolean): readonly Block[] {
  const [, again] = useReducer((count: number) => count + 1, 0);
  const kept = useRef<{ reader: Blocks; shown: readonly Block[]; restsUntil: number }>(undefined);
  kept.current ??= { reader: new Blocks(), shown: [], restsUntil: 0 };
  const { current } = kept;
  const now = performance.now();
  let wait: number | undefined;
  if (isGrowing && now < current.restsUntil) wait = current.restsUntil - now;
  else {
    current.shown = current.reader.read(text, now + MOST_MS);
    const took = performance.now() - now;
    current.restsUntil = took > UNNOTICED_MS ? now + took * REST : 0;
    if (!current.reader.isWhole) wait = 0;
  }
  useEffect(() => {
    if (wait === undefined) return;
    const timer = setTimeout(() => again(undefined), wait);
    return () => clearTimeout(timer);
  });
  return current.shown;
}
