// Owns the decision which models go when there is no room for another one. Pure; any thread.

/** A model that takes memory, as the decision sees it. */
export interface Occupant {
  bytes: number;
  /** It is closed soon, and needs no decision. */
  isClosing: boolean;
  /** Nobody uses it: it can be closed now. One that is being opened cannot. */
  isIdle: boolean;
  /** It is open, and its users can be told to wait. */
  isOpen: boolean;
  /** When it was last used; any clock. */
  usedAt: number;
  /** When it was opened, by the same. */
  openedAt: number;
}

export interface Limits {
  /** 0 is no limit. */
  maxOpen: number;
  maxBytes: number;
}

/** `opens`: there is room now. Otherwise these are closed now, and new users of those wait until they are idle; both may be none. */
export type Decision<Member> = { opens: true } | { opens: false; close: Member[]; drain: Member[] };

/**
 * What makes room for a model of `bytes`. Idle ones go first, the one used longest ago before others, and none of them while that alone does not help;
 * then the ones in use, the one opened longest ago before others. One that streams is never closed.
 * @param mayDrain whether the newcomer has waited long enough for others to be kept waiting
 */
export function roomFor<Member extends Occupant>(
  bytes: number,
  occupants: readonly Member[],
  { maxOpen, maxBytes }: Limits,
  mayDrain: boolean,
): Decision<Member> {
  const fits = (gone: ReadonlySet<Member>) => {
    const staying = occupants.filter((one) => !gone.has(one));
    const held = staying.reduce((sum, one) => sum + one.bytes, 0);
    return (maxOpen === 0 || staying.length < maxOpen) && held + bytes <= maxBytes;
  };
  const gone = new Set<Member>();
  if (fits(gone)) return { opens: true };
  for (const one of occupants) if (one.isClosing) gone.add(one);
  if (fits(gone)) return { opens: false, close: [], drain: [] };
  const close: Member[] = [];
  for (const one of inOrder(occupants, (one) => one.isOpen && one.isIdle && !one.isClosing, "usedAt")) {
    gone.add(one);
    close.push(one);
    if (fits(gone)) return { opens: false, close, drain: [] };
  }
  if (!mayDrain) return { opens: false, close: [], drain: [] };
  const drain: Member[] = [];
  for (const one of inOrder(occupants, (one) => one.isOpen && !one.isIdle && !one.isClosing, "openedAt")) {
    gone.add(one);
    drain.push(one);
    if (fits(gone)) break;
  }
  return { opens: false, close: [], drain };
}

function inOrder<Member extends Occupant>(all: readonly Member[], which: (one: Member) => boolean, by: "usedAt" | "openedAt"): Member[] {
  return all.filter(which).sort((a, b) => a[by] - b[by]);
}
