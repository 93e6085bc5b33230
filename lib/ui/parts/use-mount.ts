// Owns what is done once, when a component has come into the page. Runs in a page.

import { useLayoutEffect } from "preact/hooks";

export function useMount(run: () => void): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: once is what it is for
  useLayoutEffect(() => run(), []);
}
