// Owns what components follow: a state, and who wants to hear of the next one. Runs in a page.

import { useLayoutEffect, useReducer } from "preact/hooks";

/** lib/react's ChatStore is one, too. */
export interface Readable<State> {
  state(): State;
  subscribe(listener: () => void): () => void;
}

export class Store<State> implements Readable<State> {
  #state: State;
  readonly #listeners = new Set<() => void>();

  constructor(state: State) {
    this.#state = state;
  }

  readonly state = (): State => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  protected set(state: State): void {
    this.#state = state;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** The state, as of now; the component is drawn again with each next one. */
export function useStore<State>(store: Readable<State>): State {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const shown = store.state();
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was shown counts when the store is another one, not with each change of it
  useLayoutEffect(() => {
    if (store.state() !== shown) redraw(undefined); // it had changed before this was heard
    return store.subscribe(() => redraw(undefined));
  }, [store]);
  return shown;
}
