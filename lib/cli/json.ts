// Owns the reading of JSON that people wrote into files. Pure.

/** Throws as JSON.parse. Editors on Windows put a byte order mark before a text, which JSON does not know. */
export function parseJson(text: string): unknown {
  return JSON.parse(text.startsWith("\uFEFF") ? text.slice(1) : text) as unknown;
}
