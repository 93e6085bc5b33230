// Owns telling elements whether they are in sight, or nearly. Runs in a page.

const MARGIN = "800px";
const listeners = new WeakMap<Element, (isNear: boolean) => void>();
const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) listeners.get(target)?.(isIntersecting);
  },
  // The second one is for what scrolls within the page; a browser that does not know it tells later.
  { rootMargin: MARGIN, scrollMargin: MARGIN } as IntersectionObserverInit,
);

/** Tells soon how it is, and then each change. Returns what ends it. */
export function watchNear(element: Element, listener: (isNear: boolean) => void): () => void {
  listeners.set(element, listener);
  observer.observe(element);
  return () => {
    observer.unobserve(element);
    listeners.delete(element);
  };
}
