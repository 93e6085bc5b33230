// Owns how an AbortSignal reaches what it ends: one listener a signal, however many it ends, since adding and removing one of
// forty thousand listeners looks at all of them. JS thread of whoever asks. A signal may be anybody's, so each touch of it may throw.

import { quoteError } from "../base/quote.js";
import { bad } from "../errors.js";

type OnAbort = (reason: unknown) => void;

interface Watch {
  /** What is to be told; also the key by which each is forgotten again. */
  told: Set<OnAbort>;
  listener: () => void;
}

const watches = new WeakMap<AbortSignal, Watch>();

/**
 * Calls `onAbort` once, with the signal's reason, when the signal aborts.
 * @returns how to stop watching; it throws as this does
 * @throws ZSEError BAD_OPTION naming `signal` when the signal itself throws
 */
export function watchAbort(signal: AbortSignal, onAbort: OnAbort): () => void {
  const before = watches.get(signal);
  const { told, listener } = before ?? begin(signal);
  told.add(onAbort); // first: a signal of somebody's own may abort as soon as it is listened to
  if (before === undefined) {
    watches.set(signal, { told, listener });
    try {
      signal.addEventListener("abort", listener, { once: true });
    } catch (error) {
      watches.delete(signal);
      throw broken("addEventListener", error);
    }
  }
  return () => {
    if (!told.delete(onAbort) || told.size > 0 || watches.get(signal)?.told !== told) return;
    watches.delete(signal);
    try {
      signal.removeEventListener("abort", listener);
    } catch (error) {
      throw broken("removeEventListener", error);
    }
  };
}

/** Whether a signal has aborted. Throws as watchAbort. */
export function isAborted(signal: AbortSignal): boolean {
  try {
    return signal.aborted;
  } catch (error) {
    throw broken("aborted", error);
  }
}

/** Why it has: the signal's reason, or what is wrong with the signal. Never throws. */
export function reasonOf(signal: AbortSignal): unknown {
  try {
    return signal.reason as unknown;
  } catch (error) {
    return broken("reason", error);
  }
}

/** The value of a promise, or the signal's reason where it aborts first. */
export async function unlessAborted<Value>(signal: AbortSignal | undefined, value: Promise<Value>): Promise<Value> {
  if (signal === undefined) return await value;
  value.catch(() => {}); // who has aborted does not look at it any more
  if (isAborted(signal)) throw reasonOf(signal);
  let stop = () => {};
  try {
    return await new Promise<Value>((resolve, reject) => {
      stop = watchAbort(signal, reject);
      value.then(resolve, reject);
    });
  } finally {
    stop();
  }
}

/** The value of a promise. When the signal aborts before, `withdraw` is told why, and makes the promise reject. */
export async function orWithdrawn<Value>(
  signal: AbortSignal | undefined,
  value: Promise<Value>,
  withdraw: (reason: unknown) => void,
): Promise<Value> {
  if (signal === undefined) return await value;
  let stop = () => {};
  try {
    if (isAborted(signal)) withdraw(reasonOf(signal));
    else stop = watchAbort(signal, withdraw);
  } catch (error) {
    withdraw(error); // the signal itself is broken
  }
  try {
    return await value;
  } finally {
    stop();
  }
}

function begin(signal: AbortSignal): Watch {
  const told = new Set<OnAbort>();
  const listener = () => {
    watches.delete(signal);
    const reason = reasonOf(signal);
    const all = [...told];
    told.clear();
    for (const tell of all) tell(reason);
  };
  return { told, listener };
}

function broken(what: string, error: unknown) {
  return bad("signal", `signal must be a working AbortSignal; its ${what} threw: ${quoteError(error)}.`);
}
