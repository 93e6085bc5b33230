// Owns naming the fields of a body that are not known, for whoever logs them. Pure; any thread.

/** Fields that are named. */
export const MOST_NAMED = 16;

/** The first of the fields that are not known. */
export function strangersIn(given: Readonly<Record<string, unknown>>, isKnown: (name: string) => boolean): string[] {
  const strangers: string[] = [];
  for (const name in given) {
    if (strangers.length === MOST_NAMED) break;
    if (!isKnown(name)) strangers.push(name);
  }
  return strangers;
}
