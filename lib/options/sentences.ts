// Owns telling a sentence of the library's by other names of options than its own: those of a body, or flags. Pure; any thread.

/** Names of more than one word, which no sentence has by chance, with a field of theirs; and what is quoted, which stays as it is. */
const NAMES = /"(?:[^"\\]|\\.)*"|\b([a-z]+(?:[A-Z][a-z]*)+)\b(\.[a-zA-Z]+\b)?/g;

/** @param nameOf the name in place of one, and of a field of it (`.schema`, or ""); what is none of an option stays */
export function inOtherNames(sentence: string, nameOf: (name: string, field: string) => string): string {
  return sentence.replace(NAMES, (found, name: string | undefined, field = "") => (name === undefined ? found : nameOf(name, field)));
}
