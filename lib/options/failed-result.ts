// Owns how a model is told that a tool has failed. Pure; any thread.
//
// No chat template has a place for a result's status, and a model that does not see it takes the error for an answer. The Messages format of zse serve
// writes the same word.

/** A part of a result, as both providers make them. */
interface Text {
  type: "text";
  text: string;
}

const WORD = "Error: ";

/** A text that says so itself stays as it is: frameworks that catch a tool's error write the word, too. */
export function failedText(text: string): string {
  return text.startsWith(WORD) ? text : WORD + text;
}

/** Of a call that nobody was let make. */
export function deniedText(reason: string | undefined): string {
  return failedText(reason === undefined ? "the call was denied" : `the call was denied: ${reason}`);
}

export function failedParts(parts: readonly Text[]): Text[] {
  const [first, ...rest] = parts;
  return [{ type: "text", text: failedText(first?.text ?? "") }, ...rest];
}
