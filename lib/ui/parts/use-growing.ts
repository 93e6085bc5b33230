// Owns fields that are as high as their text, within what the style allows. Runs in a page.

import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

/** Measures only when the text has changed: that lays the page out. */
export function useGrowing(field: RefObject<HTMLTextAreaElement | null>, text: string): void {
  const measured = useRef<string>(undefined);
  useLayoutEffect(() => {
    if (field.current === null || measured.current === text) return;
    measured.current = text;
    field.current.style.height = "auto";
    field.current.style.height = `${field.current.scrollHeight}px`;
  });
}
